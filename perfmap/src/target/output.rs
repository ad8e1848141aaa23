//! The command's output on its way through perfmap: read as it comes, passed on byte by byte to where it would have
//! gone, and shown to whoever counts progress in it.
//!
//! A terminal stays a terminal: where perfmap's own stream is one, the command gets a pseudo terminal with the same
//! settings and size, which changes no byte. A pipe stays a pipe; a file becomes one. Both streams in one place stay in
//! their order. Only where it was asked for: without it the command has perfmap's own streams.

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use nix::{
    fcntl::{FcntlArg, FdFlag, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::{Winsize, openpty},
    sys::{
        stat::fstat,
        termios::{OutputFlags, SetArg, tcgetattr, tcsetattr},
    },
    unistd::{Gid, Uid, dup, fchown, isatty, pipe2},
};

use super::Identity;
use crate::recording::Nanos;

/// How often it is looked whether the window has another size, or all is over.
const LOOK_MS: u8 = 100;
const PIECE: usize = 64 << 10;
/// So often nothing more must come, 10 ms apart, before what has ended is taken to have said all.
const QUIET: u32 = 2;

/// What the command gets as standard output and standard error; numbers of descriptors that live as long as the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub stdout: Option<RawFd>,
    pub stderr: Option<RawFd>,
}

/// Gets each piece: when it was read (CLOCK_MONOTONIC), which of the streams it came from, the bytes.
pub type Listener = Box<dyn FnMut(Nanos, usize, &[u8]) + Send>;

#[derive(Debug)]
pub struct Relay {
    ends: Ends,
    /// Open until the command has its own copies and has ended.
    given: Vec<OwnedFd>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Stream {
    /// None once nobody takes it, or nothing comes any more.
    from: Option<File>,
    to: File,
    /// The sizes of its window are passed on too.
    terminal: Option<OwnedFd>,
}

impl Relay {
    /// `identity`: whom the pseudo terminal is to belong to.
    pub fn begin(identity: Option<&Identity>, mut listener: Listener) -> std::io::Result<Relay> {
        let (out, err) = (std::io::stdout(), std::io::stderr());
        let same = place(out.as_fd()).is_some() && place(out.as_fd()) == place(err.as_fd());
        let (mut streams, mut given) = (Vec::new(), Vec::new());
        let mut add = |own: BorrowedFd<'_>| -> std::io::Result<Option<RawFd>> {
            if place(own).is_none() {
                return Ok(None);
            }
            let (stream, end) = stream(own, identity)?;
            let number = end.as_raw_fd();
            streams.push(stream);
            given.push(end);
            Ok(Some(number))
        };
        let stdout = add(out.as_fd())?;
        let stderr = if same { stdout } else { add(err.as_fd())? };
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = std::thread::Builder::new()
            .name("output".into())
            .spawn(move || pass_on(&mut streams, &told, &mut listener))?;
        Ok(Relay { ends: Ends { stdout, stderr }, given, over, thread: Some(thread) })
    }

    pub fn ends(&self) -> Ends {
        self.ends
    }

    /// After the command's end: passes on what is still there. What a process that it left behind writes later finds
    /// nobody.
    pub fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.given.clear();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end();
    }
}

/// What tells two descriptors of one place; None where it is closed.
fn place(fd: BorrowedFd<'_>) -> Option<(u64, u64, u64)> {
    fstat(fd).ok().map(|facts| (facts.st_dev, facts.st_ino, facts.st_rdev))
}

