//! Runs of the command with something of ours inside its Python processes, each because an option asks for it by name. It is brought
//! in by the environment alone: a `sitecustomize` in a directory of our own before all others of `PYTHONPATH`, which loads the one
//! that it hides; nothing that is the user's is changed.

mod allocations;
mod lines;

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

pub use allocations::count_allocations;
pub use lines::time_lines;

use super::{
    console::Console,
    errors::Failure,
    plan::TracePlan,
    read::read_bounded,
    runner::{Learned, Purpose, Runner},
};
use crate::recording::{Nanos, Recording};

/// Of one process; what a program writes there is not ours.
const LARGEST: u64 = 4 << 20;
const MOST_PROCESSES: usize = 256;
/// Of a text that the hook wrote.
const WORDS: usize = 300;

/// What a run with a hook gave.
enum Hooked<T> {
    /// Of each process that wrote something, and how long the run took.
    Told(Vec<T>, Nanos),
    Nothing(String),
}

/// Runs the command once with the hook; `variables`: what tells the hook what to do, beside the directory for its words.
fn run_with<T: DeserializeOwned>(
    plan: &TracePlan,
    learned: Learned,
    hook: &str,
    variables: [(&str, OsString); 1],
    out: &str,
    recording: &Recording,
    console: &Console,
) -> Result<(Hooked<T>, Learned), Failure> {
    let place = Place::make(plan, hook).map_err(|error| Failure::Input { path: std::env::temp_dir(), error })?;
    let mut with_hook = plan.clone();
    let [variable] = variables;
    place.hook_into(&mut with_hook.command.environment, [variable, (out, place.out().into_os_string())]);
    let mut runner = Runner::new(&with_hook, learned)?;
    let outcome = runner.run(Purpose::Count, console);
    let learned = runner.learned();
    let hooked = match outcome {
        Ok(outcome) if outcome.recording.meta.ending == recording.meta.ending => {
            Hooked::Told(place.told(plan), outcome.recording.meta.wall)
        }
        Ok(_) => Hooked::Nothing("the run with it did not end as the one without it".into()),
        Err(Failure::Interrupted { .. }) => Hooked::Nothing("the run with it was stopped".into()),
        Err(failure) => Hooked::Nothing(failure.to_string()),
    };
    Ok((hooked, learned))
}

/// No process wrote anything.
fn nobody() -> String {
    "no Python process of the command loaded it (none ran, or it was started with -S, -E or -I)".to_owned()
}

fn short(text: String) -> String {
    text.chars().take(WORDS).collect()
}

/// A directory with the hook, and one that the command may write to; gone with this value.
struct Place {
    root: PathBuf,
}

impl Drop for Place {
    fn drop(&mut self) {
        // What stays is in the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

impl Place {
    fn make(plan: &TracePlan, hook: &str) -> io::Result<Place> {
        use std::os::unix::fs::{PermissionsExt, chown};
        let root = nix::unistd::mkdtemp(&std::env::temp_dir().join("perfmap-hook-XXXXXX"))?;
        let place = Place { root };
        let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        mode(&place.root, 0o755)?;
        std::fs::create_dir(place.hook())?;
        mode(&place.hook(), 0o755)?;
        let file = place.hook().join("sitecustomize.py");
        std::fs::write(&file, hook)?;
        mode(&file, 0o644)?;
        std::fs::create_dir(place.out())?;
        mode(&place.out(), 0o700)?;
        if let Some(identity) = &plan.command.identity {
            chown(place.out(), Some(identity.uid), Some(identity.gid))?;
        }
        Ok(place)
    }

    fn hook(&self) -> PathBuf {
        self.root.join("hook")
    }

    fn out(&self) -> PathBuf {
        self.root.join("out")
    }

    fn hook_into(&self, environment: &mut Vec<(OsString, OsString)>, variables: [(&str, OsString); 2]) {
        let before = environment.iter().find(|(name, _)| name == "PYTHONPATH").map(|(_, value)| value.clone());
        let mut path = self.hook().into_os_string();
        if let Some(before) = before.filter(|before| !before.is_empty()) {
            path.push(":");
            path.push(before);
        }
        let [one, other] = variables;
        let ours = [("PYTHONPATH", path), one, other];
        environment.retain(|(name, _)| ours.iter().all(|(other, _)| name != other));
        environment.extend(ours.into_iter().map(|(name, value)| (name.into(), value)));
    }

    fn told<T: DeserializeOwned>(&self, plan: &TracePlan) -> Vec<T> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.out())
            .into_iter()
            .flatten()
            .take(MOST_PROCESSES)
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .collect();
        files.sort();
        let told = files.iter().filter_map(|path| {
            let bytes = read_bounded(path, plan.owner, LARGEST).ok()?;
            serde_json::from_slice(&bytes).ok()
        });
        told.collect()
    }
}
