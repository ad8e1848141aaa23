//! What user space tells the probes, once and while they run.

/// Settings that are written into the object before it is loaded (`settings` in .rodata).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Blocks at least this long are recorded one by one.
    pub wait_threshold_ns: u64,
    /// Short waits of a task are written out at least this often while it goes on having them.
    pub short_waits_every_ns: u64,
    /// File I/O sums of a task are written out at least this often while it goes on.
    pub file_io_every_ns: u64,
    /// 1: count only (baseline runs): no stacks, no waits.
    pub counting_only: u32,
    /// `Follow`.
    pub follow: u32,
    /// By whose numbers processes and threads are called: inode of a PID namespace; 0: the machine's own.
    pub pid_namespace: u32,
    /// For tests: of so many times that a task gets a CPU one goes by unseen; 0: none.
    pub lose_arrivals: u32,
}

/// What may change while the target runs: the one value of the `live` map, written before the first probe is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct LiveSettings {
    /// Blocks at least this long are recorded one by one; not below `Settings::wait_threshold_ns`.
    pub wait_threshold_ns: u64,
    /// Most bytes of a message's head that are copied, at most `MAX_PAYLOAD_BYTES`.
    pub payload_bytes: u32,
    /// Most bytes of user stack that are copied, at most `MAX_STACK_BYTES`.
    pub stack_bytes: u32,
    /// Of so many turns of one socket one has its stack taken, the first among them.
    pub turn_every: u32,
    /// Of so many ticks of the sampling clock one is taken.
    pub sample_every: u32,
}
