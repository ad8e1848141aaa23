//! Turns of coroutines → for whom an event loop polled: the coroutine that the poll's end resumed, where it waited, and
//! those that it waited for in turn.
//!
//! A loop runs for one coroutine (its main one), which waits for others. Who waited for whom is known where a task or
//! a group of them was awaited, or one of asyncio's own locks and queues, and another coroutine was resumed just before.
//! Of loops without coroutines that can be told apart, a poll belongs to whoever sent the request that is answered next.

mod answers;
mod asks;
pub(super) mod asyncio;
mod awaiters;
pub(super) mod go;
mod thread;

use rustc_hash::FxHashMap;

use crate::{
    correlate::{
        Cause, Correlated, Wait, WaitId,
        senders::{SEND_RETURNS_WITHIN, Senders},
    },
    map::{activity::Awaited, project::Project},
    recording::{Direction, Event, Nanos, ProcessId, Recording, SocketId, StackId, TaskId, TurnKind},
    resolve::Resolved,
};
use answers::Answer;
use asks::Asks;
use awaiters::Awaiters;
use thread::{Life, Loop, Main, Poll, Transfer, Turn};

/// Coroutines that wait for one another; deeper chains end here.
const MAX_CHAIN: usize = 8;
/// Coroutines that came one after the other below one that waits.
const MAX_HOPS: usize = 16;
/// Turns of one burst that are looked at: a loop that never rests has thousands.
const MAX_LOOKED_AT: usize = 256;
/// What resumes a coroutine ran in the round before, or two before where a group lies between.
const ROUNDS_BETWEEN: u32 = 2;

/// For whom a poll was, outermost first, and what ended their wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub stacks: Vec<StackId>,
    /// The poll by whose end the innermost coroutine was resumed: its cause is the cause.
    pub wait: WaitId,
    pub by: By,
    /// Found without coroutines: `stacks` is where somebody asked, not what is below the poll's own stack.
    pub asked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Whoever ended `wait`.
    Waker,
    /// Nobody was seen to end it: the loop was awake for something else when the result came. Whom the loop gave work
    /// to between these instants, when the coroutine ran last; else as `Waker`.
    Given(Nanos, Nanos),
    Timer,
    /// The other end of the coroutine's connection.
    Peer(Option<TaskId>, Option<SocketId>),
}

/// What a loop does for somebody outside: the coroutine that answers on one of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Serving {
    pub coroutine: Life,
    /// When it had read the request.
    pub since: Nanos,
}

#[derive(Debug, Default)]
pub(super) struct Loops {
    of_task: FxHashMap<TaskId, Loop>,
    /// Of loops without coroutines.
    answers: FxHashMap<ProcessId, Vec<Answer>>,
    /// By `SocketId`: the other end.
    pairs: Vec<Option<SocketId>>,
    senders: Senders,
    pub(super) asks: Asks,
    /// By `StackId`.
    waits_for_others: Vec<bool>,
    sleeps: Vec<bool>,
    in_loop: Vec<bool>,
    /// By `StackId`: the loop runs a coroutine without a function of the project.
    library: Vec<bool>,
    awaiters: FxHashMap<TaskId, Awaiters>,
    /// Of a goroutine.
    waits_for_mutex: Vec<bool>,
}

