//! A name where it is written → the function, class, or foreign thing that it means.
//!
//! What is known: scopes, imports, declared and made types, fields, bases. What is not: values at run time, reflection.
//! Nothing is guessed but one thing: a receiver called like the only class that has such a method.

use super::{
    facts::{Facts, Function, Import, Parts},
    index::{At, File, Index},
    language::Language,
    modules,
};

const MOST_HOPS: usize = 12;
/// So many parts of a foreign name say what it is.
const MOST_PARTS: usize = 24;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meaning {
    Function(At),
    /// File, position in its classes.
    Class(usize, usize),
    /// Not of this repository: its name, as full as imports and types make it.
    Outside(Parts),
    /// So many functions could be meant.
    Many(usize),
}

/// Where a name is written.
#[derive(Clone, Copy)]
struct Scope<'a> {
    file: usize,
    facts: &'a Facts,
    function: usize,
}

impl Index {
    pub(super) fn function(&self, at: At) -> Option<&Function> {
        self.files.get(at.file)?.facts.functions.get(at.function)
    }

    /// By the outline alone: what the file says outside its functions.
    pub(super) fn look_at_top(&self, file: usize, path: &[String]) -> Meaning {
        self.look_in(file, 0, path)
    }

    pub(super) fn look_in(&self, file: usize, function: usize, path: &[String]) -> Meaning {
        match self.files.get(file) {
            Some(one) => self.look(file, &one.facts, function, path),
            None => Meaning::Outside(path.to_vec()),
        }
    }

    /// With the whole facts of the file.
    pub(super) fn look(&self, file: usize, facts: &Facts, function: usize, path: &[String]) -> Meaning {
        let found = self.find(Scope { file, facts, function }, path, MOST_HOPS);
        match found {
            // What an import or a type has said more about is no guess.
            Meaning::Outside(parts)
                if parts == path && !facts.imports.iter().any(|import| Some(&import.local) == path.first()) =>
            {
                self.by_likeness(file, &parts).unwrap_or(Meaning::Outside(parts))
            }
            found => found,
        }
    }

    fn find(&self, scope: Scope<'_>, path: &[String], hops: usize) -> Meaning {
        let (Some(hops), Some((head, rest))) = (hops.checked_sub(1), path.split_first()) else {
            return Meaning::Outside(path.to_vec());
        };
        if path.len() > MOST_PARTS {
            return Meaning::Outside(path.to_vec());
        }
        if let Some(owner) = own_class(scope, head) {
            return match self.class_near(scope.file, scope.facts, &owner) {
                Some((file, class)) => self.in_class(file, class, rest, hops),
                None => Meaning::Outside(path.to_vec()),
            };
        }
        let mut around = scope.function;
        for _ in 0..16 {
            let Some(function) = scope.facts.functions.get(around).filter(|_| around != 0) else { break };
            if let Some(found) = self.in_function(scope, around, function, head, rest, hops) {
                return found;
            }
            around = function.outer;
        }
        if let Some(found) = self.at_top(scope, head, rest, hops) {
            return found;
        }
        if let Some(import) = scope.facts.imports.iter().find(|import| import.local == *head) {
            return self.imported(scope.file, import, rest, hops);
        }
        // Python's `import a.b` is known as `a.b`.
        let dotted = scope.facts.imports.iter().find_map(|import| {
            let parts: Vec<&str> = import.local.split('.').collect();
            let fits = parts.len() > 1 && path.len() > parts.len() && path.iter().zip(&parts).all(|(a, b)| a == b);
            fits.then_some((import, parts.len()))
        });
        if let Some((import, parts)) = dotted {
            return self.imported(scope.file, import, path.get(parts..).unwrap_or_default(), hops);
        }
        self.without_import(scope, path, hops)
    }

