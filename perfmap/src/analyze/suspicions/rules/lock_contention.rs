//! Threads wait for a lock that another thread holds. What counts is for how much of the wall time somebody held it while
//! somebody else waited: waits of many threads at a time would add up to any number.

use std::collections::BTreeMap;

use super::{
    super::{
        Answer, Category, Evidence, Facts, Suspicion, Value, Verdict,
        replayed::{self, Fix},
        sharing::Sharing,
        sketch::Pattern,
    },
    steps,
};
use crate::{
    analyze::share_pct,
    map::{Lock, LockSide, Map},
    recording::Nanos,
};

pub const ID: &str = "lock_contention";
/// Above this share of the wall time a lock holds the program up.
pub const CONTENDED_PCT: f64 = 20.0;
/// Below this share nobody would suspect it.
const SUSPECTED_PCT: f64 = 1.0;

pub fn judge(facts: &Facts<'_>) -> Answer {
    let map = facts.map;
    type Key<'k> = (usize, Option<u64>, Option<&'k str>);
    let mut locks: BTreeMap<Key<'_>, Vec<&Lock>> = BTreeMap::new();
    for lock in map.locks.iter().filter(|lock| !lock.interpreter) {
        // Locks without an address (a goroutine's mutex) are told apart by who waits for them.
        let waiter = lock.waiter.as_ref().filter(|_| lock.address.is_none()).map(|side| side.function.as_str());
        locks.entry((lock.service, lock.address, waiter)).or_default().push(lock);
    }
    let mut found: Vec<(Nanos, Suspicion)> = locks
        .into_values()
        .map(|rows| (contended(&rows), rows))
        .filter(|(contended, _)| share_pct(*contended, map.wall) >= SUSPECTED_PCT)
        .map(|(contended, rows)| (contended, suspicion(facts, &rows, contended)))
        .collect();
    found.sort_by_key(|(contended, _)| std::cmp::Reverse(*contended));
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found.into_iter().map(|(_, one)| one).collect()) }
}

/// How long a lock was held while anybody waited for it, at least: one holder's times overlap between its waiters, and
/// those of two holders never do.
pub fn contended(rows: &[&Lock]) -> Nanos {
    let mut by_holder: BTreeMap<Option<&str>, Nanos> = BTreeMap::new();
    for row in rows {
        let held = by_holder.entry(row.holder.as_ref().map(|side| side.function.as_str())).or_default();
        *held = (*held).max(row.held);
    }
    by_holder.into_values().sum()
}

/// The row with the longest wait that names a side.
pub fn main_side<'l>(rows: &[&'l Lock], side: impl Fn(&'l Lock) -> Option<&'l LockSide>) -> Option<&'l LockSide> {
    let longest = rows.iter().filter_map(|row| Some((row.waited, side(row)?)));
    longest.reduce(|a, b| if b.0 > a.0 { b } else { a }).map(|(_, side)| side)
}

/// Figures of a lock, the same for all rules about locks.
pub fn figures(map: &Map, rows: &[&Lock], contended: Nanos) -> Vec<Evidence> {
    let waits: u64 = rows.iter().map(|row| row.waits).sum();
    let waited: Nanos = rows.iter().map(|row| row.waited).sum();
    let mut evidence = vec![
        Evidence::held_against(
            "held while others waited, share of the wall time",
            Value::Percent(share_pct(contended, map.wall).min(100.0)),
            Value::Percent(CONTENDED_PCT),
        ),
        Evidence::new("held while others waited", Value::Time(contended)),
        Evidence::new("waits, summed over the threads", Value::Time(waited)),
        Evidence::new("waits", Value::Count(waits)),
    ];
    for (what, side) in [
        ("waits in", main_side(rows, |lock| lock.waiter.as_ref())),
        ("held by", main_side(rows, |lock| lock.holder.as_ref())),
    ] {
        if let Some(side) = side {
            evidence.push(Evidence::new(what, Value::Text(innermost(&side.stack))));
        }
    }
    evidence
}

/// The end of a stack; the map's table of locks has all of it.
fn innermost(stack: &[String]) -> String {
    const FRAMES: usize = 8;
    stack.get(stack.len().saturating_sub(FRAMES)..).unwrap_or_default().join(" > ")
}

