//! A command of a runtime that names its generated code only when it is asked to at its start → the variables that ask
//! it, added to what the user's own say.
//!
//! Looked at is the command itself: a program's name, or the interpreter that its first line names. What it starts
//! inherits the variables; what a shell script starts is not foreseen.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

use super::{command::Command, program, programs};

/// What is set, and what it is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    pub variable: &'static str,
    pub value: &'static str,
    pub runtime: Runtime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    Node,
    Java,
    DotNet,
}

/// JavaScript's frames on the native stack and their names in /tmp/perf-PID.map.
const NODE: Asked = Asked {
    variable: "NODE_OPTIONS",
    value: "--perf-basic-prof --interpreted-frames-native-stack",
    runtime: Runtime::Node,
};
/// Compiled methods keep the frame pointer; without it a stack ends at the first of them. Old machines that do not know
/// the option start all the same.
const JAVA: Asked = Asked {
    variable: "JAVA_TOOL_OPTIONS",
    value: "-XX:+IgnoreUnrecognizedVMOptions -XX:+PreserveFramePointer",
    runtime: Runtime::Java,
};
const DOT_NET: Asked = Asked { variable: "DOTNET_PerfMapEnabled", value: "1", runtime: Runtime::DotNet };

/// What the command is to be asked; None: it is of no such runtime, or its environment says it all already.
pub fn asked_of(command: &Command) -> Option<Asked> {
    of(command).filter(|asked| !says_so(command, asked))
}

/// Where it is one of these.
pub fn runtime_of(command: &Command) -> Option<Runtime> {
    of(command).map(|asked| asked.runtime)
}

fn of(command: &Command) -> Option<Asked> {
    let path = program::find(command).ok()?;
    let of_file = |path: &Path| runtime(path.file_name()?.as_bytes());
    let resolved = path.canonicalize().ok();
    of_file(&path).or_else(|| resolved.as_deref().and_then(of_file)).or_else(|| runtime_of_script(&path))
}

/// The words that are not there yet stand behind the user's own.
pub fn ask(command: &mut Command, asked: Asked) {
    let own = command.variable(asked.variable).cloned().unwrap_or_default();
    let value = match own.is_empty() || asked.runtime == Runtime::DotNet {
        true => OsString::from(asked.value),
        false => {
            let own_words: Vec<&[u8]> = words(&own).collect();
            let new = words(OsStr::new(asked.value)).filter(|word| !own_words.contains(word));
            let all: Vec<&[u8]> = own_words.iter().copied().chain(new).collect();
            OsString::from_vec(all.join(&b' '))
        }
    };
    match command.environment.iter_mut().find(|(name, _)| name == asked.variable) {
        Some((_, old)) => *old = value,
        None => command.environment.push((asked.variable.into(), value)),
    }
}

/// The user's own variable says it all already, or says something of its own where there is room for one value.
fn says_so(command: &Command, asked: &Asked) -> bool {
    let Some(own) = command.variable(asked.variable) else { return false };
    match asked.runtime {
        Runtime::DotNet => true,
        Runtime::Node | Runtime::Java => {
            let own: Vec<&[u8]> = words(own).collect();
            words(OsStr::new(asked.value)).all(|word| own.contains(&word))
        }
    }
}

fn words(text: &OsStr) -> impl Iterator<Item = &[u8]> {
    text.as_bytes().split(|byte| *byte == b' ').filter(|word| !word.is_empty())
}

fn runtime(name: &[u8]) -> Option<Asked> {
    match name {
        b"node" | b"nodejs" => Some(NODE),
        b"java" => Some(JAVA),
        b"dotnet" => Some(DOT_NET),
        _ => None,
    }
}

/// `#!/usr/bin/env node`, `#!/usr/bin/node`: npm, npx and the tools that they install.
fn runtime_of_script(path: &Path) -> Option<Asked> {
    let words = programs::first_line(path)?;
    let mut words = words.iter().map(|word| word.as_bytes());
    let base = |word: &[u8]| word.rsplit(|byte| *byte == b'/').next().unwrap_or(word).to_vec();
    let mut name = base(words.next()?);
    if name == b"env" {
        name = base(words.find(|word| !word.starts_with(b"-"))?);
    }
    runtime(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

    fn command(directory: &Path, program: &str, environment: &[(&str, &str)]) -> Command {
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        Command {
            argv: vec![program.into()],
            working_directory: PathBuf::from("/"),
            identity: None,
            environment: std::iter::once(("PATH".into(), directory.into())).chain(environment).collect(),
            stdout_to_stderr: false,
            output: None,
        }
    }

    fn file(directory: &Path, name: &str, text: &str) {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn after(command: &Command) -> Option<String> {
        let asked = asked_of(command)?;
        let mut command = command.clone();
        ask(&mut command, asked);
        let set: Vec<_> = command.environment.iter().filter(|(name, _)| name == asked.variable).collect();
        assert_eq!(set.len(), 1, "one variable of the name");
        Some(format!("{}={}", asked.variable, set[0].1.to_string_lossy()))
    }

    #[test]
    fn runtimes_are_asked_and_the_users_words_stay() {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path();
        for (name, text) in [
            ("node", ""),
            ("java", ""),
            ("dotnet", ""),
            ("npm", "#!/usr/bin/env node\n"),
            ("tool", "#!/usr/bin/env -S node --title=x\n"),
            ("script", "#!/bin/sh\nexec node x.js\n"),
            ("python3", "\x7fELF"),
        ] {
            file(dir, name, text);
        }
        std::os::unix::fs::symlink(dir.join("node"), dir.join("js")).unwrap();
        let asks = |program: &str, environment: &[(&str, &str)]| after(&command(dir, program, environment));
        let node = "NODE_OPTIONS=--perf-basic-prof --interpreted-frames-native-stack";
        for program in ["node", "npm", "tool", "js"] {
            assert_eq!(asks(program, &[]).as_deref(), Some(node), "{program}");
        }
        assert_eq!(
            asks("node", &[("NODE_OPTIONS", "--max-old-space-size=100  --perf-basic-prof")]).as_deref(),
            Some("NODE_OPTIONS=--max-old-space-size=100 --perf-basic-prof --interpreted-frames-native-stack")
        );
        assert_eq!(
            asks("java", &[("JAVA_TOOL_OPTIONS", "-Dx=y")]).as_deref(),
            Some("JAVA_TOOL_OPTIONS=-Dx=y -XX:+IgnoreUnrecognizedVMOptions -XX:+PreserveFramePointer")
        );
        assert_eq!(asks("dotnet", &[]).as_deref(), Some("DOTNET_PerfMapEnabled=1"));
        // Said already, or said otherwise.
        assert_eq!(asks("dotnet", &[("DOTNET_PerfMapEnabled", "0")]), None);
        assert_eq!(asks("node", &[("NODE_OPTIONS", &node["NODE_OPTIONS=".len()..])]), None);
        for program in ["script", "python3", "missing"] {
            assert_eq!(asks(program, &[]), None, "{program}");
        }
    }
}
