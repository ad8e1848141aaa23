//! Threads of one CPython process want to compute at the same time, and its interpreter lets one at a time. Judged by the
//! interpreter's lock alone, process by process: for how much of the wall time one thread had it while others waited.

use std::collections::BTreeMap;

use super::{
    super::{
        Answer, Category, Facts, Suspicion, Verdict,
        replayed::{self, Fix},
        sharing::Sharing,
        sketch::Pattern,
    },
    lock_contention::{CONTENDED_PCT, contended, figures, main_side},
    steps,
};
use crate::{
    analyze::share_pct,
    map::{Lock, LockSide, Map},
    recording::Nanos,
};

pub const ID: &str = "gil_contention";
/// Below this share nobody would suspect it.
const SUSPECTED_PCT: f64 = 1.0;

pub fn judge(facts: &Facts<'_>) -> Answer {
    let found: Vec<Suspicion> =
        interpreters(facts.map).into_iter().map(|(service, rows)| suspicion(facts, service, &rows)).collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

/// Rows of the interpreters' locks by service, where they matter. What is held within one process alone has an address;
/// rows without one are those of the same service.
pub fn interpreters(map: &Map) -> Vec<(usize, Vec<&Lock>)> {
    let mut by_service: BTreeMap<usize, Vec<&Lock>> = BTreeMap::new();
    for lock in map.locks.iter().filter(|lock| lock.interpreter) {
        by_service.entry(lock.service).or_default().push(lock);
    }
    by_service.into_iter().filter(|(_, rows)| share_pct(contended(rows), map.wall) >= SUSPECTED_PCT).collect()
}

/// The largest of all services, with its steps.
pub fn worst(map: &Map) -> Option<(Nanos, Vec<String>)> {
    let all = interpreters(map).into_iter().map(|(service, rows)| (contended(&rows), service, rows));
    let (length, service, rows) = all.reduce(|a, b| if b.0 > a.0 { b } else { a })?;
    let waiter = main_side(&rows, |lock| lock.waiter.as_ref());
    let affected = waiter.map(|side| steps::of_function(map, service, &side.function)).unwrap_or_default();
    Some((length, affected))
}

fn suspicion(facts: &Facts<'_>, service: usize, rows: &[&Lock]) -> Suspicion {
    let map = facts.map;
    let length = contended(rows);
    let waiter = main_side(rows, |lock| lock.waiter.as_ref());
    let name = map.services.get(service).cloned().unwrap_or_default();
    let mut one = Suspicion {
        id: ID,
        category: Category::Concurrency,
        subject: name.clone(),
        location: waiter.and_then(|side| side.location.clone()),
        affected_steps: waiter.map(|side| steps::of_function(map, service, &side.function)).unwrap_or_default(),
        description: format!("threads of {name} wait for the interpreter while another computes"),
        verdict: if share_pct(length, map.wall) > CONTENDED_PCT { Verdict::Confirmed } else { Verdict::Dismissed },
        evidence: figures(map, rows, length),
        note: format!(
            "for {:.0} % of the wall time one thread had the interpreter while others waited for it",
            share_pct(length, map.wall).min(100.0)
        ),
        gain: None,
        change: None,
    };
    mend(facts, &mut one, waiter);
    one
}

/// The start of processes and what is carried between them are not in it: neither was measured.
pub fn mend(facts: &Facts<'_>, one: &mut Suspicion, waiter: Option<&LockSide>) {
    let function = waiter.map_or("the program", |side| side.function.as_str());
    let fix = Fix { interpreters: true, ..Fix::default() };
    let basis = format!(
        "with an interpreter for each thread on {} CPUs, the start of processes and what is carried between them not counted",
        facts.recording.meta.cpus
    );
    replayed::mend(facts, one, Pattern::Sharing(Sharing::Interpreter), function, &fix, &basis);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::{
        fixture::{map, ms},
        suspicions::testing::with_map,
    };

    fn with_interpreter(held: u64) -> Map {
        let mut map = map();
        map.locks[0].interpreter = true;
        map.locks[0].held = ms(held);
        map
    }

    #[test]
    fn found_dismissed_and_quiet() {
        let verdict = |map: &Map| match with_map(map, judge) {
            Answer::Found(found) => found.first().map(|one| one.verdict),
            Answer::Quiet | Answer::NotEnough(_) => None,
        };
        assert_eq!(verdict(&with_interpreter(1500)), Some(Verdict::Confirmed));
        assert_eq!(verdict(&with_interpreter(100)), Some(Verdict::Dismissed));
        assert_eq!(verdict(&with_interpreter(1)), None);
        assert_eq!(verdict(&map()), None, "another lock is not the interpreter's");
    }
}
