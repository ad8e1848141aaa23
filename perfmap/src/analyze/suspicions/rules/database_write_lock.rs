//! Sessions of a database wait for a lock that another session's transaction has: of a file database in its own retries
//! (SQLite sleeps between them), of a server in its own lock waits, which its processes' stacks name. A server that was
//! not followed shows nothing of this.

use std::collections::{BTreeMap, BTreeSet};

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
    correlate::{Cause, Wait, WaitId},
    map::{self, Step, StepKind, WaitCause},
    recording::{Nanos, StackId},
    resolve::{Language, Place, Resolved},
};

pub const ID: &str = "database_write_lock";
/// Above this share of the wall time somebody waits for a lock.
const CONTENDED_PCT: f64 = 20.0;
/// Below this share nobody would suspect it.
const SUSPECTED_PCT: f64 = 1.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Engine {
    Sqlite,
    Postgres,
    Mysql,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Engine::Sqlite => "SQLite",
            Engine::Postgres => "PostgreSQL",
            Engine::Mysql => "MySQL",
        }
    }
}

#[derive(Debug, Default)]
struct Waited {
    intervals: Vec<(Nanos, Nanos)>,
    total: Nanos,
    longest: Option<(Nanos, Option<StackId>)>,
    which: BTreeSet<WaitId>,
}

pub fn judge(facts: &Facts<'_>) -> Answer {
    let engines = engines(facts.resolved);
    let mut found: BTreeMap<Engine, Waited> = BTreeMap::new();
    for (id, wait) in (0..).map(WaitId).zip(&facts.correlated.waits) {
        let engine = wait.stack.and_then(|stack| *engines.get(stack.0 as usize)?);
        let Some(engine) = engine.filter(|engine| is_for_a_lock(*engine, wait)) else { continue };
        let length = wait.woken.since(wait.off);
        let of_engine = found.entry(engine).or_default();
        of_engine.intervals.push((wait.off, wait.woken));
        of_engine.total = of_engine.total.plus(length);
        of_engine.which.insert(id);
        if of_engine.longest.is_none_or(|(longest, _)| length > longest) {
            of_engine.longest = Some((length, wait.stack));
        }
    }
    let found: Vec<Suspicion> =
        found.into_iter().filter_map(|(engine, waited)| suspicion(facts, engine, waited)).collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

/// SQLite sleeps for nothing else than before it asks for a file's lock again.
fn is_for_a_lock(engine: Engine, wait: &Wait) -> bool {
    match engine {
        Engine::Sqlite => match wait.cause {
            Cause::Sleep => true,
            Cause::Lock => !wait.futex,
            Cause::Network | Cause::Database | Cause::Disk | Cause::Child | Cause::Pipe | Cause::Other => false,
        },
        Engine::Postgres | Engine::Mysql => true,
    }
}

/// By `StackId`: the engine whose lock is waited for there, if it is one.
fn engines(resolved: &Resolved) -> Vec<Option<Engine>> {
    let embedded = map::embedded_database_stacks(resolved);
    resolved
        .stacks
        .iter()
        .zip(embedded)
        .map(|(stack, embedded)| {
            let mut native = stack
                .iter()
                .filter_map(|id| resolved.places.get(id.0 as usize))
                .filter(|place| place.language == Language::Native);
            if embedded { Some(Engine::Sqlite) } else { native.find_map(server_lock) }
        })
        .collect()
}

/// By `StackId`: the name of the engine whose lock is waited for there, if it is one.
pub(crate) fn engine_names(resolved: &Resolved) -> Vec<Option<&'static str>> {
    engines(resolved).into_iter().map(|engine| engine.map(Engine::name)).collect()
}

/// Where the servers wait for a row's, a table's or a transaction's lock; their latches have other functions.
fn server_lock(place: &Place) -> Option<Engine> {
    let called = |names: &[&str]| names.iter().any(|name| place.function.contains(name));
    if called(&["ProcSleep", "XactLockTableWait"]) {
        Some(Engine::Postgres)
    } else if called(&["lock_wait_suspend_thread", "lock_wait(", "MDL_wait::timed_wait"]) {
        Some(Engine::Mysql)
    } else {
        None
    }
}

fn suspicion(facts: &Facts<'_>, engine: Engine, mut waited: Waited) -> Option<Suspicion> {
    let map = facts.map;
    let contended = crate::recording::covered(waited.intervals.iter().copied());
    let pct = share_pct(contended, map.wall).min(100.0);
    if pct < SUSPECTED_PCT {
        return None;
    }
    let (steps, largest) = database_steps(facts);
    let fix = Fix { waits: std::mem::take(&mut waited.which), ..Fix::default() };
    let mut evidence = vec![
        Evidence::held_against(
            "somebody waits for a lock of the database, share of the wall time",
            Value::Percent(pct),
            Value::Percent(CONTENDED_PCT),
        ),
        Evidence::new("waits, summed over the sessions", Value::Time(waited.total)),
        Evidence::new("waits", Value::Count(waited.intervals.len() as u64)),
    ];
    if let Some((longest, stack)) = waited.longest {
        evidence.push(Evidence::new("the longest", Value::Time(longest)));
        let names = stack.map(|stack| names(facts.resolved, stack)).unwrap_or_default();
        evidence.push(Evidence::new("waits in", Value::Text(names)));
    }
    let mut one = Suspicion {
        id: ID,
        category: Category::Concurrency,
        subject: engine.name().into(),
        location: largest.and_then(|step| step.location.clone()),
        affected_steps: steps,
        description: format!("writers of {} wait for one another's transactions", engine.name()),
        verdict: if pct > CONTENDED_PCT { Verdict::Confirmed } else { Verdict::Dismissed },
        evidence,
        note: format!("for {pct:.0} % of the wall time a session waited for a lock that another had"),
        gain: None,
        change: None,
    };
    let function = largest.map_or("the writers", |step| step.function.as_str());
    let basis = "without the waits for the database's lock";
    replayed::mend(facts, &mut one, Pattern::Sharing(Sharing::Transaction), function, &fix, basis);
    Some(one)
}