impl Loops {
    pub(super) fn new(recording: &Recording, correlated: &Correlated, resolved: &Resolved, project: &Project) -> Self {
        let mut of_task: FxHashMap<TaskId, Loop> = FxHashMap::default();
        for turn in &recording.turns {
            let of = of_task.entry(turn.task).or_default();
            let (at, coroutine, stack, kind) = (turn.at, turn.coroutine, turn.stack, turn.kind);
            of.turns.push(Turn { at, coroutine, life: Life(0), stack, kind, burst: 0, sent: None });
        }
        let asks = Asks::new(recording, resolved, |stack| !project.stack(Some(stack)).is_empty());
        let waits_for_mutex = resolved.stacks.iter().map(|stack| go::waits_for_mutex(resolved, stack)).collect();
        let mut loops = Self { pairs: correlated.flows.pairs.clone(), asks, waits_for_mutex, ..Self::default() };
        let polls = |wait: &&Wait| wait.multiplexed && wait.woken > wait.off;
        for wait in correlated.waits.iter().filter(polls) {
            of_task.entry(wait.task).or_default();
        }
        if of_task.is_empty() {
            return loops;
        }
        loops.senders = Senders::new(recording);
        for event in &recording.events {
            let Event::Message(message) = event else { continue };
            if let Some(of) = of_task.get_mut(&message.task) {
                let (at, socket, direction) = (message.at, message.socket, message.direction);
                of.transfers.push(Transfer { at, socket, direction, coroutine: None });
            }
        }
        let process = |task: TaskId| recording.tasks.get(task.0 as usize).map(|task| task.process);
        for (index, wait) in correlated.waits.iter().enumerate() {
            if polls(&wait)
                && let Some(of) = of_task.get_mut(&wait.task)
            {
                let inside = wait.by.is_some_and(|by| process(by) == process(wait.task));
                let (from, woken, to, id) = (wait.off, wait.woken, wait.on, WaitId(index as u32));
                let reported = if inside { 0 } else { u32::MAX };
                of.polls.push(Poll {
                    from,
                    woken,
                    to,
                    wait: id,
                    reported,
                    reported_before: u32::MAX,
                    by: wait.by,
                    timed_out: wait.cause == Cause::Sleep,
                    main: None,
                });
            }
        }
        of_task.values_mut().for_each(Loop::finish);
        let coroutines = |task: TaskId| of_task.get(&task).is_some_and(|of| of.queue_known);
        loops.answers = answers::answers(recording, correlated, &loops.asks, coroutines);
        for (task, of) in &mut of_task {
            of.process = process(*task);
        }
        loops.of_task = of_task;
        loops.waits_for_others =
            resolved.stacks.iter().map(|stack| asyncio::waits_for_others(resolved, stack)).collect();
        loops.sleeps = resolved.stacks.iter().map(|stack| asyncio::sleeps(resolved, stack)).collect();
        loops.in_loop = resolved.stacks.iter().map(|stack| asyncio::runs_loop(resolved, stack)).collect();
        // Once for each stack: turns are many more.
        let own: Vec<bool> =
            resolved.stacks.iter().map(|stack| !project.of(asyncio::inside(resolved, stack)).is_empty()).collect();
        let others: Vec<bool> =
            resolved.stacks.iter().map(|stack| asyncio::awaited(resolved, stack) == Awaited::Others).collect();
        let has = |flags: &[bool], stack: StackId| flags.get(stack.0 as usize).copied().unwrap_or(false);
        let waits = |stack, of_tasks| (of_tasks || has(&others, stack)) && has(&own, stack);
        loops.awaiters = loops.of_task.iter().map(|(task, of)| (*task, Awaiters::new(of, waits))).collect();
        loops.library = loops.in_loop.iter().zip(own).map(|(in_loop, own)| *in_loop && !own).collect();
        loops
    }

    /// For whom `task` polled in `wait`. With `serving`, only that coroutine counts.
    pub(super) fn owner(&self, task: TaskId, wait: WaitId, from: Nanos, serving: Option<Serving>) -> Option<Owner> {
        let of = self.of_task.get(&task)?;
        // A piece may begin within its poll.
        let index = of.polls.partition_point(|poll| poll.from <= from).checked_sub(1)?;
        of.polls.get(index).filter(|poll| poll.wait == wait)?;
        if of.turns.is_empty() {
            return self.by_descriptor(of, index, from).or_else(|| self.by_timer(task, of, index));
        }
        self.explain(of, index, from, serving)
    }

    /// The request that was out and was answered first; none: nothing is known to have been waited for.
    fn by_descriptor(&self, of: &Loop, index: usize, from: Nanos) -> Option<Owner> {
        let poll = of.polls.get(index)?;
        let answers = self.answers.get(&of.process?)?;
        let next = answers.partition_point(|answer| answer.at < poll.woken);
        for answer in answers[next..].iter().take(MAX_LOOKED_AT) {
            let end = of.polls.partition_point(|poll| poll.woken <= answer.at).saturating_sub(1);
            let Some(end_poll) = of.polls.get(end) else { continue };
            if answer.asked > from && (end != index || answer.asked > poll.woken) {
                continue;
            }
            let by = self.peer(answer.socket, answer.asked, end_poll.woken);
            // The poll that it ended was ended by who sent it.
            if let (By::Peer(Some(sender), _), Some(waker)) = (by, end_poll.by)
                && sender != waker
            {
                continue;
            }
            return Some(Owner { stacks: vec![answer.stack], wait: end_poll.wait, by, asked: true });
        }
        None
    }

