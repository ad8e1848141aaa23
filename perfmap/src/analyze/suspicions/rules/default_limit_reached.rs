//! A limit that nobody chose is reached: the size of a pool (`pool_exhaustion` finds it), or a time-out. A time-out: what a
//! function waits for after it has asked somebody, or in a pool, does not come, again and again after the same time. A thread
//! that looks now and then whether there is something to do has asked nobody.

use std::collections::BTreeMap;

use crate::{
    analyze::{
        share_pct,
        suspicions::{
            Answer, Facts,
            calls::Place,
            draft::suspicion,
            sketch_resources::{self, Pattern},
            stacks::Stacks,
            types::{Category, Evidence, Suspicion, Value, Verdict},
        },
    },
    correlate::{Cause, Wait},
    map::Step,
    recording::{Direction, Event, Layer, Nanos, ProcessId, Role, TaskId, TcpState},
};

use super::pool_exhaustion;

const RULE: (&str, Category) = ("default_limit_reached", Category::Configuration);
const TIMES: usize = 3;
/// Shorter ones are how a client stays interruptible, or an interpreter asks for its lock.
const LEAST: Nanos = Nanos(50_000_000);
/// Lengths of one time-out differ by no more than this, or by one percent.
const SAME: Nanos = Nanos(10_000_000);
/// Between the question and the wait.
const ASKED_WITHIN: Nanos = Nanos(50_000_000);
const SUSPECTED_PCT: f64 = 5.0;
/// Seconds that clients and pools wait for unless told otherwise: requests of databases' drivers, of pools (SQLAlchemy,
/// HikariCP 30), of gRPC and HTTP clients (httpx 5, OkHttp 10), of resolvers (5).
const DEFAULTS: [u64; 7] = [1, 2, 5, 10, 20, 30, 60];

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let mut found = match pool_exhaustion::default_limit(facts) {
        Answer::Found(found) => found,
        Answer::Quiet | Answer::NotEnough(_) => Vec::new(),
    };
    found.extend(time_outs(facts));
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

struct Given<'a> {
    step: &'a Step,
    lengths: Vec<Nanos>,
}

fn time_outs(facts: &Facts<'_>) -> Vec<Suspicion> {
    let stacks = Stacks::new(facts);
    let asked = Asked::new(facts);
    let mut given: BTreeMap<(ProcessId, &str), Given<'_>> = BTreeMap::new();
    for wait in facts.correlated.waits.iter().filter(|wait| wait.woken.since(wait.off) >= LEAST) {
        let (Some(stack), Some(task)) = (wait.stack, facts.recording.tasks.get(wait.task.0 as usize)) else { continue };
        let in_pool = || wait.futex && pool_exhaustion::in_acquire(&stacks, stack);
        let gave_up = wait.cause == Cause::Sleep && (wait.polls_one && asked.before(wait, task.process) || in_pool())
            || asked.received_nothing(facts, wait);
        let Some(step) = stacks.step(stack).filter(|_| gave_up) else { continue };
        let of = given.entry((task.process, step.id.as_str())).or_insert(Given { step, lengths: Vec::new() });
        of.lengths.push(wait.woken.since(wait.off));
    }
    let enough = given.into_values().filter(|of| of.lengths.len() >= TIMES);
    enough.filter_map(|of| of_step(facts, &of)).collect()
}

