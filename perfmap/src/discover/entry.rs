//! A target → where it is entered: file, line, function, route; and what is needed to run it.

mod functions;
mod pipelines;
mod routes;

use super::{
    DiscoverError,
    chain::Index,
    found::{Language, Runnable, Stack, Warning},
    names::nearest,
    source::definitions::{Definition, Kind, around, by_name, definitions},
    stacks::{self, Case},
    target::Target,
    tree::{Tree, is_below, join, name},
};
use crate::recording::{EntryKind, EntryPoint};

/// What targets are resolved in.
#[derive(Debug)]
pub struct Repository<'a> {
    pub tree: &'a Tree,
    pub stacks: &'a [Stack],
    /// Where the user stands, relative to the root: of several that fit, what lies here comes first.
    pub near: &'a str,
    /// Its sources as their grammars see them.
    pub index: &'a Index,
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub point: EntryPoint,
    /// The function's own definition, where it is a function.
    pub definition: Option<Definition>,
    pub how: How,
    pub warnings: Vec<Warning>,
}

/// How it is run, besides by a test.
#[derive(Debug, Clone)]
pub enum How {
    /// `base`: of the URL that was typed.
    Request {
        base: Option<String>,
    },
    Call,
    Run(Runnable),
    Test(Case),
}

impl Repository<'_> {
    pub fn resolve(&self, target: &Target) -> Result<Entry, DiscoverError> {
        match target {
            Target::Function { file, function } => self.function(file, function),
            Target::Line { file, line } => self.line(file, *line),
            Target::Route { method, base, route } => self.route(method.as_deref(), base.as_deref(), route),
            Target::Qualified { module, function } => {
                let whole = format!("{module}:{function}");
                match self.script(&whole) {
                    Some(found) => Ok(found),
                    None => self.qualified(module, function),
                }
            }
            Target::Name(name) => self.named(name),
        }
    }

    /// A file as it was typed: from where the user stands, from the root, or the end of a path.
    fn file(&self, typed: &str) -> Result<String, DiscoverError> {
        let here = join(self.near, typed);
        if let Some(found) = [here.as_str(), typed].into_iter().find(|path| self.tree.has(path)) {
            return Ok(found.to_owned());
        }
        let end = format!("/{typed}");
        let mut ending: Vec<&str> = self.tree.files().filter(|file| file.ends_with(&end)).collect();
        ending.sort_by_key(|file| (self.distance(file), file.len()));
        match ending.first() {
            Some(found) => Ok((*found).to_owned()),
            None => {
                let same_name = self.tree.files().filter(|file| name(file) == name(typed)).map(str::to_owned);
                let mut near: Vec<String> = same_name.take(3).collect();
                if near.is_empty() {
                    near = nearest(typed, self.tree.files().filter(|file| Language::of(file).is_some()));
                }
                Err(DiscoverError::NotFound { at: typed.to_owned(), nearest: near })
            }
        }
    }

    /// 0: below where the user stands.
    fn distance(&self, file: &str) -> u8 {
        u8::from(!is_below(file, self.near))
    }

    fn read(&self, file: &str) -> Result<(Language, String), DiscoverError> {
        let not_read = || DiscoverError::NotRead { file: file.to_owned() };
        let language = Language::of(file).ok_or_else(not_read)?;
        Ok((language, self.tree.read(file).ok_or_else(not_read)?))
    }

    fn function(&self, typed: &str, function: &str) -> Result<Entry, DiscoverError> {
        let file = self.file(typed)?;
        let (language, text) = self.read(&file)?;
        let found = definitions(language, &text);
        // Of `test_x[1-2]` the brackets choose among the runs of one test.
        let plain = function.split_once('[').map_or(function, |(plain, _)| plain);
        let cases = stacks::cases(language, &file, &text, &found);
        let case = |name: &str| {
            let ends = [format!("::{name}"), format!(".{name}"), format!(" {name}")];
            cases.iter().find(|case| case.name == name || ends.iter().any(|end| case.name.ends_with(end)))
        };
        match (by_name(&found, plain), case(plain)) {
            (definition, Some(found_case)) => {
                let mut case = found_case.clone();
                if plain != function {
                    case.name = format!("{}{}", case.name, function.get(plain.len()..).unwrap_or_default());
                }
                Ok(test(file, case, definition.cloned()))
            }
            (Some(definition), None) if definition.kind == Kind::Container && stacks::is_test_file(&file) => {
                let case = Case { name: definition.qualified.clone(), line: definition.line, end: definition.end };
                Ok(test(file, case, Some(definition.clone())))
            }
            (Some(definition), None) => Ok(self.of_definition(&file, language, &text, definition)),
            (None, None) => {
                let names = found.iter().map(|definition| definition.qualified.as_str());
                let near = nearest(plain, names.chain(cases.iter().map(|case| case.name.as_str())));
                let near = near.into_iter().map(|name| format!("{file}::{name}")).collect();
                Err(DiscoverError::NotFound { at: format!("{file}::{function}"), nearest: near })
            }
        }
    }

    fn line(&self, typed: &str, line: u32) -> Result<Entry, DiscoverError> {
        let file = self.file(typed)?;
        let (language, text) = self.read(&file)?;
        let found = definitions(language, &text);
        let cases = stacks::cases(language, &file, &text, &found);
        if let Some(case) = cases.iter().rfind(|case| case.line <= line && line <= case.end) {
            return Ok(test(file, case.clone(), around(&found, line).cloned()));
        }
        // A decorator, an attribute or a comment right above belongs to its function.
        let next = || found.iter().find(|found| found.is_function() && found.line > line && found.line - line <= 5);
        let direct = |next: &&Definition| {
            let between = text.lines().skip(line.saturating_sub(1) as usize).take((next.line - line) as usize);
            between.into_iter().all(|line| line.trim_start().starts_with(['@', '#', '/']))
        };
        match around(&found, line).or_else(|| next().filter(direct)) {
            Some(definition) => Ok(self.of_definition(&file, language, &text, definition)),
            None => {
                let mut near: Vec<&Definition> = found.iter().filter(|found| found.is_function()).collect();
                near.sort_by_key(|found| (found.line.abs_diff(line), found.line));
                let near = near.iter().take(3).map(|found| format!("{file}:{} ({})", found.line, found.qualified));
                Err(DiscoverError::NotFound { at: format!("{file}:{line}"), nearest: near.collect() })
            }
        }
    }

    fn of_definition(&self, file: &str, language: Language, text: &str, definition: &Definition) -> Entry {
        let by_grammar = self.index.route_of(file, definition.line);
        let route = by_grammar
            .map(|(method, path)| routes::shown(method, path))
            .or_else(|| routes::of_function(language, text, definition));
        let kind = match &route {
            Some(_) => EntryKind::ApiEndpoint,
            None if is_consumer(text, definition) => EntryKind::Pipeline,
            None => EntryKind::Function,
        };
        let how = if route.is_some() { How::Request { base: None } } else { How::Call };
        let point = EntryPoint {
            kind,
            file: file.to_owned(),
            line: definition.line,
            route,
            function: definition.qualified.clone(),
        };
        Entry { point, definition: Some(definition.clone()), how, warnings: Vec::new() }
    }
}

fn test(file: String, case: Case, definition: Option<Definition>) -> Entry {
    let point = EntryPoint { kind: EntryKind::Test, file, line: case.line, route: None, function: case.name.clone() };
    Entry { point, definition, how: How::Test(case), warnings: Vec::new() }
}

/// What a queue calls: `@celery.task`, `@shared_task`, `@dramatiq.actor`, `@KafkaListener` …
fn is_consumer(text: &str, definition: &Definition) -> bool {
    const MARKS: [&str; 9] = [
        "task",
        "shared_task",
        "actor",
        "job",
        "consumer",
        "KafkaListener",
        "RabbitListener",
        "SqsListener",
        "Process",
    ];
    let lines: Vec<&str> = text.lines().take(definition.line.saturating_sub(1) as usize).collect();
    let above = lines.iter().rev().take_while(|line| !line.trim().is_empty()).take(5);
    above.filter_map(|line| line.trim().strip_prefix('@')).any(|line| {
        let name = line.split('(').next().unwrap_or_default();
        MARKS.contains(&name.rsplit('.').next().unwrap_or_default())
    })
}
