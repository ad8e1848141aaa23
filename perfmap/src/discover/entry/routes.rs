//! A route → the function that answers it: by the routes that the grammars see; where these have none that fits, by the text of
//! all sources, which knows more frameworks and less of each.

use std::cmp::Reverse;

use super::{Entry, How, Repository};
use crate::{
    discover::{
        DiscoverError,
        chain::Answering,
        found::{Language, Warning},
        names::nearest,
        source::{
            definitions::{Definition, Kind, around, definitions},
            routes::{Fit, Handler, Route, fit, routes},
        },
        stacks,
        tree::parent,
    },
    recording::{EntryKind, EntryPoint},
};

struct Candidate {
    file: String,
    language: Language,
    route: Route,
}

/// `POST /x/{id}` of the function that a route of its own file leads to.
pub fn of_function(language: Language, text: &str, definition: &Definition) -> Option<String> {
    let all = definitions(language, text);
    let found = routes(language, text).routes.into_iter().find(|route| match &route.handler {
        Handler::Named(name) => *name == definition.name,
        Handler::Next => next_function(&all, route.line).is_some_and(|next| next.line == definition.line),
        Handler::Inline | Handler::Unknown => false,
    })?;
    Some(shown(found.method.as_deref(), &found.path))
}

pub fn shown(method: Option<&str>, path: &str) -> String {
    let path = format!("/{}", path.trim_start_matches(['^', '/']).trim_end_matches('$'));
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { &path };
    method.map_or(path.to_owned(), |method| format!("{method} {path}"))
}

fn next_function(definitions: &[Definition], line: u32) -> Option<&Definition> {
    definitions.iter().find(|found| found.is_function() && found.line >= line)
}

/// Least is best: parts of the path that are missing, words that agree, whether any method will do, distance.
type Rank = (usize, Reverse<usize>, bool, u8);

