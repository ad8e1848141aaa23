//! What the user wants looked at → where it is entered, or what was meant most nearly.

use super::{
    NotFound, Wanted,
    index::{At, Index},
    routes::join::Route,
    url,
};
use crate::recording::{EntryKind, EntryPoint};

const MOST_NEAR: usize = 5;

/// A route that fits what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answering {
    pub point: EntryPoint,
    /// Upper case; None: any.
    pub method: Option<String>,
    /// As declared, behind what was typed before it.
    pub path: String,
    /// The best first.
    pub rank: (usize, std::cmp::Reverse<usize>, bool),
    /// Its function has no name.
    pub anonymous: bool,
}

impl Index {
    /// # Errors
    /// [`NotFound`] with the nearest names there are.
    pub fn entry(&self, wanted: &Wanted) -> Result<EntryPoint, NotFound> {
        match wanted {
            Wanted::Function { file, module, name } => {
                let found = self.named_function(file.as_deref(), module.as_deref(), name);
                found.map(|at| self.point(at)).ok_or_else(|| self.near_functions(name))
            }
            Wanted::Line { file, line } => {
                let found = self.at_line(file, *line);
                found.map(|at| self.point(at)).ok_or_else(|| self.near_files(file))
            }
            Wanted::Route { method, path } => match self.route(method.as_deref(), path, None) {
                Some(route) => {
                    let mut point = self.point(route.handler);
                    let verb =
                        route.method.clone().or_else(|| method.as_ref().map(|method| method.to_ascii_uppercase()));
                    point.kind = EntryKind::ApiEndpoint;
                    point.route = Some(format!("{} {}", verb.as_deref().unwrap_or("ANY"), route.path));
                    Ok(point)
                }
                None => Err(self.near_routes(method.as_deref(), path)),
            },
        }
    }

    /// All routes that fit, and how well: those that fit whole first, then those behind a prefix that the source does not
    /// say; of these, more words first.
    pub fn answering(&self, method: Option<&str>, path: &str) -> Vec<Answering> {
        let path = url::template(path);
        let method = method.map(str::to_ascii_uppercase);
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let missing = |route: &Route| {
            let ends = |cut: &usize| {
                let rest = parts.get(*cut..).unwrap_or_default().join("/");
                (*cut == 0 || url::words(&route.path) > 0) && url::fits(&route.path, &rest)
            };
            (0..parts.len().max(1)).find(ends)
        };
        let verb = |route: &&Route| route.method.is_none() || method.is_none() || route.method == method;
        let fitting = self.routes.iter().filter(verb).filter_map(|route| {
            let missing = missing(route)?;
            let front: String = parts.iter().take(missing).map(|part| format!("/{part}")).collect();
            let verb = route.method.clone().or_else(|| method.clone());
            let mut point = self.point(route.handler);
            point.kind = EntryKind::ApiEndpoint;
            let anonymous = self.function(route.handler).is_none_or(|function| function.name.is_empty());
            Some(Answering {
                point,
                method: verb,
                path: format!("{front}{}", route.declared),
                rank: (missing, std::cmp::Reverse(url::words(&route.path)), route.method.is_none()),
                anonymous,
            })
        });
        fitting.collect()
    }

    /// Method and path, as declared, of the route that a function answers.
    pub fn route_of(&self, file: &str, line: u32) -> Option<(Option<&str>, &str)> {
        let file = *self.by_path.get(file)?;
        let answers = |route: &&Route| {
            route.handler.file == file && self.function(route.handler).is_some_and(|function| function.line == line)
        };
        self.routes.iter().find(answers).map(|route| (route.method.as_deref(), route.declared.as_str()))
    }

