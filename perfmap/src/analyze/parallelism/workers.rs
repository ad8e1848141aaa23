//! Tasks → groups of equal ones: threads of one process or of several children of one, or such children, that began in the
//! same function of the project. Who answers requests of the tree's own is a server, not a worker (those of others, of what
//! was attached to, are its items); and one of many that live one item long is an item, of which so many are under way at a
//! time.

use std::collections::{BTreeMap, BTreeSet};

use super::{jobs::Managers, types::WorkerKind};
use crate::{
    analyze::suspicions::Facts,
    correlate::RoundTrip,
    map::{Activity, Coroutine, Doing, FunctionId, Piece},
    recording::{Direction, Event, Nanos, ProcessId, SocketId, TaskId},
};

/// Fewer are no crowd.
pub(super) const LEAST: usize = 3;
/// Larger groups are looked at by their first members.
const MOST: usize = 4096;
const MAX_DEPTH: usize = 64;
/// A step is at least such a part of the time; what the loop's own function waits for, more.
const CALLED: u64 = 1000;
const OWN: u64 = 20;
/// So many that do one thing each are items.
const MANY: u64 = 10;

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub name: String,
    /// By birth; several of a slot.
    pub tasks: Vec<TaskId>,
    /// Of a coroutine, which is no task.
    pub thread: Option<TaskId>,
    pub pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
pub(super) struct Group {
    pub kind: WorkerKind,
    pub members: Vec<Member>,
    /// Beginnings of items, where each life is one.
    pub lives: Option<u64>,
    /// They answer requests from outside: these are the items.
    pub served: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Threads(ProcessId, FunctionId),
    Children(ProcessId, Option<FunctionId>),
    /// Whatever they run; of the parent what it was then.
    Jobs(ProcessId, usize),
    /// Threads of several children of one.
    Siblings(ProcessId, FunctionId),
}

/// All groups that could be workers, in a fixed order.
pub(super) fn groups(facts: &Facts<'_>, activity: &Activity<'_>) -> Vec<Group> {
    let recording = facts.recording;
    let roots = roots(facts, activity);
    let servers = servers(facts);
    let answering = answering(facts);
    let managers = Managers::new(recording);
    let mut by_key: BTreeMap<Key, Vec<TaskId>> = BTreeMap::new();
    for (index, task) in recording.tasks.iter().enumerate() {
        let id = TaskId(index as u32);
        let Some(process) = recording.processes.get(task.process.0 as usize) else { continue };
        if servers.contains(&id) && !answering.contains(&id)
            || recording.is_outside(task.process) && !recording.meta.attached
        {
            continue;
        }
        let root = roots.get(index).copied().flatten();
        if process.pid == task.tid || task.tid == 0 && recording.meta.root == Some(id) {
            if let Some(parent) = process.parent {
                by_key.entry(Key::Children(parent, root)).or_default().push(id);
                if let Some((manager, image)) = managers.of(task.process) {
                    by_key.entry(Key::Jobs(manager, image)).or_default().push(id);
                }
            }
        } else if let Some(root) = root {
            by_key.entry(Key::Threads(task.process, root)).or_default().push(id);
        }
    }
    by_key.extend(of_siblings(facts, &by_key));
    let mut found = Vec::new();
    for (key, mut tasks) in by_key {
        if tasks.len() < LEAST {
            continue;
        }
        tasks.truncate(MOST);
        let kind = match key {
            Key::Threads(..) | Key::Siblings(..) => WorkerKind::Threads,
            Key::Children(_, Some(_)) => WorkerKind::Processes,
            Key::Children(_, None) => continue,
            Key::Jobs(..) => {
                found.extend(slots(facts, activity, &tasks, &answering));
                continue;
            }
        };
        found.extend(match key {
            Key::Threads(..) | Key::Siblings(..) => slots(facts, activity, &tasks, &answering),
            Key::Children(..) | Key::Jobs(..) => None,
        });
        let members = tasks
            .iter()
            .map(|task| Member {
                name: name(facts, *task),
                tasks: vec![*task],
                thread: None,
                pieces: activity.pieces(*task),
            })
            .collect();
        let served = tasks.iter().any(|task| answering.contains(task));
        found.push(Group { kind, members, lives: None, served });
    }
    let serves = |task: TaskId| servers.contains(&task) && !answering.contains(&task);
    found.extend(coroutines(facts, activity, serves));
    found
}

