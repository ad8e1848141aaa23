//! One thread's polls, its coroutines' turns between them, and its transfers, in order of time and tied to one another.

use rustc_hash::{FxHashMap, FxHashSet};

use super::MAX_LOOKED_AT;
use crate::{
    correlate::WaitId,
    recording::{CoroutineId, Direction, Nanos, ProcessId, SocketId, StackId, TaskId, TurnKind},
};

/// One coroutine from its start to its end: numbers are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::map) struct Life(pub u32);

#[derive(Debug, Clone, Copy)]
pub(super) struct Poll {
    pub from: Nanos,
    pub woken: Nanos,
    pub to: Nanos,
    pub wait: WaitId,
    /// The next one, this included, that another thread of the process ended.
    pub reported: u32,
    /// The last one before it.
    pub reported_before: u32,
    /// Who ended it.
    pub by: Option<TaskId>,
    /// No descriptor was ready: a timer ended it.
    pub timed_out: bool,
    pub main: Option<Main>,
}

/// The coroutine that a loop ran for while it polled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Main {
    pub coroutine: Life,
    pub stack: StackId,
    /// It waited for other coroutines.
    pub of_tasks: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub at: Nanos,
    pub coroutine: CoroutineId,
    pub life: Life,
    pub stack: StackId,
    pub kind: TurnKind,
    /// So many polls were over.
    pub burst: u32,
    pub sent: Option<SocketId>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Transfer {
    pub at: Nanos,
    pub socket: SocketId,
    pub direction: Direction,
    pub coroutine: Option<Life>,
}

#[derive(Debug, Default)]
pub(super) struct Loop {
    pub process: Option<ProcessId>,
    pub polls: Vec<Poll>,
    pub turns: Vec<Turn>,
    /// By `Life`: indices into `turns`.
    pub lives: Vec<Vec<u32>>,
    pub transfers: Vec<Transfer>,
    pub main_stacks: FxHashSet<StackId>,
    /// What it resumes is seen (asyncio's own loop).
    pub queue_known: bool,
    /// Where the main coroutine was seen to wait, in order of time.
    pub mains: Vec<(Nanos, Life, StackId)>,
}

impl Loop {
    pub(super) fn finish(&mut self) {
        self.polls.sort_by_key(|poll| (poll.from, poll.to, poll.wait));
        let mut before = u32::MAX;
        for (index, poll) in self.polls.iter_mut().enumerate() {
            poll.reported_before = before;
            if poll.reported == 0 {
                before = index as u32;
            }
        }
        let mut reported = u32::MAX;
        for (index, poll) in self.polls.iter_mut().enumerate().rev() {
            if poll.reported == 0 {
                reported = index as u32;
            }
            poll.reported = reported;
        }
        self.turns.sort_by_key(|turn| turn.at);
        let resumed = |turn: &Turn| matches!(turn.kind, TurnKind::Resumed { .. } | TurnKind::Started);
        self.queue_known = self.turns.iter().any(resumed);
        self.transfers.sort_by_key(|transfer| transfer.at);
        let mut transfer = 0;
        let mut now: FxHashMap<CoroutineId, Life> = FxHashMap::default();
        for (index, turn) in self.turns.iter_mut().enumerate() {
            let burst = self.polls.partition_point(|poll| poll.to <= turn.at);
            turn.burst = burst as u32;
            let next = Life(self.lives.len() as u32);
            let life = now.entry(turn.coroutine).or_insert(next);
            if turn.kind == TurnKind::Started {
                *life = next;
            }
            turn.life = *life;
            if *life == next {
                self.lives.push(Vec::new());
            }
            if let TurnKind::Main { of_tasks } = turn.kind {
                // Of several the first is of the poll itself.
                if let Some(poll) = burst.checked_sub(1).and_then(|index| self.polls.get_mut(index)) {
                    let main = Main { coroutine: turn.life, stack: turn.stack, of_tasks };
                    poll.main.get_or_insert(main);
                }
                self.mains.push((turn.at, turn.life, turn.stack));
                self.main_stacks.insert(turn.stack);
                continue;
            }
            self.lives[turn.life.0 as usize].push(index as u32);
            while self.transfers.get(transfer).is_some_and(|transfer| transfer.at < turn.at) {
                transfer += 1;
            }
            if let Some(of) = self.transfers.get_mut(transfer).filter(|transfer| transfer.at == turn.at)
                && of.direction == Direction::Sent
            {
                of.coroutine = Some(turn.life);
                turn.sent = Some(of.socket);
            }
        }
        let mains: FxHashSet<Life> = self.mains.iter().map(|(_, life, _)| *life).collect();
        let of_mains = self.turns.iter().filter(|turn| mains.contains(&turn.life)).map(|turn| turn.stack);
        self.main_stacks.extend(of_mains);
    }

