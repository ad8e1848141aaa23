//! One group of tasks, looked at as workers: its loop, what each worker's time went into, and the items that it did.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    convoy, disk, idle,
    items::{self, Counted, Seen},
    limiter::Limiters,
    peers, requests,
    types::{Spent, WorkerKind},
    waits::{Bit, Classifier, Key, On},
    workers::{self, Group, Loop, Member},
};
use crate::{
    analyze::suspicions::Facts,
    correlate::Wait,
    map::{Activity, Doing, Location},
    recording::{Nanos, ProcessId, StackId, TaskId},
};

/// Each leaves out those of another kind, and looks again.
const ROUNDS: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StepPlace {
    pub name: String,
    pub location: Option<Location>,
}

pub(super) struct Look {
    pub kind: WorkerKind,
    pub process: ProcessId,
    pub root: String,
    pub names: Vec<String>,
    pub tasks: Vec<Vec<TaskId>>,
    pub bits: Vec<Vec<Bit>>,
    /// By worker: from its first step to the end of its last one.
    pub active: Vec<(Nanos, Nanos)>,
    /// The last one is the loop's own.
    pub steps: Vec<StepPlace>,
    /// Gap between two sleeps' ends in a step that is paced.
    pub paced: BTreeMap<usize, Nanos>,
    pub refusals: u64,
    pub saturated: BTreeMap<usize, f64>,
    pub longest_trip: Nanos,
    pub counted: Option<Counted>,
    /// Their items are requests from outside; without one they have nothing to do.
    pub served: bool,
    by_task: BTreeMap<TaskId, usize>,
}

impl Look {
    /// By their calls alone: no task is one worker's.
    pub(super) fn of_calls(
        kind: WorkerKind,
        process: ProcessId,
        root: String,
        (bits, active): (Vec<Vec<Bit>>, Vec<(Nanos, Nanos)>),
        steps: Vec<StepPlace>,
        counted: Counted,
    ) -> Look {
        Look {
            kind,
            process,
            root,
            names: (1..=bits.len()).map(|number| format!("in flight {number}")).collect(),
            tasks: vec![vec![]; bits.len()],
            bits,
            active,
            steps,
            paced: BTreeMap::new(),
            refusals: 0,
            saturated: BTreeMap::new(),
            longest_trip: Nanos::ZERO,
            counted: Some(counted),
            served: false,
            by_task: BTreeMap::new(),
        }
    }

    pub(super) fn from(&self) -> Nanos {
        self.active.iter().map(|(from, _)| *from).min().unwrap_or_default()
    }

    pub(super) fn to(&self) -> Nanos {
        self.active.iter().map(|(_, to)| *to).max().unwrap_or_default()
    }

    pub(super) fn duration(&self) -> Nanos {
        self.to().since(self.from())
    }

    /// All workers', as if each had worked all the time.
    pub(super) fn worker_time(&self) -> Nanos {
        Nanos(self.duration().0.saturating_mul(self.bits.len() as u64))
    }

    pub(super) fn step_name(&self, step: usize) -> String {
        self.steps.get(step).map(|step| step.name.clone()).unwrap_or_default()
    }

    pub(super) fn in_steps(&self) -> Nanos {
        self.bits.iter().flatten().filter(|bit| bit.step.is_some()).map(Bit::length).sum()
    }

    /// Waits for these are part of the work.
    pub(super) fn keep(&mut self, slight: &BTreeSet<Key>) {
        for bit in self.bits.iter_mut().flatten() {
            let On::Shared(key) = &bit.on else { continue };
            if slight.contains(key) {
                bit.on = On::Own(spent_on(key));
            }
        }
    }

    pub(super) fn stack_at(&self, task: TaskId, at: Nanos) -> Option<StackId> {
        let bits = self.bits.get(*self.by_task.get(&task)?)?;
        let bit = bits.get(bits.partition_point(|bit| bit.to <= at))?;
        bit.stack.filter(|_| bit.from <= at)
    }
}

