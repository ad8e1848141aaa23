//! Rules on calls and on data: each is confirmed for the program with the fault and not for its twin, and what a fix was
//! predicted to save is what the twin saves.

use crate::ordinary::OF_THE_MACHINE;
use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, Traced, turn};
use serde_json::Value;

/// Of what was measured.
const PREDICTED_WITHIN: f64 = 0.2;

fn result(traced: &Traced) -> Result<Value> {
    let text = std::fs::read_to_string(traced.result_path()).context("read the result")?;
    let file: Value = serde_yaml::from_str(&text).context("parse the result")?;
    file.get("profile_result").cloned().context("no profile_result at the top")
}

fn verdicts<'r>(result: &'r Value, rule: &str) -> Vec<&'r str> {
    let all = result["suspicion_stack"].as_array().map_or(&[][..], Vec::as_slice);
    all.iter().filter(|one| one["id"] == rule).filter_map(|one| one["verdict"].as_str()).collect()
}

pub(crate) struct Twin {
    result: Value,
    work: Value,
    work_ms: f64,
}

impl Twin {
    /// Of the rule's hints.
    pub(crate) fn largest_gain(&self, rule: &str) -> f64 {
        let hints = self.result["optimization_hints"].as_array().map_or(&[][..], Vec::as_slice);
        let of_rule = hints.iter().filter(|hint| hint["suspicion"] == rule);
        of_rule.filter_map(|hint| hint["expected_gain_ms"].as_f64()).fold(0.0, f64::max)
    }

    pub(crate) fn beyond_longest_ms(&self) -> Option<f64> {
        self.work["beyond_longest_ms"].as_f64()
    }
}

pub(crate) fn twin(workload: &str, rule: &str, way: &str) -> Result<Twin> {
    of_run(Trace::workload(workload, &[&format!("{rule}.{way}")])?)
}

fn of_run(trace: Trace) -> Result<Twin> {
    let traced = trace.passes()?;
    let work = traced.truth()?.json["functions"][0].clone();
    let work_ms = work["wall_ms"].as_f64().context("truth without work")?;
    Ok(Twin { result: result(&traced)?, work, work_ms })
}

pub(crate) fn judged_right(workload: &str, rule: &str) -> Result<[Twin; 2]> {
    both_judged_right(rule, |way| twin(workload, rule, way))
}

/// With a run before, so that the probes of an event loop are there when it opens its first connection.
pub(crate) fn judged_right_again(workload: &str, rule: &str) -> Result<[Twin; 2]> {
    let trace =
        |way: &str| -> Result<Trace> { Ok(Trace::workload(workload, &[&format!("{rule}.{way}")])?.with_baseline()) };
    both_judged_right(rule, |way| of_run(trace(way)?.options(&["--runs", "1", "--warmup", "0"])))
}

fn both_judged_right(rule: &str, run: impl Fn(&str) -> Result<Twin>) -> Result<[Twin; 2]> {
    let (bad, good) = (run("bad")?, run("good")?);
    let found = verdicts(&bad.result, rule);
    ensure!(found.contains(&"confirmed"), "{rule} is {found:?} for the program that has it");
    let found = verdicts(&good.result, rule);
    ensure!(!found.contains(&"confirmed"), "{rule} is confirmed for the program without it");
    Ok([bad, good])
}

/// Of one program with several faults, and of its twin with none of them.
pub(crate) fn judged_right_together(workload: &str, name: &str, rules: &[&str]) -> Result<()> {
    let (bad, good) = (twin(workload, name, "bad")?, twin(workload, name, "good")?);
    for rule in rules {
        let found = verdicts(&bad.result, rule);
        ensure!(found.contains(&"confirmed"), "{rule} is {found:?} for the program that has it");
        let found = verdicts(&good.result, rule);
        ensure!(!found.contains(&"confirmed"), "{rule} is confirmed for the program without it");
    }
    Ok(())
}

/// And nothing at all is confirmed of the other one, but what is the machine's.
pub(crate) fn all_judged_right_together(workload: &str, name: &str, rules: &[&str]) -> Result<()> {
    let (bad, good) = (twin(workload, name, "bad")?, twin(workload, name, "good")?);
    for rule in rules {
        let found = verdicts(&bad.result, rule);
        ensure!(found.contains(&"confirmed"), "{rule} is {found:?} for the program that has it");
    }
    let all = good.result["suspicion_stack"].as_array().context("no suspicions in the result")?;
    let confirmed = all.iter().filter(|one| one["verdict"] == "confirmed").filter_map(|one| one["id"].as_str());
    let wrong: Vec<&str> = confirmed.filter(|id| !OF_THE_MACHINE.contains(id)).collect();
    ensure!(wrong.is_empty(), "{wrong:?} confirmed for the program without a fault");
    Ok(())
}

