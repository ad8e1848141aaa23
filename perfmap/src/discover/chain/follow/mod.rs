//! An entry point → the chain of calls from it, depth first, through imports and over to other services of the repository.
//!
//! Bounded in depth, steps and repetition; each bound that is met is said in `unresolved`.

mod effect;
mod remote;

use super::{
    Followed,
    extract::{Detail, expression::bounded},
    facts::{Call, Facts, Function, Value},
    find,
    index::{At, Index},
    look::Meaning,
    parse::Parsers,
    routes,
    table::{self, What},
    walk,
};
use crate::recording::{EntryPoint, SourceKind, SourceStep};
pub(super) use effect::Effect;
use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

/// Calls within one service; another service begins again at 0.
pub(super) const MOST_DEPTH: usize = 5;
const MOST_SERVICES: usize = 8;
const MOST_STEPS: usize = 500;
const MOST_UNRESOLVED: usize = 60;
const MOST_FINDINGS: usize = 300;
const MOST_TEXT: usize = 200;

impl Index {
    /// Reads the files on the way once more, now with all their calls.
    pub fn follow(&self, entry: &EntryPoint) -> Followed {
        let mut walk = Follower::new(self);
        match self.at(entry) {
            Some(at) => {
                let function = if entry.function.is_empty() { "<module>".to_owned() } else { entry.function.clone() };
                walk.out.chain.push(SourceStep {
                    id: "1".to_owned(),
                    function,
                    file: entry.file.clone(),
                    line: entry.line,
                    service: self.service_name(at.file),
                    kind: SourceKind::FunctionCall,
                    target: entry.route.clone(),
                    in_loop: false,
                    awaited: false,
                });
                walk.visit(at, "1", Around::default());
            }
            None => walk.unresolved(format!("{}:{}: no function begins here", entry.file, entry.line)),
        }
        walk.finish()
    }
}

/// What surrounds a call that is being followed.
#[derive(Debug, Clone, Copy, Default)]
struct Around {
    depth: usize,
    services: usize,
    /// A caller repeats it, one after the other.
    repeated: bool,
    concurrent: bool,
    /// Below an async function, in its thread.
    on_loop: bool,
    /// The called function runs somewhere else: handed to a pool, or in another service.
    elsewhere: bool,
}

struct Follower<'a> {
    index: &'a Index,
    parsers: Parsers,
    whole: HashMap<usize, Rc<Facts>>,
    /// Functions that are being followed now.
    open: Vec<At>,
    /// Functions that were followed.
    done: BTreeSet<At>,
    callees: HashMap<At, BTreeSet<At>>,
    effects: Vec<Effect>,
    visited: Vec<At>,
    /// What was said, so that it is said once.
    said: BTreeSet<String>,
    more_unresolved: usize,
    cut: bool,
    out: Followed,
}

impl<'a> Follower<'a> {
    fn new(index: &'a Index) -> Self {
        Self {
            index,
            parsers: Parsers::default(),
            whole: HashMap::new(),
            open: Vec::new(),
            done: BTreeSet::new(),
            callees: HashMap::new(),
            effects: Vec::new(),
            visited: Vec::new(),
            said: BTreeSet::new(),
            more_unresolved: 0,
            cut: false,
            out: Followed::default(),
        }
    }

    /// The file with all its calls. Where it is gone by now, what was seen of it first.
    fn facts(&mut self, file: usize) -> Rc<Facts> {
        if let Some(facts) = self.whole.get(&file) {
            return Rc::clone(facts);
        }
        let one = self.index.files.get(file);
        let again = one.and_then(|one| {
            let text = walk::read(&self.index.root, &one.path)?;
            let facts = self.parsers.read(one.language?, &text, Detail::Everything)?;
            // A file that has changed meanwhile has other functions at other places.
            let same = |a: &Function, b: &Function| a.name == b.name && a.line == b.line;
            let old = &one.facts.functions;
            (facts.functions.len() == old.len() && facts.functions.iter().zip(old).all(|(a, b)| same(a, b)))
                .then_some(facts)
        });
        let facts = Rc::new(again.unwrap_or_else(|| one.map(|one| one.facts.clone()).unwrap_or_default()));
        self.whole.insert(file, Rc::clone(&facts));
        facts
    }