    /// The most exact of the routes that fit; a router mounted where the source does not say may lack its prefix.
    pub(super) fn route(&self, method: Option<&str>, path: &str, service: Option<usize>) -> Option<&Route> {
        let path = url::template(path);
        let method = method.map(str::to_ascii_uppercase);
        let fits = |route: &&Route| {
            let verb = route.method.is_none() || method.is_none() || route.method == method;
            verb && (service.is_none() || route.service == service)
        };
        let exact = self.routes.iter().filter(fits).filter(|route| url::fits(&route.path, &path));
        let best = exact
            .max_by_key(|route| (url::words(&route.path), route.method.is_some(), std::cmp::Reverse(route.handler)));
        best.or_else(|| {
            let words = |route: &&Route| url::words(&route.path) > 0;
            let ends = |route: &&Route| {
                let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
                (1..parts.len()).any(|cut| url::fits(&route.path, &parts.get(cut..).unwrap_or_default().join("/")))
            };
            let mut late = self.routes.iter().filter(fits).filter(words).filter(ends);
            let first = late.next()?;
            late.all(|other| other.handler == first.handler).then_some(first)
        })
    }

    fn named_function(&self, file: Option<&str>, module: Option<&str>, name: &str) -> Option<At> {
        let (owner, name) = match name.rsplit_once("::").or_else(|| name.rsplit_once('.')) {
            Some((owner, name)) => (owner.rsplit(['.', ':']).next().filter(|owner| !owner.is_empty()), name),
            None => (None, name),
        };
        let in_file = |at: &At| {
            let Some(one) = self.files.get(at.file) else { return false };
            let path = |wanted: &str| {
                let wanted = wanted.trim_start_matches("./");
                one.path == wanted || one.path.strip_suffix(wanted).is_some_and(|before| before.ends_with('/'))
            };
            let module_path = |wanted: &str| {
                let bare = one.path.rsplit_once('.').map_or(one.path.as_str(), |(bare, _)| bare);
                let bare = bare.strip_suffix("/__init__").or_else(|| bare.strip_suffix("/index")).unwrap_or(bare);
                let wanted = wanted.replace("::", "/").replace('.', "/");
                let dir = one.dir();
                let is = |place: &str| {
                    place == wanted || place.strip_suffix(&wanted).is_some_and(|before| before.ends_with('/'))
                };
                is(bare) || is(dir)
            };
            file.is_none_or(path) && module.is_none_or(module_path)
        };
        let all = self.functions.get(name)?.iter().copied().filter(in_file);
        let fits = all.filter(|at| {
            let own = self.function(*at).and_then(|function| function.owner.as_deref());
            owner.is_none() || own == owner
        });
        // A function before a method; code before its tests; then the first by path.
        fits.min_by_key(|at| {
            let method = self.function(*at).is_some_and(|function| function.owner.is_some());
            let test = self.files.get(at.file).is_some_and(|file| is_test_path(&file.path));
            (method, test && file.is_none(), *at)
        })
    }

    /// The innermost function around a line; a file's own top level where there is none.
    fn at_line(&self, file: &str, line: u32) -> Option<At> {
        let wanted = file.trim_start_matches("./");
        let exact = self.by_path.get(wanted).copied();
        let at = exact.or_else(|| {
            let mut ends = self
                .files
                .iter()
                .enumerate()
                .filter(|(_, one)| one.path.strip_suffix(wanted).is_some_and(|before| before.ends_with('/')));
            let first = ends.next().map(|(at, _)| at);
            if ends.next().is_none() { first } else { None }
        })?;
        let facts = &self.files.get(at)?.facts;
        let around = facts.functions.iter().enumerate().skip(1);
        let around = around.filter(|(_, function)| function.line <= line && line <= function.end);
        let function = around.min_by_key(|(_, function)| function.end - function.line).map_or(0, |(index, _)| index);
        (!facts.functions.is_empty()).then_some(At { file: at, function })
    }

    /// A function as the start of a chain.
    pub(super) fn point(&self, at: At) -> EntryPoint {
        let file = self.files.get(at.file);
        let function = self.function(at);
        let language = file.and_then(|file| file.language);
        let path = file.map(|file| file.path.clone()).unwrap_or_default();
        let name = function.zip(language).map(|(function, language)| function.qualified(language)).unwrap_or_default();
        let route = self.routes.iter().find(|route| route.handler == at);
        let short = function.map(|function| function.name.as_str()).unwrap_or_default();
        let test = is_test_path(&path) && (short.starts_with("test") || short.starts_with("Test"))
            || function.is_some_and(|function| function.attributes.iter().any(|one| one.last() == "Test"));
        let task = function.is_some_and(|function| {
            let last = |names: &[&str]| function.attributes.iter().any(|one| names.contains(&one.last()));
            last(&["task", "shared_task", "command", "actor", "Scheduled", "KafkaListener", "RabbitListener", "Cron"])
        });
        let kind = match route {
            Some(_) => EntryKind::ApiEndpoint,
            None if test => EntryKind::Test,
            None if task || short == "main" || short == "<module>" => EntryKind::Pipeline,
            None => EntryKind::Function,
        };
        EntryPoint {
            kind,
            file: path,
            line: function.map_or(1, |function| function.line),
            route: route.map(Route::shown),
            function: name,
        }
    }

