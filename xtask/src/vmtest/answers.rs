//! What a guest printed → whether its answers are right: the map's figures beside what the workload measured itself.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// What lies between two marks, by (run, file).
pub struct Said(BTreeMap<(String, String), String>);

pub const DONE: &str = "VMTEST-DONE";

impl Said {
    pub fn read(console: &str) -> Said {
        let (mut files, mut current) = (BTreeMap::new(), None);
        for line in console.lines().map(|line| line.trim_end_matches('\r')) {
            // The terminal's reset may stand before the first mark.
            if let Some((_, head)) = line.split_once("VMTEST-FILE ") {
                let mut words = head.split(' ').map(str::to_owned);
                current = words.next().zip(words.next());
            } else if line.starts_with("VMTEST-") {
                current = None;
            } else if let Some(of) = &current {
                let text: &mut String = files.entry(of.clone()).or_default();
                text.push_str(line);
                text.push('\n');
            }
        }
        Said(files)
    }

    fn text(&self, run: &str, file: &str) -> Result<&str> {
        let found = self.0.get(&(run.to_owned(), file.to_owned()));
        found.map(String::as_str).with_context(|| format!("the guest did not print {file} of {run}"))
    }

    fn json(&self, run: &str, file: &str) -> Result<Value> {
        serde_json::from_str(self.text(run, file)?.trim()).with_context(|| format!("{file} of {run}"))
    }
}

/// Of all steps of a function, outermost ones only.
fn sum(steps: &Value, function: &str, pointer: &str) -> f64 {
    let of = |step: &Value| {
        if step["function"] == function {
            step.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0)
        } else {
            sum(&step["children"], function, pointer)
        }
    };
    steps.as_array().into_iter().flatten().map(of).sum()
}

struct Compared {
    map: Value,
    truth: Value,
}

impl Compared {
    fn of(said: &Said, run: &str) -> Result<Compared> {
        let map = said.json(run, "performance_map.json")?;
        Ok(Compared { map: map["performance_map"].clone(), truth: said.json(run, "truth.json")? })
    }

    fn sum(&self, function: &str, pointer: &str) -> f64 {
        sum(&self.map["steps"], function, pointer)
    }

    fn truth(&self, function: &str, figure: &str) -> Result<f64> {
        self.truth[function][figure].as_f64().with_context(|| format!("the workload did not measure {function}"))
    }

    /// Within a tenth, and what an emulated machine needs for a thread to be let in.
    fn near(&self, function: &str, pointer: &str, figure: &str) -> Result<()> {
        let (found, truth) = (self.sum(function, pointer), self.truth(function, figure)?);
        ensure!(
            (found - truth).abs() <= (truth * 0.1).max(30.0),
            "{function}: {pointer} is {found:.1} ms, the truth {truth:.1}"
        );
        Ok(())
    }
}

/// `counts_requests`: the kernel has the tracepoints of sends and receives (from 6.3 on).
pub fn check(said: &Said, counts_requests: bool) -> Result<()> {
    let doctor = said.text("doctor", "table")?;
    let refused: Vec<&str> = doctor.lines().filter(|line| line.contains("does not load")).collect();
    let expected = |line: &&&str| !counts_requests && ["on_send", "on_receive"].iter().any(|name| line.contains(name));
    ensure!(refused.iter().all(|line| expected(&line)), "programs that do not load:\n{}", refused.join("\n"));
    ensure!(doctor.contains("a full profile can be made here"), "the doctor misses something:\n{doctor}");

    let answers = Compared::of(said, "answers")?;
    ensure!(answers.map["profiled_run"]["backend"] == "ebpf", "no eBPF: {}", answers.map["profiled_run"]);
    ensure!(answers.map["profiled_run"]["lost_events"] == 0, "events were lost: {}", answers.map["profiled_run"]);
    answers.near("compute", "/cpu_time_ms", "cpu_ms")?;
    let slept = answers.sum("nap", "/wait_ms/sleep");
    ensure!(slept >= 0.9 * 400.0, "nap slept {slept} ms of 400");
    for function in ["compute", "nap", "storm", "fetch"] {
        answers.near(function, "/wall_time_ms", "wall_ms")?;
    }
    let trips = answers.sum("fetch", "/http_round_trips");
    ensure!(trips == if counts_requests { 20.0 } else { 0.0 }, "{trips} round trips of 20");

    let throttled = Compared::of(said, "throttled")?;
    let (wall, cpu) = (throttled.truth("quota", "wall_ms")?, throttled.truth("quota", "cpu_ms")?);
    let found = throttled.sum("quota", "/wait_ms/throttled");
    ensure!(found >= 0.7 * (wall - cpu), "{found:.1} ms throttled of {:.1} without the CPU", wall - cpu);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str =
        "boot\r\nVMTEST-FILE a x.json\r\n{\"n\":1}\r\nVMTEST-END\r\nnoise\nVMTEST-FILE a y.json\n\nVMTEST-DONE\n";

    #[test]
    fn what_lies_between_marks() {
        let said = Said::read(CONSOLE);
        assert_eq!(said.json("a", "x.json").expect("x")["n"], 1);
        assert!(said.json("a", "y.json").is_err(), "empty");
        assert!(said.text("b", "x.json").is_err());
        assert!(check(&said, true).is_err());
    }

    #[test]
    fn outermost_steps_of_a_function() {
        let steps = serde_json::json!([{"function": "f", "n": 2.0, "children": [{"function": "f", "n": 1.0}]},
            {"function": "g", "children": [{"function": "f", "n": 3.0}]}]);
        assert_eq!(sum(&steps, "f", "/n"), 5.0);
    }
}
