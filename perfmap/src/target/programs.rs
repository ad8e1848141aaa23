//! A command → the program files that its words show before it starts: its own, the interpreter that a script's first line
//! names, and the program that `env`, `timeout` and the like hand over to.
//!
//! A forecast, as `program::find` is one: what a shell script starts is not foreseen, and a file that does not come to run
//! does no harm.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{command::Command, program};

/// A first line is no longer (the kernel reads 256 bytes).
const FIRST_LINE: u64 = 256;
/// The kernel follows five first lines.
const MAX_FILES: usize = 8;
/// Options and their values before the program that is handed over to.
const MAX_WORDS: usize = 32;
/// They become the program that one of their words names.
const HAND_OVER: [&[u8]; 12] = [
    b"chrt", b"env", b"ionice", b"nice", b"nohup", b"numactl", b"setpriv", b"setsid", b"stdbuf", b"taskset", b"time",
    b"timeout",
];

/// By their true paths, as mappings name them; in the order of their execution.
pub fn programs(command: &Command) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    let mut words = command.argv.clone();
    while let Some((first, rest)) = words.split_first().filter(|_| found.len() < MAX_FILES) {
        let Some(path) = program::executable(command, first) else { break };
        let Ok(file) = path.canonicalize() else { break };
        words = if let Some(words) = first_line(&file) {
            words
        } else if [&path, &file].iter().any(|path| hands_over(path)) {
            let named = rest.iter().take(MAX_WORDS).position(|word| program::executable(command, word).is_some());
            named.and_then(|named| rest.get(named..)).unwrap_or_default().to_vec()
        } else {
            Vec::new()
        };
        if found.contains(&file) {
            break;
        }
        found.push(file);
    }
    found
}

fn hands_over(path: &Path) -> bool {
    path.file_name().is_some_and(|name| HAND_OVER.contains(&name.as_bytes()))
}

/// The words of a script's first line: `#!/usr/bin/env node`.
pub(super) fn first_line(path: &Path) -> Option<Vec<OsString>> {
    let mut head = Vec::new();
    File::open(path).ok()?.take(FIRST_LINE).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    Some(words.map(|word| OsStr::from_bytes(word).to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Place {
            Place(tempfile::tempdir().unwrap())
        }

        fn put(&self, name: &str, content: &str) -> PathBuf {
            let path = self.0.path().canonicalize().unwrap().join(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        }

        fn of(&self, words: &[&str]) -> Vec<PathBuf> {
            programs(&Command {
                argv: words.iter().map(OsString::from).collect(),
                working_directory: self.0.path().to_owned(),
                identity: None,
                environment: vec![("PATH".into(), self.0.path().into())],
                stdout_to_stderr: false,
                output: None,
            })
        }
    }

    #[test]
    fn a_program_and_what_runs_a_script() {
        let place = Place::new();
        let node = place.put("node", "\x7fELF");
        let env = place.put("env", "\x7fELF");
        let script = place.put("tool", &format!("#!{} node --flag\nrun()", env.display()));
        symlink(&node, place.0.path().join("nodejs")).unwrap();
        assert_eq!(place.of(&["node", "main.js"]), std::slice::from_ref(&node));
        assert_eq!(place.of(&["nodejs", "main.js"]), std::slice::from_ref(&node), "as mappings name it");
        assert_eq!(place.of(&["./tool", "x"]), [script, env.clone(), node.clone()]);
        assert_eq!(place.of(&["env", "-i", "A=node", "node"]), [env, node]);
        assert_eq!((place.of(&["other"]), place.of(&[]), place.of(&[""])), (vec![], vec![], vec![]));
    }

    #[test]
    fn who_hands_over_is_followed_and_nobody_else() {
        let place = Place::new();
        let (node, timeout, nice) = (place.put("node", ""), place.put("timeout", ""), place.put("nice", ""));
        let make = place.put("make", "");
        assert_eq!(place.of(&["timeout", "5", "nice", "-n", "3", "node"]), [timeout, nice, node]);
        assert_eq!(place.of(&["make", "node"]), [make]);
    }

    #[test]
    fn scripts_that_name_one_another_come_to_an_end() {
        let place = Place::new();
        let directory = place.0.path().canonicalize().unwrap();
        let a = place.put("a", &format!("#!{}", directory.join("b").display()));
        let b = place.put("b", &format!("#!{}", directory.join("a").display()));
        let itself = place.put("c", "#!c");
        assert_eq!(place.of(&["a"]), [a, b]);
        assert_eq!(place.of(&["c"]), [itself]);
    }
}
