//! Every way to fail → one line, a hint, an exit code. The one table of them.

use std::path::PathBuf;

use super::play::PlayError;
use crate::{
    baseline::{BaselineFileError, Phase},
    collect::{self, CollectError},
    recording::{Ending, file::FileError},
    report::{diff::LoadError, files::FilesError},
    target::{IdentityError, LaunchError, SelectError, signal_name},
};

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{what}")]
    Usage { what: String, hint: Option<String> },
    #[error("file/function not found at {}", path.display())]
    NotFound { path: PathBuf, nearest: Vec<String> },
    #[error("{}: {error}", path.display())]
    Recording { path: PathBuf, error: FileError },
    /// One side of a comparison.
    #[error("{}: {error}", path.display())]
    Side { path: PathBuf, error: LoadError },
    #[error("{}: {error}", path.display())]
    BaselineFile { path: PathBuf, error: BaselineFileError },
    #[error("{}: {error}", path.display())]
    Input { path: PathBuf, error: std::io::Error },
    #[error("{0}")]
    Select(#[from] SelectError),
    #[error("{0}")]
    Identity(#[from] IdentityError),
    #[error("test fails before profiling: fix the test first ({})", run_and_ending(*phase, *ending))]
    FailsUnprofiled { phase: Phase, ending: Option<Ending>, last_lines: Vec<String> },
    #[error(transparent)]
    Collect(CollectError),
    #[error(transparent)]
    Output(#[from] FilesError),
    #[error("standard output could not be written: {0}")]
    Print(std::io::Error),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error("interrupted{}", if *.nothing_written { ": nothing was written" } else { "" })]
    Interrupted { nothing_written: bool },
    #[error("stopped by {}", signal_name(*.0))]
    Stopped(i32),
    #[error("{what}")]
    Internal { what: String },
    #[error(transparent)]
    Play(#[from] PlayError),
}

impl From<CollectError> for Failure {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::Launch(error) => Failure::Launch(error),
            other => Failure::Collect(other),
        }
    }
}

impl Failure {
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage { .. }
            | Failure::NotFound { .. }
            | Failure::Recording { .. }
            | Failure::Side { .. }
            | Failure::BaselineFile { .. }
            | Failure::Input { .. }
            | Failure::Select(_)
            | Failure::Identity(_) => 2,
            Failure::FailsUnprofiled { .. } => 3,
            Failure::Collect(_) => 4,
            Failure::Output(_) | Failure::Print(_) => 5,
            Failure::Launch(error) => error.exit_code(),
            Failure::Interrupted { .. } => 130,
            Failure::Stopped(signal) => after_signal(*signal),
            Failure::Play(PlayError::Usage) => 2,
            Failure::Internal { .. } | Failure::Play(PlayError::Service { .. }) => 1,
        }
    }

    pub fn hint(&self) -> Option<String> {
        match self {
            Failure::Usage { hint, .. } => hint.clone(),
            Failure::NotFound { nearest, .. } => did_you_mean(nearest),
            Failure::Launch(LaunchError::NotFound { nearest, .. }) => did_you_mean(nearest)
                .or_else(|| Some("looked in your PATH, not in root's; a path with a / is taken as it is".into())),
            Failure::Launch(LaunchError::NotExecutable { program, .. }) => {
                Some(format!("chmod +x {program}, or name its interpreter first (python3 {program})"))
            }
            Failure::Launch(LaunchError::Failed { .. }) => None,
            Failure::Recording { .. } => Some("a recording is the recording.perfmap that perfmap trace writes".into()),
            Failure::Side { .. } => Some(
                "it compares profile_result or performance_map files (YAML or JSON) and recording.perfmap files".into(),
            ),
            Failure::BaselineFile { .. } => Some(
                "a baseline file is the baseline.json that perfmap trace writes; leave the option out to measure"
                    .into(),
            ),
            Failure::Input { .. } => None,
            Failure::Select(error) => select_hint(error),
            Failure::Identity(_) => {
                Some("run perfmap through sudo as the user who owns the project, or give --as-root".into())
            }
            Failure::FailsUnprofiled { .. } => {
                Some("the command ran without perfmap's probes; its own output above says why it failed".into())
            }
            Failure::Collect(CollectError::NoPrivilege { .. }) => {
                let first =
                    collect::remedy_outside().unwrap_or("run it with sudo: the command itself still runs as you");
                Some(format!("{first}; perfmap doctor shows what is missing"))
            }
            Failure::Collect(CollectError::ForeignProc) => {
                Some("mount its own: mount -t proc proc /proc, or unshare --mount-proc".into())
            }
            Failure::Collect(_) => Some("perfmap doctor shows what this machine can do".into()),
            Failure::Print(_) => None,
            Failure::Output(_) => Some("choose another directory with --out DIR, or make room on that disk".into()),
            Failure::Interrupted { .. } | Failure::Stopped(_) => None,
            Failure::Play(_) => None,
            Failure::Internal { .. } => Some("this is a defect of perfmap: please report it with the command".into()),
        }
    }

    /// Lines to be shown before the message: the command's own words.
    pub fn quoted(&self) -> &[String] {
        match self {
            Failure::FailsUnprofiled { last_lines, .. } => last_lines,
            _ => &[],
        }
    }
}

