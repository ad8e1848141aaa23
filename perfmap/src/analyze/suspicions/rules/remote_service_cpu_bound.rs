//! A service that is called computes for most of the time that its callers wait for it. Its time is what its steps show
//! below the calls, for as long as it had a CPU: waits for one are the machine's. What it calls in turn is not its own; and
//! what it imports for its first answers it imports once.

use std::collections::BTreeMap;

use super::{
    super::{
        Answer, Category, Evidence, Facts, Suspicion, Value, Verdict, replayed, sharing::Sharing, sketch::Pattern,
    },
    steps,
};
use crate::{
    analyze::share_pct,
    map::{Location, Map, Step, StepKind, WaitCause},
    recording::{Event, Nanos, ProcessId},
    resolve::PlaceId,
};

pub const ID: &str = "remote_service_cpu_bound";
const CPU_PCT: f64 = 50.0;
/// Calls that take less of the wall time than this are no cause of anything.
const LEAST_PCT: f64 = 5.0;
/// A database computes for what it answers out of its memory; up to this time for one answer nothing is wrong.
const QUICK_ANSWER: Nanos = Nanos(10_000_000);
/// Above this share of its samples the time is that of imports.
const IMPORTS_PCT: f64 = 50.0;
/// With fewer there is no share.
const ENOUGH_SAMPLES: u64 = 5;

#[derive(Debug, Default)]
struct Served<'m> {
    calls: Vec<&'m Step>,
    waited: Nanos,
    round_trips: u64,
    cpu: Nanos,
    run_queue: Nanos,
    /// Where it computes most.
    hottest: Option<(Nanos, &'m Step)>,
}

pub fn judge(facts: &Facts<'_>) -> Answer {
    let map = facts.map;
    let mut services: BTreeMap<usize, Served<'_>> = BTreeMap::new();
    steps::walk(map, &mut |step| call(step, &mut services));
    let found: Vec<Suspicion> = services
        .into_iter()
        .filter(|(_, served)| share_pct(served.waited, map.wall) >= LEAST_PCT)
        .map(|(service, served)| suspicion(map, service, &served, importing_pct(facts, &served.calls)))
        .collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn call<'m>(step: &'m Step, services: &mut BTreeMap<usize, Served<'m>>) {
    let database = match step.kind {
        StepKind::HttpCall | StepKind::GrpcCall => false,
        StepKind::DbQuery | StepKind::CacheOp => true,
        StepKind::FunctionCall
        | StepKind::QueueOp
        | StepKind::FileIo
        | StepKind::LockWait
        | StepKind::Sleep
        | StepKind::Subprocess
        | StepKind::Gpu
        | StepKind::Loop => return,
    };
    let round_trips = step.call.as_ref().map_or(0, |call| call.round_trips);
    if database && step.wall.0 / round_trips.max(1) <= QUICK_ANSWER.0 {
        return;
    }
    for inside in step.children.iter().filter(|child| child.over_socket && child.service != step.service) {
        let served = services.entry(inside.service).or_default();
        served.waited = served.waited.plus(inside.wall);
        if !served.calls.iter().any(|other| other.id == step.id) {
            served.calls.push(step);
            served.round_trips += round_trips;
        }
        own_work(inside, inside.service, served);
    }
}

fn own_work<'m>(step: &'m Step, service: usize, served: &mut Served<'m>) {
    if step.service == service && !step.beside {
        served.cpu = served.cpu.plus(step.own_cpu);
        served.run_queue = served.run_queue.plus(step.own_waits.of(WaitCause::RunQueue));
        if served.hottest.is_none_or(|(most, _)| step.own_cpu > most) {
            served.hottest = Some((step.own_cpu, step));
        }
    }
    for child in &step.children {
        own_work(child, service, served);
    }
}

