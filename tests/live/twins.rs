//! The faults of the catalogue in other languages than Python: confirmed for the program that has one, and not for its twin.

use crate::suspicions::{
    all_judged_right_together, judged_right, judged_right_again, judged_right_together, synced_twins, twins_with_gain,
};
use anyhow::{Context, Result, ensure};
use perfmap_tests::{places, turn};
use std::process::Command;

fn node(rule: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    judged_right("w71_twins_node", rule).map(|_| ())
}

fn go_is_here() -> bool {
    let found = Command::new("go").arg("version").output().is_ok_and(|out| out.status.success());
    if !found {
        eprintln!("skipped: no go here");
    }
    found
}

fn go(rule: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    if !go_is_here() {
        return Ok(());
    }
    judged_right("w78_twins_go", rule).map(|_| ())
}

/// Faults in one run, none of them in the other, in which nothing else is confirmed either.
fn several(workload: &str, compiler: &str, rules: &[&str]) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    if places::program(compiler).is_none() {
        eprintln!("skipped: no {compiler} here");
        return Ok(());
    }
    all_judged_right_together(workload, "several", rules)
}

fn go_with_gain(rule: &str) -> Result<()> {
    if !go_is_here() {
        return Ok(());
    }
    twins_with_gain("w78_twins_go", rule)
}

/// Each of eight pages asks for three things, which take 25 ms at least each.
#[test]
fn sequential_awaits_in_node() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let rule = "sequential_awaits";
    let [bad, _] = judged_right_again("w71_twins_node", rule)?;
    let gain = bad.largest_gain(rule);
    let (least, most) = (8.0 * 2.0 * 25.0, bad.beyond_longest_ms().context("truth without pages")?);
    ensure!(gain >= least * 0.9 && gain <= most * 1.01, "{gain:.0} ms predicted, of {least:.0} to {most:.0} ms");
    Ok(())
}

#[test]
fn connection_per_request_in_node() -> Result<()> {
    node("connection_per_request")
}

#[test]
fn tiny_io_in_node() -> Result<()> {
    node("tiny_io")
}

#[test]
fn cpu_bound_hot_function_in_node() -> Result<()> {
    node("cpu_bound_hot_function")
}

#[test]
fn sequential_http_calls_in_node() -> Result<()> {
    twins_with_gain("w71_twins_node", "sequential_http_calls")
}

#[test]
fn repeated_request_in_node() -> Result<()> {
    twins_with_gain("w71_twins_node", "repeated_request")
}

/// `execFileSync` holds up two requests; `execFile` does not.
#[test]
fn sync_io_in_async_in_node() -> Result<()> {
    node("sync_io_in_async")
}

#[test]
fn calls_and_writes_in_go() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    if !go_is_here() {
        return Ok(());
    }
    let rules = ["sequential_http_calls", "repeated_request", "tiny_io"];
    judged_right_together("w78_twins_go", "several", &rules)
}

#[test]
fn connection_per_request_in_go() -> Result<()> {
    go("connection_per_request")
}

#[test]
fn cpu_bound_hot_function_in_go() -> Result<()> {
    go("cpu_bound_hot_function")
}

#[test]
fn repeated_query_in_go() -> Result<()> {
    go_with_gain("repeated_query")
}

#[test]
fn dns_per_request_in_go() -> Result<()> {
    go("dns_per_request")
}

#[test]
fn tls_full_handshake_in_go() -> Result<()> {
    go("tls_full_handshake")
}

#[test]
fn n_plus_one_queries_in_go() -> Result<()> {
    go("n_plus_one_queries")
}

#[test]
fn repeated_computation_in_go() -> Result<()> {
    go("repeated_computation")
}

#[test]
fn cache_unused_in_go() -> Result<()> {
    go("cache_unused")
}

#[test]
fn rate_limiting_in_go() -> Result<()> {
    go("rate_limiting")
}

#[test]
fn delayed_ack_stall_in_go() -> Result<()> {
    go("delayed_ack_stall")
}

#[test]
fn pool_exhaustion_in_go() -> Result<()> {
    go("pool_exhaustion")
}

#[test]
fn small_sync_writes_in_go() -> Result<()> {
    if !go_is_here() {
        return Ok(());
    }
    synced_twins("w78_twins_go")
}

#[test]
fn lock_contention_in_go() -> Result<()> {
    go("lock_contention")
}

#[test]
fn remote_service_cpu_bound_in_go() -> Result<()> {
    go("remote_service_cpu_bound")
}

#[test]
fn cpu_contention_in_go() -> Result<()> {
    go("cpu_contention")
}

#[test]
fn memory_leak_in_go() -> Result<()> {
    go("memory_leak")
}

#[test]
fn large_allocation_in_go() -> Result<()> {
    go("large_allocation")
}

/// Blocking calls, a file without a buffer, the library's own mutex.
#[test]
fn calls_writes_and_a_mutex_in_rust() -> Result<()> {
    let rules = ["sequential_http_calls", "connection_per_request", "tiny_io", "lock_contention"];
    several("w68_twins_rust", "rustc", &rules)
}

/// The client's own threads open the connections and take the answers.
#[test]
fn clients_and_queries_in_java() -> Result<()> {
    let rules = ["sequential_http_calls", "connection_per_request", "n_plus_one_queries"];
    several("w69_twins_java", "javac", &rules)
}