impl Repository<'_> {
    pub(super) fn route(&self, method: Option<&str>, base: Option<&str>, wanted: &str) -> Result<Entry, DiscoverError> {
        let mut entry = match self.by_grammar(method, wanted) {
            Some(entry) => entry,
            None => self.by_text(method, wanted)?,
        };
        entry.how = How::Request { base: base.map(str::to_owned) };
        Ok(entry)
    }

    /// None: no grammar sees such a route, or what answers it has no name.
    fn by_grammar(&self, method: Option<&str>, wanted: &str) -> Option<Entry> {
        let left_out =
            |file: &str| stacks::is_test_file(file) || (stacks::is_sample(parent(file)) && self.distance(file) > 0);
        let mut fitting: Vec<(Rank, Answering)> = self
            .index
            .answering(method, wanted)
            .into_iter()
            .filter(|found| !left_out(&found.point.file))
            .map(|found| {
                let (missing, words, any) = found.rank;
                ((missing, words, any, self.distance(&found.point.file)), found)
            })
            .collect();
        fitting.sort_by(|left, right| {
            let key = |of: &(Rank, Answering)| (of.0, of.1.point.file.clone(), of.1.point.line);
            key(left).cmp(&key(right))
        });
        let (best, found) = fitting.first()?;
        if found.anonymous {
            return None;
        }
        let route = |of: &Answering| shown(of.method.as_deref(), &of.path);
        let (language, text) = self.read(&found.point.file).ok()?;
        let own = definitions(language, &text);
        let same = |one: &&Definition| one.is_function() && one.line == found.point.line;
        // A function without a name lies in another one.
        let named = |one: &&Definition| found.point.function.rsplit(['.', ':']).next() == Some(one.name.as_str());
        let definition = own.iter().find(same).or_else(|| around(&own, found.point.line).filter(named))?.clone();
        let point = EntryPoint {
            line: definition.line,
            function: definition.qualified.clone(),
            route: Some(route(found)),
            ..found.point.clone()
        };
        let mut others: Vec<String> = Vec::new();
        for (_, other) in fitting.iter().skip(1).filter(|(rank, _)| rank == best) {
            if (&other.point.file, other.point.line) != (&found.point.file, found.point.line) && others.len() < 5 {
                others.push(format!("{} ({}:{})", route(other), other.point.file, other.point.line));
            }
        }
        let warnings = if others.is_empty() { Vec::new() } else { vec![Warning::Ambiguous { others }] };
        Some(Entry { point, definition: Some(definition), how: How::Request { base: None }, warnings })
    }

    fn by_text(&self, method: Option<&str>, wanted: &str) -> Result<Entry, DiscoverError> {
        let (candidates, prefixes) = self.declared();
        let fits_method =
            |route: &Route| method.is_none() || route.method.is_none() || route.method.as_deref() == method;
        let mut fitting: Vec<((Fit, u8), &Candidate)> = candidates
            .iter()
            .filter(|candidate| fits_method(&candidate.route))
            .filter_map(|candidate| {
                let fit = fit(&candidate.route.path, &prefixes, wanted)?;
                Some(((fit, self.distance(&candidate.file)), candidate))
            })
            .collect();
        fitting.sort_by(|left, right| {
            let key = |of: &((Fit, u8), &Candidate)| (of.0, of.1.file.clone(), of.1.route.line);
            key(left).cmp(&key(right))
        });
        let Some((best, candidate)) = fitting.first() else {
            let all: Vec<String> =
                candidates.iter().map(|found| shown(found.route.method.as_deref(), &found.route.path)).collect();
            let typed = method.map_or(wanted.to_owned(), |method| format!("{method} {wanted}"));
            let near = nearest(&typed, all.iter().map(String::as_str));
            return Err(DiscoverError::NotFound { at: typed, nearest: near });
        };
        let mut entry = self.answered_by(candidate, *best, method, wanted);
        let others = fitting.iter().skip(1).filter(|(fit, _)| fit == best);
        let others: Vec<String> = others
            .map(|(_, other)| {
                let route = shown(other.route.method.as_deref(), &other.route.path);
                format!("{route} ({}:{})", other.file, other.route.line)
            })
            .take(5)
            .collect();
        if !others.is_empty() {
            entry.warnings.push(Warning::Ambiguous { others });
        }
        Ok(entry)
    }

    /// All routes of sources that are no tests, and all prefixes.
    fn declared(&self) -> (Vec<Candidate>, Vec<String>) {
        let (mut found, mut prefixes) = (Vec::new(), Vec::new());
        for file in self.tree.files() {
            let Some(language) = Language::of(file) else { continue };
            if stacks::is_test_file(file) || (stacks::is_sample(parent(file)) && self.distance(file) > 0) {
                continue;
            }
            let Some(text) = self.tree.read(file) else { continue };
            let declared = routes(language, &text);
            prefixes.extend(declared.prefixes);
            let of_file = declared.routes.into_iter();
            found.extend(of_file.map(|route| Candidate { file: file.to_owned(), language, route }));
        }
        prefixes.sort();
        prefixes.dedup();
        (found, prefixes)
    }

    fn answered_by(&self, candidate: &Candidate, best: (Fit, u8), method: Option<&str>, wanted: &str) -> Entry {
        let Candidate { file, language, route } = candidate;
        let text = self.tree.read(file).unwrap_or_default();
        let own = definitions(*language, &text);
        let found = match &route.handler {
            Handler::Next => next_function(&own, route.line).map(|found| (file.clone(), found.clone())),
            Handler::Named(name) => self.handler(file, *language, &own, name, route.method.as_deref().or(method)),
            Handler::Inline | Handler::Unknown => None,
        };
        // What is declared, behind what the prefixes put before it.
        let segments: Vec<&str> = wanted.split('/').filter(|part| !part.is_empty()).collect();
        let front: String = segments.iter().take(best.0.missing).map(|part| format!("/{part}")).collect();
        let whole = format!("{front}{}", shown(None, &route.path));
        let whole = if whole.len() > 1 { whole.trim_end_matches('/').to_owned() } else { whole };
        let route_text = shown(route.method.as_deref().or(method), &whole);
        let inline = route.handler == Handler::Inline;
        let (point_file, line, function) = match &found {
            Some((file, definition)) => (file.clone(), definition.line, definition.qualified.clone()),
            None if inline => (file.clone(), route.line, "(anonymous)".to_owned()),
            None => (file.clone(), route.line, "(unknown)".to_owned()),
        };
        let warnings = if found.is_none() && !inline { vec![Warning::HandlerUnknown] } else { Vec::new() };
        Entry {
            point: EntryPoint {
                kind: EntryKind::ApiEndpoint,
                file: point_file,
                line,
                route: Some(route_text),
                function,
            },
            definition: found.map(|(_, definition)| definition),
            how: How::Request { base: None },
            warnings,
        }
    }

    /// A handler that is named where the route is declared: there, else in the nearest file that defines it.
    fn handler(
        &self,
        file: &str,
        language: Language,
        own: &[Definition],
        name: &str,
        method: Option<&str>,
    ) -> Option<(String, Definition)> {
        if let Some(found) = pick(own, name, method) {
            return Some((file.to_owned(), found.clone()));
        }
        let mut files: Vec<&str> = self
            .tree
            .files()
            .filter(|other| *other != file && Language::of(other) == Some(language) && !stacks::is_test_file(other))
            .collect();
        let shared = |other: &str| {
            let (left, right) = (parent(file).split('/'), parent(other).split('/'));
            left.zip(right).take_while(|(left, right)| left == right).count()
        };
        files.sort_by_key(|other| (std::cmp::Reverse(shared(other)), *other));
        files.into_iter().find_map(|other| {
            let text = self.tree.read(other)?;
            if !text.contains(name) {
                return None;
            }
            Some((other.to_owned(), pick(&definitions(language, &text), name, method)?.clone()))
        })
    }
}

/// The function of a name; of a class (a view) the method of the request's own.
fn pick<'a>(all: &'a [Definition], name: &str, method: Option<&str>) -> Option<&'a Definition> {
    let found = all.iter().find(|found| found.name == name)?;
    if found.kind != Kind::Container {
        return Some(found);
    }
    let verb = method.map(str::to_ascii_lowercase);
    let verbs = verb.as_deref().into_iter().chain(["get", "post"]);
    let mut methods = verbs.map(|verb| format!("{}.{verb}", found.qualified));
    Some(methods.find_map(|wanted| all.iter().find(|method| method.qualified == wanted)).unwrap_or(found))
}
