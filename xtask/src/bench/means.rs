//! The means of collecting beside one another and beside py-spy and samply, all but eBPF without a single capability: how
//! far each is off on a program that measures itself, and what it costs one that computes. → a section of `docs/backends.md`.

use super::{
    table::{median, text},
    tool,
};
use crate::shell::{in_path, must, output_of, release_binary, root, tools_venv};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

/// The section's first line; it ends where the next one begins.
const TITLE: &str = "## Beside py-spy and samply";
const HZ: &str = "99";
/// Functions of `w88_backends`.
const FUNCTIONS: [&str; 4] = ["sleeps", "computes", "waits_for_child", "asks"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    Nothing,
    Ebpf,
    Perf,
    Procfs,
    PySpy,
    Samply,
}

/// A function's name → its wall time in milliseconds.
type WallOf = Box<dyn Fn(&str) -> f64>;
/// Measured in one run: the program's own wall time, and of each function by how much the tool was off, in milliseconds.
type Off = BTreeMap<&'static str, f64>;

#[derive(Debug, Default)]
struct Runs {
    off: Vec<Off>,
    /// Of the program that computes; None where it failed.
    wall: Vec<Option<f64>>,
    failed: Option<String>,
}

impl Means {
    const ALL: [Self; 6] = [Self::Nothing, Self::Ebpf, Self::Perf, Self::Procfs, Self::PySpy, Self::Samply];

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Ebpf => "perfmap, `ebpf` (root)",
            Self::Perf => "perfmap, `perf`",
            Self::Procfs => "perfmap, `procfs`",
            Self::PySpy => "py-spy record -i",
            Self::Samply => "samply record",
        }
    }

    fn installed(self) -> bool {
        match self {
            Self::Nothing | Self::Ebpf | Self::Perf | Self::Procfs => true,
            Self::PySpy => in_path("py-spy") || tools_venv().join("bin/py-spy").is_file(),
            Self::Samply => in_path("samply") || tools_venv().join("bin/samply").is_file(),
        }
    }

    /// samply names no function of Python's.
    fn names_functions(self) -> bool {
        !matches!(self, Self::Nothing | Self::Samply)
    }

    fn command(self, out: &Path) -> Command {
        let perfmap = |backend: &str| {
            let mut perfmap = match backend {
                "ebpf" => Command::new(release_binary()),
                _ => without_capabilities(&release_binary()),
            };
            perfmap.args(["trace", "--no-baseline", "--no-escalate", "--quiet", "--as-root", "--format", "json"]);
            perfmap.args(["--freq", HZ, "--backend", backend, "--out"]).arg(out.join("map")).arg("--");
            perfmap
        };
        match self {
            Self::Nothing => without_capabilities(Path::new("env")),
            Self::Ebpf => perfmap("ebpf"),
            Self::Perf => perfmap("perf"),
            Self::Procfs => perfmap("procfs"),
            Self::PySpy => {
                let mut spy = without_capabilities(&program("py-spy"));
                spy.args(["record", "-i", "-r", HZ, "-f", "raw", "-o"]).arg(out.join("py-spy.txt")).arg("--");
                spy
            }
            Self::Samply => {
                let mut samply = without_capabilities(&program("samply"));
                samply.args(["record", "--save-only", "--rate", HZ, "-o"]).arg(out.join("samply.json")).arg("--");
                samply
            }
        }
    }

    /// Milliseconds of wall time in a function, as the tool has it.
    fn found(self, out: &Path) -> Result<WallOf> {
        match self {
            Self::Nothing | Self::Samply => Ok(Box::new(|_| 0.0)),
            Self::Ebpf | Self::Perf | Self::Procfs => {
                let map = std::fs::read(out.join("map/performance_map.json")).context("read the map")?;
                let map: Value = serde_json::from_slice(&map).context("parse the map")?;
                let steps = map["performance_map"]["steps"].clone();
                Ok(Box::new(move |function| outermost(&steps, function)))
            }
            Self::PySpy => {
                let text = std::fs::read_to_string(out.join("py-spy.txt")).context("read py-spy's stacks")?;
                let hz: f64 = HZ.parse()?;
                Ok(Box::new(move |function| 1e3 / hz * in_stacks(&text, function)))
            }
        }
    }
}

/// The tools' own one first, which has a known version.
fn program(name: &str) -> PathBuf {
    let own = tools_venv().join("bin").join(name);
    if own.is_file() { own } else { name.into() }
}

/// As the program itself runs too, so that all are alike.
fn without_capabilities(program: &Path) -> Command {
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--bounding-set=-all", "--inh-caps=-all", "--"]).arg(program);
    for name in ["SUDO_UID", "SUDO_GID", "SUDO_USER"] {
        setpriv.env_remove(name);
    }
    setpriv
}