    pub(super) fn next_turn(&self, coroutine: Life, at: Nanos) -> Option<Turn> {
        let turns = self.lives.get(coroutine.0 as usize)?;
        let next = turns.partition_point(|index| self.turns[*index as usize].at < at);
        turns.get(next).map(|index| self.turns[*index as usize])
    }

    pub(super) fn turn_before(&self, turn: Turn) -> Option<Turn> {
        let turns = self.lives.get(turn.life.0 as usize)?;
        let before = turns.partition_point(|index| self.turns[*index as usize].at < turn.at).checked_sub(1)?;
        turns.get(before).map(|index| self.turns[*index as usize])
    }

    /// When the coroutine of `turn` ran last before it: from its first turn in that burst to the burst's end.
    pub(super) fn ran_before(&self, turn: Turn) -> Option<(Nanos, Nanos)> {
        let last = self.turn_before(turn)?;
        let mut first = last;
        while let Some(before) = self.turn_before(first).filter(|before| before.burst == last.burst) {
            first = before;
        }
        Some((first.at, self.polls.get(last.burst as usize).map_or(turn.at, |poll| poll.from)))
    }

    pub(super) fn of_burst(&self, burst: u32) -> std::ops::Range<usize> {
        let from = self.turns.partition_point(|turn| turn.burst < burst);
        from..self.turns.partition_point(|turn| turn.burst <= burst)
    }

    pub(super) fn first_resumed(&self, poll: usize) -> Option<Life> {
        let burst = u32::try_from(poll).ok()?.checked_add(1)?;
        let mut turns = self.turns[self.of_burst(burst)].iter().take(MAX_LOOKED_AT);
        turns.find(|turn| matches!(turn.kind, TurnKind::Resumed { .. })).map(|turn| turn.life)
    }

    /// Of the coroutines that were resumed before `turn` in its burst, not in a round before `least`: one that did not
    /// go on afterwards, else the last, unless only their ends count.
    pub(super) fn resumed_before(
        &self,
        turn: Turn,
        least: u32,
        ended: bool,
        chain: &[Life],
        beside: impl Fn(StackId) -> bool,
    ) -> Option<Life> {
        let burst = self.of_burst(turn.burst);
        let before = self.turns[burst].iter().rev().skip_while(|other| other.at >= turn.at).take(MAX_LOOKED_AT);
        let earlier = match turn.kind {
            TurnKind::Resumed { round, .. } => round,
            TurnKind::Ran | TurnKind::Started | TurnKind::Main { .. } => u32::MAX,
        };
        let candidates = before.filter(|other| match other.kind {
            TurnKind::Resumed { round, .. } => {
                (least..earlier).contains(&round) && !chain.contains(&other.life) && !beside(other.stack)
            }
            TurnKind::Ran | TurnKind::Started | TurnKind::Main { .. } => false,
        });
        let mut last = None;
        for candidate in candidates {
            let goes_on = self.next_after_burst(candidate);
            if !goes_on {
                return Some(candidate.life);
            }
            last = last.or(Some(candidate.life));
        }
        last.filter(|_| !ended)
    }

    pub(super) fn next_after_burst(&self, turn: &Turn) -> bool {
        let Some(end) = self.polls.get(turn.burst as usize) else { return false };
        self.next_turn(turn.life, end.to).is_some()
    }
}