/// None: these are no workers, they repeat nothing.
pub(super) fn look(facts: &Facts<'_>, activity: &Activity<'_>, mut group: Group) -> Option<Look> {
    let idle = idle::stacks(facts.resolved);
    let mut found = workers::find_loop(&group, activity, &idle);
    // One that does none of the steps is of another kind: it manages the others, or feeds them.
    let works = |member: &Member, found: &Loop| {
        member.pieces.iter().any(|piece| {
            let below = activity.path(piece.stack).strip_prefix(found.prefix.as_slice());
            below.and_then(|below| below.first()).is_some_and(|first| found.steps.contains(first))
        })
    };
    for _ in 0..ROUNDS {
        let working = group.members.iter().filter(|member| works(member, &found)).count();
        if found.steps.is_empty() || working == group.members.len() || working < workers::LEAST {
            break;
        }
        group.members.retain(|member| works(member, &found));
        found = workers::find_loop(&group, activity, &idle);
    }
    let shows = |piece: &crate::map::Piece| {
        let path = activity.path(piece.stack);
        !path.is_empty() && path.starts_with(&found.prefix)
    };
    // Of processes without functions of the project their lives alone are known.
    let nameless = group.lives.is_some() && found.steps.is_empty() && found.prefix.is_empty();
    if !nameless {
        group.members.retain(|member| member.pieces.iter().any(shows));
    }
    if group.members.len() < workers::LEAST {
        return None;
    }
    let members: BTreeSet<TaskId> = group.members.iter().flat_map(|member| member.tasks.iter().copied()).collect();
    let mut classifier = Classifier::new(facts, activity, members.clone(), idle);
    let steps = steps(activity, &found, facts, &group);
    let sleeps = sleeps(facts, &classifier, &group, &found);
    classifier.limiters = Limiters::new(facts, &members, &sleeps);
    let mut bits: Vec<Vec<Bit>> = Vec::new();
    let mut active: Vec<(Nanos, Nanos)> = Vec::new();
    let (mut names, mut tasks) = (Vec::new(), Vec::new());
    for member in &group.members {
        let process =
            member.tasks.first().or(member.thread.as_ref()).and_then(|task| facts.recording.tasks.get(task.0 as usize));
        let mut of_member = classifier.bits(process?.process, &member.pieces, &found);
        if nameless {
            for bit in &mut of_member {
                bit.step = Some(0);
            }
        }
        if group.served {
            of_member = requests::within(of_member, &requests::spans(facts, &member.tasks));
        }
        let inside = |bit: &&Bit| bit.step.is_some();
        let ends = of_member.iter().find(inside).map(|bit| bit.from).zip(of_member.iter().rfind(inside).map(|b| b.to));
        let Some((from, to)) = ends else { continue };
        of_member.retain(|bit| bit.to > from && bit.from < to);
        bits.push(of_member);
        active.push((from, to));
        names.push(member.name.clone());
        tasks.push(member.tasks.clone());
    }
    if bits.len() < workers::LEAST {
        return None;
    }
    let saturated = peers::separate(facts, &tasks, &mut bits, &active);
    disk::separate(&mut bits);
    unseen_wakes(activity, steps.len(), &mut bits);
    convoy::pass_on(facts, activity, &tasks, &mut bits);
    let step_names: Vec<String> = steps.iter().map(|step| step.name.clone()).collect();
    let seen = Seen {
        tasks: &tasks,
        bits: &bits,
        active: &active,
        step_names: &step_names,
        coroutines: group.kind == WorkerKind::Coroutines,
        served: group.served,
        refusals: classifier.limiters.refusals,
    };
    let counted = match group.lives.filter(|_| !group.served) {
        Some(count) => Some(lives(facts, &tasks, &active, count)),
        None => items::repeated(facts, activity, &seen),
    };
    let work = &facts.recording.work;
    let told = work.items.is_some() || !work.progress.is_empty() || work.workers.is_some();
    if counted.is_none() && !told {
        return None;
    }
    let first = group.members.first().and_then(|member| member.tasks.first().or(member.thread.as_ref()));
    let process = first.and_then(|task| facts.recording.tasks.get(task.0 as usize))?.process;
    let outermost = match group.kind {
        WorkerKind::Threads => found.prefix.first(),
        // What they have from who made them says nothing of them.
        WorkerKind::Processes | WorkerKind::Coroutines | WorkerKind::Slots => found.prefix.last(),
    };
    let root = outermost.or(found.steps.first()).map(|id| activity.function(*id).0.to_owned());
    let longest = facts.correlated.flows.round_trips.iter().map(|trip| trip.latency()).max();
    let by_task = tasks.iter().enumerate().flat_map(|(w, tasks)| tasks.iter().map(move |task| (*task, w))).collect();
    Some(Look {
        kind: group.kind,
        process,
        root: root.unwrap_or_else(|| program(facts, &group)),
        names,
        tasks,
        bits,
        active,
        steps,
        paced: classifier.limiters.paced.clone(),
        refusals: classifier.limiters.refusals,
        saturated,
        longest_trip: longest.unwrap_or_default(),
        counted,
        served: group.served,
        by_task,
    })
}

/// What most of them run.
fn program(facts: &Facts<'_>, group: &Group) -> String {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for task in group.members.iter().flat_map(|member| &member.tasks) {
        let task = facts.recording.tasks.get(task.0 as usize);
        let process = task.and_then(|task| facts.recording.processes.get(task.process.0 as usize));
        if let Some(image) = process.and_then(|process| process.images.last()) {
            *counts.entry(image.comm.as_str()).or_default() += 1;
        }
    }
    let most = counts.into_iter().max_by_key(|(name, count)| (*count, std::cmp::Reverse(*name)));
    most.map_or_else(|| "a process".into(), |(name, _)| name.to_owned())
}

