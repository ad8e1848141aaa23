//! Whose turn it was on an event loop: a thread runs many coroutines, one after the other.

use serde::{Deserialize, Serialize};

use super::{Nanos, StackId, TaskId};

/// One of a thread's coroutines, told from others that exist at the same time; the number is used again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CoroutineId(pub u64);

/// The thread was inside this coroutine, or about to be: asyncio's task, by the outermost coroutine on the stack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    pub at: Nanos,
    pub task: TaskId,
    pub coroutine: CoroutineId,
    pub stack: StackId,
    pub kind: TurnKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TurnKind {
    /// It ran.
    Ran,
    /// It is about to run for the first time: whatever had its number before is gone.
    Started,
    /// A poll has returned, and the loop runs for this coroutine, which waits at `stack`, for other coroutines where
    /// `of_tasks`.
    Main { of_tasks: bool },
    /// It had waited at `stack` and goes on. Rounds count from the poll that blocked: who is resumed in a later one may
    /// have been woken by who was resumed before, and was where it waited for other coroutines (`of_tasks`).
    Resumed { round: u32, of_tasks: bool },
}