/// Wall time of all steps of a function that do not lie in another of it.
fn outermost(steps: &Value, function: &str) -> f64 {
    let of = |step: &Value| match step["function"] == function {
        true => step["wall_time_ms"].as_f64().unwrap_or(0.0),
        false => outermost(&step["children"], function),
    };
    steps.as_array().map_or(0.0, |steps| steps.iter().map(of).sum())
}

/// Samples of folded stacks that a function is in: `outer (file:1);inner (file:2) 12`.
fn in_stacks(folded: &str, function: &str) -> f64 {
    let has = |stack: &str| stack.split(';').any(|frame| frame.split(" (").next() == Some(function));
    let lines = folded.lines().filter_map(|line| line.rsplit_once(' '));
    lines.filter(|(stack, _)| has(stack)).filter_map(|(_, count)| count.parse::<f64>().ok()).sum()
}

/// The section, measured now.
pub fn section(pairs: usize, scratch: &Path) -> Result<String> {
    for workload in ["w88_backends", "w15_overhead"] {
        let setup = root().join("tests/workloads").join(workload).join("setup.sh");
        must(Command::new(setup).env("PATH", tool::path()))?;
    }
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut all: Vec<(Means, Runs)> = Means::ALL.into_iter().map(|means| (means, Runs::default())).collect();
    let count = all.len();
    for pair in 0..pairs {
        for turn in 0..count {
            // Rotated, so that none always runs first.
            let Some((means, runs)) = all.get_mut((turn + pair) % count) else { continue };
            if !means.installed() {
                continue;
            }
            eprintln!("means: pair {} of {pairs}: {}", pair + 1, means.name());
            let mut failed = |error: anyhow::Error| {
                eprintln!("  {error:#}");
                runs.failed = Some(error.to_string());
            };
            if means.names_functions() {
                match accuracy(*means, scratch) {
                    Ok(off) => runs.off.push(off),
                    Err(error) => failed(error),
                }
            }
            let wall = run(*means, "w15_overhead", "pycpu", scratch).and_then(|truth| number(&truth, "wall_ms"));
            runs.wall.push(wall.map_err(&mut failed).ok());
        }
    }
    let words: Vec<&str> = load.split_whitespace().take(3).collect();
    let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    let level = format!("{}; kernel.perf_event_paranoid was {} (samply needs 1)", words.join(" "), level.trim());
    Ok(page(&all, pairs, &level))
}

fn page(all: &[(Means, Runs)], pairs: usize, load: &str) -> String {
    let commit = output_of("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    let mut page = format!("{TITLE}\n\n");
    let _ = writeln!(
        page,
        "Written by `cargo xtask bench --means --pairs {pairs}`; not a test. All at {HZ} Hz and, but for `ebpf`, without a capability.\n\
         Off: of the wall time of each function of `w88_backends`, found less what the function measured in the same run, in\n\
         milliseconds: median and, behind it, the largest. Cost: wall time of `w15_overhead pycpu`, which it measures itself, over that of\n\
         the run with nothing in the same pair, median. Commit {commit}, load average before the first: {load}.\n"
    );
    let _ = writeln!(
        page,
        "| | {} | wall ratio |\n|---|---:|---:|---:|---:|---:|",
        FUNCTIONS.map(|f| format!("`{f}`")).join(" | ")
    );
    let plain = all.iter().find(|(means, _)| *means == Means::Nothing).map(|(_, runs)| runs.wall.as_slice());
    for (means, runs) in all {
        let cells = FUNCTIONS.map(|function| {
            let off: Vec<f64> = runs.off.iter().filter_map(|off| off.get(function).copied()).collect();
            let largest = off.iter().copied().max_by(|left, right| left.abs().total_cmp(&right.abs()));
            match (median(off), largest, means.installed(), means.names_functions()) {
                (_, _, false, _) => "not installed".to_owned(),
                (_, _, _, false) => String::new(),
                (Some(middle), Some(largest), ..) => format!("{middle:+.0} ({largest:+.0})"),
                (..) => "failed".to_owned(),
            }
        });
        let pairs = runs.wall.iter().zip(plain.unwrap_or_default());
        let ratios: Vec<f64> = pairs.filter_map(|(run, plain)| Some((*run)? / (*plain)?)).collect();
        let ratio = match (means.installed(), ratios.is_empty()) {
            (false, _) => "not installed".to_owned(),
            (true, true) => "failed".to_owned(),
            (true, false) => text(median(ratios), 3),
        };
        let _ = writeln!(page, "| {} | {} | {ratio} |", means.name(), cells.join(" | "));
    }
    let failed: Vec<String> =
        all.iter().filter_map(|(means, runs)| Some(format!("{}: {}", means.name(), runs.failed.as_ref()?))).collect();
    if !failed.is_empty() {
        let _ = writeln!(page, "\nFailed at least once: {}.", failed.join("; "));
    }
    page.push_str("\nsamply samples native code and has no names of Python's functions: its cost alone is compared.\n");
    page
}

fn accuracy(means: Means, scratch: &Path) -> Result<Off> {
    let truth = run(means, "w88_backends", "", scratch)?;
    let found = means.found(&scratch.join("means"))?;
    let functions = truth["functions"].as_array().context("no functions in the truth")?;
    let of = |function: &'static str| {
        let one = functions.iter().find(|one| one["function"] == function).context("a function without truth")?;
        Ok((function, found(function) - one["wall_ms"].as_f64().context("no wall_ms")?))
    };
    FUNCTIONS.into_iter().map(of).collect()
}