fn steps(activity: &Activity<'_>, found: &Loop, facts: &Facts<'_>, group: &Group) -> Vec<StepPlace> {
    let place = |id: &crate::map::FunctionId| {
        let (name, location) = activity.function(*id);
        StepPlace { name: name.to_owned(), location }
    };
    let mut steps: Vec<StepPlace> = found.steps.iter().map(place).collect();
    let own = found.prefix.last().map(place);
    steps.push(own.unwrap_or_else(|| StepPlace { name: program(facts, group), location: None }));
    steps
}

/// At a channel whose places the workers hand to one another, as far as that was seen, the others' waits are for the same.
fn unseen_wakes(activity: &Activity<'_>, steps: usize, bits: &mut [Vec<Bit>]) {
    let at_channel = |bit: &Bit| bit.wait.is_some() && activity.is_at_channel(bit.stack);
    for step in 0..steps {
        let [places, room] = [Key::Places { step }, Key::Room { step }].map(On::Shared);
        let sum = |wanted: &dyn Fn(&On) -> bool| -> Nanos {
            let of_step =
                bits.iter().flatten().filter(|bit| bit.step == Some(step) && at_channel(bit) && wanted(&bit.on));
            of_step.map(Bit::length).sum()
        };
        let others = sum(&|on| matches!(on, On::Own(Spent::Pipe | Spent::Other)));
        let (of_places, of_room) = (sum(&|on| *on == places), sum(&|on| *on == room));
        let (seen, key) = if of_room > of_places { (of_room, room) } else { (of_places, places) };
        if seen <= others {
            continue;
        }
        for bit in bits.iter_mut().flatten().filter(|bit| bit.step == Some(step) && at_channel(bit)) {
            if bit.on == On::Own(Spent::Sleep) {
                bit.on = key.clone();
            }
        }
    }
}

fn sleeps<'f>(
    facts: &Facts<'f>,
    classifier: &Classifier<'_, '_>,
    group: &Group,
    found: &Loop,
) -> Vec<(usize, &'f Wait)> {
    let mut sleeps = Vec::new();
    for piece in group.members.iter().flat_map(|member| &member.pieces) {
        let Doing::Blocked(id) = piece.doing else { continue };
        let Some(wait) = facts.correlated.waits.get(id.0 as usize) else { continue };
        let engine = piece.stack.and_then(|stack| classifier.engines.get(stack.0 as usize).copied().flatten());
        let of_goroutines =
            classifier.activity.is_at_channel(wait.stack) || classifier.activity.is_for_goroutine_s_mutex(wait.stack);
        if wait.cause == crate::correlate::Cause::Sleep
            && !of_goroutines
            && engine.is_none()
            && let Some(step) = classifier.step(found, piece.stack, true)
        {
            sleeps.push((step, wait));
        }
    }
    sleeps
}

/// Each life is an item.
fn lives(facts: &Facts<'_>, tasks: &[Vec<TaskId>], active: &[(Nanos, Nanos)], count: u64) -> Counted {
    let born = |task: &TaskId| facts.recording.tasks.get(task.0 as usize).map_or(Nanos::ZERO, |task| task.born);
    let of = |(tasks, (from, _)): (&Vec<TaskId>, &(Nanos, Nanos))| match tasks.is_empty() {
        true => vec![*from],
        false => tasks.iter().map(born).collect(),
    };
    let begins = tasks.iter().zip(active).map(of).collect();
    let items = super::types::Items {
        count,
        source: super::types::ItemSource::Lives,
        confidence: super::types::Confidence::Medium,
        what: "one that begins and ends is an item".into(),
    };
    Counted { items, begins }
}

/// What a bit was spent on.
pub(super) fn spent(bit: &Bit) -> Option<Spent> {
    match &bit.on {
        On::Own(spent) => Some(*spent),
        On::Shared(key) => Some(Spent::Shared(key.category())),
        On::Idle => None,
    }
}

fn spent_on(key: &Key) -> Spent {
    match key {
        Key::Lock { .. } | Key::Places { .. } | Key::Room { .. } | Key::FileLock | Key::Interpreter { .. } => {
            Spent::Lock
        }
        Key::Database { .. } => Spent::Database,
        Key::Limiter { .. } => Spent::Sleep,
        Key::RunQueue | Key::Throttled => Spent::RunQueue,
        Key::Disk => Spent::Disk,
        Key::Peer { .. } => Spent::Network,
    }
}