    fn in_function(
        &self,
        scope: Scope<'_>,
        at: usize,
        function: &Function,
        head: &str,
        rest: &[String],
        hops: usize,
    ) -> Option<Meaning> {
        let inner = |one: &Function| one.outer == at && one.name == head && one.owner.is_none();
        if let Some(inner) = scope.facts.functions.iter().position(inner).filter(|_| rest.is_empty()) {
            return Some(Meaning::Function(At { file: scope.file, function: inner }));
        }
        let scope = Scope { function: at, ..scope };
        let bound = function.bindings.iter().rev().find(|binding| binding.name == head && !binding.value.is_empty());
        if let Some(bound) = bound.filter(|bound| bound.value.first().is_none_or(|first| first != head)) {
            return Some(self.stands_for(scope, &bound.value, rest, hops));
        }
        let (_, kind) = function.params.iter().find(|(name, _)| name == head)?;
        if kind.is_empty() {
            let whole = std::iter::once(head.to_owned()).chain(rest.iter().cloned()).collect();
            return Some(Meaning::Outside(whole));
        }
        Some(self.stands_for(Scope { function: 0, ..scope }, kind, rest, hops))
    }

    fn at_top(&self, scope: Scope<'_>, head: &str, rest: &[String], hops: usize) -> Option<Meaning> {
        let top = |one: &Function| one.outer == 0 && one.name == head && one.owner.is_none() && one.line > 0;
        let function = scope.facts.functions.iter().skip(1).position(top).map(|at| at + 1);
        if let Some(function) = function {
            let at = At { file: scope.file, function };
            return Some(if rest.is_empty() { Meaning::Function(at) } else { self.given_back(at, rest, hops) });
        }
        if let Some(class) = scope.facts.classes.iter().position(|class| class.name == head) {
            return Some(self.in_class(scope.file, class, rest, hops));
        }
        let binding = scope.facts.functions.first()?.bindings.iter().rev();
        let binding = binding.clone().find(|binding| binding.name == head && !binding.value.is_empty())?;
        if binding.value.first().is_some_and(|first| first == head) {
            return None;
        }
        Some(self.stands_for(Scope { function: 0, ..scope }, &binding.value, rest, hops))
    }

    /// `rest` of what `value` makes or is.
    fn stands_for(&self, scope: Scope<'_>, value: &[String], rest: &[String], hops: usize) -> Meaning {
        match self.find(scope, value, hops) {
            Meaning::Function(at) if rest.is_empty() => Meaning::Function(at),
            Meaning::Function(at) => match self.given_back(at, rest, hops) {
                Meaning::Outside(_) => Meaning::Outside(value.iter().chain(rest).cloned().collect()),
                found => found,
            },
            Meaning::Class(file, class) => self.in_class(file, class, rest, hops),
            Meaning::Outside(parts) => Meaning::Outside(parts.into_iter().chain(rest.iter().cloned()).collect()),
            Meaning::Many(count) => Meaning::Many(count),
        }
    }

    /// `rest` of what a function of ours returns, where it says so.
    fn given_back(&self, at: At, rest: &[String], hops: usize) -> Meaning {
        let outside = || Meaning::Outside(rest.to_vec());
        let Some(file) = self.files.get(at.file) else { return outside() };
        let Some(function) = file.facts.functions.get(at.function) else { return outside() };
        let returns = match (function.returns.as_slice(), &function.owner) {
            ([own], Some(owner)) if own == "Self" => vec![owner.clone()],
            (returns, _) => returns.to_vec(),
        };
        let Some(hops) = hops.checked_sub(1).filter(|_| !returns.is_empty()) else { return outside() };
        self.stands_for(Scope { file: at.file, facts: &file.facts, function: 0 }, &returns, rest, hops)
    }