/// The truth that the program wrote.
fn run(means: Means, workload: &str, variant: &str, scratch: &Path) -> Result<Value> {
    let out = scratch.join("means");
    // A stale file would pass for a fresh one.
    let _ = std::fs::remove_dir_all(&out);
    std::fs::create_dir_all(&out).with_context(|| format!("make {}", out.display()))?;
    let mut command = means.command(&out);
    command.arg(root().join("tests/workloads").join(workload).join("run"));
    if !variant.is_empty() {
        command.arg(variant);
    }
    let done = command.env("TRUTH_DIR", &out).env("PATH", tool::path()).output();
    let done = done.with_context(|| format!("start {}", means.name()))?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{}: {}", done.status, said.lines().last().unwrap_or_default());
    let variant = match (workload, variant) {
        ("w88_backends", _) => "python",
        (_, variant) => variant,
    };
    let truth = std::fs::read(out.join(format!("{workload}.{variant}.json"))).context("read the truth")?;
    serde_json::from_slice(&truth).context("parse the truth")
}

fn number(truth: &Value, key: &str) -> Result<f64> {
    truth["process"][key].as_f64().with_context(|| format!("no process.{key}"))
}

/// `page` with its section replaced, or put at its end.
pub fn with_section(page: &str, section: &str) -> String {
    let (before, after) = match page.find(TITLE) {
        Some(at) => {
            let rest = &page[at + TITLE.len()..];
            (&page[..at], rest.find("\n## ").map_or("", |end| &rest[end..]))
        }
        None => (page, ""),
    };
    format!("{}\n\n{}\n{after}", before.trim_end(), section.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_is_replaced_where_it_is() {
        let first = with_section("# Page\n\nwords\n", &format!("{TITLE}\n\nold\n"));
        assert_eq!(first, format!("# Page\n\nwords\n\n{TITLE}\n\nold\n"));
        let second = with_section(&format!("{first}\n## Later\n\nmore\n"), &format!("{TITLE}\n\nnew\n"));
        assert_eq!(second, format!("# Page\n\nwords\n\n{TITLE}\n\nnew\n\n## Later\n\nmore\n"));
    }

    #[test]
    fn stacks_and_steps_of_a_function_are_added_once() {
        let folded =
            "main (a.py:1);f (a.py:2);f (a.py:2) 7\nmain (a.py:1) 5\nmain (a.py:1);f (a.py:3) 1\nfg (a.py:1) 9\n";
        assert_eq!(in_stacks(folded, "f"), 8.0);
        let steps = serde_json::json!([{"function": "m", "wall_time_ms": 9.0, "children": [
            {"function": "f", "wall_time_ms": 4.0, "children": [{"function": "f", "wall_time_ms": 3.0}]},
            {"function": "f", "wall_time_ms": 1.0, "children": []}]}]);
        assert_eq!(outermost(&steps, "f"), 5.0);
    }

    #[test]
    fn what_is_missing_or_failed_is_said() {
        let good = Runs { off: vec![[("sleeps", -3.0)].into()], wall: vec![Some(110.0)], failed: None };
        let plain = Runs { wall: vec![Some(100.0)], ..Runs::default() };
        let bad = Runs { wall: vec![None], failed: Some("refused".into()), ..Runs::default() };
        let page = page(&[(Means::Nothing, plain), (Means::Procfs, good), (Means::Perf, bad)], 1, "0.1");
        assert!(page.contains("| perfmap, `procfs` | -3 (-3) | failed | failed | failed | 1.100 |"), "{page}");
        assert!(page.contains("Failed at least once: perfmap, `perf`: refused."), "{page}");
    }
}