fn twins(rule: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    judged_right("w70_twins", rule).map(|_| ())
}

/// And the largest gain of the rule's hints is what the work of the other takes less.
pub(crate) fn twins_with_gain(workload: &str, rule: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let [bad, good] = judged_right(workload, rule)?;
    let predicted = bad.largest_gain(rule);
    let measured = bad.work_ms - good.work_ms;
    ensure!(
        (predicted - measured).abs() <= PREDICTED_WITHIN * measured,
        "{rule}: {predicted:.0} ms predicted, {measured:.0} ms measured"
    );
    Ok(())
}

/// What looks like the fault and has a reason.
fn other(rule: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let other = twin("w70_twins", rule, "other")?;
    let found = verdicts(&other.result, rule);
    ensure!(!found.contains(&"confirmed"), "{rule} is confirmed for a program with a reason");
    ensure!(found.contains(&"dismissed"), "{rule} was not looked into");
    Ok(())
}

#[test]
fn connection_per_request() -> Result<()> {
    twins("connection_per_request")
}

#[test]
fn sequential_http_calls() -> Result<()> {
    twins_with_gain("w70_twins", "sequential_http_calls")
}

#[test]
fn pages_that_name_the_next_one() -> Result<()> {
    other("sequential_http_calls")
}

#[test]
fn n_plus_one_queries() -> Result<()> {
    twins_with_gain("w70_twins", "n_plus_one_queries")
}

#[test]
fn repeated_query() -> Result<()> {
    twins_with_gain("w70_twins", "repeated_query")
}

#[test]
fn repeated_request() -> Result<()> {
    twins_with_gain("w70_twins", "repeated_request")
}

#[test]
fn polling_is_no_repetition() -> Result<()> {
    other("repeated_request")
}

#[test]
fn repeated_computation() -> Result<()> {
    twins("repeated_computation")
}

#[test]
fn sequential_awaits() -> Result<()> {
    twins_with_gain("w70_twins", "sequential_awaits")
}

#[test]
fn awaits_that_need_one_another() -> Result<()> {
    other("sequential_awaits")
}

#[test]
fn sync_io_in_async() -> Result<()> {
    twins_with_gain("w70_twins", "sync_io_in_async")
}

#[test]
fn tiny_io() -> Result<()> {
    twins("tiny_io")
}

#[test]
fn small_sync_writes() -> Result<()> {
    synced_twins("w70_twins")
}

/// Sixty syncs. Where one takes no time there is nothing to see.
pub(crate) fn synced_twins(workload: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let rule = "small_sync_writes";
    let (bad, good) = (twin(workload, rule, "bad")?, twin(workload, rule, "good")?);
    ensure!(!verdicts(&good.result, rule).contains(&"confirmed"), "confirmed for the program without it");
    let a_sync_ms = (bad.work_ms - good.work_ms) / 60.0;
    if a_sync_ms < 2.0 {
        eprintln!("a sync takes {a_sync_ms:.2} ms here: too little to be recorded each time");
        return Ok(());
    }
    let found = verdicts(&bad.result, rule);
    ensure!(found.contains(&"confirmed"), "{found:?} for the program that has it");
    Ok(())
}

#[test]
fn delayed_ack_stall() -> Result<()> {
    twins("delayed_ack_stall")
}

#[test]
fn dns_per_request() -> Result<()> {
    twins("dns_per_request")
}

#[test]
fn tls_full_handshake() -> Result<()> {
    twins("tls_full_handshake")
}

#[test]
fn pool_exhaustion() -> Result<()> {
    twins("pool_exhaustion")
}

#[test]
fn rate_limiting() -> Result<()> {
    twins("rate_limiting")
}

#[test]
fn cache_unused() -> Result<()> {
    twins("cache_unused")
}

#[test]
fn memory_leak() -> Result<()> {
    twins("memory_leak")
}

#[test]
fn large_allocation() -> Result<()> {
    twins("large_allocation")
}

#[test]
fn connections_new_and_kept_are_judged_by_peer() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    Trace::workload("w05_http_conn", &[])?.passes()?.check_result("suspicions")
}

#[test]
fn the_example_s_suspicions() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    Trace::workload("w01_example", &[])?.passes()?.check_result("suspicions")
}

#[test]
fn protocols_suspicions() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    Trace::workload("w11_protocols", &["https"])?.passes()?.check_result("suspicions")?;
    Trace::workload("w11_protocols", &["websocket"])?.passes()?.check_result("suspicions")
}