fn stream(own: BorrowedFd<'_>, identity: Option<&Identity>) -> std::io::Result<(Stream, OwnedFd)> {
    let to = File::from(dup(own)?);
    close_on_exec(&to)?;
    let (from, end, terminal) = if isatty(own).unwrap_or(false) {
        let settings = tcgetattr(own)?;
        let pair = openpty(window(own).as_ref(), Some(&settings))?;
        close_on_exec(&pair.master)?;
        close_on_exec(&pair.slave)?;
        // The user's own terminal turns line feeds into what it needs: doing it twice would change the bytes.
        let mut raw = settings;
        raw.output_flags.remove(OutputFlags::OPOST);
        tcsetattr(&pair.slave, SetArg::TCSANOW, &raw)?;
        if let Some(user) = identity {
            fchown(&pair.slave, Some(Uid::from_raw(user.uid)), Some(Gid::from_raw(user.gid)))?;
        }
        let again = dup(&pair.master)?;
        close_on_exec(&again)?;
        (pair.master, pair.slave, Some(again))
    } else {
        let (from, end) = pipe2(OFlag::O_CLOEXEC)?;
        (from, end, None)
    };
    fcntl(&from, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((Stream { from: Some(File::from(from)), to, terminal }, end))
}

fn close_on_exec(fd: impl AsFd) -> std::io::Result<()> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    Ok(())
}

nix::ioctl_read_bad!(get_window, nix::libc::TIOCGWINSZ, Winsize);
nix::ioctl_write_ptr_bad!(set_window, nix::libc::TIOCSWINSZ, Winsize);

fn window(fd: BorrowedFd<'_>) -> Option<Winsize> {
    let mut size = Winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: an open descriptor, and a structure of the size that the request writes.
    unsafe { get_window(fd.as_raw_fd(), &mut size) }.ok().map(|_| size)
}

fn pass_on(streams: &mut [Stream], over: &AtomicBool, listener: &mut Listener) {
    let mut buffer = vec![0; PIECE];
    // The kernel brings what was written to a pseudo terminal to its other side a moment later.
    let mut quiet = 0;
    loop {
        // Asked first: what was written before the end is then still read.
        let last = over.load(Ordering::Acquire);
        let mut came = false;
        for (index, stream) in streams.iter_mut().enumerate() {
            came |= piece(stream, index, &mut buffer, listener);
            resize(stream);
        }
        quiet = if came || !last { 0 } else { quiet + 1 };
        if quiet > QUIET {
            return;
        }
        if !came {
            wait(streams, if last { 10 } else { LOOK_MS });
        }
    }
}

/// True where something came. A listener that is slow makes the command wait, as a slow reader of its output would.
fn piece(stream: &mut Stream, index: usize, buffer: &mut [u8], listener: &mut Listener) -> bool {
    let Some(from) = &mut stream.from else { return false };
    match from.read(buffer) {
        Ok(count) if count > 0 => {
            let bytes = buffer.get(..count).unwrap_or_default();
            listener(now(), index, bytes);
            if stream.to.write_all(bytes).is_err() {
                // Nobody reads it: the command learns it from its next write, as it would without us.
                stream.from = None;
            }
            true
        }
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => false,
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => true,
        // The end of a pipe; a pseudo terminal says EIO as long as nobody has it open, which may change.
        Ok(_) | Err(_) => false,
    }
}

fn resize(stream: &Stream) {
    let Some(terminal) = &stream.terminal else { return };
    if let Some(size) = window(stream.to.as_fd())
        && window(terminal.as_fd()) != Some(size)
    {
        // SAFETY: an open descriptor, and a structure of the size that the request reads.
        let _ = unsafe { set_window(terminal.as_raw_fd(), &size) };
    }
}

fn wait(streams: &[Stream], most_ms: u8) {
    let mut polled: Vec<PollFd<'_>> = streams
        .iter()
        .filter_map(|stream| stream.from.as_ref())
        .map(|from| PollFd::new(from.as_fd(), PollFlags::POLLIN))
        .collect();
    let found = poll(&mut polled, PollTimeout::from(most_ms));
    // All ends are closed, or nothing can be waited for: no busy loop.
    let hung = |one: &PollFd<'_>| one.revents().is_some_and(|seen| !seen.contains(PollFlags::POLLIN));
    if found.is_err() || found == Ok(0) && polled.is_empty() || found != Ok(0) && polled.iter().all(hung) {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn now() -> Nanos {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    Nanos(time.map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64))
}
