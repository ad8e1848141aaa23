//! How the command takes its number of workers, and the command with another one.

use std::ffi::{OsStr, OsString};

use super::errors::Failure;
use crate::target::Command;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkersBy {
    /// The value of a variable.
    Environment(String),
    /// Words of the command line, each with what stands before and after the number, or as it is.
    Argument(Vec<Word>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    Plain(String),
    Number { before: String, after: String },
}

/// Where the number goes.
const PLACE: &str = "{}";

impl WorkersBy {
    pub fn environment(name: &str) -> Result<WorkersBy, Failure> {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Failure::Usage {
                what: format!("--workers-env {name:?} is no name of a variable"),
                hint: Some("--workers-env WORKERS runs the command with WORKERS=1, WORKERS=2 and so on".into()),
            });
        }
        Ok(WorkersBy::Environment(name.to_owned()))
    }

    pub fn argument(template: &str) -> Result<WorkersBy, Failure> {
        let word = |word: &str| match word.split_once(PLACE) {
            Some((before, after)) => Word::Number { before: before.to_owned(), after: after.to_owned() },
            None => Word::Plain(word.to_owned()),
        };
        let words: Vec<Word> = template.split_whitespace().map(word).collect();
        if words.iter().filter(|word| matches!(word, Word::Number { .. })).count() != 1 {
            return Err(Failure::Usage {
                what: format!("--workers-arg {template:?} does not say where the number goes"),
                hint: Some("{} stands for it, once: --workers-arg '--workers {}', or '-j{}'".into()),
            });
        }
        Ok(WorkersBy::Argument(words))
    }

    /// The number that the command has now.
    pub fn of(&self, command: &Command) -> Option<u32> {
        match self {
            WorkersBy::Environment(name) => command.variable(name)?.to_str()?.trim().parse().ok(),
            WorkersBy::Argument(words) => {
                let at = place(words, &command.argv)?;
                words.iter().zip(command.argv.get(at..)?).find_map(|(word, typed)| number(word, typed))
            }
        }
    }

    pub fn with(&self, command: &Command, workers: u32) -> Command {
        let mut command = command.clone();
        match self {
            WorkersBy::Environment(name) => {
                command.environment.retain(|(known, _)| known != OsStr::new(name));
                command.environment.push((name.into(), workers.to_string().into()));
            }
            WorkersBy::Argument(words) => {
                let new = words.iter().map(|word| match word {
                    Word::Plain(word) => OsString::from(word),
                    Word::Number { before, after } => format!("{before}{workers}{after}").into(),
                });
                let at = place(words, &command.argv);
                let range = at.map_or(command.argv.len()..command.argv.len(), |at| at..at + words.len());
                command.argv.splice(range, new);
            }
        }
        command
    }
}

/// Where these words stand with any number; the program itself is not looked at. The last place counts, as it does for
/// most programs.
fn place(words: &[Word], argv: &[OsString]) -> Option<usize> {
    let fits = |at: &usize| {
        argv.get(*at..*at + words.len()).is_some_and(|typed| {
            words.iter().zip(typed).all(|(word, typed)| match word {
                Word::Plain(plain) => typed == OsStr::new(plain),
                Word::Number { .. } => number(word, typed).is_some(),
            })
        })
    };
    (1..argv.len()).rev().find(fits)
}

fn number(word: &Word, typed: &OsStr) -> Option<u32> {
    match word {
        Word::Plain(_) => None,
        Word::Number { before, after } => {
            typed.to_str()?.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?.parse().ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(argv: &[&str], environment: &[(&str, &str)]) -> Command {
        Command {
            argv: argv.iter().map(OsString::from).collect(),
            working_directory: "/".into(),
            identity: None,
            environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            stdout_to_stderr: false,
            output: None,
        }
    }

    #[test]
    fn by_a_variable() {
        let by = WorkersBy::environment("WORKERS").expect("a name");
        let plain = command(&["x"], &[("WORKERS", "7"), ("A", "b")]);
        assert_eq!(by.of(&plain), Some(7));
        let four = by.with(&plain, 4);
        assert_eq!((by.of(&four), four.environment.len()), (Some(4), 2));
        assert_eq!(by.of(&command(&["x"], &[("WORKERS", "auto")])), None);
        assert_eq!(WorkersBy::environment("A=B").expect_err("no name").exit_code(), 2);
    }

    #[test]
    fn by_an_argument_that_is_there_or_is_put_at_the_end() {
        let by = WorkersBy::argument("--workers {}").expect("a template");
        let with = |argv: &[&str], workers| by.with(&command(argv, &[]), workers).argv;
        assert_eq!(with(&["x", "--all"], 4), ["x", "--all", "--workers", "4"]);
        assert_eq!(with(&["x", "--workers", "64", "--all"], 4), ["x", "--workers", "4", "--all"]);
        assert_eq!(by.of(&command(&["x", "--workers", "64"], &[])), Some(64));
        assert_eq!(by.of(&command(&["x", "--workers", "many"], &[])), None);
        let joined = WorkersBy::argument("-j{}").expect("a template");
        assert_eq!(joined.with(&command(&["make", "-j8", "all"], &[]), 2).argv, ["make", "-j2", "all"]);
        assert_eq!(joined.with(&command(&["-j1"], &[]), 2).argv, ["-j1", "-j2"], "the program's own name is no option");
    }

    #[test]
    fn a_template_says_where_the_number_goes() {
        for wrong in ["--workers", "", "{} {}"] {
            assert_eq!(WorkersBy::argument(wrong).expect_err("no place").exit_code(), 2, "{wrong}");
        }
    }
}