    /// The way back from [`Index::point`].
    pub(super) fn at(&self, point: &EntryPoint) -> Option<At> {
        let file = *self.by_path.get(&point.file)?;
        let one = self.files.get(file)?;
        let language = one.language?;
        let same = |function: &super::facts::Function| {
            function.line == point.line && function.qualified(language) == point.function
        };
        one.facts.functions.iter().position(same).map(|function| At { file, function })
    }

    fn near_functions(&self, name: &str) -> NotFound {
        let short = name.rsplit(['.', ':']).next().unwrap_or(name);
        let known = self.functions.iter().filter_map(|(known, all)| Some((known.as_str(), *all.first()?)));
        let shown = |at: &At| {
            let point = self.point(*at);
            format!("{}:{} {}", point.file, point.line, point.function)
        };
        NotFound { nearest: nearest(short, known).iter().map(shown).collect() }
    }

    fn near_files(&self, file: &str) -> NotFound {
        let short = file.rsplit('/').next().unwrap_or(file);
        let known = self.files.iter().map(|one| (one.path.rsplit('/').next().unwrap_or(&one.path), &one.path));
        NotFound { nearest: nearest(short, known).into_iter().cloned().collect() }
    }

    fn near_routes(&self, method: Option<&str>, path: &str) -> NotFound {
        let path = url::template(path);
        let verb = method.unwrap_or_default().to_ascii_uppercase();
        let known = self.routes.iter().map(|route| (route.path.as_str(), route));
        let mut near = nearest(&path, known);
        near.sort_by_key(|route| !verb.is_empty() && route.method.as_deref().is_some_and(|known| known != verb));
        NotFound { nearest: near.into_iter().map(Route::shown).collect() }
    }
}

pub(super) fn is_test_path(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.split('/').any(|dir| matches!(dir, "test" | "tests" | "__tests__" | "spec"))
        || name.starts_with("test_")
        || ["_test.py", "_test.go", ".test.ts", ".test.js", ".spec.ts", ".spec.js", "Test.java", "Tests.cs"]
            .iter()
            .any(|end| name.ends_with(end))
}

/// The names that differ least, best first; far ones are no help.
fn nearest<'a, T: Clone>(wanted: &str, known: impl Iterator<Item = (&'a str, T)>) -> Vec<T> {
    let wanted: Vec<char> = wanted.to_lowercase().chars().take(64).collect();
    let mut all: Vec<(usize, &str, T)> = known
        .filter(|(name, _)| name.len() <= 128)
        .map(|(name, thing)| {
            (distance(&wanted, &name.to_lowercase().chars().take(64).collect::<Vec<_>>()), name, thing)
        })
        .filter(|(far, name, _)| *far <= wanted.len().max(name.len()) / 2)
        .collect();
    all.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    all.into_iter().take(MOST_NEAR).map(|(_, _, thing)| thing).collect()
}

/// Edits between two short names.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut corner = i;
        let mut before = i + 1;
        for (slot, right) in row.iter_mut().skip(1).zip(b) {
            let here = (corner + usize::from(left != right)).min(before + 1).min(*slot + 1);
            corner = *slot;
            *slot = here;
            before = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_first_and_far_ones_not_at_all() {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        assert_eq!(distance(&chars("kitten"), &chars("sitting")), 3);
        assert_eq!(distance(&chars(""), &chars("ab")), 2);
        let known = ["list_jobs", "list_job", "unrelated"].map(|name| (name, name));
        assert_eq!(nearest("lst_jobs", known.into_iter()), ["list_jobs", "list_job"]);
    }
}
