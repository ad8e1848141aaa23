//! The capabilities of Linux that perfmap has a use for, and this thread's sets of them: read, made smaller, and raised again
//! for a step. Capabilities belong to threads: what is given up here is given up by the thread that calls.
//!
//! Knows nothing of what each is good for; that is said where it is needed (`docs/privileges.md` has the table).

use std::io;

/// Numbers of include/uapi/linux/capability.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Capability {
    Chown = 0,
    DacOverride = 1,
    DacReadSearch = 2,
    FileOwner = 3,
    Kill = 5,
    SetGid = 6,
    SetUid = 7,
    NetAdmin = 12,
    IpcLock = 14,
    SysChroot = 18,
    SysPtrace = 19,
    SysAdmin = 21,
    Syslog = 34,
    PerfMon = 38,
    Bpf = 39,
    CheckpointRestore = 40,
}

impl Capability {
    pub const ALL: [Capability; 16] = [
        Capability::Chown,
        Capability::DacOverride,
        Capability::DacReadSearch,
        Capability::FileOwner,
        Capability::Kill,
        Capability::SetGid,
        Capability::SetUid,
        Capability::NetAdmin,
        Capability::IpcLock,
        Capability::SysChroot,
        Capability::SysPtrace,
        Capability::SysAdmin,
        Capability::Syslog,
        Capability::PerfMon,
        Capability::Bpf,
        Capability::CheckpointRestore,
    ];

    /// As manuals and container runtimes write it, without `CAP_`.
    pub fn short_name(self) -> &'static str {
        match self {
            Capability::Chown => "CHOWN",
            Capability::DacOverride => "DAC_OVERRIDE",
            Capability::DacReadSearch => "DAC_READ_SEARCH",
            Capability::FileOwner => "FOWNER",
            Capability::Kill => "KILL",
            Capability::SetGid => "SETGID",
            Capability::SetUid => "SETUID",
            Capability::NetAdmin => "NET_ADMIN",
            Capability::IpcLock => "IPC_LOCK",
            Capability::SysChroot => "SYS_CHROOT",
            Capability::SysPtrace => "SYS_PTRACE",
            Capability::SysAdmin => "SYS_ADMIN",
            Capability::Syslog => "SYSLOG",
            Capability::PerfMon => "PERFMON",
            Capability::Bpf => "BPF",
            Capability::CheckpointRestore => "CHECKPOINT_RESTORE",
        }
    }
}

impl std::fmt::Display for Capability {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "CAP_{}", self.short_name())
    }
}

/// One bit each, as the kernel counts them; also of capabilities that are not named here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities(u64);

impl Capabilities {
    pub const NONE: Capabilities = Capabilities(0);

    pub const fn of(list: &[Capability]) -> Capabilities {
        let (mut bits, mut at) = (0, 0);
        while at < list.len() {
            bits |= 1 << list[at] as u8;
            at += 1;
        }
        Capabilities(bits)
    }

    pub const fn from_bits(bits: u64) -> Capabilities {
        Capabilities(bits)
    }

    pub fn has(self, one: Capability) -> bool {
        self.0 & (1 << one as u8) != 0
    }

    pub fn with(self, one: Capability) -> Capabilities {
        Capabilities(self.0 | (1 << one as u8))
    }

    pub fn and(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & other.0)
    }

    pub fn or(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 | other.0)
    }

    /// CAP_SYS_ADMIN stands for these two also on kernels that have them.
    pub fn may_load_programs(self) -> bool {
        self.has(Capability::SysAdmin) || self.has(Capability::Bpf) && self.has(Capability::PerfMon)
    }
}

/// This thread's sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sets {
    pub effective: Capabilities,
    pub permitted: Capabilities,
    inheritable: Capabilities,
}

// include/uapi/linux/capability.h
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    /// 0: the calling thread.
    pid: i32,
}

#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

