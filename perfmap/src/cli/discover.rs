//! `perfmap discover TARGET`: what the repository says about a target, printed; where no test drives it, a script is
//! written.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    args::{DiscoverArgs, Format},
    completions::print,
    console::Console,
    discovered::{Document, no_command_text, warning_text},
    errors::Failure,
    read::{AsOwner, read_bounded},
};
use crate::{
    discover::{
        self, DiscoverError,
        found::{Discovery, Script, TestCommand},
        shell,
    },
    report::{
        self, OutputFile,
        files::{self, Owner},
    },
    target::{self, Invocation},
};

const SCRIPT_LIMIT: u64 = 1 << 20;

pub fn discover(typed: &DiscoverArgs, console: &Console) -> Result<u8, Failure> {
    let here =
        std::env::current_dir().map_err(|error| Failure::Input { path: "the working directory".into(), error })?;
    let invocation = Invocation::of_this_process(false)?;
    let name = typed.target.join(" ");
    let place = Place::of(&here, &invocation);
    let found = place.look(&name)?;
    let out = match &typed.out {
        Some(directory) => here.join(directory),
        None => default_out(&here, &name),
    };
    let written = match &found.test {
        TestCommand::Generated(script) => Some(write(script, &out, place.owner, console)?),
        TestCommand::Found(_) | TestCommand::None(_) => None,
    };
    for warning in &found.warnings {
        console.warning(&warning_text(warning));
    }
    let document = Document::of(&found, written.as_deref());
    let failed = |error: String| Failure::Internal { what: format!("the discovery: {error}") };
    let text = match typed.format {
        Format::Yaml => serde_yaml::to_string(&document).map_err(|error| failed(error.to_string()))?,
        Format::Json => serde_json::to_string_pretty(&document).map_err(|error| failed(error.to_string()))? + "\n",
    };
    print(text.as_bytes())
}

pub fn default_out(here: &Path, name: &str) -> PathBuf {
    here.join(".optimization").join(report::slug(name))
}

/// The repository around the working directory, read with the rights of the user.
#[derive(Debug)]
pub struct Place {
    pub root: PathBuf,
    near: String,
    pub owner: Option<Owner>,
}

impl Place {
    pub fn of(here: &Path, invocation: &Invocation) -> Place {
        let home =
            invocation.environment.iter().find(|(name, _)| name == "HOME").map(|(_, value)| PathBuf::from(value));
        let root = target::discover_project(here, home.as_deref(), &[], &[]).main.unwrap_or_else(|| here.to_owned());
        let near = here.strip_prefix(&root).map(|near| near.to_string_lossy().into_owned()).unwrap_or_default();
        Place { root, near, owner: invocation.owner.map(|(uid, gid)| Owner { uid, gid }) }
    }

    pub fn look(&self, name: &str) -> Result<Discovery, Failure> {
        let _identity = AsOwner::begin(self.owner);
        discover::discover(&self.root, &self.near, name).map_err(|error| match error {
            DiscoverError::NotFound { at, nearest } => Failure::NotFound { path: at.into(), nearest },
            DiscoverError::NotRead { .. } | DiscoverError::Settings(_) => {
                Failure::Usage { what: error.to_string(), hint: None }
            }
            DiscoverError::Tree(error) => Failure::Input { path: error.path, error: error.reason },
        })
    }
}

/// Writes what is not there yet: what is there may have been edited. Returns the script's path.
fn write(script: &Script, out: &Path, owner: Option<Owner>, console: &Console) -> Result<PathBuf, Failure> {
    let mut new = Vec::new();
    for (name, text) in &script.files {
        match read_bounded(&out.join(name), owner, SCRIPT_LIMIT) {
            Err(Failure::NotFound { .. }) => {
                new.push(OutputFile { name: name.clone(), bytes: text.clone().into_bytes() })
            }
            Ok(there) if there == text.as_bytes() => {}
            Ok(_) => console
                .note(&format!("{} is kept as it is; delete it to have it written anew", out.join(name).display())),
            Err(other) => return Err(other),
        }
    }
    if !new.is_empty() {
        files::write_all(out, owner, &new)?;
    }
    Ok(out.join(discover::SCRIPT_NAME))
}

/// What `trace` runs for a target.
#[derive(Debug)]
pub struct Chosen {
    pub name: String,
    pub argv: Vec<OsString>,
    pub directory: PathBuf,
    pub source: crate::recording::Source,
}

