//! From fork to execve: what the child does, with everything allocated beforehand.
//!
//! Between fork and execve only async-signal-safe calls are allowed: another thread may have held the allocator's lock
//! at the fork. So this file builds all strings and pointer lists first, and the child only makes system calls.

use std::{
    ffi::{CString, OsStr},
    os::{fd::RawFd, unix::ffi::OsStrExt},
    ptr,
};

use super::{capabilities, command::Command, output::Ends, program};

/// What the child writes into the status pipe when it could not execute; nothing when it could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub stage: Stage,
    pub errno: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Identity,
    WorkingDirectory,
    Execute,
}

impl Refusal {
    pub(super) const SIZE: usize = 5;

    fn bytes(self) -> [u8; Self::SIZE] {
        let [a, b, c, d] = self.errno.to_ne_bytes();
        [self.stage as u8, a, b, c, d]
    }

    pub(super) fn parse(bytes: [u8; Self::SIZE]) -> Refusal {
        let [stage, a, b, c, d] = bytes;
        let stage = match stage {
            0 => Stage::Identity,
            1 => Stage::WorkingDirectory,
            _ => Stage::Execute,
        };
        Refusal { stage, errno: i32::from_ne_bytes([a, b, c, d]) }
    }
}

/// A string with a zero byte inside cannot be passed to execve.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ZeroByte;

/// The child's orders.
pub(super) struct Orders {
    /// Owners of the strings that the pointer lists below point into.
    _strings: Vec<CString>,
    attempts: Vec<CString>,
    /// Null-terminated.
    argv: Vec<*const libc::c_char>,
    /// `/bin/sh FILE argument…` for files without a format that the kernel knows, as execvp does it (POSIX).
    shell_argv: Vec<*const libc::c_char>,
    environment: Vec<*const libc::c_char>,
    working_directory: Option<CString>,
    identity: Option<(u32, u32, Vec<u32>)>,
    stdout_to_stderr: bool,
    output: Option<Ends>,
}

const SHELL: &std::ffi::CStr = c"/bin/sh";

