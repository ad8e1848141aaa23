//! Locks with known holders: who waited, who held them, for how long; and the interpreter's lock, which is no sleep.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, Trace, Traced, places, turn};
use serde_json::Value;

fn locks(map: &Map) -> Vec<&Value> {
    map.json["locks"].as_array().map(|locks| locks.iter().collect()).unwrap_or_default()
}

fn name<'m>(lock: &'m Value, side: &str) -> &'m str {
    lock[side]["function"].as_str().unwrap_or_default()
}

fn sum(locks: &[&Value], key: &str) -> f64 {
    locks.iter().filter_map(|lock| lock[key].as_f64()).sum()
}

/// Within 10 %, or the time that threads of a busy machine wait for a CPU before they see that they have the lock.
fn near(got: f64, want: f64, what: &str) -> Result<()> {
    ensure!((got - want).abs() <= (want * 0.10).max(25.0), "{what}: {got:.1} ms, truth {want:.1} ms");
    Ok(())
}

/// The waits for the lock that the program says it has, which are as long as its threads measured, within 10 %.
fn of_mutex<'m>(traced: &Traced, map: &'m Map) -> Result<(Vec<&'m Value>, f64)> {
    let truth = traced.truth()?;
    let address = truth.json["address"].as_str().context("truth without address")?.to_owned();
    let found: Vec<&Value> = locks(map).into_iter().filter(|lock| lock["address"].as_str() == Some(&address)).collect();
    ensure!(!found.is_empty(), "no waits for the lock at {address} among {:?}", locks(map));
    ensure!(found.iter().all(|lock| lock["kind"] == "mutex"), "not a mutex: {found:?}");
    let (got, want) = (sum(&found, "wait_ms"), truth.json["waited_ms"].as_f64().context("truth without waited_ms")?);
    ensure!((got - want).abs() <= want * 0.10, "waited {got:.1} ms for the lock, truth {want:.1} ms");
    Ok((found, truth.json["held_ms"].as_f64().context("truth without held_ms")?))
}

#[test]
fn the_holder_of_a_mutex_is_named() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w55_locks", &["known"])?.passes()?;
    let map = traced.map()?;
    let (found, held) = of_mutex(&traced, &map)?;
    let longest = found[0];
    ensure!(name(longest, "waiter") == "want_it", "the waiter is {longest}");
    ensure!(name(longest, "holder") == "keep_it", "the holder is {longest}");
    let stack = longest["holder"]["stack"].as_array().context("no stack of the holder")?;
    ensure!(stack.iter().any(|frame| frame.as_str().is_some_and(|frame| frame.contains("nanosleep"))), "{stack:?}");
    ensure!(sum(&found, "hold_ms") <= held * 1.1 + 25.0, "held for longer than {held:.0} ms: {found:?}");
    traced.owns_its_time()
}

/// Half of the times that a task gets a CPU do not reach the probes, which some never do on their own: what is missing is made
/// up from the scheduler's own times, and the waits are as long as they were.
#[test]
fn waits_whose_end_was_not_seen() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w55_locks", &["known"])?.options(&["--lose-arrivals", "2"]).passes()?;
    let map = traced.map()?;
    let (found, _) = of_mutex(&traced, &map)?;
    ensure!(name(found[0], "waiter") == "want_it" && name(found[0], "holder") == "keep_it", "{found:?}");
    ensure!(!map.warnings().contains("not seen to begin"), "{}", map.warnings());
    traced.owns_its_time()
}

#[test]
fn a_convoy_is_one_step_that_waits_for_its_own_kind() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w55_locks", &["convoy"])?.passes()?;
    let map = traced.map()?;
    let (found, held) = of_mutex(&traced, &map)?;
    let right = |lock: &&Value| name(lock, "waiter") == "take_turns" && name(lock, "holder") == "take_turns";
    let named: Vec<&Value> = found.iter().copied().filter(right).collect();
    ensure!(sum(&named, "wait_ms") >= 0.95 * sum(&found, "wait_ms"), "{found:?}");
    // It was held nearly all the time that anybody waited.
    let hold = sum(&found, "hold_ms");
    ensure!(hold <= held * 1.1 + 25.0 && hold >= held * 0.6, "held {hold:.0} ms with waiters, truth {held:.0} in all");
    ensure!(!map.nested("take_turns", "take_turns"), "threads of one function are nested in one another");
    let turns = map.of("take_turns").next().context("no step of take_turns")?;
    let waited = turns.wait_ms.get("lock").copied().unwrap_or(0.0);
    ensure!(waited >= turns.wall_ms * 0.3, "take_turns waited {waited:.0} ms: {:?}", turns.wait_ms);
    traced.owns_its_time()
}

/// Most waits for it end by a time-out of 5 ms, and would be sleeps but for what the lock says: they are as long as each
/// thread was neither on a CPU nor waiting for one, and belong to the threads that had the lock.
fn interpreter(version: &str, threads: usize) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let Some(python) = places::python(version) else {
        eprintln!("no CPython {version} on this machine");
        return Ok(());
    };
    let names = &["crunch", "grind", "mill", "press"][..threads];
    let traced = Trace::workload("w55_locks", &["gil", &threads.to_string()])?.env("WL_PYTHON", python).passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    let of: Vec<&Value> = locks(&map).into_iter().filter(|lock| lock["kind"] == "interpreter").collect();
    let functions = truth.json["functions"].as_array().context("truth without functions")?;
    for waiter in names {
        let own = functions.iter().find(|function| function["function"] == *waiter);
        let want = own.and_then(|own| own["blocked_ms"].as_f64()).with_context(|| format!("no truth of {waiter}"))?;
        let mine: Vec<&Value> = of.iter().copied().filter(|lock| name(lock, "waiter") == *waiter).collect();
        near(sum(&mine, "wait_ms"), want, &format!("{waiter} waited for the interpreter"))?;
        // Each of them reads, in `queued`, what it is compared with.
        let right = |lock: &&Value| {
            let holder = name(lock, "holder");
            holder != *waiter && (names.contains(&holder) || holder == "queued")
        };
        let named: Vec<&Value> = mine.iter().copied().filter(right).collect();
        ensure!(sum(&named, "wait_ms") >= 0.9 * sum(&mine, "wait_ms") - 10.0, "whom {waiter} waited for: {mine:?}");
    }
    let led = names.iter().any(|outer| names.iter().any(|inner| inner != outer && map.nested(outer, inner)));
    ensure!(led, "the wait for the lock does not lead to its holder");
    for step in names.iter().flat_map(|name| map.of(name)) {
        let slept = step.wait_ms.get("sleep").copied().unwrap_or(0.0);
        ensure!(slept <= 1.0, "{} slept {slept:.0} ms", step.function);
    }
    traced.owns_its_time()
}

#[test]
fn cpython_3_8_s_lock() -> Result<()> {
    interpreter("3.8", 2)
}

#[test]
fn cpython_3_10_s_lock() -> Result<()> {
    interpreter("3.10", 4)
}

#[test]
fn cpython_3_11_s_lock() -> Result<()> {
    interpreter("3.11", 2)
}

#[test]
fn cpython_3_11_s_lock_among_four() -> Result<()> {
    interpreter("3.11", 4)
}

#[test]
fn cpython_3_12_s_lock() -> Result<()> {
    interpreter("3.12", 2)
}

#[test]
fn cpython_3_13_s_lock_among_four() -> Result<()> {
    interpreter("3.13", 4)
}