    /// Nobody's request is out: who set the timer that ended the poll.
    fn by_timer(&self, task: TaskId, of: &Loop, index: usize) -> Option<Owner> {
        let poll = of.polls.get(index).filter(|poll| poll.timed_out)?;
        let looked = |at: Nanos| {
            let before = of.polls.partition_point(|poll| poll.to <= at).checked_sub(1);
            before.and_then(|before| of.polls.get(before)).map_or(Nanos::ZERO, |poll| poll.to)
        };
        let shared = || self.asks.next_timer(of.process?, poll.woken);
        let stack = self.asks.timer(task, poll.woken, looked).or_else(shared)?;
        Some(Owner { stacks: vec![stack], wait: poll.wait, by: By::Timer, asked: true })
    }

    /// Who sent what arrived on the socket at `woken`, and had been `asked` for.
    fn peer(&self, socket: SocketId, asked: Nanos, woken: Nanos) -> By {
        let other = self.other_end(socket);
        let by = other.and_then(|other| self.senders.between(other, asked, woken));
        By::Peer(by, other)
    }

    pub(super) fn other_end(&self, socket: SocketId) -> Option<SocketId> {
        self.pairs.get(socket.0 as usize).copied().flatten()
    }

    /// A goroutine that waits with this stack waits for a mutex.
    pub(super) fn is_for_mutex(&self, stack: Option<StackId>) -> bool {
        stack.is_some_and(|stack| self.waits_for_mutex.get(stack.0 as usize).copied().unwrap_or(false))
    }

    fn sleeps(&self, stack: StackId) -> bool {
        self.sleeps.get(stack.0 as usize).copied().unwrap_or(false)
    }

    fn explain(&self, of: &Loop, index: usize, from: Nanos, serving: Option<Serving>) -> Option<Owner> {
        let poll = of.polls.get(index)?;
        let main = serving.map(|serving| serving.coroutine).or(poll.main.map(|main| main.coroutine));
        let mut stacks = Vec::new();
        let mut chain: Vec<Life> = Vec::new();
        let mut now = match main {
            Some(main) => main,
            None => of.first_resumed(index)?,
        };
        let mut last = None;
        while chain.len() < MAX_CHAIN {
            chain.push(now);
            let Some(turn) = of.next_turn(now, poll.to) else { break };
            if last.is_none()
                && serving.is_none()
                && poll.main.is_some()
                && !matches!(turn.kind, TurnKind::Resumed { .. })
            {
                break; // The loop's queue is not known (uvloop): where it waited is, but not what resumed it.
            }
            stacks.push(turn.stack);
            last = Some(turn);
            let next = self.waited_for(of, turn, poll, &chain);
            let Some(next) = next else { break };
            now = next;
        }
        let Some(turn) = last else {
            let main = poll.main.filter(|_| serving.is_none())?;
            let alone = Owner { stacks: vec![main.stack], wait: poll.wait, by: By::Waker, asked: false };
            return Some(self.answered_below(of, index, from, main).unwrap_or(alone));
        };
        let end = (turn.burst as usize).saturating_sub(1).max(index);
        let end_poll = of.polls.get(end).unwrap_or(poll);
        let wait = end_poll.wait;
        if self.sleeps(turn.stack) {
            return Some(Owner { stacks, wait, by: By::Timer, asked: false });
        }
        if let Some(by) = self.answered(of, turn, end) {
            return Some(Owner { stacks, wait, by, asked: false });
        }
        // The result of another thread: until then, that thread, or the one that reported before it, had the work.
        // Where a timer ran out as well, nobody is seen to have ended the poll; the one that reported last may have.
        let unseen = !end_poll.timed_out && end_poll.by.is_none();
        let since = of.turn_before(turn).map_or(0, |turn| turn.burst);
        let ended = if end_poll.reported as usize == end || unseen && (poll.reported as usize) < end {
            poll.reported as usize
        } else if unseen && poll.reported_before != u32::MAX && poll.reported_before >= since {
            poll.reported_before as usize
        } else {
            end
        };
        let ended = of.polls.get(ended).unwrap_or(poll);
        let by = match of.ran_before(turn).filter(|_| ended.by.is_none()) {
            Some((from, to)) => By::Given(from, to),
            None => By::Waker,
        };
        Some(Owner { stacks, wait: ended.wait, by, asked: false })
    }

