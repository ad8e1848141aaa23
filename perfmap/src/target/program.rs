//! A command's first word → the files that execve is to try, or why there is none, with the nearest names.
//!
//! Looked up in the *target's* PATH. The answer here is a forecast for a clear message before anything starts; the
//! truth is what execve says to the process that runs as the user.

use std::{
    ffi::OsStr,
    fs::Metadata,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

use super::command::Command;

/// Directories of a hostile PATH can hold millions of entries.
const NAMES_LIMIT: usize = 50_000;
const SUGGESTIONS: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotFound {
    /// Nothing of that name; names that look like it.
    Missing { nearest: Vec<String> },
    /// Something is there that cannot be executed.
    NotExecutable { path: PathBuf },
}

/// Files to try in order, as execvp would.
pub(super) fn candidates(command: &Command) -> Vec<PathBuf> {
    command.argv.first().map_or(Vec::new(), |program| files(command, program))
}

fn files(command: &Command, program: &OsStr) -> Vec<PathBuf> {
    if program.is_empty() {
        return Vec::new();
    }
    if program.as_bytes().contains(&b'/') {
        return vec![PathBuf::from(program)];
    }
    search_path(command).map(|directory| directory.join(program)).collect()
}

fn search_path(command: &Command) -> impl Iterator<Item = PathBuf> + '_ {
    let path = command.variable("PATH").map(|path| path.as_os_str()).unwrap_or(OsStr::new("/usr/bin:/bin"));
    // An empty entry means the working directory (POSIX).
    path.as_bytes().split(|byte| *byte == b':').map(|entry| match entry {
        [] => PathBuf::from("."),
        entry => PathBuf::from(OsStr::from_bytes(entry)),
    })
}

/// The file that will most likely be executed.
pub fn find(command: &Command) -> Result<PathBuf, NotFound> {
    let mut refused = None;
    for candidate in candidates(command) {
        let path = command.working_directory.join(&candidate);
        match path.metadata() {
            Ok(facts) if is_executable(&facts) => return Ok(path),
            Ok(_) => refused = refused.or(Some(path)),
            Err(_) => {}
        }
    }
    match refused {
        Some(path) => Err(NotFound::NotExecutable { path }),
        None => Err(NotFound::Missing { nearest: nearest(command) }),
    }
}

/// The file that a word means where it stands for a program.
pub(super) fn executable(command: &Command, word: &OsStr) -> Option<PathBuf> {
    let mut paths = files(command, word).into_iter().map(|file| command.working_directory.join(file));
    paths.find(|path| path.metadata().is_ok_and(|facts| is_executable(&facts)))
}

fn is_executable(facts: &Metadata) -> bool {
    facts.is_file() && facts.permissions().mode() & 0o111 != 0
}

/// Executables whose names are close to what was typed.
pub(super) fn nearest(command: &Command) -> Vec<String> {
    let Some(typed) = command.argv.first() else { return Vec::new() };
    let typed_path = Path::new(typed);
    let Some(name) = typed_path.file_name().map(|name| name.to_string_lossy().into_owned()) else { return Vec::new() };
    let inside = typed_path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directories: Vec<PathBuf> = match inside {
        Some(parent) => vec![parent.to_owned()],
        None => search_path(command).collect(),
    };
    let mut names: Vec<String> = directories
        .iter()
        .filter_map(|directory| std::fs::read_dir(command.working_directory.join(directory)).ok())
        .flatten()
        .take(NAMES_LIMIT)
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names.dedup();
    let close = closest(&name, &names);
    match inside {
        Some(parent) => close.into_iter().map(|name| parent.join(name).display().to_string()).collect(),
        None => close,
    }
}

/// At most three names with few edits to `typed`, nearest first: one edit for each three letters.
pub(super) fn closest(typed: &str, names: &[String]) -> Vec<String> {
    let allowed = (typed.chars().count() / 3).clamp(1, 3);
    let mut scored: Vec<(usize, &String)> = names
        .iter()
        .filter(|name| name.len().abs_diff(typed.len()) <= allowed * 4)
        .map(|name| (distance(typed, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .collect();
    scored.sort();
    scored.into_iter().take(SUGGESTIONS).map(|(_, name)| name.clone()).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().take(128).collect();
    let right: Vec<char> = right.chars().take(128).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let replaced = above[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}
