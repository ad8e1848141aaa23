//! perfmap's own words on standard error: the one place that knows quiet, verbose and colour.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use super::errors::Failure;

#[derive(Debug, Clone, Copy)]
pub struct Console {
    quiet: bool,
    verbose: bool,
    colour: bool,
}

const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();

/// Width where none can be asked for: piped output, the same on every machine.
const PLAIN_WIDTH: usize = 100;

impl Console {
    pub fn new(quiet: bool, verbose: bool, no_color: bool) -> Console {
        // https://no-color.org: present and not empty.
        let unwanted = no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Console { quiet, verbose, colour: !unwanted && !dumb && std::io::stderr().is_terminal() }
    }

    pub fn quiet(&self) -> bool {
        self.quiet
    }

    pub fn verbose(&self) -> bool {
        self.verbose
    }

    pub fn colour(&self) -> bool {
        self.colour
    }

    /// The locale can show more than ASCII.
    pub fn unicode(&self) -> bool {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        locale.is_none_or(|name| {
            let name = name.to_ascii_lowercase();
            name.contains("utf-8") || name.contains("utf8")
        })
    }

    pub fn width(&self) -> usize {
        let size = terminal_size::terminal_size_of(std::io::stderr());
        size.map_or(PLAIN_WIDTH, |(width, _)| usize::from(width.0).max(40))
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
