//! x86_64 system call numbers that waits and wakes are told apart by, and what each of them can wait for or wake.
//! (asm/unistd_64.h; the numbers are ABI and never change.)

pub const READ: u32 = 0;
pub const WRITE: u32 = 1;
pub const CLOSE: u32 = 3;
pub const POLL: u32 = 7;
pub const PREAD64: u32 = 17;
pub const READV: u32 = 19;
pub const WRITEV: u32 = 20;
pub const SELECT: u32 = 23;
pub const DUP2: u32 = 33;
pub const PAUSE: u32 = 34;
pub const NANOSLEEP: u32 = 35;
pub const SENDFILE: u32 = 40;
pub const CONNECT: u32 = 42;
pub const ACCEPT: u32 = 43;
pub const SENDTO: u32 = 44;
pub const RECVFROM: u32 = 45;
pub const SENDMSG: u32 = 46;
pub const RECVMSG: u32 = 47;
pub const SHUTDOWN: u32 = 48;
pub const CLONE: u32 = 56;
pub const FORK: u32 = 57;
pub const VFORK: u32 = 58;
pub const EXECVE: u32 = 59;
pub const EXIT: u32 = 60;
pub const WAIT4: u32 = 61;
pub const KILL: u32 = 62;
pub const FCNTL: u32 = 72;
pub const FLOCK: u32 = 73;
pub const FSYNC: u32 = 74;
pub const FDATASYNC: u32 = 75;
pub const RT_SIGTIMEDWAIT: u32 = 128;
pub const RT_SIGQUEUEINFO: u32 = 129;
pub const RT_SIGSUSPEND: u32 = 130;
pub const TKILL: u32 = 200;
pub const FUTEX: u32 = 202;
/// What an interrupted sleep or futex wait is continued with: hides the real number.
pub const RESTART_SYSCALL: u32 = 219;
pub const CLOCK_NANOSLEEP: u32 = 230;
pub const EXIT_GROUP: u32 = 231;
pub const EPOLL_WAIT: u32 = 232;
pub const TGKILL: u32 = 234;
pub const WAITID: u32 = 247;
pub const PSELECT6: u32 = 270;
pub const PPOLL: u32 = 271;
pub const SPLICE: u32 = 275;
pub const SYNC_FILE_RANGE: u32 = 277;
pub const TEE: u32 = 276;
pub const VMSPLICE: u32 = 278;
pub const EPOLL_PWAIT: u32 = 281;
pub const ACCEPT4: u32 = 288;
pub const DUP3: u32 = 292;
pub const RECVMMSG: u32 = 299;
pub const SENDMMSG: u32 = 307;
pub const EXECVEAT: u32 = 322;
pub const RT_TGSIGQUEUEINFO: u32 = 297;
pub const PIDFD_SEND_SIGNAL: u32 = 424;
pub const CLONE3: u32 = 435;
pub const CLOSE_RANGE: u32 = 436;
pub const EPOLL_PWAIT2: u32 = 441;
pub const FUTEX_WAITV: u32 = 449;
pub const FUTEX_WAKE: u32 = 454;
pub const FUTEX_WAIT: u32 = 455;
pub const FUTEX_REQUEUE: u32 = 456;

pub const EAGAIN: i64 = 11;
pub const ETIMEDOUT: i64 = 110;

/// Returns when what was written is on the device.
pub fn syncs(number: u32) -> bool {
    matches!(number, FSYNC | FDATASYNC | SYNC_FILE_RANGE)
}

pub fn sleeps(number: u32) -> bool {
    matches!(number, NANOSLEEP | CLOCK_NANOSLEEP)
}

/// Waits for one of several descriptors.
pub fn multiplexes(number: u32) -> bool {
    matches!(number, POLL | PPOLL | SELECT | PSELECT6 | EPOLL_WAIT | EPOLL_PWAIT | EPOLL_PWAIT2)
}

pub fn locks(number: u32) -> bool {
    matches!(number, FUTEX | FUTEX_WAIT | FUTEX_WAITV | FUTEX_REQUEUE)
}

pub fn locks_files(number: u32) -> bool {
    matches!(number, FLOCK | FCNTL)
}

pub fn awaits_child(number: u32) -> bool {
    matches!(number, WAIT4 | WAITID)
}

/// Makes a task; blocks only as vfork does, until the child executes something or ends.
pub fn forks(number: u32) -> bool {
    matches!(number, VFORK | FORK | CLONE | CLONE3)
}

pub fn connects(number: u32) -> bool {
    matches!(number, CONNECT | ACCEPT | ACCEPT4)
}

pub fn receives(number: u32) -> bool {
    matches!(number, READ | READV | PREAD64 | RECVFROM | RECVMSG | RECVMMSG | SPLICE)
}

pub fn writes(number: u32) -> bool {
    matches!(number, WRITE | WRITEV | SENDFILE | SPLICE | TEE | VMSPLICE)
}

/// Calls that are made on sockets only.
pub fn sends(number: u32) -> bool {
    matches!(number, SENDTO | SENDMSG | SENDMMSG)
}

/// Wakes who waits in anything that a signal ends, or for one in a descriptor.
pub fn signals(number: u32) -> bool {
    matches!(number, KILL | TKILL | TGKILL | RT_SIGQUEUEINFO | RT_TGSIGQUEUEINFO | PIDFD_SEND_SIGNAL)
}

/// Waits for a signal and for nothing else.
pub fn awaits_signal(number: u32) -> bool {
    matches!(number, PAUSE | RT_SIGTIMEDWAIT | RT_SIGSUSPEND)
}

pub fn exits(number: u32) -> bool {
    matches!(number, EXIT | EXIT_GROUP)
}

pub fn executes(number: u32) -> bool {
    matches!(number, EXECVE | EXECVEAT)
}

/// Can take the last descriptor of something away, so that the other end sees its end.
pub fn closes(number: u32) -> bool {
    matches!(number, CLOSE | CLOSE_RANGE | DUP2 | DUP3 | SHUTDOWN) || exits(number) || executes(number)
}

pub fn wakes_futex(number: u32) -> bool {
    matches!(number, FUTEX | FUTEX_WAKE | FUTEX_REQUEUE) || exits(number)
}
