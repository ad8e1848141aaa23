//! `module:function`, and names without a file: tests, functions.

use super::{Entry, Repository, test};
use crate::discover::{
    DiscoverError,
    found::Language,
    names::nearest,
    source::definitions::{by_name, definitions},
    stacks,
    tree::{extension, parent},
};

const MOST_NAMES: usize = 50_000;

impl Repository<'_> {
    pub(super) fn qualified(&self, module: &str, function: &str) -> Result<Entry, DiscoverError> {
        let path = module.replace('.', "/");
        let end = format!("/{path}");
        let fits = |file: &&str| {
            let plain = file.strip_suffix(extension(file)).map_or(*file, |plain| plain.trim_end_matches('.'));
            let package =
                ["/__init__", "/index", "/mod"].iter().find_map(|end| plain.strip_suffix(end)).unwrap_or(plain);
            // A package of Go is a directory.
            let package = if file.ends_with(".go") { parent(file) } else { package };
            Language::of(file).is_some() && [plain, package].iter().any(|plain| *plain == path || plain.ends_with(&end))
        };
        let mut files: Vec<&str> = self.tree.files().filter(fits).collect();
        files.sort_by_key(|file| (self.distance(file), file.len()));
        let Some(first) = files.first() else {
            let plain = self.tree.files().filter(|file| Language::of(file).is_some());
            let modules: Vec<String> =
                plain.filter_map(|file| Some(file.rsplit_once('.')?.0.replace('/', "."))).collect();
            let near = nearest(module, modules.iter().map(String::as_str));
            let near = near.into_iter().map(|module| format!("{module}:{function}")).collect();
            return Err(DiscoverError::NotFound { at: format!("{module}:{function}"), nearest: near });
        };
        let found = files.iter().find_map(|file| self.function(&format!("./{file}")[2..], function).ok());
        found.map_or_else(|| self.function(first, function), Ok)
    }

    pub(super) fn named(&self, typed: &str) -> Result<Entry, DiscoverError> {
        if let Some(found) = self.script(typed).or_else(|| self.typed_command(typed)) {
            return Ok(found);
        }
        let mut names = self.script_names();
        let mut files: Vec<&str> = self.tree.files().filter(|file| Language::of(file).is_some()).collect();
        files.sort_by_key(|file| (self.distance(file), stacks::is_sample(parent(file)), *file));
        let mut function = None;
        for file in files {
            let Ok((language, text)) = self.read(file) else { continue };
            // Definitions cost more than a look for the last part of the name; nearest names are only needed at the end.
            let all = definitions(language, &text);
            let cases =
                if stacks::may_hold_tests(file) { stacks::cases(language, file, &text, &all) } else { Vec::new() };
            if let Some(case) = cases.iter().find(|case| names_case(typed, &case.name)) {
                return Ok(test(file.to_owned(), case.clone(), None));
            }
            if function.is_none() {
                function = by_name(&all, typed)
                    .or_else(|| by_name(&all, last(typed)).filter(|_| in_module(file, typed)))
                    .filter(|found| found.is_function())
                    .map(|found| self.of_definition(file, language, &text, found));
            }
            if names.len() < MOST_NAMES {
                names.extend(all.into_iter().map(|found| found.qualified));
                names.extend(cases.into_iter().map(|case| case.name));
            }
        }
        function.ok_or_else(|| {
            names.sort();
            names.dedup();
            let near = nearest(typed, names.iter().map(String::as_str));
            DiscoverError::NotFound { at: typed.to_owned(), nearest: near }
        })
    }
}

/// `orders::create` and `src/orders.rs`.
fn in_module(file: &str, typed: &str) -> bool {
    let Some((module, _)) = typed.rsplit_once("::") else { return false };
    let path = module.trim_start_matches("crate::").replace("::", "/");
    let plain = file.rsplit_once('.').map_or(file, |(plain, _)| plain);
    let plain = plain.strip_suffix("/mod").unwrap_or(plain);
    plain == path || plain.ends_with(&format!("/{path}"))
}

fn last(typed: &str) -> &str {
    typed.rsplit("::").next().unwrap_or(typed)
}

/// As the runners select: the whole name, its end behind a separator, or `describe it` of jest.
fn names_case(typed: &str, case: &str) -> bool {
    let ends = |whole: &str, part: &str| {
        whole.strip_suffix(part).is_some_and(|front| front.ends_with([':', '.', ' ', '#', '/']))
    };
    let plain = typed.replace('#', ".");
    case == plain || case == typed || ends(case, &plain) || (typed.contains(' ') && ends(typed, case))
}
