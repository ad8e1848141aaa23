//! The environment that the invoking user's shell had → the one that the target gets.
//!
//! sudo replaces PATH and HOME and drops nearly all else, so a command measured under sudo would find another Python
//! than the same command typed plainly. The kernel still has what the shell handed to sudo: `/proc/PID/environ` of
//! the sudo process itself. That is better than the shell's own record, which shows the environment as the shell was
//! started: variables exported later (an activated virtual environment) are only in what it passed on. Also LD_* are
//! there: glibc removes them from a set-user-id program's variables, not from the kernel's record.
//! Nothing here can raise privileges: the result is given only to a process that already runs as that very user.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::Read,
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use super::identity::Identity;

/// The kernel lets argv and environment have a quarter of the stack limit, 2 MiB as a rule.
const ENVIRONMENT_LIMIT: u64 = 4 << 20;
/// Shell, sudo, its monitor, wrappers: real chains have under ten links.
const CHAIN_LIMIT: usize = 64;

/// Where the target's environment comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// perfmap's own.
    Own,
    /// What the user's shell handed to sudo.
    Sudo,
    /// What the user's nearest process was started with.
    Shell,
    /// Neither could be read: perfmap's own under sudo's rules, with the account's entries put right.
    Account,
}

/// What sudo sets by itself: not the user's wish, whatever it says.
const SET_BY_SUDO: [&str; 6] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "MAIL"];
/// A user's PATH where nothing was recovered and sudo's own is all there is.
const PLAIN_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Environment of the nearest ancestor that belongs to the user, by way of the process that it started (sudo).
pub(super) fn of_invoker(uid: u32) -> (Option<Vec<(OsString, OsString)>>, Source) {
    let mut started_by_user = None;
    let mut pid = std::process::id();
    for _ in 0..CHAIN_LIMIT {
        let Some(status) = read_status(pid) else { break };
        if status.uids.iter().all(|id| *id == uid) {
            if let Some(found) = started_by_user.and_then(read_environment) {
                return (Some(found), Source::Sudo);
            }
            if let Some(found) = read_environment(pid) {
                return (Some(found), Source::Shell);
            }
            break;
        }
        if status.parent == 0 {
            break;
        }
        // perfmap's own record is sudo's doing.
        started_by_user = (pid != std::process::id()).then_some(pid);
        pid = status.parent;
    }
    (None, Source::Account)
}

pub(super) struct Status {
    pub parent: u32,
    /// Real, effective, saved, file system.
    pub uids: [u32; 4],
}

fn read_status(pid: u32) -> Option<Status> {
    let mut text = String::new();
    File::open(format!("/proc/{pid}/status")).ok()?.take(64 << 10).read_to_string(&mut text).ok()?;
    parse_status(&text)
}

/// The name in the first line is the process's own choice; the kernel escapes line breaks in it.
pub(super) fn parse_status(text: &str) -> Option<Status> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let parent = field("PPid:")?.trim().parse().ok()?;
    let mut numbers = field("Uid:")?.split_ascii_whitespace().map(str::parse::<u32>);
    let mut next = || numbers.next()?.ok();
    Some(Status { parent, uids: [next()?, next()?, next()?, next()?] })
}

fn read_environment(pid: u32) -> Option<Vec<(OsString, OsString)>> {
    let mut bytes = Vec::new();
    File::open(format!("/proc/{pid}/environ")).ok()?.take(ENVIRONMENT_LIMIT).read_to_end(&mut bytes).ok()?;
    let parsed = parse_environment(&bytes);
    (!parsed.is_empty()).then_some(parsed)
}

/// Entries without `=` or with an empty name are no variables and go. The first of two equal names counts, as in
/// getenv.
pub(super) fn parse_environment(bytes: &[u8]) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for entry in bytes.split(|byte| *byte == 0) {
        let Some(split) = entry.iter().position(|byte| *byte == b'=') else { continue };
        let (name, value) = (&entry[..split], &entry[split + 1..]);
        if !name.is_empty() && seen.insert(name) {
            variables.push((OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec())));
        }
    }
    variables
}

/// The recovered environment is the ground; what perfmap itself was given on top of it (`sudo NAME=value perfmap …`)
/// wins, except what sudo sets for every command; the account fills what is still missing.
pub(super) fn rebuild(
    own: &[(OsString, OsString)],
    recovered: Option<&[(OsString, OsString)]>,
    user: &Identity,
) -> Vec<(OsString, OsString)> {
    let mut result: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |name: &OsStr, value: &OsStr, replace: bool| {
        if name.as_bytes().starts_with(b"SUDO_") {
            return;
        }
        match result.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) if replace => *old = value.to_owned(),
            Some(_) => {}
            None => result.push((name.to_owned(), value.to_owned())),
        }
    };
    for (name, value) in recovered.unwrap_or_default() {
        set(name, value, false);
    }
    for (name, value) in own {
        if !SET_BY_SUDO.iter().any(|reset| name == reset) {
            set(name, value, true);
        }
    }
    let mail = format!("/var/mail/{}", user.name);
    let account: [(&str, &OsStr); 6] = [
        ("HOME", user.home.as_os_str()),
        ("USER", OsStr::new(&user.name)),
        ("LOGNAME", OsStr::new(&user.name)),
        ("SHELL", user.shell.as_os_str()),
        ("MAIL", OsStr::new(&mail)),
        ("PATH", OsStr::new(PLAIN_PATH)),
    ];
    // The account's entries name the person: a record that names another one (su inside the chain) is not believed.
    let named = recovered.is_some_and(|all| all.iter().any(|(key, value)| key == "USER" && *value == *user.name));
    for (name, value) in account {
        set(OsStr::new(name), value, name != "PATH" && !named);
    }
    result
}