impl Orders {
    pub(super) fn prepare(command: &Command) -> Result<Orders, ZeroByte> {
        let text = |bytes: &OsStr| CString::new(bytes.as_bytes()).map_err(|_| ZeroByte);
        let arguments = command.argv.iter().map(|word| text(word)).collect::<Result<Vec<_>, _>>()?;
        let variables = command
            .environment
            .iter()
            .map(|(name, value)| {
                let mut entry = name.clone();
                entry.push("=");
                entry.push(value);
                text(&entry)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let attempts =
            program::candidates(command).iter().map(|path| text(path.as_os_str())).collect::<Result<Vec<_>, _>>()?;
        let terminated = |strings: &[CString]| -> Vec<*const libc::c_char> {
            strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
        };
        let argv = terminated(&arguments);
        let mut shell_argv = vec![SHELL.as_ptr(), ptr::null()];
        shell_argv.extend(argv.iter().skip(1));
        let environment = terminated(&variables);
        // As the user a directory may not be reachable by its path that is fine to stay in: no call where not needed.
        let elsewhere = std::env::current_dir().map_or(true, |current| current != command.working_directory);
        let working_directory = if elsewhere { Some(text(command.working_directory.as_os_str())?) } else { None };
        let identity = command.identity.as_ref().map(|user| (user.uid, user.gid, user.groups.clone()));
        let _strings = arguments.into_iter().chain(variables).collect();
        let (stdout_to_stderr, output) = (command.stdout_to_stderr, command.output);
        Ok(Orders {
            _strings,
            attempts,
            argv,
            shell_argv,
            environment,
            working_directory,
            identity,
            stdout_to_stderr,
            output,
        })
    }

    /// The child's whole life before its program.
    ///
    /// # Safety
    /// To be called only in a child straight after fork, with all signals blocked. The descriptors must be open.
    pub(super) unsafe fn carry_out(&mut self, pipes: Pipes, mask: &libc::sigset_t) -> ! {
        // SAFETY: system calls on valid pointers into `self`, which the child has as its own copy; nothing allocates,
        // locks or unwinds; the process ends in execve or _exit.
        unsafe {
            libc::close(pipes.go_write);
            libc::close(pipes.status_read);
            libc::setpgid(0, 0);
            restore_signals(mask);
            if let Some(Ends { stdout, stderr }) = self.output {
                for (end, stream) in [(stdout, libc::STDOUT_FILENO), (stderr, libc::STDERR_FILENO)] {
                    if let Some(end) = end {
                        libc::dup2(end, stream);
                    }
                }
            }
            if self.stdout_to_stderr {
                libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO);
            }
            capabilities::leave_own_behind();
            let refusal = match self.become_user() {
                Ok(()) => {
                    if !released(pipes.go_read) {
                        libc::_exit(0);
                    }
                    Refusal { stage: Stage::Execute, errno: self.execute() }
                }
                Err(refusal) => refusal,
            };
            let bytes = refusal.bytes();
            libc::write(pipes.status_write, bytes.as_ptr().cast(), bytes.len());
            libc::_exit(127)
        }
    }

    /// Raw system calls: the C library's versions make every thread follow, with locks that the fork may have caught.
    ///
    /// # Safety
    /// As for `carry_out`.
    unsafe fn become_user(&self) -> Result<(), Refusal> {
        if let Some((uid, gid, groups)) = &self.identity {
            // Groups first: after setresuid there is no right left to change them.
            // SAFETY: the group list outlives the call; the other arguments are numbers.
            let failed = unsafe {
                libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) != 0
                    || libc::syscall(libc::SYS_setresgid, *gid, *gid, *gid) != 0
                    || libc::syscall(libc::SYS_setresuid, *uid, *uid, *uid) != 0
            };
            if failed {
                return Err(Refusal { stage: Stage::Identity, errno: errno() });
            }
        }
        match &self.working_directory {
            // SAFETY: a terminated string.
            Some(directory) if unsafe { libc::chdir(directory.as_ptr()) } != 0 => {
                Err(Refusal { stage: Stage::WorkingDirectory, errno: errno() })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Comes back only with the reason why nothing could be executed: execvp's rules.
    ///
    /// # Safety
    /// As for `carry_out`.
    unsafe fn execute(&mut self) -> i32 {
        let mut refused = libc::ENOENT;
        for path in &self.attempts {
            // SAFETY: terminated strings and null-terminated lists of them.
            unsafe { libc::execve(path.as_ptr(), self.argv.as_ptr(), self.environment.as_ptr()) };
            match errno() {
                libc::ENOEXEC => {
                    if let Some(slot) = self.shell_argv.get_mut(1) {
                        *slot = path.as_ptr();
                    }
                    // SAFETY: as above; the list has `/bin/sh`, the file, and the arguments.
                    unsafe { libc::execve(SHELL.as_ptr(), self.shell_argv.as_ptr(), self.environment.as_ptr()) };
                    return libc::ENOEXEC;
                }
                libc::EACCES => refused = libc::EACCES,
                libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
                other => return other,
            }
        }
        refused
    }
}

/// Both pipes, as the child sees them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pipes {
    pub go_read: RawFd,
    pub go_write: RawFd,
    pub status_read: RawFd,
    pub status_write: RawFd,
}

/// True when the parent let us go; false when it is gone.
///
/// # Safety
/// As for `carry_out`.
unsafe fn released(go: RawFd) -> bool {
    let mut byte = 0_u8;
    loop {
        // SAFETY: one byte of room.
        match unsafe { libc::read(go, (&raw mut byte).cast(), 1) } {
            1 => return true,
            -1 if errno() == libc::EINTR => {}
            _ => return false,
        }
    }
}

/// perfmap's handlers go (they would swallow what kills a held child); what was ignored when perfmap started stays
/// ignored (nohup). SIGPIPE is the exception: Rust ignores it at start-up, whatever it was before.
///
/// # Safety
/// As for `carry_out`.
unsafe fn restore_signals(mask: &libc::sigset_t) {
    for signal in 1..=64 {
        // SAFETY: `old` is written by the first call before it is read; signals that do not exist answer EINVAL.
        unsafe {
            let mut old: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, ptr::null(), &mut old) != 0 {
                continue;
            }
            if old.sa_sigaction == libc::SIG_IGN && signal != libc::SIGPIPE {
                continue;
            }
            let mut plain: libc::sigaction = std::mem::zeroed();
            plain.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(signal, &plain, ptr::null_mut());
        }
    }
    // SAFETY: a valid signal set.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}

fn errno() -> i32 {
    // SAFETY: the address of this thread's errno is always valid.
    unsafe { *libc::__errno_location() }
}