/// None: what was typed is a command. `raw`: all words of the command line.
pub fn chosen(
    raw: &[OsString],
    command: &[OsString],
    out: Option<&Path>,
    here: &Path,
    invocation: &Invocation,
    console: &Console,
) -> Result<Option<Chosen>, Failure> {
    let Some(name) = target_name(raw, command) else { return Ok(None) };
    let runs = || target::find_program(&as_command(command, here, invocation)).is_ok();
    // A program of the user's PATH, or by its absolute path, is no target of the project.
    let plain = !discover::target::is_unmistakable(&name) && !name.contains([':', ' ', '/']);
    if (plain || Path::new(&name).is_absolute() && Path::new(&name).is_file()) && runs() {
        return Ok(None);
    }
    let place = Place::of(here, invocation);
    let found = match place.look(&name) {
        Ok(found) => found,
        Err(Failure::NotFound { .. } | Failure::Usage { .. })
            if !discover::target::is_unmistakable(&name) && runs() =>
        {
            return Ok(None);
        }
        Err(other) => return Err(other),
    };
    let out = out.map_or_else(|| default_out(here, &name), |out| here.join(out));
    let (argv, directory, why) = match &found.test {
        TestCommand::Found(test) => {
            let why = format!("{} ({})", super::discovered::test_source_text(test.source), test.evidence);
            (test.run.words.clone(), test.run.directory.clone(), why)
        }
        TestCommand::Generated(script) => {
            let path = write(script, &out, place.owner, console)?;
            let words = vec!["sh".to_owned(), path.to_string_lossy().into_owned()];
            let why = match script.guessed.len() {
                0 => "no test drives it, so a script was written".to_owned(),
                count => format!("no test drives it, so a script was written; {count} guesses are marked in it"),
            };
            (words, script.directory.clone(), why)
        }
        TestCommand::None(why) => {
            return Err(Failure::Usage {
                what: format!("no test drives {name}, and no benchmark can be written: {}", no_command_text(*why)),
                hint: Some("give the command yourself: perfmap trace -- COMMAND".into()),
            });
        }
    };
    for warning in &found.warnings {
        console.warning(&warning_text(warning));
    }
    let entry = &found.entry;
    console.line(&format!("{name}: {} at {}:{}", report::visible(&entry.function), entry.file, entry.line));
    let line: Vec<String> = argv.iter().map(|word| shell::quoted(word)).collect();
    console.line(&format!("runs {}: {why}", report::visible(&line.join(" "))));
    Ok(Some(Chosen {
        name,
        argv: argv.into_iter().map(OsString::from).collect(),
        directory: if directory.is_empty() { place.root.clone() } else { place.root.join(directory) },
        source: discover::source(&found),
    }))
}

fn as_command(command: &[OsString], here: &Path, invocation: &Invocation) -> target::Command {
    target::Command {
        argv: command.to_vec(),
        working_directory: here.to_owned(),
        identity: invocation.identity.clone(),
        environment: invocation.environment.clone(),
        stdout_to_stderr: false,
        output: None,
    }
}

/// One word, or a method and a route, without `--` before it.
fn target_name(raw: &[OsString], command: &[OsString]) -> Option<String> {
    let after_dashes =
        raw.len().checked_sub(command.len() + 1).and_then(|at| raw.get(at)).is_some_and(|word| word == "--");
    if after_dashes {
        return None;
    }
    match command {
        [only] => only.to_str().map(str::to_owned),
        [method, route] => {
            let both = format!("{} {}", method.to_str()?, route.to_str()?);
            discover::target::is_unmistakable(&both).then_some(both)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(raw: &[&str], command: &[&str]) -> Option<String> {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        target_name(&words(raw), &words(command))
    }

    #[test]
    fn what_is_a_target() {
        assert_eq!(name(&["perfmap", "trace", "a.py::f"], &["a.py::f"]).as_deref(), Some("a.py::f"));
        assert_eq!(name(&["perfmap", "trace", "POST", "/x"], &["POST", "/x"]).as_deref(), Some("POST /x"));
        assert_eq!(name(&["perfmap", "trace", "--", "a.py::f"], &["a.py::f"]), None);
        assert_eq!(name(&["perfmap", "trace", "sh", "x"], &["sh", "x"]), None);
        assert_eq!(name(&["perfmap", "trace", "sh", "--", "x"], &["sh", "--", "x"]), None);
    }
}
