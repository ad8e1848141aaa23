//! What hints promise beside what their fixes save: programs with a fault and the same work after the fix, run by turns without
//! perfmap, and the gain that perfmap computes from the one with the fault → the table in `docs/gains.md`. Never a test: the
//! saving is a difference of two times, and other work on the machine is in both.

use crate::{
    setup::{self, For},
    shell::{self, cargo, must, root},
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Stdio},
};

pub const DEFAULT_RUNS: usize = 5;
/// A prediction is good within so many percent of what is saved.
const WITHIN_PCT: f64 = 20.0;
const BEGIN: &str = "<!-- cargo xtask gains -->";
const END: &str = "<!-- end -->";

struct Fix {
    rule: &'static str,
    workload: &'static str,
    /// Variant before the point: `lock` of `lock.bad`.
    program: &'static str,
    fixed: &'static str,
    what: &'static str,
    /// The formula was changed after a comparison with this very program.
    seen: bool,
}

const TWINS: &str = "w70_twins";
const CPU: &str = "w72_twins_cpu";

const fn twin(rule: &'static str, what: &'static str, seen: bool) -> Fix {
    Fix { rule, workload: TWINS, program: rule, fixed: "good", what, seen }
}

const fn shared(rule: &'static str, program: &'static str, what: &'static str) -> Fix {
    Fix { rule, workload: CPU, program, fixed: "fixed", what, seen: false }
}

const FIXES: &[Fix] = &[
    twin("connection_per_request", "30 requests over TLS, a connection each, then one", true),
    twin("sequential_http_calls", "24 calls of 30 ms, then 8 at a time", false),
    twin("n_plus_one_queries", "60 keys one by one, then one command", false),
    twin("repeated_query", "one key 40 times, then once", false),
    twin("repeated_request", "one URL 20 times, then once", false),
    twin("repeated_computation", "one function 16 times below two callers, then once", false),
    twin("sequential_awaits", "8 times 3 calls of 25 ms, then the 3 together", false),
    twin("sync_io_in_async", "8 blocks of 60 ms, then on threads", true),
    twin("delayed_ack_stall", "25 requests in two writes, then in one", true),
    twin("small_sync_writes", "60 writes with a sync each, then one sync", false),
    twin("dns_per_request", "20 look-ups, then one", true),
    twin("tls_full_handshake", "12 full handshakes, then resumed ones", false),
    twin("pool_exhaustion", "15 threads on 5 connections, then on 15", true),
    twin("tiny_io", "150,000 writes of 40 bytes, then a buffer", true),
    shared("lock_contention", "lock", "4 threads sleep with one lock, then each with its own"),
    shared("gil_contention", "gil", "4 threads compute, then 4 processes"),
    shared("database_write_lock", "database", "4 threads work inside SQLite transactions, then before them"),
];

/// In milliseconds.
struct Row {
    before: Vec<f64>,
    after: Vec<f64>,
    predicted: Vec<f64>,
}