impl Sets {
    pub fn now() -> Sets {
        let (mut header, mut halves) = (Header { version: VERSION_3, pid: 0 }, [Half::default(); 2]);
        // SAFETY: both are laid out as the kernel's for this version and are written before the call returns; where it
        // fails, the sets stay empty.
        unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) };
        let [low, high] = halves;
        let set = |low: u32, high: u32| Capabilities(u64::from(low) | u64::from(high) << 32);
        Sets {
            effective: set(low.effective, high.effective),
            permitted: set(low.permitted, high.permitted),
            inheritable: set(low.inheritable, high.inheritable),
        }
    }

    fn set(self) -> io::Result<()> {
        let mut header = Header { version: VERSION_3, pid: 0 };
        let half = |shift: u32| Half {
            effective: (self.effective.0 >> shift) as u32,
            permitted: (self.permitted.0 >> shift) as u32,
            inheritable: (self.inheritable.0 >> shift) as u32,
        };
        let halves = [half(0), half(32)];
        // SAFETY: as above; the kernel only reads them.
        match unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// What is to be kept of all, so that what is in `wanted` stays and children can still be read: the kernel lets nobody
    /// read a process that may do more than the reader, unless the reader has CAP_SYS_PTRACE. Without it, what a child of
    /// ours can have must stay ours.
    pub fn to_read_children(self, wanted: Capabilities) -> Capabilities {
        if self.permitted.has(Capability::SysPtrace) && wanted.has(Capability::SysPtrace) {
            wanted
        } else if nix::unistd::geteuid().is_root() {
            self.permitted
        } else {
            // The child keeps those of the user's that perfmap has no use for.
            wanted.or(Capabilities(!Capabilities::of(&Capability::ALL).0))
        }
    }
}

/// Gives up all but `wanted`, for good. What was not held does not come.
pub fn keep(wanted: Capabilities) {
    let held = Sets::now();
    let smaller = Sets { effective: held.effective.and(wanted), permitted: held.permitted.and(wanted), ..held };
    let _ = smaller.set(); // giving up is always allowed
}

/// What is permitted comes into effect: a file may give capabilities without that (`setcap …=p`).
pub fn raise() {
    let held = Sets::now();
    if held.effective != held.permitted {
        let _ = Sets { effective: held.permitted, ..held }.set(); // within the permitted ones
    }
}

/// Until what is returned is dropped, only `wanted` is in effect in this thread.
#[must_use]
pub fn lower(wanted: Capabilities) -> Before {
    let held = Sets::now();
    let _ = Sets { effective: held.effective.and(wanted), ..held }.set(); // giving up is always allowed
    Before { effective: held.effective }
}

/// Does one step with all that is permitted in effect: what was lowered is raised for it.
pub fn raised<T>(step: impl FnOnce() -> T) -> T {
    let held = Sets::now();
    let _before = Before { effective: held.effective };
    raise();
    step()
}

/// What was in effect, and is again when this is dropped.
#[derive(Debug)]
pub struct Before {
    effective: Capabilities,
}

impl Drop for Before {
    fn drop(&mut self) {
        let now = Sets::now();
        let effective = self.effective.and(now.permitted);
        if effective != now.effective {
            let _ = Sets { effective, ..now }.set(); // within the permitted ones
        }
    }
}

/// What any program of this process and its descendants can ever have: a container's limit.
pub fn bounding() -> Capabilities {
    // SAFETY: numbers only.
    let within = |one: Capability| unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(one as u8)) == 1 };
    Capability::ALL.into_iter().filter(|one| within(*one)).fold(Capabilities::NONE, Capabilities::with)
}

/// In a child before its execve: the capabilities that perfmap was given for its own work are not the command's. Those that
/// perfmap has no use for stay, and so does the inheritable set, which counts only where the program's file says so.
///
/// # Safety
/// Async-signal-safe: system calls with numbers alone.
pub(super) unsafe fn leave_own_behind() {
    for one in Capability::ALL {
        // SAFETY: numbers only. Where it was not ambient, nothing is to be lowered.
        unsafe {
            libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_LOWER, libc::c_ulong::from(one as u8), 0, 0);
        }
    }
}