    fn in_class(&self, file: usize, class: usize, rest: &[String], hops: usize) -> Meaning {
        let Some(one) = self.files.get(file) else { return Meaning::Outside(rest.to_vec()) };
        let Some(facts) = one.facts.classes.get(class) else { return Meaning::Outside(rest.to_vec()) };
        let Some((head, more)) = rest.split_first() else { return Meaning::Class(file, class) };
        let outside = || Meaning::Outside(std::iter::once(&facts.name).chain(rest).cloned().collect());
        let Some(hops) = hops.checked_sub(1) else { return outside() };
        if let Some(at) = self.method(file, class, head) {
            return if more.is_empty() { Meaning::Function(at) } else { self.given_back(at, more, hops) };
        }
        let scope = Scope { file, facts: &one.facts, function: 0 };
        if let Some(field) = facts.fields.iter().find(|field| field.name == *head && !field.value.is_empty()) {
            return self.stands_for(scope, &field.value, more, hops);
        }
        let mut foreign = None;
        for base in facts.bases.iter().take(8).filter(|base| base.last() != Some(&facts.name)) {
            match self.find(scope, base, hops) {
                Meaning::Class(file, class) => match self.in_class(file, class, rest, hops) {
                    Meaning::Outside(parts) => foreign = foreign.or(Some(parts)),
                    found => return found,
                },
                Meaning::Outside(parts) => foreign = Some(parts.into_iter().chain(rest.iter().cloned()).collect()),
                Meaning::Function(_) | Meaning::Many(_) => {}
            }
        }
        if facts.is_interface && more.is_empty() {
            let found = self.implementors(one, &facts.name, head);
            match found.as_slice() {
                [at] => return Meaning::Function(*at),
                [] => {}
                many => return Meaning::Many(many.len()),
            }
        }
        foreign.map_or_else(outside, Meaning::Outside)
    }

    /// Those that have the method: in Go any type may, elsewhere those that name the interface.
    fn implementors(&self, of: &File, interface: &str, method: &str) -> Vec<At> {
        let all = self.functions.get(method).into_iter().flatten().copied();
        let fits = |at: &At| {
            let Some(file) = self.files.get(at.file).filter(|file| file.language == of.language) else { return false };
            let owner = file.facts.functions.get(at.function).and_then(|function| function.owner.as_ref());
            let Some(owner) = owner else { return false };
            let named = |class: &super::facts::Class| {
                class.name == *owner && class.bases.iter().any(|base| base.last().is_some_and(|last| last == interface))
            };
            of.language == Some(Language::Go) || file.facts.classes.iter().any(named)
        };
        all.filter(fits).take(16).collect()
    }

    /// In Go and Rust a type's methods may lie in any file of its directory.
    pub(super) fn method(&self, file: usize, class: usize, name: &str) -> Option<At> {
        let one = self.files.get(file)?;
        let class = one.facts.classes.get(class)?;
        let spread = matches!(one.language, Some(Language::Go | Language::Rust | Language::CSharp));
        let fits = |at: &&At| {
            let owner = self.function(**at).and_then(|function| function.owner.as_ref());
            let near =
                at.file == file || spread && self.files.get(at.file).is_some_and(|other| other.dir() == one.dir());
            near && owner == Some(&class.name)
        };
        self.functions.get(name)?.iter().find(fits).copied()
    }

    /// What is called when an object of the class is made.
    pub(super) fn constructor(&self, file: usize, class: usize) -> Option<At> {
        let name = self.files.get(file)?.facts.classes.get(class)?.name.clone();
        ["__init__", "constructor", &name].iter().find_map(|method| self.method(file, class, method))
    }

    fn imported(&self, file: usize, import: &Import, rest: &[String], hops: usize) -> Meaning {
        let Some(one) = self.files.get(file) else { return Meaning::Outside(rest.to_vec()) };
        let files = modules::files(self, file, &import.module);
        let Some(item) = &import.item else {
            // A Rust import of one part, a Python or Go module.
            return match rest.split_first() {
                Some((name, more)) if !files.is_empty() => self.named(&files, name, more, hops, import),
                _ => Meaning::Outside(foreign(one, import, rest)),
            };
        };
        let inner = modules::files(self, file, &modules::join(one, &import.module, item));
        if let (false, Some((name, more))) = (inner.is_empty(), rest.split_first()) {
            return self.named(&inner, name, more, hops, import);
        }
        if files.is_empty() {
            return Meaning::Outside(foreign(one, import, rest));
        }
        self.named(&files, item, rest, hops, import)
    }

