//! An entry without a test → a script that measures it: requests with curl, a benchmark in the language's own idiom, or the
//! whole run of a pipeline. What had to be guessed is marked `# guessed` on its line.
//!
//! Names come from the repository, so all of them are quoted, and comments hold one line.

mod arguments;
mod benchmark;
mod endpoint;
pub mod shell;
mod start;

use super::{
    entry::{Entry, How, Repository},
    found::{FoundCommand, NoBenchmark, Script},
    topology::Topology,
};

pub const NAME: &str = "profile_test.sh";

/// All that a script may rest on. `root` is absolute.
#[derive(Debug)]
pub struct Known<'a> {
    pub repository: &'a Repository<'a>,
    pub commands: &'a [FoundCommand],
    pub topology: &'a Topology,
    pub root: &'a str,
    pub typed: &'a str,
}

pub fn script(known: &Known<'_>, entry: &Entry) -> Result<Script, NoBenchmark> {
    match &entry.how {
        How::Request { base } => Ok(endpoint::script(known, entry, base.as_deref())),
        How::Call => benchmark::script(known, entry),
        How::Run(run) => {
            let mut script = Draft::new(known, "runs all of it", &run.directory);
            script.line(&format!("exec {}", run.line()));
            Ok(script.done(Vec::new()))
        }
        // A test is its own command.
        How::Test(_) => Err(NoBenchmark::Language),
    }
}

/// A shell script in the making.
struct Draft {
    text: String,
    guessed: Vec<String>,
    directory: String,
}

impl Draft {
    fn new(known: &Known<'_>, what: &str, directory: &str) -> Draft {
        let place = if directory.is_empty() { known.root.to_owned() } else { format!("{}/{directory}", known.root) };
        let text = format!(
            "#!/bin/sh\n# Written by perfmap for {}: {what}.\n# Lines marked `# guessed` are worth a look; an edited script is kept.\nset -eu\n\
             here=$(cd \"$(dirname \"$0\")\" && pwd)\ncd {}\n",
            shell::comment(known.typed),
            shell::quoted(&place)
        );
        Draft { text, guessed: Vec::new(), directory: directory.to_owned() }
    }

    fn line(&mut self, line: &str) {
        self.text += line;
        self.text.push('\n');
    }

    /// `why`: what the guess rests on, or that it rests on nothing.
    fn guess(&mut self, line: &str, why: &str) {
        let why = shell::comment(why);
        self.line(&format!("{line}  # guessed: {why}"));
        self.guessed.push(why);
    }

    fn done(self, more: Vec<(String, String)>) -> Script {
        let Draft { text, guessed, directory } = self;
        let files = std::iter::once((NAME.to_owned(), text)).chain(more).collect();
        Script { files, guessed, directory }
    }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