/// Share of imports in the CPU samples of those who answer the calls, while they do.
fn importing_pct(facts: &Facts<'_>, calls: &[&Step]) -> Option<f64> {
    let (recording, trips) = (facts.recording, &facts.correlated.flows.round_trips);
    let mut answering: BTreeMap<ProcessId, Vec<(Nanos, Nanos)>> = BTreeMap::new();
    for trip in calls.iter().flat_map(|step| &step.calls).filter_map(|call| trips.get(*call as usize)) {
        let socket = trip.server_socket.and_then(|socket| recording.sockets.get(socket.0 as usize));
        if let Some(socket) = socket {
            answering.entry(socket.process).or_default().push((trip.sent, trip.received));
        }
    }
    let imports: Vec<bool> = facts.resolved.stacks.iter().map(|stack| is_import(facts, stack)).collect();
    let (mut all, mut importing) = (0_u64, 0_u64);
    for event in &recording.events {
        let Event::Sample(sample) = event else { continue };
        let process = recording.tasks.get(sample.task.0 as usize).map(|task| task.process);
        let spans = process.and_then(|process| answering.get(&process)).map_or(&[][..], Vec::as_slice);
        if spans.iter().any(|(from, to)| (*from..=*to).contains(&sample.at)) {
            let weight = u64::from(recording.meta.sample_every(sample.at));
            all = all.saturating_add(weight);
            if imports.get(sample.stack.0 as usize).copied().unwrap_or(false) {
                importing = importing.saturating_add(weight);
            }
        }
    }
    (all >= ENOUGH_SAMPLES).then(|| importing as f64 / all as f64 * 100.0)
}

fn is_import(facts: &Facts<'_>, stack: &[PlaceId]) -> bool {
    let mut places = stack.iter().filter_map(|id| facts.resolved.places.get(id.0 as usize));
    places.any(|place| place.file.as_deref().is_some_and(|file| file.starts_with("<frozen importlib.")))
}