    fn visit(&mut self, at: At, id: &str, around: Around) {
        let facts = self.facts(at.file);
        let Some(function) = facts.functions.get(at.function) else { return };
        for route in self.index.routes.iter().filter(|route| route.handler == at) {
            // Where it is set up its clients may be made too.
            self.facts(route.registered.file);
        }
        self.open.push(at);
        self.done.insert(at);
        self.visited.push(at);
        let mut number = 0;
        // `a.b().c()` is one operation where `c` is known: what comes before it in the chain is none of its own.
        let mut chained: Vec<bool> = Vec::with_capacity(function.calls.len());
        let mut operates: Vec<bool> = Vec::with_capacity(function.calls.len());
        for call in &function.calls {
            let what = self.what(at, &facts, call);
            let within = call.receiver_of.and_then(|outer| operates.get(outer)).copied().unwrap_or(false);
            operates.push(within || what.is_some_and(|what| matches!(what, What::Does(..) | What::Batch(_))));
            // A client made in the middle of a chain is worth its own look: `httpx.Client().get(url)`.
            let own = matches!(what, Some(What::Client(_) | What::Opens | What::TempFile));
            // Nor is a function of ours, whose own calls count: `self.session().query(…)`.
            let ours = within
                && matches!(
                    self.index.look(at.file, &facts, at.function, &call.path),
                    Meaning::Function(_) | Meaning::Class(..)
                );
            chained.push(within && !own && !ours);
        }
        // As they run: arguments before the call that takes them.
        let mut order: Vec<usize> = (0..function.calls.len()).collect();
        order.sort_by_key(|index| function.calls.get(*index).map(|call| call.end));
        for index in order {
            if self.out.chain.len() >= MOST_STEPS {
                self.cut = true;
                break;
            }
            let Some(call) = function.calls.get(index) else { continue };
            if !chained.get(index).copied().unwrap_or(false) {
                self.call(at, &facts, call, id, &mut number, around);
            }
            self.handed_over(at, &facts, call, id, &mut number, around);
        }
        self.open.pop();
    }

    /// What a call of a foreign name does.
    fn what(&self, at: At, facts: &Facts, call: &Call) -> Option<What> {
        let language = self.index.files.get(at.file)?.language?;
        match self.index.look(at.file, facts, at.function, &call.path) {
            Meaning::Outside(parts) => {
                table::classify(language, &parts).or_else(|| table::classify(language, &call.path))
            }
            Meaning::Function(_) | Meaning::Class(..) | Meaning::Many(_) => None,
        }
    }

    fn call(&mut self, at: At, facts: &Facts, call: &Call, id: &str, number: &mut usize, around: Around) {
        match self.index.look(at.file, facts, at.function, &call.path) {
            Meaning::Function(to) => self.follow_call(at, call, to, id, number, around),
            Meaning::Class(file, class) => {
                if let Some(to) = self.index.constructor(file, class) {
                    self.follow_call(at, call, to, id, number, around);
                }
            }
            Meaning::Outside(parts) => self.foreign(at, facts, call, &parts, id, number, around),
            Meaning::Many(count) => self.unresolved_at(at, call, &format!("{count} functions could be meant")),
        }
    }

    fn follow_call(&mut self, from: At, call: &Call, to: At, id: &str, number: &mut usize, around: Around) {
        let Some(child) = self.step(from, call, SourceKind::FunctionCall, self.name_of(to), None, id, number) else {
            return;
        };
        let together =
            call.concurrent || self.later(from, call) && self.index.function(to).is_some_and(|to| to.is_async);
        let around = Around {
            depth: around.depth + 1,
            repeated: around.repeated || call.in_loop && !together,
            concurrent: around.concurrent || together,
            on_loop: !around.elsewhere
                && (around.on_loop || self.index.function(from).is_some_and(|from| from.is_async)),
            elsewhere: false,
            ..around
        };
        self.descend(from, call, to, &child, around);
    }

    /// In an async function, what is not awaited where it is called is handed to something that runs several.
    fn later(&self, from: At, call: &Call) -> bool {
        call.in_loop && !call.awaited && self.index.function(from).is_some_and(|function| function.is_async)
    }

    fn descend(&mut self, from: At, call: &Call, to: At, child: &str, around: Around) {
        if self.open.contains(&to) {
            self.unresolved_at(from, call, "recursion, cut here");
            return;
        }
        self.callees.entry(from).or_default().insert(to);
        if self.done.contains(&to) {
            // The same code again: its calls are listed once, that they are repeated counts.
            self.repeat(to, around);
            return;
        }
        if around.depth > MOST_DEPTH {
            if self.calls_something(to) {
                self.unresolved_at(from, call, &format!("truncated at depth {MOST_DEPTH}"));
            }
            return;
        }
        self.visit(to, child, around);
    }

    fn calls_something(&mut self, at: At) -> bool {
        self.facts(at.file).functions.get(at.function).is_some_and(|function| !function.calls.is_empty())
    }