    /// A name at the top of one of these files.
    fn named(&self, files: &[usize], name: &str, rest: &[String], hops: usize, import: &Import) -> Meaning {
        let outside = || {
            let head = [import.module.clone(), name.to_owned()];
            Meaning::Outside(head.into_iter().chain(rest.iter().cloned()).collect())
        };
        let Some(hops) = hops.checked_sub(1) else { return outside() };
        for file in files {
            let Some(one) = self.files.get(*file) else { continue };
            let scope = Scope { file: *file, facts: &one.facts, function: 0 };
            if let Some(found) = self.at_top(scope, name, rest, hops) {
                return found;
            }
            // `const jobs = require("./jobs"); jobs.list()`: the module itself is the object.
            if name == "default"
                && let Some((name, more)) = rest.split_first()
                && let Some(found) = self.at_top(scope, name, more, hops)
            {
                return found;
            }
            let through = one.facts.imports.iter().find(|again| again.local == name || again.local == "*");
            if let Some(again) = through.filter(|again| **again != *import) {
                let again = match again.local.as_str() {
                    "*" => Import { item: Some(name.to_owned()), ..again.clone() },
                    _ => again.clone(),
                };
                return self.imported(*file, &again, rest, hops);
            }
        }
        outside()
    }

    fn without_import(&self, scope: Scope<'_>, path: &[String], hops: usize) -> Meaning {
        let outside = || Meaning::Outside(path.to_vec());
        let (Some(one), Some((head, rest))) = (self.files.get(scope.file), path.split_first()) else {
            return outside();
        };
        match one.language {
            Some(Language::Go) => {
                let files = self.by_dir.get(one.dir()).map(Vec::as_slice).unwrap_or_default();
                let others = files.iter().filter(|file| **file != scope.file);
                for file in others {
                    let Some(other) = self.files.get(*file) else { continue };
                    let scope = Scope { file: *file, facts: &other.facts, function: 0 };
                    if let Some(found) = self.at_top(scope, head, rest, hops) {
                        return found;
                    }
                }
                outside()
            }
            Some(Language::Java | Language::CSharp) => {
                let owner = scope.facts.functions.get(scope.function).and_then(|function| function.owner.clone());
                let own = owner.and_then(|owner| self.class_near(scope.file, scope.facts, &owner));
                if let Some((file, class)) = own {
                    let facts = self.files.get(file).and_then(|file| file.facts.classes.get(class));
                    let field = facts.is_some_and(|class| class.fields.iter().any(|field| field.name == *head));
                    if field || rest.is_empty() && self.method(file, class, head).is_some() {
                        return self.in_class(file, class, path, hops);
                    }
                    if rest.is_empty()
                        && let found @ Meaning::Function(_) = self.in_class(file, class, path, hops)
                    {
                        return found;
                    }
                }
                match self.class_near(scope.file, scope.facts, head) {
                    Some((file, class)) => self.in_class(file, class, rest, hops),
                    None => outside(),
                }
            }
            Some(Language::Rust) => self.rust_path(scope, path, hops),
            Some(Language::Python) => {
                let star = scope.facts.imports.iter().filter(|import| import.local == "*");
                for import in star.take(8) {
                    let files = modules::files(self, scope.file, &import.module);
                    match self.named(&files, head, rest, hops, import) {
                        Meaning::Outside(_) => {}
                        found => return found,
                    }
                }
                outside()
            }
            Some(Language::JavaScript | Language::TypeScript | Language::Tsx) | None => outside(),
        }
    }

