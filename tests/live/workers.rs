//! Workers side by side: who they are, what holds them up, and what is expected without it. Each program measures its own rate.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, turn, workload};
use serde_json::Value;

use crate::attach::Watching;

fn run(variant: &str, words: &[&str]) -> Result<Option<(Value, Value)>> {
    run_in("w79_workers", variant, words)
}

/// `parallelism` of the result and what the program measured.
fn run_in(workload: &str, variant: &str, words: &[&str]) -> Result<Option<(Value, Value)>> {
    let Some(_turn) = turn()? else { return Ok(None) };
    let words: Vec<&str> = std::iter::once(variant).chain(words.iter().copied()).collect();
    let traced = Trace::workload(workload, &words)?.passes()?;
    let text = std::fs::read_to_string(traced.result_path()).context("read the result")?;
    let file: Value = serde_yaml::from_str(&text).context("parse the result")?;
    let found = file["profile_result"]["parallelism"].clone();
    if !found.is_null() {
        let page = traced.out.join("parallelism.md");
        let page = std::fs::read_to_string(page).context("read the page")?;
        for table in ["## Baseline metrics", "## Profiling results", "## Parallelisation analysis", "## Root cause"] {
            ensure!(page.contains(table), "{table} is missing in\n{page}");
        }
    }
    let truth = traced.truth_dir.join(format!("{workload}.{variant}.json"));
    let truth = match std::fs::read_to_string(truth) {
        Ok(text) => serde_json::from_str(&text).context("parse the truth")?,
        Err(_) => Value::Null,
    };
    Ok(Some((found, truth)))
}

fn number(of: &Value, key: &str) -> Result<f64> {
    of[key].as_f64().with_context(|| format!("{key} is no number in {of}"))
}

fn near(what: &str, value: f64, wanted: f64, share: f64) -> Result<()> {
    ensure!((value - wanted).abs() <= wanted.abs() * share, "{what}: {value} for {wanted}");
    Ok(())
}

/// Number of workers, rate, and the cause that is found.
fn is_held_up(variant: &str, words: &[&str], cause: &str) -> Result<Option<(Value, Value)>> {
    held_up(run(variant, words)?, variant, cause)
}

fn held_up(ran: Option<(Value, Value)>, variant: &str, cause: &str) -> Result<Option<(Value, Value)>> {
    let Some((found, truth)) = ran else { return Ok(None) };
    ensure!(!found.is_null(), "{variant}: no workers were seen");
    ensure!(found["workers"] == truth["workers"], "{variant}: {} workers for {}", found["workers"], truth["workers"]);
    ensure!(found["root_cause"] == cause, "{variant}: {} ({})", found["root_cause"], found["root_cause_detail"]);
    near("rate", number(&found, "actual_rate")?, number(&truth, "rate")?, 0.15)?;
    Ok(Some((found, truth)))
}

fn critical(found: &Value) -> &Value {
    &found["resources"][0]
}

/// The lock is another process's: its thread there waits for it, for the worker that asked.
#[test]
fn a_manager_s_lock() -> Result<()> {
    let Some((found, _)) = is_held_up("manager", &[], "lock_contention")? else { return Ok(()) };
    ensure!(found["worker_kind"] == "processes" && critical(&found)["waiting"]["function"] == "write", "{found}");
    Ok(())
}

#[test]
fn one_slow_worker_is_an_imbalance() -> Result<()> {
    let Some((found, _)) = is_held_up("slow", &[], "imbalance")? else { return Ok(()) };
    ensure!(number(&found["checks"], "load_balance")? < 0.7, "{found}");
    Ok(())
}

#[test]
fn coroutines_at_a_semaphore() -> Result<()> {
    let Some((found, _)) = is_held_up("semaphore", &[], "pool_exhaustion")? else { return Ok(()) };
    ensure!(found["worker_kind"] == "coroutines" && critical(&found)["places"] == 4, "{found}");
    Ok(())
}

#[test]
fn a_server_with_one_thread_that_computes() -> Result<()> {
    is_held_up("peer", &[], "saturated_peer")?;
    Ok(())
}

#[test]
fn a_server_that_refuses_with_429() -> Result<()> {
    let Some((found, truth)) = is_held_up("refused", &[], "rate_limiting")? else { return Ok(()) };
    ensure!(found["items"] == truth["items"], "{} items for {}", found["items"], truth["items"]);
    Ok(())
}

#[test]
fn threads_at_one_mutex_in_rust() -> Result<()> {
    let Some((found, _)) = is_held_up("mutex", &["rust"], "lock_contention")? else { return Ok(()) };
    let lock = critical(&found);
    ensure!(lock["address"].is_string() && lock["places"] == 1, "{lock}");
    near("turn", number(lock, "turn_ms")?, 4.4, 0.4)
}

/// Nothing is locked, nothing waited for.
#[test]
fn false_sharing_is_no_lock() -> Result<()> {
    let Some((found, _)) = run("sharing", &["rust"])? else { return Ok(()) };
    ensure!(found.is_null() || found["root_cause"] == "none", "{found}");
    Ok(())
}