    /// What a function and all below it did when they were followed first, they do again in a loop now.
    fn repeat(&mut self, at: At, around: Around) {
        let again = around.repeated && !around.concurrent;
        if !again && !around.on_loop {
            return;
        }
        let mut below = BTreeSet::new();
        let mut open = vec![at];
        while let Some(one) = open.pop() {
            if below.insert(one) {
                open.extend(self.callees.get(&one).into_iter().flatten());
            }
        }
        for effect in self.effects.iter_mut().filter(|effect| below.contains(&effect.at)) {
            effect.repeated |= again;
            effect.on_loop |= around.on_loop && effect.at == at;
        }
    }

    /// A function given to a call is called by it, if by name or written in place.
    fn handed_over(&mut self, at: At, facts: &Facts, call: &Call, id: &str, number: &mut usize, around: Around) {
        let Some(language) = self.index.files.get(at.file).and_then(|file| file.language) else { return };
        if routes::registers(language, &call.path)
            && routes::has_route(language, &call.path, &call.args)
            && at.function == 0
        {
            return;
        }
        // A macro's words are no values.
        if call.last().ends_with('!') {
            return;
        }
        for arg in &call.args {
            let to = match &arg.value {
                Value::Function(function) => At { file: at.file, function: *function },
                Value::Name(parts) => match self.index.look(at.file, facts, at.function, parts) {
                    Meaning::Function(to) if self.is_reference(to, parts) => to,
                    Meaning::Function(_) | Meaning::Class(..) | Meaning::Outside(_) | Meaning::Many(_) => continue,
                },
                Value::Text(_) | Value::Number(_) | Value::Call(..) | Value::Other => continue,
            };
            self.follow_call(at, call, to, id, number, Around { elsewhere: true, ..around });
        }
    }

    /// A variable that holds what a function made is not the function.
    fn is_reference(&self, to: At, parts: &[String]) -> bool {
        let name = self.index.function(to).map(|function| function.name.as_str());
        parts.last().map(String::as_str) == name
    }

    #[expect(clippy::too_many_arguments, reason = "a step is all of these")]
    fn step(
        &mut self,
        from: At,
        call: &Call,
        kind: SourceKind,
        function: String,
        target: Option<String>,
        id: &str,
        number: &mut usize,
    ) -> Option<String> {
        if self.out.chain.len() >= MOST_STEPS {
            self.cut = true;
            return None;
        }
        *number += 1;
        let child = format!("{id}.{number}");
        self.out.chain.push(SourceStep {
            id: child.clone(),
            function: bounded(&function, MOST_TEXT),
            file: self.path_of(from.file),
            line: call.line,
            service: self.index.service_name(from.file),
            kind,
            target: target.map(|target| bounded(&target, MOST_TEXT)),
            in_loop: call.in_loop,
            awaited: call.awaited,
        });
        Some(child)
    }

    fn name_of(&self, at: At) -> String {
        let language = self.index.files.get(at.file).and_then(|file| file.language);
        self.index
            .function(at)
            .zip(language)
            .map(|(function, language)| function.qualified(language))
            .unwrap_or_default()
    }

    fn path_of(&self, file: usize) -> String {
        self.index.files.get(file).map(|file| file.path.clone()).unwrap_or_default()
    }

    fn unresolved_at(&mut self, at: At, call: &Call, why: &str) {
        let path = self.path_of(at.file);
        self.unresolved(format!("{path}:{}: {}: {why}", call.line, call.path.join(".")));
    }

    fn unresolved(&mut self, text: String) {
        self.say(bounded(&text, MOST_TEXT * 2));
    }

    fn say(&mut self, text: String) {
        if self.out.unresolved.len() >= MOST_UNRESOLVED {
            self.more_unresolved += usize::from(!self.said.contains(&text));
        } else if self.said.insert(text.clone()) {
            self.out.unresolved.push(text);
        }
    }

    fn finish(mut self) -> Followed {
        let visited = std::mem::take(&mut self.visited);
        let whole: HashMap<usize, Rc<Facts>> = self.whole.clone();
        let mut findings = find::all(self.index, &whole, &visited, &self.effects);
        findings.truncate(MOST_FINDINGS);
        self.out.findings = findings;
        if self.cut {
            self.out.unresolved.push(format!("the chain has over {MOST_STEPS} steps; the rest is not listed"));
        }
        if self.more_unresolved > 0 {
            self.out.unresolved.push(format!("and {} more", self.more_unresolved));
        }
        self.out
    }
}