/// The exit code of perfmap after a profiled run.
pub fn after_run(ending: Option<Ending>, interrupted: bool) -> u8 {
    match (interrupted, ending) {
        (true, _) => 130,
        (false, Some(Ending::Exited(code))) => (code & 0xff) as u8,
        (false, Some(Ending::Killed(signal))) => after_signal(signal),
        (false, None) => 1,
    }
}

fn after_signal(signal: i32) -> u8 {
    128_u8.saturating_add(u8::try_from(signal).unwrap_or(u8::MAX))
}

fn select_hint(error: &SelectError) -> Option<String> {
    match error {
        SelectError::NoSuchProcess(_) | SelectError::Ended(_) => Some(
            "pgrep -a NAME shows the processes of a program; pids are those of the host, not of a container".into(),
        ),
        SelectError::NoContainer(_) => Some("docker ps or runc list shows ids; four digits of one are enough".into()),
        SelectError::NoUnit(_) => Some("systemctl list-units --type=service shows what runs".into()),
        SelectError::OfTheKernel(_) | SelectError::Itself(_) | SelectError::Ambiguous { .. } => None,
    }
}

fn did_you_mean(nearest: &[String]) -> Option<String> {
    (!nearest.is_empty()).then(|| format!("did you mean {}?", nearest.join(" or ")))
}

/// `exit code 1`, `killed by SIGKILL`.
pub fn ending_text(ending: Option<Ending>) -> String {
    match ending {
        Some(Ending::Exited(code)) => format!("exit code {code}"),
        Some(Ending::Killed(signal)) => format!("killed by {}", signal_name(signal)),
        None => "its ending was not seen".into(),
    }
}

fn run_and_ending(phase: Phase, ending: Option<Ending>) -> String {
    let run = match phase {
        Phase::WarmUp { number: 1, of: 1 } => "warm-up run".to_owned(),
        Phase::WarmUp { number, of } => format!("warm-up run {number} of {of}"),
        Phase::Counted { number, of } => format!("baseline run {number} of {of}"),
    };
    format!("{run}: {}", ending_text(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_table() {
        let io = || std::io::Error::from_raw_os_error(libc::ENOSPC);
        let launch = |error| Failure::from(CollectError::Launch(error));
        let phase = Phase::WarmUp { number: 1, of: 1 };
        let failed = Failure::FailsUnprofiled { phase, ending: Some(Ending::Exited(1)), last_lines: vec![] };
        assert!(failed.to_string().starts_with("test fails before profiling: fix the test first"), "{failed}");
        let table = [
            (Failure::NotFound { path: "a.py".into(), nearest: vec!["b.py".into()] }, 2),
            (failed, 3),
            (Failure::Collect(CollectError::NoPrivilege { missing: "CAP_BPF".into() }), 4),
            (Failure::from(SelectError::NoSuchProcess(7)), 2),
            (Failure::Collect(CollectError::Unsupported { what: "BTF".into() }), 4),
            (Failure::Collect(CollectError::ForeignProc), 4),
            (Failure::Output(FilesError::DiskFull { path: "/full".into() }), 5),
            (Failure::Print(io()), 5),
            (launch(LaunchError::NotFound { program: "x".into(), nearest: vec![] }), 127),
            (launch(LaunchError::NotExecutable { program: "x".into(), reason: "no".into() }), 126),
            (Failure::Interrupted { nothing_written: true }, 130),
            (Failure::Stopped(libc::SIGTERM), 143),
        ];
        for (failure, code) in table {
            assert_eq!(failure.exit_code(), code, "{failure}");
            assert!(!failure.to_string().contains('\n'), "one line: {failure}");
        }
    }

    #[test]
    fn the_commands_own_code_is_passed_on() {
        assert_eq!(after_run(Some(Ending::Exited(0)), false), 0);
        assert_eq!(after_run(Some(Ending::Exited(77)), false), 77);
        assert_eq!(after_run(Some(Ending::Killed(libc::SIGKILL)), false), 137);
        assert_eq!(after_run(Some(Ending::Killed(libc::SIGINT)), true), 130);
        assert_eq!(after_run(None, true), 130);
    }

    #[test]
    fn not_found_has_the_specified_text_and_neighbours() {
        let failure = Failure::NotFound { path: "tests/a.py".into(), nearest: vec!["tests/b.py".into()] };
        assert_eq!(failure.to_string(), "file/function not found at tests/a.py");
        assert_eq!(failure.hint().as_deref(), Some("did you mean tests/b.py?"));
    }
}