#[test]
fn what_is_no_pipeline_and_what_is_a_good_one() -> Result<()> {
    let Some((idle, _)) = run("idle", &[])? else { return Ok(()) };
    ensure!(idle.is_null(), "a pool that idles: {idle}");
    let Some((found, _)) = is_held_up("linear", &[], "none")? else { return Ok(()) };
    ensure!(found["severity"] == "good" && found["recommended_fix"].is_null(), "{found}");
    for variant in ["jobs", "make", "deep"] {
        let Some((jobs, _)) = run(variant, &[])? else { return Ok(()) };
        ensure!(jobs["workers"] == 4 && jobs["items"] == 24, "{variant}: {jobs}");
        ensure!(jobs["worker_kind"] == "slots" && jobs["root_cause"] == "none", "{variant}: {jobs}");
    }
    Ok(())
}

/// 32 threads, a pool of five connections to PostgreSQL.
#[test]
fn a_pool_of_sqlalchemy_s() -> Result<()> {
    let ran = run_in("w33_databases", "pool5", &[])?;
    let Some((found, _)) = held_up(ran, "pool5", "pool_exhaustion")? else { return Ok(()) };
    ensure!(critical(&found)["places"] == 5 && critical(&found)["waiting"]["function"] == "store", "{found}");
    Ok(())
}

/// A mutex of Go's, which no call of the kernel's shows, and a channel that has three places.
#[test]
fn goroutines_at_a_mutex_and_at_a_channel() -> Result<()> {
    let Some((found, _)) = is_held_up("gomutex", &[], "lock_contention")? else { return Ok(()) };
    ensure!(critical(&found)["waiting"]["function"] == "main.save", "{found}");
    let Some((found, _)) = is_held_up("gopool", &[], "pool_exhaustion")? else { return Ok(()) };
    ensure!(critical(&found)["places"] == 3 && critical(&found)["waiting"]["function"] == "main.store", "{found}");
    Ok(())
}

/// Fifty loops of one event loop, whose tasks are not seen: by their calls, the second of which has two connections.
#[test]
fn a_pool_of_node_s() -> Result<()> {
    let Some((found, _)) = is_held_up("pool2", &[], "pool_exhaustion")? else { return Ok(()) };
    ensure!(critical(&found)["places"] == 2 && found["items"] == 300, "{found}");
    Ok(())
}

/// Four processes that answer requests from outside, with one lock: looked at unasked.
#[test]
fn equal_processes_of_a_server_that_runs_already() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let dir = workload::ready("w79_workers")?;
    let scratch = tempfile::tempdir().context("make a directory for the port")?;
    let file = scratch.path().join("port");
    let python = |words: &[&std::ffi::OsStr]| {
        let mut command = std::process::Command::new("python3");
        command.arg("prefork.py").args(words).current_dir(&dir).stdin(std::process::Stdio::null());
        command
    };
    let mut server = python(&["serve".as_ref(), file.as_os_str()]).spawn().context("start the server")?;
    let watched = (|| {
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !file.exists() {
            ensure!(std::time::Instant::now() < until, "the server does not listen");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let port = std::fs::read_to_string(&file).context("read the port")?;
        let watching = Watching::begin(&["--pid", &server.id().to_string()])?;
        let asked = python(&["ask".as_ref(), port.as_ref()]).output().context("ask the server")?;
        let rate: f64 = String::from_utf8_lossy(&asked.stdout).trim().parse().context("the rate of the answers")?;
        Ok((watching.interrupt()?, rate))
    })();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(server.id() as i32), nix::sys::signal::Signal::SIGTERM)?;
    server.wait().context("wait for the server")?;
    let (watched, rate) = watched?;
    let found = watched.result()?["parallelism"].clone();
    ensure!(found["workers"] == 4 && found["worker_kind"] == "processes" && found["items"] == 160, "{found}");
    near("rate", number(&found, "actual_rate")?, rate, 0.15)?;
    ensure!(found["root_cause"] == "lock_contention" && critical(&found)["waiting"]["function"] == "save", "{found}");
    Ok(())
}

/// Both statements are named: the one that waits for the row and the one that the transaction is in which has it.
#[test]
fn one_row_that_all_change() -> Result<()> {
    let ran = run_in("w33_databases", "rowlock", &[])?;
    let Some((found, _)) = held_up(ran, "rowlock", "database_write_lock")? else { return Ok(()) };
    let lock = critical(&found);
    let is = |key: &str, part: &str| lock[key].as_str().is_some_and(|text| text.contains(part));
    ensure!(is("statement", "update counter") && is("blocking_statement", "pg_sleep"), "{lock}");
    Ok(())
}

/// The specification's example at a tenth of its durations: fetch 20.5 ms, write 23.6 ms under one lock, 64 workers. Ten items
/// to a write are predicted from it and then measured.
#[test]
fn the_example_and_its_fix() -> Result<()> {
    let Some((found, _)) = is_held_up("example", &[], "lock_contention")? else { return Ok(()) };
    ensure!(found["severity"] == "critical", "{found}");
    near("theoretical rate", number(&found, "theoretical_rate")?, 64.0 / 0.0441, 0.35)?;
    let predicted = number(&found["expected"]["batch"], "rate")?;
    let Some((after, truth)) = run("batched", &[])? else { return Ok(()) };
    near("predicted rate", predicted, number(&truth, "rate")?, 0.2)?;
    let [before, after] = [number(&found, "serialization_factor")?, number(&after, "serialization_factor")?];
    ensure!(after < before / 2.0, "factor {before}, then {after}");
    Ok(())
}
