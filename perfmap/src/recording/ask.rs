//! Who asked an event loop for something that it does in a later turn, when nobody of the program's is on the stack.

use serde::{Deserialize, Serialize};

use super::{Nanos, SocketId, StackId, TaskId};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub at: Nanos,
    pub task: TaskId,
    pub stack: StackId,
    pub what: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Asked {
    /// To open the connection, or to use it again: what is sent on it next, before anything comes back, is the asker's.
    Send(SocketId),
    /// To go on after a time, which is over at `due` at the latest.
    Timer { due: Nanos },
}