fn suspicion(map: &Map, service: usize, served: &Served<'_>, importing_pct: Option<f64>) -> Suspicion {
    let Served { calls, waited, round_trips, cpu, run_queue, hottest } = served;
    let cpu_pct = share_pct(*cpu, waited.since(*run_queue));
    let name = map.services.get(service).cloned().unwrap_or_default();
    let hottest = hottest.map(|(_, step)| step).filter(|_| *cpu > Nanos::ZERO);
    let place = |step: &Step| match &step.location {
        Some(Location { file, line }) => format!("{} ({file}:{line})", step.function),
        None => step.function.clone(),
    };
    let mut evidence = vec![
        Evidence::held_against("its own CPU time in the calls to it", Value::Percent(cpu_pct), Value::Percent(CPU_PCT)),
        Evidence::new("time that its callers waited for it", Value::Time(*waited)),
        Evidence::new("its own CPU time", Value::Time(*cpu)),
        Evidence::new("round trips", Value::Count(*round_trips)),
    ];
    if *run_queue > Nanos::ZERO {
        evidence.push(Evidence::new("time in which it had no CPU, not counted", Value::Time(*run_queue)));
    }
    let imports = importing_pct.filter(|pct| *pct > IMPORTS_PCT);
    let confirmed = cpu_pct > CPU_PCT && imports.is_none();
    if let Some(pct) = imports {
        evidence.push(Evidence::new("samples while it imported modules", Value::Percent(pct)));
    }
    let note = match hottest.filter(|_| confirmed) {
        Some(step) => format!("{cpu_pct:.0} % of the calls is its own CPU time, most of it in {}", place(step)),
        None if imports.is_some() => {
            format!("{cpu_pct:.0} % of the calls is its own CPU time, most of that the import of modules, once")
        }
        None => format!("{cpu_pct:.0} % of the calls is its own CPU time"),
    };
    let mut one = Suspicion {
        id: ID,
        category: Category::HotCode,
        subject: name.clone(),
        location: hottest.and_then(|step| step.location.clone()),
        affected_steps: calls.iter().map(|step| step.id.clone()).collect(),
        description: format!("{name} computes while its callers wait"),
        verdict: if confirmed { Verdict::Confirmed } else { Verdict::Dismissed },
        evidence,
        note,
        gain: None,
        change: None,
    };
    let why = "how long the service would compute with other code is not measured";
    replayed::advise(&mut one, Pattern::Sharing(Sharing::Service), &name, why);
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::{
        fixture::{map, ms},
        suspicions::{testing::with_map, told::run},
    };
    use crate::recording::{Sample, TaskId};

    fn over_sockets(mut map: Map) -> Map {
        let calls = &mut map.steps[0].children[0].children;
        for call in calls {
            call.children[0].over_socket = true;
        }
        map
    }

    fn verdicts(map: &Map) -> Vec<(String, Verdict)> {
        match with_map(map, judge) {
            Answer::Found(found) => found.into_iter().map(|one| (one.subject, one.verdict)).collect(),
            Answer::Quiet | Answer::NotEnough(_) => vec![],
        }
    }

    #[test]
    fn found_for_the_service_that_computes_and_dismissed_for_the_one_that_sleeps() {
        let found = verdicts(&over_sockets(map()));
        assert_eq!(found, [("tikal".to_owned(), Verdict::Confirmed), ("mt-engine".to_owned(), Verdict::Dismissed)]);
    }

    #[test]
    fn waits_for_a_cpu_are_not_the_service_s() {
        let mut map = over_sockets(map());
        let inside = &mut map.steps[0].children[0].children[1].children[0];
        inside.own_cpu = ms(400);
        inside.own_waits.add(WaitCause::RunQueue, ms(501));
        assert_eq!(verdicts(&map)[0], ("tikal".to_owned(), Verdict::Confirmed));
        let inside = &mut map.steps[0].children[0].children[1].children[0];
        inside.own_waits = Default::default();
        assert_eq!(verdicts(&map)[0], ("tikal".to_owned(), Verdict::Dismissed));
    }

    #[test]
    fn quiet_where_the_inside_is_not_seen_or_takes_no_time() {
        assert_eq!(verdicts(&map()), []);
        let mut small = over_sockets(map());
        small.wall = ms(275_000);
        assert_eq!(verdicts(&small), []);
    }

    #[test]
    fn what_it_imports_for_its_first_answer_is_no_work_of_its_own() {
        let map = over_sockets(map());
        let mut services = BTreeMap::new();
        steps::walk(&map, &mut |step| call(step, &mut services));
        let (service, served) = services.iter().next().expect("a service");
        let verdict = |pct| suspicion(&map, *service, served, pct).verdict;
        assert_eq!((verdict(None), verdict(Some(20.0))), (Verdict::Confirmed, Verdict::Confirmed));
        assert_eq!(verdict(Some(80.0)), Verdict::Dismissed);
    }

    #[test]
    fn imports_are_counted_in_the_samples_of_who_answers() {
        let mut of = run();
        let (socket, server) = (of.connection(0, 100), of.connection(0, 100));
        of.recording.sockets[server.0 as usize].process = ProcessId(1);
        of.get(socket, 100, 200).server_socket = Some(server);
        let (work, import) = (of.stack(&[("answer", 3)]), of.stack(&[("read", 1), ("answer", 3)]));
        let place = of.resolved.stacks[import.0 as usize][0];
        of.resolved.places[place.0 as usize].file = Some("<frozen importlib._bootstrap>".into());
        let mut sample = |at, task, stack| {
            of.recording.events.push(Event::Sample(Sample { at: ms(at), task: TaskId(task), stack }));
        };
        (0..8).for_each(|n| sample(110 + n, 1, if n < 6 { import } else { work }));
        (0..9).for_each(|n| sample(300 + n, 1, work));
        (0..9).for_each(|n| sample(110 + n, 0, work));
        assert_eq!(importing_pct(&of.facts(), &[&of.map.steps[0]]), Some(75.0));
        of.recording.events.truncate(4);
        assert_eq!(importing_pct(&of.facts(), &[&of.map.steps[0]]), None);
    }

    #[test]
    fn a_quick_database_may_compute() {
        let mut map = over_sockets(map());
        let call = &mut map.steps[0].children[0].children[1];
        call.kind = StepKind::DbQuery;
        call.call.as_mut().expect("a call").round_trips = 500;
        assert_eq!(verdicts(&map).len(), 1);
    }
}