fn suspicion(facts: &Facts<'_>, rows: &[&Lock], contended: Nanos) -> Suspicion {
    let map = facts.map;
    let name = |side: Option<&LockSide>| side.map_or("an unknown function".to_owned(), |side| side.function.clone());
    let waiter = main_side(rows, |lock| lock.waiter.as_ref());
    let holder = main_side(rows, |lock| lock.holder.as_ref());
    let confirmed = share_pct(contended, map.wall) > CONTENDED_PCT;
    let service = rows.first().map_or(0, |row| row.service);
    let mut one = Suspicion {
        id: ID,
        category: Category::Concurrency,
        subject: name(waiter),
        location: waiter.and_then(|side| side.location.clone()),
        affected_steps: waiter.map(|side| steps::of_function(map, service, &side.function)).unwrap_or_default(),
        description: format!("{} waits for a lock that {} holds", name(waiter), name(holder)),
        verdict: if confirmed { Verdict::Confirmed } else { Verdict::Dismissed },
        evidence: figures(map, rows, contended),
        note: format!(
            "for {:.0} % of the wall time one thread held it while others waited",
            share_pct(contended, map.wall).min(100.0)
        ),
        gain: None,
        change: None,
    };
    let fix = Fix { waits: replayed::waits(rows.iter().copied()), ..Fix::default() };
    replayed::mend(
        facts,
        &mut one,
        Pattern::Sharing(Sharing::Lock),
        &name(holder.or(waiter)),
        &fix,
        "without the waits for this lock",
    );
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::{
        fixture::{map, ms},
        suspicions::testing::with_map,
    };

    #[test]
    fn found_where_it_is_held_while_others_wait() {
        let mut map = map();
        map.locks[0].held = ms(1000);
        let Answer::Found(found) = with_map(&map, judge) else { panic!("quiet") };
        assert_eq!((found[0].subject.as_str(), found[0].verdict), ("take", Verdict::Confirmed));
        assert_eq!(found[0].note, "for 36 % of the wall time one thread held it while others waited");
    }

    #[test]
    fn without_an_address_two_functions_wait_for_two_locks() {
        let mut map = map();
        let mut lock = map.locks[0].clone();
        (lock.address, lock.held) = (None, ms(400));
        let mut other = lock.clone();
        let holder = |lock: &mut Lock, name: &str| lock.holder.iter_mut().for_each(|side| side.function = name.into());
        holder(&mut other, "another");
        map.locks = vec![lock.clone(), other.clone()];
        let Answer::Found(found) = with_map(&map, judge) else { panic!("quiet") };
        assert_eq!((found.len(), found[0].verdict), (1, Verdict::Confirmed), "two holders of one lock");
        other.waiter.iter_mut().for_each(|side| side.function = "elsewhere".into());
        map.locks = vec![lock, other];
        let Answer::Found(found) = with_map(&map, judge) else { panic!("quiet") };
        assert!(found.len() == 2 && found.iter().all(|one| one.verdict == Verdict::Dismissed), "{found:?}");
    }

    #[test]
    fn dismissed_where_the_waits_are_many_but_the_lock_is_held_for_a_moment() {
        let mut map = map();
        map.locks[0].waited = ms(200_000);
        let Answer::Found(found) = with_map(&map, judge) else { panic!("quiet") };
        assert_eq!(found[0].verdict, Verdict::Dismissed);
    }

    #[test]
    fn quiet_without_locks_and_for_the_interpreter_s() {
        let mut map = map();
        map.locks[0].interpreter = true;
        map.locks[0].held = ms(2000);
        assert_eq!(with_map(&map, judge), Answer::Quiet);
        map.locks.clear();
        assert_eq!(with_map(&map, judge), Answer::Quiet);
    }

    #[test]
    fn one_holder_s_times_are_counted_once() {
        let mut rows = map().locks;
        let mut other = rows[0].clone();
        other.held = ms(50);
        rows.push(other.clone());
        if let Some(holder) = &mut other.holder {
            holder.function = "another".into();
        }
        rows.push(other);
        assert_eq!(contended(&rows.iter().collect::<Vec<_>>()), ms(60 + 50));
    }
}
