//! sudo's variables and the password database → the user who typed the command.
//!
//! perfmap needs root, its target must not: files that a test writes as root stay behind and break the next plain
//! run. `SUDO_UID` is believed only where the password database knows that user.

use std::{
    ffi::{CString, OsString},
    path::PathBuf,
};

use nix::unistd::{Gid, Uid, User};

use super::environment::{self, Source};

/// An account to run as and to own the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    pub name: String,
    pub home: PathBuf,
    pub shell: PathBuf,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdentityError {
    #[error("{variable} is {value:?}, which is not a user or group number")]
    NotANumber { variable: &'static str, value: String },
    #[error("SUDO_UID is {0}, but no such user exists on this machine")]
    NoSuchUser(u32),
    #[error("SUDO_USER is {claimed:?}, but user number {uid} is called {actual:?}")]
    OtherName { claimed: String, uid: u32, actual: String },
    #[error("the user database could not be read: {0}")]
    Database(nix::Error),
}

/// Who runs the target, and with which environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// None: the target runs as perfmap itself does.
    pub identity: Option<Identity>,
    pub environment: Vec<(OsString, OsString)>,
    /// Where the environment was taken from.
    pub source: Source,
    /// Owner of what perfmap writes: the invoking user also where `--as-root` keeps the target at root.
    pub owner: Option<(u32, u32)>,
}

impl Invocation {
    /// The invocation that perfmap's own process shows.
    pub fn of_this_process(as_root: bool) -> Result<Invocation, IdentityError> {
        let own: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let invoking = if nix::unistd::geteuid().is_root() { invoking_user(&own)? } else { None };
        let owner = invoking.as_ref().map(|user| (user.uid, user.gid));
        let Some(user) = invoking else {
            return Ok(Invocation { identity: None, environment: own, source: Source::Own, owner });
        };
        if as_root {
            return Ok(Invocation { identity: None, environment: own, source: Source::Own, owner });
        }
        let (recovered, source) = environment::of_invoker(user.uid);
        let environment = environment::rebuild(&own, recovered.as_deref(), &user);
        Ok(Invocation { identity: Some(user), environment, source, owner })
    }
}

/// The numbers that sudo left, before the password database is asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub uid: u32,
    pub gid: Option<u32>,
    pub name: Option<String>,
}

/// None: not under sudo, or root itself ran sudo.
pub(super) fn claim(environment: &[(OsString, OsString)]) -> Result<Option<Claim>, IdentityError> {
    let text = |name: &str| {
        environment.iter().find(|(key, _)| key == name).map(|(_, value)| value.to_string_lossy().into_owned())
    };
    let number = |variable: &'static str| match text(variable) {
        None => Ok(None),
        Some(value) => match value.parse::<u32>() {
            // u32::MAX means "leave unchanged" to the kernel: as a user it would silently keep root.
            Ok(number) if number != u32::MAX && value.bytes().all(|byte| byte.is_ascii_digit()) => Ok(Some(number)),
            Ok(_) | Err(_) => Err(IdentityError::NotANumber { variable, value }),
        },
    };
    match number("SUDO_UID")? {
        None | Some(0) => Ok(None),
        Some(uid) => Ok(Some(Claim { uid, gid: number("SUDO_GID")?, name: text("SUDO_USER") })),
    }
}

fn invoking_user(environment: &[(OsString, OsString)]) -> Result<Option<Identity>, IdentityError> {
    let Some(claim) = claim(environment)? else { return Ok(None) };
    let user = User::from_uid(Uid::from_raw(claim.uid))
        .map_err(IdentityError::Database)?
        .ok_or(IdentityError::NoSuchUser(claim.uid))?;
    if let Some(claimed) = claim.name.filter(|name| *name != user.name) {
        return Err(IdentityError::OtherName { claimed, uid: claim.uid, actual: user.name });
    }
    let gid = claim.gid.unwrap_or(user.gid.as_raw());
    Ok(Some(Identity {
        uid: claim.uid,
        gid,
        groups: groups_of(&user.name, gid)?,
        name: user.name,
        home: user.dir,
        shell: user.shell,
    }))
}

/// Asked before the fork: the group database may take locks and allocate, which a forked child must not.
fn groups_of(name: &str, gid: u32) -> Result<Vec<u32>, IdentityError> {
    let name = CString::new(name).map_err(|_| IdentityError::Database(nix::Error::EINVAL))?;
    let groups = nix::unistd::getgrouplist(&name, Gid::from_raw(gid)).map_err(IdentityError::Database)?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}