/// Processes that one started, each with threads of the same function: their threads are one crowd, however they are divided.
fn of_siblings(facts: &Facts<'_>, by_key: &BTreeMap<Key, Vec<TaskId>>) -> BTreeMap<Key, Vec<TaskId>> {
    let mut families: BTreeMap<Key, Vec<&Vec<TaskId>>> = BTreeMap::new();
    for (key, tasks) in by_key {
        let Key::Threads(process, root) = *key else { continue };
        // One thread of a process is that process.
        if let Some(parent) = facts.recording.processes.get(process.0 as usize).and_then(|process| process.parent)
            && tasks.len() >= 2
        {
            families.entry(Key::Siblings(parent, root)).or_default().push(tasks);
        }
    }
    families.retain(|_, processes| processes.len() >= 2 && at_one_time(facts, processes));
    families.into_iter().map(|(key, processes)| (key, processes.into_iter().flatten().copied().collect())).collect()
}

/// All of them were there at some instant: what ran one after the other is no crowd.
fn at_one_time(facts: &Facts<'_>, processes: &[&Vec<TaskId>]) -> bool {
    let tasks = |of: &[TaskId]| of.iter().filter_map(|id| facts.recording.tasks.get(id.0 as usize)).collect::<Vec<_>>();
    let lives = processes.iter().map(|of| {
        let tasks = tasks(of);
        let died = tasks.iter().map(|task| task.died.unwrap_or(Nanos(u64::MAX))).max();
        (tasks.iter().map(|task| task.born).min(), died)
    });
    let (born, died): (Vec<_>, Vec<_>) = lives.unzip();
    born.into_iter().max() < died.into_iter().min()
}

/// Coroutines of one thread that began in the same function. Where each does one thing, each is an item; those that come
/// one after the other are done in so many slots.
fn coroutines(facts: &Facts<'_>, activity: &Activity<'_>, serves: impl Fn(TaskId) -> bool) -> Vec<Group> {
    let mut by_root: BTreeMap<(TaskId, FunctionId), Vec<Coroutine>> = BTreeMap::new();
    for coroutine in activity.coroutines(facts.recording, facts.resolved) {
        if serves(coroutine.thread) {
            continue;
        }
        // What it ran in may be what ran before it.
        let mut waits = coroutine.pieces.iter().filter(|piece| matches!(piece.doing, Doing::Awaits(_)));
        let root = waits.find_map(|piece| activity.coroutine_root(facts.resolved, piece.stack));
        if let Some(root) = root {
            by_root.entry((coroutine.thread, root)).or_default().push(coroutine);
        }
    }
    let mut found = Vec::new();
    for mut of_root in by_root.into_values() {
        of_root.truncate(MOST);
        if of_root.len() < LEAST {
            continue;
        }
        let lives = of_root.len() as u64;
        let member = |name: String, coroutines: Vec<&Coroutine>| Member {
            name,
            tasks: vec![],
            thread: coroutines.first().map(|coroutine| coroutine.thread),
            pieces: coroutines.into_iter().flat_map(|coroutine| coroutine.pieces.iter().copied()).collect(),
        };
        let group = |members, lives| Group { kind: WorkerKind::Coroutines, members, lives, served: false };
        let alone = || {
            let numbered = of_root.iter().enumerate();
            numbered.map(|(number, one)| member(format!("coroutine {}", number + 1), vec![one])).collect()
        };
        found.push(group(alone(), None));
        if lives < MANY {
            continue;
        }
        let spans = of_root.iter().filter_map(|one| Some((one.pieces.first()?.from, one.pieces.last()?.to, one)));
        let slots = in_slots(spans.collect());
        let members = if slots.len() >= LEAST && lives >= slots.len() as u64 * 2 {
            slots.into_iter().enumerate().map(|(number, of)| member(format!("slot {}", number + 1), of)).collect()
        } else {
            alone()
        };
        found.push(group(members, Some(lives)));
    }
    found
}

fn name(facts: &Facts<'_>, task: TaskId) -> String {
    let Some(known) = facts.recording.tasks.get(task.0 as usize) else { return String::new() };
    if known.tid == 0 { known.comm.clone() } else { format!("{} {}", known.comm, known.tid) }
}