/// For a program that is not the target but runs with its rights: perfmap's ambient capabilities do not reach it.
pub fn without_own(command: &mut std::process::Command) {
    let before_execve = || {
        // SAFETY: between fork and execve, where it is made for.
        unsafe { leave_own_behind() };
        Ok(())
    };
    // SAFETY: the closure makes system calls with numbers alone.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, before_execve) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambient_capabilities_stay_behind() {
        // Ambient capabilities are a thread's own: those of the test runner stay as they are.
        let thread = std::thread::spawn(|| {
            let held = Sets::now();
            if !held.permitted.has(Capability::SysPtrace) {
                return eprintln!("not run: without CAP_SYS_PTRACE");
            }
            let wanted = held.inheritable.with(Capability::SysPtrace);
            Sets { inheritable: wanted, ..held }.set().expect("inheritable");
            // SAFETY: numbers only.
            let raised = unsafe {
                let one = libc::c_ulong::from(Capability::SysPtrace as u8);
                libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, one, 0, 0)
            };
            assert_eq!(raised, 0);
            let ambient = |own: bool| {
                let mut command = std::process::Command::new("grep");
                command.args(["CapAmb", "/proc/self/status"]);
                if !own {
                    without_own(&mut command);
                }
                let told = command.output().expect("grep runs").stdout;
                let text = String::from_utf8_lossy(&told).into_owned();
                u64::from_str_radix(text.trim().trim_start_matches("CapAmb:").trim(), 16).expect("a number")
            };
            let bit = 1u64 << Capability::SysPtrace as u8;
            assert_eq!((ambient(true) & bit, ambient(false)), (bit, 0));
        });
        thread.join().expect("no panic");
    }

    #[test]
    fn bits_and_names() {
        let both = Capabilities::of(&[Capability::Bpf, Capability::PerfMon]);
        assert_eq!(both, Capabilities::from_bits(0xc0_0000_0000));
        assert!(
            both.may_load_programs()
                && !both.has(Capability::Kill)
                && both.with(Capability::Kill).has(Capability::Kill)
        );
        assert!(!Capabilities::of(&[Capability::Bpf]).may_load_programs());
        assert!(Capabilities::of(&[Capability::SysAdmin]).may_load_programs());
        assert_eq!(Capability::DacReadSearch.to_string(), "CAP_DAC_READ_SEARCH");
        let mut all = Capability::ALL;
        all.sort_unstable();
        assert_eq!(all, Capability::ALL, "in the kernel's order, each once");
    }

    #[test]
    fn the_kernel_says_the_same() {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("status");
        let line = |name: &str| {
            let text = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
            Capabilities(u64::from_str_radix(text.trim(), 16).expect("a number"))
        };
        let held = Sets::now();
        assert_eq!((held.effective, held.permitted), (line("CapEff:"), line("CapPrm:")));
    }

    #[test]
    fn what_is_given_up_is_gone_and_what_is_lowered_comes_back() {
        // Capabilities are a thread's own: those of the test runner stay as they are.
        let thread = std::thread::spawn(|| {
            let before = Sets::now();
            {
                let _before = lower(before.permitted.and(Capabilities::of(&[Capability::SysPtrace])));
                let low = Sets::now();
                assert_eq!(low.permitted, before.permitted);
                assert_eq!(low.effective.0 & !before.effective.0, 0);
                raised(|| assert_eq!(Sets::now().effective, before.permitted));
                assert_eq!(Sets::now(), low);
                raise();
                assert_eq!(Sets::now().effective, before.permitted);
            }
            assert_eq!(Sets::now(), before);
            let wanted = Capabilities::of(&[Capability::SysPtrace, Capability::DacReadSearch]);
            keep(wanted);
            let kept = Sets::now();
            assert_eq!((kept.effective, kept.permitted), (before.effective.and(wanted), before.permitted.and(wanted)));
            raised(|| assert_eq!(Sets::now().permitted, kept.permitted));
        });
        thread.join().expect("no panic");
    }

    #[test]
    fn nothing_is_given_up_that_a_child_could_have() {
        let held = |list: &[Capability]| {
            let set = Capabilities::of(list);
            Sets { effective: set, permitted: set, inheritable: Capabilities::NONE }
        };
        let wanted = Capabilities::of(&[Capability::SysPtrace, Capability::Kill]);
        assert_eq!(held(&[Capability::SysPtrace, Capability::Bpf]).to_read_children(wanted), wanted);
        let without = held(&[Capability::Bpf, Capability::Kill]);
        let kept = without.permitted.and(without.to_read_children(wanted));
        let as_root = nix::unistd::geteuid().is_root();
        assert_eq!(kept, if as_root { without.permitted } else { Capabilities::of(&[Capability::Kill]) });
    }
}
