//! perfmap's own words on standard error: the one place that knows quiet, verbose and colour.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use super::errors::Failure;
use crate::report::terminal::View;

#[derive(Debug, Clone, Copy)]
pub struct Console {
    quiet: bool,
    verbose: bool,
    colour: bool,
    /// By the user and the terminal's kind, wherever it goes.
    wanted: bool,
}

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();

impl Console {
    pub fn new(quiet: bool, verbose: bool, no_color: bool) -> Console {
        // https://no-color.org: present and not empty.
        let unwanted = no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let wanted = !unwanted && !dumb;
        Console { quiet, verbose, colour: wanted && std::io::stderr().is_terminal(), wanted }
    }

    pub fn verbose(&self) -> bool {
        self.verbose
    }

    /// Redrawing a line needs a terminal that can do more than print.
    pub fn can_redraw(&self) -> bool {
        !self.quiet && std::io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
    }

    /// What the report may use. Piped it is the same on every machine.
    pub fn view(&self) -> View {
        let plain = View { all_steps: self.verbose, ..View::PLAIN };
        match terminal_size::terminal_size_of(std::io::stderr()) {
            Some((width, _)) => {
                View { width: usize::from(width.0), colour: self.colour, unicode: unicode_locale(), ..plain }
            }
            None => View { colour: self.colour, ..plain },
        }
    }

    /// The same for what goes to standard output.
    pub fn output_view(&self) -> View {
        let plain = View { all_steps: self.verbose, ..View::PLAIN };
        let colour = self.wanted && std::io::stdout().is_terminal();
        match terminal_size::terminal_size_of(std::io::stdout()) {
            Some((width, _)) => View { width: usize::from(width.0), colour, unicode: unicode_locale(), ..plain },
            None => View { colour, ..plain },
        }
    }

    pub fn line(&self, text: &str) {
        if !self.quiet {
            self.write(&format!("{text}\n"));
        }
    }

    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.write(&format!("{text}\n"));
        }
    }

    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.write(&format!("{} {text}\n", self.label("note:", CYAN)));
        }
    }

    /// Shown in quiet mode too: what the reader must know about the result.
    pub fn warning(&self, text: &str) {
        self.write(&format!("{} {text}\n", self.label("warning:", YELLOW)));
    }

    /// What the report says too, for when there is none.
    pub fn without_report(&self, text: &str) {
        if self.quiet {
            self.warning(text);
        }
    }

    pub fn failure(&self, failure: &Failure) {
        let mut text = String::new();
        for line in failure.quoted() {
            text += &format!("  | {line}\n");
        }
        text += &format!("{} {failure}\n", self.label("error:", RED));
        if let Some(hint) = failure.hint() {
            text += &format!("{} {hint}\n", self.label("hint:", CYAN));
        }
        self.write(&text);
    }

    /// The finished report.
    pub fn report(&self, text: &str) {
        if !self.quiet {
            self.write(text);
        }
    }

    fn label(&self, text: &str, style: Style) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// One write per message, so that it is not cut up by the command's own output. Nobody is left to be told when
    /// standard error itself is gone.
    fn write(&self, text: &str) {
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// POSIX: the first of these that is set and not empty counts.
fn unicode_locale() -> bool {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    // Unset is what containers and sudo leave; their terminals show UTF-8 all the same.
    locale.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
