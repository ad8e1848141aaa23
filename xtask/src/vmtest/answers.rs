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
    /// A run by these means that ended well and lost nothing.
    fn of(said: &Said, run: &str, backend: &str) -> Result<Compared> {
        let words = said.text(run, "words")?;
        ensure!(words.trim_end().ends_with("exit code 0"), "{run} failed:\n{words}");
        let map = said.json(run, "performance_map.json")?["performance_map"].clone();
        let profiled = &map["profiled_run"];
        ensure!(profiled["backend"] == backend, "{run}: not by {backend}: {profiled}\n{words}");
        ensure!(profiled["lost_events"] == 0, "{run}: events were lost: {profiled}\n{}", map["warnings"]);
        Ok(Compared { truth: said.json(run, "truth.json")?, map })
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

pub fn check(said: &Said) -> Result<()> {
    let doctor = said.text("plain", "doctor")?;
    let refused: Vec<&str> = doctor.lines().filter(|line| line.contains("does not load")).collect();
    ensure!(refused.is_empty(), "programs that do not load:\n{}", refused.join("\n"));
    ensure!(doctor.contains("a full profile can be made here"), "the doctor misses something:\n{doctor}");

    let answers = Compared::of(said, "answers", "ebpf")?;
    answers.near("compute", "/cpu_time_ms", "cpu_ms")?;
    let slept = answers.sum("nap", "/wait_ms/sleep");
    ensure!(slept >= 0.9 * 400.0, "nap slept {slept} ms of 400");
    for function in ["compute", "nap", "storm", "fetch"] {
        answers.near(function, "/wall_time_ms", "wall_ms")?;
    }
    // Each of the 60 processes sleeps for 4 ms, under a function of its own.
    let brief = answers.sum("brief", "/wait_ms/sleep");
    ensure!(brief >= 0.9 * 240.0, "the short processes slept {brief:.1} ms of 240");
    let trips = answers.sum("fetch", "/http_round_trips");
    ensure!(trips == 20.0, "{trips} round trips of 20");

    // Of the old hierarchy or of the new one, whichever the guest has.
    let throttled = Compared::of(said, "quota", "ebpf")?;
    let (wall, cpu) = (throttled.truth("quota", "wall_ms")?, throttled.truth("quota", "cpu_ms")?);
    let found = throttled.sum("quota", "/wait_ms/throttled");
    ensure!(found >= 0.7 * (wall - cpu), "{found:.1} ms throttled of {:.1} without the CPU", wall - cpu);
    for (run, backend, word) in [
        ("typeless", "perf", "CONFIG_DEBUG_INFO_BTF"),
        ("integrity", "ebpf", ""),
        ("confidentiality", "perf", "boot without lockdown=confidentiality"),
    ] {
        let little = Compared::of(said, run, backend)?;
        for (pointer, figure) in [("/wall_time_ms", "wall_ms"), ("/cpu_time_ms", "cpu_ms")] {
            little.near("little", pointer, figure).with_context(|| run.to_owned())?;
        }
        let words = said.text(run, "words")?;
        ensure!(words.contains(word), "{run}: no word of {word}:\n{words}");
    }
    for (run, line) in
        [("integrity", "a full profile can be made here"), ("confidentiality", "without lockdown=confidentiality")]
    {
        let doctor = said.text(run, "doctor")?;
        ensure!(doctor.contains(line), "{run}: the doctor does not say: {line}\n{doctor}");
    }
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
        assert!(check(&said).is_err());
    }

    #[test]
    fn outermost_steps_of_a_function() {
        let steps = serde_json::json!([{"function": "f", "n": 2.0, "children": [{"function": "f", "n": 1.0}]},
            {"function": "g", "children": [{"function": "f", "n": 3.0}]}]);
        assert_eq!(sum(&steps, "f", "/n"), 5.0);
    }
}