fn of_step(facts: &Facts<'_>, of: &Given<'_>) -> Option<Suspicion> {
    let mut lengths = of.lengths.clone();
    lengths.sort_unstable();
    let median = *lengths.get(lengths.len() / 2)?;
    let near = |length: &&Nanos| length.0.abs_diff(median.0) <= SAME.0.max(median.0 / 100);
    let same = lengths.iter().filter(near).count();
    let sum: Nanos = lengths.iter().copied().sum();
    let pct = share_pct(sum, facts.map.wall);
    if pct < SUSPECTED_PCT {
        return None;
    }
    let confirmed = same >= TIMES && same * 10 >= lengths.len() * 8;
    let seconds = (median.0 + 500_000_000) / 1_000_000_000;
    let is_default = DEFAULTS.contains(&seconds) && median.0.abs_diff(seconds * 1_000_000_000) <= SAME.0;
    let mut evidence = vec![
        Evidence::held_against(
            "waits that nothing came for",
            Value::Count(lengths.len() as u64),
            Value::Count(TIMES as u64),
        ),
        Evidence::new("their median length", Value::Time(median)),
        Evidence::held_against("of this length", Value::Count(same as u64), Value::Count(TIMES as u64)),
        Evidence::new("time in them", Value::Time(sum)),
    ];
    if is_default {
        evidence.push(Evidence::new("a usual default, seconds", Value::Count(seconds)));
    }
    let note = if confirmed {
        format!("{same} waits of {:.0} ms ended without what was waited for", median.as_ms())
    } else {
        "the waits that ended so are of different lengths".to_owned()
    };
    let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
    let place = Place { step: Some(of.step), above: None };
    let function = &of.step.function;
    let description = format!("{function} waits until its time-out is over.");
    let subject = format!("time-out of {function}");
    let mut found = suspicion(RULE, subject, Some(&place), (verdict, note), description, evidence);
    if confirmed {
        found.change = Some(sketch_resources::change(Pattern::TimeOut, found.location.as_ref(), function));
    }
    Some(found)
}

/// What tasks had asked for before they waited.
struct Asked {
    /// By task, in order of time: what it sent and received.
    messages: BTreeMap<TaskId, Vec<(Nanos, Direction)>>,
    /// By process: when a connection was begun, and when it stood.
    opened: BTreeMap<ProcessId, Vec<(Nanos, Option<Nanos>)>>,
}

impl Asked {
    fn new(facts: &Facts<'_>) -> Asked {
        let mut messages: BTreeMap<TaskId, Vec<(Nanos, Direction)>> = BTreeMap::new();
        for event in &facts.recording.events {
            if let Event::Message(message) = event
                && message.layer == Layer::Wire
            {
                messages.entry(message.task).or_default().push((message.at, message.direction));
            }
        }
        let mut opened: BTreeMap<ProcessId, Vec<(Nanos, Option<Nanos>)>> = BTreeMap::new();
        for socket in facts.recording.sockets.iter().filter(|socket| socket.role != Role::Server) {
            let at = |state| socket.states.iter().find(|change| change.to == state).map(|change| change.at);
            if let Some(began) = at(TcpState::SynSent) {
                opened.entry(socket.process).or_default().push((began, at(TcpState::Established)));
            }
        }
        Asked { messages, opened }
    }

    /// The last thing that the task did on a socket was to ask; or its process opens a connection that does not stand yet.
    fn before(&self, wait: &Wait, process: ProcessId) -> bool {
        let just = |at: Nanos| at <= wait.off && wait.off.since(at) <= ASKED_WITHIN;
        let last = self
            .messages
            .get(&wait.task)
            .and_then(|of_task| of_task[..of_task.partition_point(|(at, _)| *at <= wait.off)].last().copied());
        let sent = matches!(last, Some((at, Direction::Sent)) if just(at));
        let opens = || {
            let opened = self.opened.get(&process).map_or(&[][..], Vec::as_slice);
            opened.iter().any(|(began, stood)| just(*began) && stood.is_none_or(|stood| stood > wait.woken))
        };
        sent || opens()
    }

    /// A receive on a socket with a time-out of its own (SO_RCVTIMEO), after a question.
    fn received_nothing(&self, facts: &Facts<'_>, wait: &Wait) -> bool {
        const AGAIN: i64 = -11;
        let (Some(socket), Cause::Network) = (wait.socket, wait.cause) else { return false };
        let Some(process) = facts.recording.sockets.get(socket.0 as usize).map(|socket| socket.process) else {
            return false;
        };
        let calls = facts.recording.calls.iter();
        let mut ended = calls.filter(|call| call.task == wait.task && call.returned >= wait.woken);
        let gave_up = ended.next().is_some_and(|call| call.result == AGAIN && call.returned.since(wait.on) < SAME);
        gave_up && self.before(wait, process)
    }
}
