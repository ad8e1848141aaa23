//! Counts of what passed and failed, taken from cargo's own summary lines, for the one closing line of `test`.

use anyhow::{Context, Result};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    /// What did not pass, in words.
    pub failures: Vec<String>,
    /// Tests that failed first and passed when run again.
    pub repeated: Vec<String>,
}

impl Tally {
    /// One check: a command that succeeds or not.
    pub fn check(&mut self, name: &str, outcome: Result<()>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(e) => {
                eprintln!("{name}: {e:#}");
                self.failed += 1;
                self.failures.push(name.to_owned());
            }
        }
    }

    /// A `cargo test`: its output is shown as it comes, its summary lines are added up. Returns the failed tests' names.
    pub fn cargo_test(&mut self, name: &str, command: &mut Command) -> Result<Vec<String>> {
        let typed = crate::shell::words(command);
        eprintln!("+ {typed}");
        let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("start `{typed}`"))?;
        let before = self.failed;
        let mut names = Vec::new();
        if let Some(out) = child.stdout.take() {
            for line in BufReader::new(out).lines() {
                let line = line.context("read the output of cargo test")?;
                println!("{line}");
                if let Some(test) = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED")) {
                    names.push(test.to_owned());
                }
                if let Some((passed, failed)) = summary(&line) {
                    self.passed += passed;
                    self.failed += failed;
                }
            }
        }
        let status = child.wait().with_context(|| format!("wait for `{typed}`"))?;
        if !status.success() {
            // A build error or a crash prints no summary; it must not look like a pass.
            if self.failed == before {
                self.failed += 1;
            }
            if names.is_empty() {
                self.failures.push(name.to_owned());
            }
            self.failures.extend(names.iter().cloned());
        }
        Ok(names)
    }

    /// A test that is among the failures passed when it was run again.
    pub fn passed_again(&mut self, test: &str) {
        self.failures.retain(|failure| failure != test);
        self.failed -= 1;
        self.passed += 1;
        self.repeated.push(test.to_owned());
    }

    /// The closing line, alone on its line.
    pub fn close(&self) -> Result<()> {
        for name in &self.repeated {
            eprintln!("passed only when repeated: {name}");
        }
        for name in &self.failures {
            eprintln!("failed: {name}");
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        anyhow::ensure!(self.failed == 0, "{} failed", self.failed);
        Ok(())
    }
}

/// `test result: ok. 12 passed; 0 failed; …` → (12, 0).
fn summary(line: &str) -> Option<(u64, u64)> {
    let counts = line.trim().strip_prefix("test result: ")?.split_once(". ")?.1;
    let count =
        |word: &str| counts.split(';').find_map(|part| part.trim().strip_suffix(word)?.trim().parse::<u64>().ok());
    Some((count("passed")?, count("failed")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_lines_are_counted_and_others_are_not() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(summary(line), Some((12, 3)));
        assert_eq!(summary("test result: ok. 1 passed; 0 failed; 0 ignored"), Some((1, 0)));
        assert_eq!(summary("test a::b ... ok"), None);
        assert_eq!(summary("test result: nonsense"), None);
    }

    #[test]
    fn a_command_that_dies_without_a_summary_counts_as_a_failure() {
        let mut tally = Tally::default();
        tally.cargo_test("dies", &mut Command::new("false")).expect("false runs");
        assert_eq!((tally.passed, tally.failed), (0, 1));
        assert!(tally.close().is_err());
    }
}
