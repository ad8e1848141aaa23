//! What was seen on the way → findings: places that a rule of the catalogue should ask the run about.
//!
//! None of them is a verdict. One file a group of rules.

mod connection;
mod repeat;
mod setting;
mod waits;

use super::{
    facts::{Call, Facts, Function, Value},
    follow::Effect,
    index::{At, Index},
    language::Language,
    table::{Holds, What},
};
use crate::recording::{SourceFinding, SourceKind};
use std::{collections::HashMap, rc::Rc};

/// Collects findings, each once.
pub(super) struct Findings<'a> {
    index: &'a Index,
    out: Vec<SourceFinding>,
}

/// A visited function with what it does outside.
pub(super) struct Seen<'a> {
    pub at: At,
    pub language: Language,
    pub function: &'a Function,
    pub effects: Vec<&'a Effect>,
}

pub(super) fn all(
    index: &Index,
    whole: &HashMap<usize, Rc<Facts>>,
    visited: &[At],
    effects: &[Effect],
) -> Vec<SourceFinding> {
    let mut findings = Findings { index, out: Vec::new() };
    let mut seen = Vec::new();
    for at in visited {
        let facts = whole.get(&at.file);
        let function = facts.and_then(|facts| facts.functions.get(at.function));
        let language = index.files.get(at.file).and_then(|file| file.language);
        if let (Some(function), Some(language)) = (function, language) {
            let effects = effects.iter().filter(|effect| effect.at == *at).collect();
            seen.push(Seen { at: *at, language, function, effects });
        }
    }
    for one in &seen {
        connection::find(one, &mut findings);
        repeat::find(one, &mut findings);
        waits::find(one, &mut findings);
    }
    repeat::over_the_chain(&seen, &mut findings);
    setting::find(index, whole, &seen, &mut findings);
    let mut out = findings.out;
    out.sort_by(|a, b| (&a.file, a.line, &a.rule, &a.what).cmp(&(&b.file, b.line, &b.rule, &b.what)));
    out.dedup_by(|a, b| a.rule == b.rule && a.file == b.file && a.line == b.line);
    out
}

impl Findings<'_> {
    fn add(&mut self, rule: &str, at: At, line: u32, what: String) {
        let file = self.index.files.get(at.file);
        let language = file.and_then(|file| file.language);
        let function = self.index.function(at).zip(language).map(|(function, language)| function.qualified(language));
        self.out.push(SourceFinding {
            rule: rule.to_owned(),
            function: function.unwrap_or_default(),
            file: file.map(|file| file.path.clone()).unwrap_or_default(),
            line,
            what,
        });
    }
}

impl Effect {
    /// `cursor.execute`: the end of its name.
    pub(super) fn short(&self) -> String {
        let parts: Vec<&str> = self.name.split('.').collect();
        parts.get(parts.len().saturating_sub(2)..).unwrap_or_default().join(".")
    }

    pub(super) fn kind(&self) -> Option<SourceKind> {
        match self.what {
            What::Does(kind, _) => Some(kind),
            What::Client(_)
            | What::Opens
            | What::TempFile
            | What::Limiter
            | What::Batch(_)
            | What::Cache
            | What::Syncs
            | What::Nothing => None,
        }
    }

    pub(super) fn holds_thread(&self) -> bool {
        match self.what {
            What::Does(_, holds) => holds == Holds::Thread,
            What::Opens | What::Syncs => true,
            What::Client(_) | What::TempFile | What::Limiter | What::Batch(_) | What::Cache | What::Nothing => false,
        }
    }

    /// Done again and again, each after the one before.
    pub(super) fn in_sequence(&self, function: &Function) -> bool {
        // A coroutine that is not awaited here is handed to something that runs several.
        let later = function.is_async && !self.call.awaited && !self.holds_thread();
        (self.call.in_loop || self.repeated) && !self.concurrent && !later
    }

    /// What it is done to changes with each turn of its loop.
    pub(super) fn varies(&self) -> bool {
        self.call.turns.iter().any(|name| self.call.args.iter().any(|arg| mentions(&arg.value, name)))
    }
}

/// A value that a name goes into.
pub(super) fn mentions(value: &Value, name: &str) -> bool {
    match value {
        Value::Name(parts) => parts.first().is_some_and(|first| first == name),
        Value::Call(parts, last) => {
            parts.first().is_some_and(|first| first == name) || last.as_deref().is_some_and(|last| mentions(last, name))
        }
        Value::Text(text) => text.split('{').skip(1).any(|hole| {
            hole.split('}').next().unwrap_or_default().split('.').next().is_some_and(|first| first == name)
        }),
        Value::Number(_) | Value::Function(_) | Value::Other => false,
    }
}

/// The first argument's number.
pub(super) fn number(call: &Call) -> Option<&str> {
    call.args.iter().find_map(|arg| match (&arg.name, &arg.value) {
        (None, Value::Number(number)) => Some(number.as_str()),
        (None, Value::Call(_, Some(last))) => match last.as_ref() {
            Value::Number(number) => Some(number.as_str()),
            _ => None,
        },
        _ => None,
    })
}