    /// The loop's queue is not known: where its main coroutine waits for others, the one whose request is answered next.
    fn answered_below(&self, of: &Loop, index: usize, from: Nanos, main: Main) -> Option<Owner> {
        let waits = main.of_tasks || self.waits_for_others.get(main.stack.0 as usize).copied().unwrap_or(false);
        let Owner { stacks, wait, by, asked: _ } =
            self.by_descriptor(of, index, from).filter(|_| waits && !of.queue_known)?;
        let stacks = std::iter::once(main.stack).chain(stacks).collect();
        Some(Owner { stacks, wait, by, asked: false })
    }

    /// The coroutine whose turn resumed the one that `turn` is of, as it was during `poll`.
    fn waited_for(&self, of: &Loop, turn: Turn, poll: &Poll, chain: &[Life]) -> Option<Life> {
        let TurnKind::Resumed { round, of_tasks } = turn.kind else { return None };
        let others = of_tasks || self.waits_for_others.get(turn.stack.0 as usize).copied().unwrap_or(false);
        if !others || round == 0 {
            return None;
        }
        let mut until = turn;
        let mut least = round.saturating_sub(ROUNDS_BETWEEN);
        for _ in 0..MAX_HOPS {
            let timed_out = (until.burst as usize).checked_sub(1).and_then(|poll| of.polls.get(poll)?.timed_out.into());
            // Who waits for a timer was resumed beside it where something else ended the poll.
            let beside = |stack: StackId| timed_out == Some(false) && self.sleeps(stack);
            let found = of.resumed_before(until, least, of_tasks, chain, beside)?;
            let first = of.lives.get(found.0 as usize).and_then(|turns| of.turns.get(*turns.first()? as usize))?;
            if first.at <= poll.from {
                return Some(found);
            }
            // It began later: what made it, or let it begin, had been waited for before.
            (until, least) = (*first, 0);
        }
        None
    }

    /// The coroutine's connection, where it had sent something and the end of the poll `end` brought the answer.
    fn answered(&self, of: &Loop, turn: Turn, end: usize) -> Option<By> {
        let turns = of.lives.get(turn.life.0 as usize)?;
        let before = turns.partition_point(|index| of.turns[*index as usize].at < turn.at);
        let mut earlier = turns[..before].iter().rev().take(4).filter_map(|index| of.turns.get(*index as usize));
        let (asked, socket) = earlier.find_map(|turn| Some((turn.at, turn.sent?)))?;
        let poll = of.polls.get(end)?;
        let until = of.polls.get(end + 1).map_or(Nanos(u64::MAX), |poll| poll.from);
        let first = of.transfers.partition_point(|transfer| transfer.at < poll.woken);
        let mut read = of.transfers[first..].iter().take(MAX_LOOKED_AT).take_while(|transfer| transfer.at <= until);
        read.find(|transfer| transfer.socket == socket && transfer.direction == Direction::Received)?;
        Some(self.peer(socket, asked, poll.woken))
    }

