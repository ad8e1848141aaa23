//! A process that exists, with its final user and process group, and has not executed the command yet.
//!
//! It waits on a pipe. Closing the pipe without a word, as the kernel does when perfmap dies, makes it exit; after the
//! release nothing ties it to perfmap any more.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use super::{
    command::Command,
    fork::{Orders, Pipes, Refusal, Stage},
    program::{self, NotFound},
    running::{Remote, Running},
    terminal::Foreground,
};

#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("{program}: command not found")]
    NotFound { program: String, nearest: Vec<String> },
    #[error("{program}: cannot be executed: {reason}")]
    NotExecutable { program: String, reason: String },
    #[error("{program}: could not be started: {what}: {error}")]
    Failed { program: String, what: &'static str, error: std::io::Error },
}

impl LaunchError {
    /// The exit code that a shell would give.
    pub fn exit_code(&self) -> u8 {
        match self {
            LaunchError::NotFound { .. } => 127,
            LaunchError::NotExecutable { .. } | LaunchError::Failed { .. } => 126,
        }
    }
}

#[derive(Debug)]
pub struct Held {
    command: Command,
    remote: Remote,
    /// Write end: one byte lets the child go. None once used.
    go: Option<File>,
    /// Read end: the child's refusal, or end of file at execve.
    status: File,
}

impl Held {
    pub fn spawn(command: &Command) -> Result<Held, LaunchError> {
        let program = program_name(command);
        let failed =
            |what: &'static str, error: std::io::Error| LaunchError::Failed { program: program.clone(), what, error };
        let mut orders = Orders::prepare(command).map_err(|_| {
            failed("an argument or a variable contains a zero byte", std::io::ErrorKind::InvalidInput.into())
        })?;
        let (go_read, go_write) = pipe().map_err(|error| failed("pipe", error))?;
        let (status_read, status_write) = pipe().map_err(|error| failed("pipe", error))?;
        let pipes = Pipes {
            go_read: go_read.as_raw_fd(),
            go_write: go_write.as_raw_fd(),
            status_read: status_read.as_raw_fd(),
            status_write: status_write.as_raw_fd(),
        };
        let pid = fork(&mut orders, pipes).map_err(|error| failed("fork", error))?;
        drop((go_read, status_write));
        // Both sides do it, so that the group exists whoever runs first.
        // SAFETY: numbers only. Fails harmlessly when the child has been quicker.
        unsafe { libc::setpgid(pid, pid) };
        let remote = Remote::open(pid).map_err(|error| failed("pidfd_open", error))?;
        Ok(Held { command: command.clone(), remote, go: Some(go_write), status: status_read })
    }

    pub fn pid(&self) -> u32 {
        self.remote.pid()
    }

    /// For signalling the process before and after the release.
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Lets it execute, and comes back when it has.
    pub fn release(mut self) -> Result<Running, LaunchError> {
        let foreground = Foreground::hand_to(self.remote.pid());
        if let Some(mut go) = self.go.take() {
            // A child that was killed while held leaves a broken pipe: then the wait below tells its ending.
            let _ = go.write_all(&[1]);
        }
        let mut bytes = Vec::new();
        let _ = Read::by_ref(&mut self.status).take(Refusal::SIZE as u64).read_to_end(&mut bytes);
        match <[u8; Refusal::SIZE]>::try_from(bytes) {
            Ok(bytes) => {
                self.remote.reap();
                drop(foreground);
                Err(self.refused(Refusal::parse(bytes)))
            }
            Err(_) => Ok(Running::new(self.remote.clone(), foreground)),
        }
    }

    fn refused(&self, refusal: Refusal) -> LaunchError {
        let program = program_name(&self.command);
        let error = std::io::Error::from_raw_os_error(refusal.errno);
        let what = match refusal.stage {
            Stage::Identity => "changing to the invoking user",
            Stage::WorkingDirectory => "entering the working directory",
            Stage::Execute => return refused_execve(&self.command, program, error),
        };
        LaunchError::Failed { program, what, error }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Never released: end of file makes it exit, and no zombie is left.
        if self.go.take().is_some() {
            self.remote.reap();
        }
    }
}

impl From<(&Command, NotFound)> for LaunchError {
    fn from((command, cause): (&Command, NotFound)) -> Self {
        match cause {
            NotFound::Missing { nearest } => LaunchError::NotFound { program: program_name(command), nearest },
            NotFound::NotExecutable { path } => LaunchError::NotExecutable {
                program: path.display().to_string(),
                reason: if path.is_dir() { "is a directory".into() } else { "permission denied".into() },
            },
        }
    }
}

fn refused_execve(command: &Command, program: String, error: std::io::Error) -> LaunchError {
    match error.raw_os_error() {
        // A script whose interpreter is missing also answers ENOENT: the file is there, so the shell's text would lie.
        Some(libc::ENOENT | libc::ENOTDIR) => match program::find(command) {
            Ok(path) => LaunchError::NotExecutable {
                program: path.display().to_string(),
                reason: "its interpreter (first line, or dynamic loader) does not exist".into(),
            },
            Err(cause) => LaunchError::from((command, cause)),
        },
        Some(libc::EACCES | libc::EPERM | libc::ENOEXEC | libc::EISDIR | libc::ELIBBAD) => {
            LaunchError::NotExecutable { program, reason: error.to_string() }
        }
        _ => LaunchError::Failed { program, what: "execve", error },
    }
}

fn program_name(command: &Command) -> String {
    command.argv.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
}

fn pipe() -> std::io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: fresh descriptors that nobody else owns.
    let [read, write] = ends.map(|end| File::from(unsafe { OwnedFd::from_raw_fd(end) }));
    Ok((read, write))
}

/// All signals are blocked around the fork, so that none of perfmap's handlers runs in the child.
fn fork(orders: &mut Orders, pipes: Pipes) -> std::io::Result<i32> {
    // SAFETY: the sets are written before they are read; the child branch never returns.
    unsafe {
        // With SIGCHLD ignored the kernel reaps children by itself, and their pids could be reused under us.
        let mut chld: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGCHLD, std::ptr::null(), &mut chld) == 0 && chld.sa_sigaction == libc::SIG_IGN {
            chld.sa_sigaction = libc::SIG_DFL;
            libc::sigaction(libc::SIGCHLD, &chld, std::ptr::null_mut());
        }
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let pid = libc::fork();
        if pid == 0 {
            orders.carry_out(pipes, &before);
        }
        let error = std::io::Error::last_os_error();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        if pid < 0 { Err(error) } else { Ok(pid) }
    }
}