/// The steps that wait for databases, where most of that wait is.
fn database_steps<'m>(facts: &Facts<'m>) -> (Vec<String>, Option<&'m Step>) {
    let of = |step: &Step| {
        let own = step.own_waits.of(WaitCause::Db);
        if step.kind == StepKind::DbQuery { own.plus(step.own_waits.of(WaitCause::Lock)) } else { own }
    };
    let (_, ids) = steps::sum(facts.map, of);
    let mut largest: Option<(Nanos, &Step)> = None;
    steps::walk(facts.map, &mut |step| {
        if of(step) > largest.map_or(Nanos::ZERO, |(most, _)| most) {
            largest = Some((of(step), step));
        }
    });
    (ids, largest.map(|(_, step)| step))
}

/// Root first, without the kernel's.
fn names(resolved: &Resolved, stack: StackId) -> String {
    /// From the leaf.
    const FRAMES: usize = 12;
    let places = resolved.stacks.get(stack.0 as usize).map_or(&[][..], |stack| stack);
    let places = places.iter().filter_map(|id| resolved.places.get(id.0 as usize));
    let mut names: Vec<&str> = places
        .filter(|place| place.language != Language::Kernel)
        .take(FRAMES)
        .map(|place| place.function.as_str())
        .collect();
    names.reverse();
    names.join(" > ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::fixture::{map, ms, recording},
        correlate::Correlated,
        recording::TaskId,
        resolve::PlaceId,
    };

    fn place(function: &str, module: &str) -> Place {
        Place {
            function: function.into(),
            file: None,
            line: None,
            first_line: None,
            language: Language::Native,
            module: Some(module.into()),
            inlined: false,
            unnamed: None,
        }
    }

    fn answer(places: &[(&str, &str)], cause: Cause, length: u64) -> Answer {
        let ids = (0..places.len() as u32).map(PlaceId).collect();
        let resolved = Resolved {
            places: places.iter().map(|(function, module)| place(function, module)).collect(),
            stacks: vec![ids],
        };
        let wait = Wait {
            task: TaskId(0),
            off: ms(100),
            woken: ms(100 + length),
            on: ms(100 + length),
            throttled: false,
            cause,
            by: None,
            stack: Some(StackId(0)),
            multiplexed: false,
            socket: None,
            polls_one: false,
            futex: false,
            lock: None,
        };
        let correlated = Correlated { waits: vec![wait], ..Correlated::default() };
        judge(&Facts { recording: &recording(), resolved: &resolved, correlated: &correlated, map: &map() })
    }

    fn verdict(places: &[(&str, &str)], cause: Cause, length: u64) -> Option<(String, Verdict)> {
        match answer(places, cause, length) {
            Answer::Found(mut found) => found.pop().map(|one| (one.subject, one.verdict)),
            Answer::Quiet | Answer::NotEnough(_) => None,
        }
    }

    const SQLITE: [(&str, &str); 2] =
        [("clock_nanosleep", "/usr/lib/libc.so.6"), ("libsqlite3.so.0+0xaa", "/usr/lib/libsqlite3.so.0")];
    const POSTGRES: [(&str, &str); 2] = [("epoll_wait", "/usr/lib/libc.so.6"), ("ProcSleep", "/usr/bin/postgres")];

    #[test]
    fn found_in_both_kinds_of_database() {
        assert_eq!(verdict(&SQLITE, Cause::Sleep, 2000), Some(("SQLite".into(), Verdict::Confirmed)));
        assert_eq!(verdict(&POSTGRES, Cause::Other, 2000), Some(("PostgreSQL".into(), Verdict::Confirmed)));
    }

    #[test]
    fn dismissed_where_it_is_short() {
        assert_eq!(verdict(&SQLITE, Cause::Sleep, 100), Some(("SQLite".into(), Verdict::Dismissed)));
    }

    #[test]
    fn quiet_for_its_disk_and_for_others_sleeps() {
        assert_eq!(verdict(&SQLITE, Cause::Disk, 2000), None);
        assert_eq!(verdict(&SQLITE[..1], Cause::Sleep, 2000), None);
        assert_eq!(verdict(&[("WaitLatch", "/usr/bin/postgres")], Cause::Network, 2000), None);
        assert_eq!(verdict(&SQLITE, Cause::Sleep, 1), None);
    }
}