/// The project's function that each task was in, seen most often as the outermost one.
fn roots(facts: &Facts<'_>, activity: &Activity<'_>) -> Vec<Option<FunctionId>> {
    let mut counts: Vec<BTreeMap<FunctionId, u64>> = vec![BTreeMap::new(); facts.recording.tasks.len()];
    let mut add = |task: TaskId, stack| {
        if let (Some(of_task), Some(root)) = (counts.get_mut(task.0 as usize), activity.path(stack).first()) {
            *of_task.entry(*root).or_default() += 1;
        }
    };
    for wait in &facts.correlated.waits {
        add(wait.task, wait.stack);
    }
    for event in &facts.recording.events {
        if let Event::Sample(sample) = event {
            add(sample.task, Some(sample.stack));
        }
    }
    let most = |of_task: BTreeMap<FunctionId, u64>| {
        of_task.into_iter().max_by_key(|(id, count)| (*count, std::cmp::Reverse(*id))).map(|(id, _)| id)
    };
    counts.into_iter().map(most).collect()
}

/// Tasks of what was attached to that answer requests from outside.
fn answering(facts: &Facts<'_>) -> BTreeSet<TaskId> {
    let trips = facts.correlated.flows.round_trips.iter();
    let attached = facts.recording.meta.attached;
    trips.filter(|trip| attached && trip.inbound).map(|trip| trip.task).collect()
}

/// Tasks that read requests or, of others' ones, answer them.
pub(super) fn servers(facts: &Facts<'_>) -> BTreeSet<TaskId> {
    let trips = &facts.correlated.flows.round_trips;
    let server_end = |trip: &RoundTrip| if trip.inbound { Some(trip.socket) } else { trip.server_socket };
    let ends: BTreeSet<SocketId> = trips.iter().filter_map(server_end).collect();
    let inbound = trips.iter().filter(|trip| trip.inbound).map(|trip| trip.task);
    let readers = facts.recording.events.iter().filter_map(|event| match event {
        Event::Message(message) if message.direction == Direction::Received && ends.contains(&message.socket) => {
            Some(message.task)
        }
        Event::Message(_)
        | Event::Sample(_)
        | Event::OffCpu(_)
        | Event::ShortWaits(_)
        | Event::FileIo(_)
        | Event::Memory(_) => None,
    });
    inbound.chain(readers).collect()
}

/// Tasks of which many came one after the other, at most so many at a time: each goes into the first slot that is free.
fn slots(facts: &Facts<'_>, activity: &Activity<'_>, tasks: &[TaskId], answering: &BTreeSet<TaskId>) -> Option<Group> {
    let end = facts.recording.meta.wall;
    let lives: Vec<(Nanos, Nanos, TaskId)> = tasks
        .iter()
        .filter_map(|id| {
            let task = facts.recording.tasks.get(id.0 as usize)?;
            Some((task.born, task.died.unwrap_or(end), *id))
        })
        .filter(|(born, died, _)| died > born)
        .collect();
    let count = lives.len();
    let slots = in_slots(lives);
    if slots.len() < LEAST || count < slots.len() * 2 {
        return None;
    }
    let members = slots
        .into_iter()
        .enumerate()
        .map(|(number, tasks)| {
            let mut pieces: Vec<Piece> = tasks.iter().flat_map(|task| activity.pieces(*task)).collect();
            pieces.sort_by_key(|piece| (piece.from, piece.to));
            Member { name: format!("slot {}", number + 1), tasks, thread: None, pieces }
        })
        .collect();
    let served = tasks.iter().any(|task| answering.contains(task));
    Some(Group { kind: WorkerKind::Slots, members, lives: Some(count as u64), served })
}

/// Each goes into the first slot that is free when it begins. `lives`: from, to, who.
fn in_slots<T>(mut lives: Vec<(Nanos, Nanos, T)>) -> Vec<Vec<T>> {
    lives.sort_by_key(|(from, to, _)| (*from, *to));
    let mut slots: Vec<(Nanos, Vec<T>)> = Vec::new();
    for (from, to, one) in lives {
        match slots.iter_mut().find(|(until, _)| *until <= from) {
            Some((until, of_slot)) => {
                *until = to;
                of_slot.push(one);
            }
            None => slots.push((to, vec![one])),
        }
    }
    slots.into_iter().map(|(_, of_slot)| of_slot).collect()
}

/// The function in whose loop the items are done, with its callers (root first), and what it calls for an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loop {
    pub prefix: Vec<FunctionId>,
    pub steps: Vec<FunctionId>,
    /// Waits of the loop's own function come again and again too.
    pub own: bool,
}

