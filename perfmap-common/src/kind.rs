//! First words of every record: what it is, whose and when; and what is counted as lost.

/// First word of every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    Fork = 1,
    Exec = 2,
    Exit = 3,
    Rename = 4,
    Sample = 5,
    Block = 6,
    Call = 7,
    ShortWaits = 8,
    SocketSeen = 9,
    SocketState = 10,
    Message = 11,
    FileIo = 12,
    PythonCode = 13,
    FaultStack = 14,
    Adopt = 15,
    Peer = 16,
    Resumed = 17,
    Plaintext = 20,
    Memory = 21,
    Ask = 22,
    Goroutine = 24,
    Opened = 40,
    Closed = 41,
    Unread = 42,
    Allocation = 50,
    Freed = 51,
}

impl Kind {
    pub const ALL: [Kind; 26] = [
        Kind::Fork,
        Kind::Exec,
        Kind::Exit,
        Kind::Rename,
        Kind::Sample,
        Kind::Block,
        Kind::Call,
        Kind::ShortWaits,
        Kind::SocketSeen,
        Kind::SocketState,
        Kind::Message,
        Kind::FileIo,
        Kind::PythonCode,
        Kind::FaultStack,
        Kind::Adopt,
        Kind::Peer,
        Kind::Resumed,
        Kind::Plaintext,
        Kind::Memory,
        Kind::Ask,
        Kind::Goroutine,
        Kind::Opened,
        Kind::Closed,
        Kind::Unread,
        Kind::Allocation,
        Kind::Freed,
    ];

    pub fn from_u32(value: u32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u32 == value)
    }
}

/// Index into the per-CPU loss counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum LossSlot {
    RingSample = 0,
    RingWait = 1,
    RingMessage = 2,
    RingTask = 3,
    RingFile = 4,
    RingPython = 5,
    TaskStorage = 6,
    PythonUnreadable = 7,
    SiteTable = 8,
    PayloadUnreadable = 9,
    RingMemory = 10,
    WakeUnseen = 11,
    SwitchUnseen = 12,
}
pub const LOSS_SLOTS: usize = 13;

/// Who and when; `task` is the subject, which is not always the running one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Header {
    pub kind: u32,
    /// Process (tgid) and thread (pid) as the initial PID namespace numbers them.
    pub pid: u32,
    pub tid: u32,
    pub cpu: u32,
    pub at: u64,
}