    /// `crate::store::save`, `store::Store::new`: the longest beginning that is a module.
    fn rust_path(&self, scope: Scope<'_>, path: &[String], hops: usize) -> Meaning {
        for cut in (1..path.len()).rev() {
            let (module, rest) = path.split_at(cut);
            let files = modules::files(self, scope.file, &module.join("::"));
            let (Some(file), Some((name, more))) = (files.first(), rest.split_first()) else { continue };
            if let Some(one) = self.files.get(*file) {
                let scope = Scope { file: *file, facts: &one.facts, function: 0 };
                if let Some(found) = self.at_top(scope, name, more, hops) {
                    return found;
                }
            }
        }
        Meaning::Outside(path.to_vec())
    }

    /// In this file, in this directory, or the only one of the repository.
    fn class_near(&self, file: usize, facts: &Facts, name: &str) -> Option<(usize, usize)> {
        if let Some(class) = facts.classes.iter().position(|class| class.name == name) {
            return Some((file, class));
        }
        let one = self.files.get(file)?;
        let same =
            |(other, _): &&(usize, usize)| self.files.get(*other).is_some_and(|other| other.language == one.language);
        let all: Vec<_> = self.classes.get(name)?.iter().filter(same).copied().collect();
        let near = all.iter().find(|(other, _)| self.files.get(*other).is_some_and(|other| other.dir() == one.dir()));
        let service =
            all.iter().filter(|(other, _)| self.files.get(*other).is_some_and(|other| other.service == one.service));
        near.copied().or_else(|| {
            let mut service = service.copied();
            let first = service.next();
            if service.next().is_none() { first } else { None }
        })
    }

    /// `user_service.load()` where `UserService` alone has a method `load`.
    fn by_likeness(&self, file: usize, parts: &[String]) -> Option<Meaning> {
        let (method, before) = parts.split_last()?;
        // A variable or field; a type is known by its name or not at all.
        let name = before.last().filter(|name| name.starts_with(|c: char| c.is_lowercase() || c == '_'))?;
        let receiver = plain(name);
        let language = self.files.get(file)?.language?;
        if receiver.len() < 3 {
            return None;
        }
        let like = |at: &&At| {
            let near =
                self.files.get(at.file).and_then(|file| file.language).is_some_and(|other| language.mixes_with(other));
            let owner = self.function(**at).and_then(|function| function.owner.as_ref()).map(|owner| plain(owner));
            near && owner.is_some_and(|owner| {
                owner == receiver
                    || owner.len() >= 6 && receiver.ends_with(&owner)
                    || receiver.len() >= 4 && owner.ends_with(&receiver)
            })
        };
        let mut found = self.functions.get(method)?.iter().filter(like);
        match (found.next(), found.count()) {
            (Some(at), 0) => Some(Meaning::Function(*at)),
            (Some(_), more) => Some(Meaning::Many(more + 1)),
            (None, _) => None,
        }
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// The class that `self`, `this` or Go's receiver stands for; a function inside a method means its object.
fn own_class(scope: Scope<'_>, head: &str) -> Option<String> {
    let mut at = scope.function;
    for _ in 0..16 {
        let function = scope.facts.functions.get(at)?;
        let own = matches!(head, "self" | "this" | "Self" | "cls") || function.receiver.as_deref() == Some(head);
        if let Some(owner) = function.owner.as_ref().filter(|_| own) {
            return Some(owner.clone());
        }
        at = function.outer;
        if at == 0 {
            return None;
        }
    }
    None
}

/// The name that tables of known libraries use.
fn foreign(file: &File, import: &Import, rest: &[String]) -> Parts {
    let mut parts: Parts = match file.language {
        Some(Language::Python) => import.module.split('.').map(str::to_owned).collect(),
        Some(Language::Rust) => import.module.split("::").map(str::to_owned).collect(),
        Some(Language::Go) => vec![import.local.clone()],
        Some(Language::Java | Language::CSharp) => Parts::new(),
        Some(Language::JavaScript | Language::TypeScript | Language::Tsx) | None => {
            vec![import.module.trim_start_matches("node:").to_owned()]
        }
    };
    parts.extend(import.item.clone().filter(|item| item != "default"));
    parts.extend(rest.iter().cloned());
    parts
}