    /// What `task` did for whoever it woke at `woken`, on `socket` where that is known: the coroutine that sent the
    /// answer.
    pub(super) fn serving(&self, task: TaskId, socket: Option<SocketId>, woken: Nanos) -> Option<Serving> {
        let of = self.of_task.get(&task)?;
        let is = |transfer: &Transfer| socket.is_none_or(|socket| transfer.socket == socket);
        let woke = of.transfers.partition_point(|transfer| transfer.at < woken);
        let (earlier, later) = of.transfers.split_at(woke);
        let before = earlier.iter().enumerate().rev().take(MAX_LOOKED_AT).find(|(_, transfer)| is(transfer));
        let before = before.map(|(index, _)| index);
        let after = later.iter().take(MAX_LOOKED_AT).position(is).map(|index| woke + index);
        let sent = |index: &usize| of.transfers[*index].direction == Direction::Sent;
        // The send that woke is recorded when it returns: just after the wake, or much later where the one that it
        // woke, or an interrupt, took its CPU. Only where the connection is known is that not another one's.
        let soon = |index: &usize| {
            let asked_before = before.is_some_and(|before| !sent(&before));
            of.transfers[*index].at <= woken.plus(SEND_RETURNS_WITHIN) || socket.is_some() && asked_before
        };
        let answer = after.filter(sent).filter(soon).or_else(|| {
            let mut sends = (0..woke).rev().take(MAX_LOOKED_AT).filter(|index| is(&of.transfers[*index]));
            sends.find(sent)
        })?;
        let on = of.transfers[answer].socket;
        let before = of.transfers[..=answer].iter().rev().take(MAX_LOOKED_AT * 4);
        let mut of_socket = before.filter(|transfer| transfer.socket == on);
        let mut coroutine = None;
        let read = of_socket.find(|transfer| {
            coroutine = coroutine.or(transfer.coroutine);
            transfer.direction == Direction::Received
        });
        Some(Serving { coroutine: coroutine?, since: read.map_or(Nanos::ZERO, |transfer| transfer.at) })
    }

    /// The place that stands for what `task` sent: its own, where a function of the project asked for it or is in it; else
    /// that of the coroutine which waits for the one that sent it.
    pub(super) fn place(&self, task: TaskId, socket: SocketId, at: Nanos, stack: Option<StackId>) -> Option<StackId> {
        if let Some(ask) = self.asks.asker(socket, at, stack) {
            return Some(ask.stack);
        }
        let library = stack.filter(|stack| self.library.get(stack.0 as usize).copied().unwrap_or(false));
        let awaiter = library.and_then(|stack| {
            let of = self.of_task.get(&task)?;
            let awaiter = self.awaiters.get(&task).and_then(|awaiters| awaiters.of_sender(of, at));
            awaiter.or_else(|| self.main_at(task, stack, at))
        });
        awaiter.or(stack)
    }

    /// Where the main coroutine waited while another one, or a callback, was on the CPU with `stack`.
    pub(super) fn main_at(&self, task: TaskId, stack: StackId, at: Nanos) -> Option<StackId> {
        let of = self.of_task.get(&task)?;
        if !self.in_loop.get(stack.0 as usize).copied().unwrap_or(false) || of.main_stacks.contains(&stack) {
            return None;
        }
        let next = of.mains.partition_point(|(seen, _, _)| *seen <= at);
        let before = next.checked_sub(1).and_then(|index| of.mains.get(index));
        let after = of.mains.get(next);
        let (_, main, _) = before.or(after)?;
        let until = after.map_or(Nanos(u64::MAX), |(seen, _, _)| *seen);
        let ran = of.next_turn(*main, at).filter(|turn| turn.at <= until);
        if let Some(turn) = ran
            && let TurnKind::Resumed { .. } = turn.kind
        {
            return Some(turn.stack); // It waited here until then.
        }
        // Where it ran in between, it may have waited elsewhere before.
        let after = after.filter(|_| ran.is_none());
        let moved = before.is_some_and(|(seen, main, _)| of.next_turn(*main, *seen).is_some_and(|turn| turn.at <= at));
        let (_, _, stack) = if moved { after.or(before) } else { before.or(after) }?;
        Some(*stack)
    }

    /// Instants at which a coroutine is about to run where it waited.
    pub(super) fn resumptions(recording: &Recording) -> impl Iterator<Item = (TaskId, Nanos, StackId)> {
        let resumed = |turn: &&crate::recording::Turn| matches!(turn.kind, TurnKind::Resumed { .. });
        recording.turns.iter().filter(resumed).map(|turn| (turn.task, turn.at, turn.stack))
    }
}