pub fn gains(runs: usize, only: &[&str]) -> Result<()> {
    ensure!(runs > 0, "--runs must be at least 1");
    let unknown = only.iter().find(|name| !FIXES.iter().any(|fix| fix.rule == **name));
    ensure!(unknown.is_none(), "no fix is known for {}", unknown.copied().unwrap_or_default());
    if !shell::is_root() {
        let me = std::env::current_exe().context("find this program")?;
        return must(shell::as_root(&me).arg("gains").args(["--runs", &runs.to_string()]).args(only));
    }
    setup::setup(For::Tests)?;
    must(cargo().args(["build", "--release", "--locked", "-p", "perfmap"]))?;
    for workload in [TWINS, CPU] {
        must(&mut Command::new(root().join("tests/workloads").join(workload).join("setup.sh")))?;
    }
    let scratch = shell::target_dir().join("gains");
    std::fs::create_dir_all(&scratch).with_context(|| format!("make {}", scratch.display()))?;
    let mut lines = Vec::new();
    let (mut good, mut good_unseen) = (0, 0);
    for fix in FIXES.iter().filter(|fix| only.is_empty() || only.contains(&fix.rule)) {
        let row = measure(fix, runs, &scratch)?;
        let (line, off) = line(fix, &row);
        eprintln!("{line}");
        good += usize::from(off.is_some_and(|off| off.abs() <= WITHIN_PCT));
        good_unseen += usize::from(!fix.seen && off.is_some_and(|off| off.abs() <= WITHIN_PCT));
        lines.push(line);
    }
    let (load, cpus) =
        (shell::output_of("cat", &["/proc/loadavg"]).unwrap_or_default(), shell::output_of("nproc", &[]));
    let table = format!(
        "{BEGIN}\n| fault | before | after | saved | predicted | off |\n|---|---|---|---|---|---|\n{}\n\n\
         Medians of {runs} runs each, in ms; in brackets the least and the most. {good} of {} predictions lie within {WITHIN_PCT} %, {good_unseen} \
         of them by formulas that this program had no part in (the others are marked *). {} CPUs, load at the end {}.\n{END}",
        lines.join("\n"),
        lines.len(),
        cpus.unwrap_or_default(),
        load.split(' ').next().unwrap_or_default(),
    );
    println!("{table}");
    if only.is_empty() {
        let path = root().join("docs/gains.md");
        let page = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        std::fs::write(&path, put(&page, &table)?).with_context(|| format!("write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

fn put(page: &str, table: &str) -> Result<String> {
    let (Some(begin), Some(end)) = (page.find(BEGIN), page.find(END)) else {
        bail!("docs/gains.md has no place for the table")
    };
    let before = page.get(..begin).unwrap_or_default();
    let after = page.get(end + END.len()..).unwrap_or_default();
    Ok(format!("{before}{table}{after}"))
}

/// By turns, so that what else the machine does falls on all alike.
fn measure(fix: &Fix, runs: usize, scratch: &Path) -> Result<Row> {
    let mut row = Row { before: Vec::new(), after: Vec::new(), predicted: Vec::new() };
    let bad = format!("{}.bad", fix.program);
    for run in 1..=runs {
        eprintln!("{}: run {run} of {runs}", fix.rule);
        row.before.push(work(fix.workload, &bad, scratch)?);
        row.after.push(work(fix.workload, &format!("{}.{}", fix.program, fix.fixed), scratch)?);
        row.predicted.extend(predicted(fix, &bad, scratch)?);
    }
    Ok(row)
}

fn program(workload: &str) -> std::path::PathBuf {
    root().join("tests/workloads").join(workload).join("run")
}

/// What the program measured of its own work.
fn work(workload: &str, variant: &str, scratch: &Path) -> Result<f64> {
    let truth = scratch.join(format!("{workload}.{variant}.json"));
    let _ = std::fs::remove_file(&truth);
    let mut command = Command::new(program(workload));
    quiet(command.arg(variant).env("TRUTH_DIR", scratch))?;
    let json = read(&truth)?;
    let work = json.get("work_ms").or_else(|| json.pointer("/functions/0/wall_ms")).and_then(Value::as_f64);
    work.with_context(|| format!("{} says nothing of its work", truth.display()))
}

/// None: perfmap gives no hint of this rule with a gain.
fn predicted(fix: &Fix, variant: &str, scratch: &Path) -> Result<Option<f64>> {
    let out = scratch.join("out");
    let _ = std::fs::remove_dir_all(&out);
    let mut perfmap = Command::new(shell::release_binary());
    perfmap.args(["trace", "--no-baseline", "--quiet", "--as-root", "--format", "json", "--out"]).arg(&out).arg("--");
    quiet(perfmap.arg(program(fix.workload)).arg(variant).env("TRUTH_DIR", scratch))?;
    let json = read(&out.join("profile_result.json"))?;
    let hints = json.pointer("/profile_result/optimization_hints").and_then(Value::as_array);
    let of_rule =
        hints.into_iter().flatten().filter(|hint| hint.get("suspicion").and_then(Value::as_str) == Some(fix.rule));
    Ok(of_rule.filter_map(|hint| hint.get("expected_gain_ms").and_then(Value::as_f64)).reduce(f64::max))
}

fn quiet(command: &mut Command) -> Result<()> {
    let typed = shell::words(command);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.with_context(|| format!("start `{typed}`"))?;
    ensure!(status.success(), "`{typed}` ended with {status}");
    Ok(())
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))
}

fn line(fix: &Fix, row: &Row) -> (String, Option<f64>) {
    let saved: Vec<f64> = row.before.iter().zip(&row.after).map(|(before, after)| before - after).collect();
    let median_saved = median(&row.before).zip(median(&row.after)).map(|(before, after)| before - after);
    let predicted = median(&row.predicted);
    let off = predicted.zip(median_saved).map(|(predicted, saved)| (predicted / saved - 1.0) * 100.0);
    let mark = if fix.seen { " *" } else { "" };
    let number = |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.0}"));
    let ranged = |value: Option<f64>, all: &[f64]| {
        let (least, most) =
            (all.iter().copied().fold(f64::MAX, f64::min), all.iter().copied().fold(f64::MIN, f64::max));
        value.map_or("none".to_owned(), |value| format!("{value:.0} ({least:.0}–{most:.0})"))
    };
    let text = format!(
        "| `{}`{mark}: {} | {} | {} | {} | {} | {} |",
        fix.rule,
        fix.what,
        number(median(&row.before)),
        number(median(&row.after)),
        ranged(median_saved, &saved),
        ranged(predicted, &row.predicted),
        off.map_or("–".to_owned(), |off| format!("{off:+.0} %").replace('-', "−")),
    );
    (text, off)
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_takes_the_place_of_the_one_before() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let table = format!("{BEGIN}\nnew\n{END}");
        assert_eq!(put(&page, &table).ok(), Some(format!("a\n{BEGIN}\nnew\n{END}\nb\n")));
        assert!(put("a", &table).is_err());
    }

    #[test]
    fn a_prediction_is_off_by_what_it_lacks() {
        let row = Row { before: vec![100.0, 120.0, 110.0], after: vec![10.0, 10.0, 11.0], predicted: vec![90.0] };
        let fix = twin("repeated_query", "x", false);
        let (text, off) = line(&fix, &row);
        assert_eq!(text, "| `repeated_query`: x | 110 | 10 | 100 (90–110) | 90 (90–90) | −10 % |");
        assert!(off.is_some_and(|off| (off + 10.0).abs() < 1e-9));
    }
}