#[derive(Default)]
struct Node {
    function: Option<FunctionId>,
    children: Vec<usize>,
    visits: u64,
    time: u64,
    own_blocks: u64,
    own_time: u64,
}

/// A function that is called from one that does nothing else is its loop's body; where calls of several alternate, they
/// are the steps.
pub(super) fn find_loop(group: &Group, activity: &Activity<'_>, idle: &[bool]) -> Loop {
    let nodes = tree(group, activity, idle);
    let once = if group.lives.is_some() { group.lives.unwrap_or(0) } else { group.members.len() as u64 };
    let least = if group.lives.is_some() { once.div_ceil(2) } else { once * 3 / 2 + 1 };
    let mut prefix: Vec<FunctionId> = Vec::new();
    let mut now = 0;
    while let Some(node) = nodes.get(now) {
        let time = node.time.max(1);
        let most = node.children.iter().map(|child| nodes[*child].visits).max().unwrap_or(0).max(node.own_blocks);
        let is_regular = |visits: u64, part: u64, least_part: u64| {
            visits >= least && visits * 5 >= most && part * least_part >= time
        };
        let regular: Vec<usize> = node
            .children
            .iter()
            .copied()
            .filter(|child| is_regular(nodes[*child].visits, nodes[*child].time, CALLED))
            .collect();
        let own = is_regular(node.own_blocks, node.own_time, OWN);
        let count = regular.len() + usize::from(own);
        let largest = node.children.iter().copied().max_by_key(|child| (nodes[*child].time, std::cmp::Reverse(*child)));
        let next = if count == 1 && !own { regular.first().copied() } else { largest };
        let ends = count >= 2 || own || next.is_none();
        if ends {
            // Whatever takes more than a hundredth of the time has a line of its own.
            let large = |child: &usize| regular.contains(child) || nodes[*child].time * 100 >= time;
            let steps: Vec<FunctionId> =
                node.children.iter().filter(|child| large(child)).filter_map(|child| nodes[*child].function).collect();
            if steps.is_empty() {
                // The body calls nothing of the project's: it is the only step.
                let only: Vec<FunctionId> = prefix.pop().into_iter().collect();
                return Loop { prefix, steps: only, own: false };
            }
            return Loop { prefix, steps, own };
        }
        let Some(next) = next else { break };
        prefix.extend(nodes[next].function);
        now = next;
    }
    Loop { prefix, steps: vec![], own: true }
}

fn tree(group: &Group, activity: &Activity<'_>, idle: &[bool]) -> Vec<Node> {
    let mut nodes = vec![Node::default()];
    for member in &group.members {
        let mut at: Vec<usize> = Vec::new();
        let mut blocked_in: Option<usize> = None;
        let mut until = Nanos::ZERO;
        for piece in &member.pieces {
            // Another life in the same slot begins anew.
            if group.lives.is_some() && piece.from > until {
                (at, blocked_in) = (Vec::new(), None);
            }
            until = piece.to;
            let path = activity.path(piece.stack);
            let is_idle = piece.stack.is_some_and(|stack| idle.get(stack.0 as usize).copied().unwrap_or(false));
            if path.is_empty() || is_idle {
                continue;
            }
            let path = &path[..path.len().min(MAX_DEPTH)];
            let common = at.iter().zip(path).take_while(|(node, id)| nodes[**node].function == Some(**id)).count();
            at.truncate(common);
            for id in &path[common..] {
                let parent = at.last().copied().unwrap_or(0);
                let known = nodes[parent].children.iter().copied().find(|child| nodes[*child].function == Some(*id));
                let child = known.unwrap_or_else(|| {
                    nodes.push(Node { function: Some(*id), ..Node::default() });
                    let new = nodes.len() - 1;
                    nodes[parent].children.push(new);
                    new
                });
                nodes[child].visits += 1;
                at.push(child);
            }
            let length = piece.length().0;
            for node in [0].iter().chain(&at) {
                nodes[*node].time += length;
            }
            let leaf = at.last().copied().unwrap_or(0);
            let blocked = matches!(piece.doing, Doing::Blocked(_) | Doing::Awaits(_));
            if blocked && blocked_in != Some(leaf) {
                nodes[leaf].own_blocks += 1;
            }
            if blocked {
                nodes[leaf].own_time += length;
            }
            if blocked || blocked_in.is_some_and(|node| node != leaf) {
                blocked_in = blocked.then_some(leaf);
            }
        }
    }
    nodes
}
