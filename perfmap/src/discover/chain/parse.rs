//! Bytes of one source file → its facts, in bounded time and depth, whatever the bytes are.

use super::{
    extract::{self, Detail},
    facts::Facts,
    language::{Language, Roles},
};
use nix::time::{ClockId, clock_gettime};
use std::{collections::HashMap, ops::ControlFlow, time::Duration};
use tree_sitter::{ParseOptions, Parser};

/// A megabyte of any of these languages parses in 0.3 s; a file that takes this long is made to. Of the thread's own time: the
/// same file must not be read on an idle machine and given up on a busy one.
const PARSE_TIME: Duration = Duration::from_millis(1500);

/// One per thread: parsers and the roles of their nodes, made when first needed.
#[derive(Default)]
pub(super) struct Parsers(HashMap<Language, Option<(Parser, Roles)>>);

impl Parsers {
    /// `None` where the grammar does not load or the parse takes too long.
    pub(super) fn read(&mut self, language: Language, text: &[u8], detail: Detail) -> Option<Facts> {
        let (parser, roles) = self.0.entry(language).or_insert_with(|| load(language)).as_mut()?;
        let begun = spent();
        let mut slow = |_: &tree_sitter::ParseState| {
            if spent().saturating_sub(begun) > PARSE_TIME { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let tree = parser.parse_with_options(
            &mut |at, _| text.get(at..).unwrap_or_default(),
            None,
            Some(ParseOptions::new().progress_callback(&mut slow)),
        );
        // A stopped parse would be taken up where it was left.
        parser.reset();
        Some(extract::facts(language, roles, text, &tree?, detail))
    }
}

/// Processor time of this thread. The clock is there on every Linux; without it no file is given up.
fn spent() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

fn load(language: Language) -> Option<(Parser, Roles)> {
    let grammar = language.grammar();
    let mut parser = Parser::new();
    parser.set_language(&grammar).ok()?;
    Some((parser, Roles::of(language, &grammar)))
}
