//! A workload's directory made ready: its `setup.sh` run once, as the user who will run the workload.

use crate::places;
use anyhow::{Context, Result, bail, ensure};
use std::{
    collections::HashSet,
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError},
};

static READY: Mutex<Option<HashSet<String>>> = Mutex::new(None);

/// The directory of the workload, with its virtual environment or its binaries in place.
pub fn ready(name: &str) -> Result<PathBuf> {
    let dir = places::workloads().join(name);
    ensure!(dir.join("run").is_file(), "no workload at {}", dir.display());
    let mut done = READY.lock().unwrap_or_else(PoisonError::into_inner);
    let done = done.get_or_insert_default();
    if done.contains(name) {
        return Ok(dir);
    }
    let setup = dir.join("setup.sh");
    let out = as_invoking_user(&setup)?
        .env("PATH", places::path()?)
        .current_dir(&dir)
        .output()
        .with_context(|| format!("run {}", setup.display()))?;
    if !out.status.success() {
        bail!("{} ended with {}: {}", setup.display(), out.status, String::from_utf8_lossy(&out.stderr));
    }
    done.insert(name.to_owned());
    Ok(dir)
}

/// perfmap drops to the user who called sudo; what root set up, that user could not change.
fn as_invoking_user(program: &std::path::Path) -> Result<Command> {
    let id = |name: &str| std::env::var(name).ok().and_then(|id| id.parse::<u32>().ok());
    let (Some(uid), Some(gid)) = (id("SUDO_UID"), id("SUDO_GID")) else { return Ok(Command::new(program)) };
    let user = nix::unistd::User::from_uid(uid.into()).context("look up the invoking user")?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--init-groups"]).arg(program);
    if let Some(user) = user {
        command.env("HOME", user.dir).env("USER", user.name);
    }
    Ok(command)
}
