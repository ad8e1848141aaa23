//! An entry → the existing test that drives it: one that calls its route, else its function, else takes in its module.

use super::{
    entry::{Entry, Repository},
    found::{Evidence, FoundTest, Language},
    source::{
        blank::blanked,
        definitions::definitions,
        line_of,
        routes::{VERBS, same_route},
        strings::{Literal, literals},
        word_positions,
    },
    stacks::{self, Case},
    tree::stem,
};
use crate::recording::TestSource;

const MOST_TEST_FILES: usize = 5000;

/// A file of tests, read.
struct TestFile {
    path: String,
    text: String,
    language: Language,
    cases: Vec<Case>,
}

/// The line of a test file that has to do with the entry.
type Pass = fn(&Repository<'_>, &Entry, &TestFile) -> Option<u32>;

/// Stops at the first that is found, in the order of the protocol; of several, tests that say they are end to end come
/// first.
pub fn find(repository: &Repository<'_>, entry: &Entry) -> Option<FoundTest> {
    let files = test_files(repository, &entry.point.file);
    let passes: [(TestSource, Pass); 3] =
        [(TestSource::Route, by_route), (TestSource::Function, by_function), (TestSource::Module, by_module)];
    passes.into_iter().find_map(|(source, pass)| {
        files.iter().find_map(|file| {
            let line = pass(repository, entry, file)?;
            let stack = stacks::of_file(repository.stacks, &file.path)?;
            let case = file.cases.iter().rfind(|case| case.line <= line && line <= case.end);
            // The import of a module stands in no test: then all tests of the file are run.
            let run = stacks::run_test(repository.tree, repository.stacks, stack, &file.path, case)?;
            Some(FoundTest { run, source, evidence: Evidence::at(file.path.clone(), line) })
        })
    })
}

fn test_files(repository: &Repository<'_>, entry: &str) -> Vec<TestFile> {
    let own = stacks::of_file(repository.stacks, entry).map(|stack| stack.directory.as_str());
    let mut paths: Vec<&str> = repository.tree.files().filter(|file| stacks::may_hold_tests(file)).collect();
    paths.sort_by_key(|path| {
        let foreign = stacks::of_file(repository.stacks, path).map(|stack| stack.directory.as_str()) != own;
        (rank(path), foreign, *path)
    });
    let read = paths.into_iter().filter_map(|path| {
        let text = repository.tree.read(path)?;
        let language = Language::of(path)?;
        let marked = stacks::is_test_file(path) || text.contains("#[test]") || text.contains("test]");
        if !marked {
            return None;
        }
        let cases = stacks::cases(language, path, &text, &definitions(language, &text));
        (!cases.is_empty()).then(|| TestFile { path: path.to_owned(), text, language, cases })
    });
    read.take(MOST_TEST_FILES).collect()
}

/// 0: its path says that it is end to end; 2: that it is for a unit.
fn rank(path: &str) -> u8 {
    let lower = path.to_ascii_lowercase();
    let has = |wanted: &[&str]| lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| wanted.contains(&part));
    let java = stem(path).ends_with("IT") || stem(path).ends_with("IntegrationTest");
    if java || has(&["e2e", "integration", "functional", "acceptance", "system", "end2end"]) {
        0
    } else if has(&["unit", "units"]) || path.contains("/src/") && path.ends_with(".rs") {
        2
    } else {
        1
    }
}

/// A string in it is the route, and no other method is asked for.
fn by_route(_: &Repository<'_>, entry: &Entry, file: &TestFile) -> Option<u32> {
    let route = entry.point.route.as_deref()?;
    let (method, path) = route.split_once(' ').map_or((None, route), |(method, path)| (Some(method), path));
    let all = literals(&file.text);
    let mut before: Option<&Literal<'_>> = None;
    for literal in &all {
        // `"POST", "/x"` and `"POST /x"`, besides `.post("/x")`.
        let (own_method, text) = match literal.text.split_once(' ') {
            Some((word, rest)) if is_verb(word) => (Some(word), rest),
            Some(_) | None => (None, literal.text),
        };
        let said = own_method.or(Some(literal.callee).filter(|callee| is_verb(callee))).or(before
            .filter(|before| is_verb(before.text) && literal.line - before.line <= 1)
            .map(|before| before.text));
        let same_method = match (method, said) {
            (Some(wanted), Some(said)) => wanted.eq_ignore_ascii_case(said),
            (Some(_) | None, Some(_) | None) => true,
        };
        if same_method && same_route(path, text) && !in_comment(file, literal.offset) {
            return Some(literal.line);
        }
        before = Some(literal);
    }
    None
}

fn is_verb(word: &str) -> bool {
    VERBS.contains(&word.to_ascii_lowercase().as_str())
}

fn in_comment(file: &TestFile, offset: usize) -> bool {
    let start = file.text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let line = file.text.get(start..offset).unwrap_or_default().trim_start();
    match file.language {
        Language::Python | Language::Ruby => line.starts_with('#'),
        _ => line.starts_with("//") || line.starts_with('*'),
    }
}

/// The function's name stands in a test's code, and the file has to do with the entry's.
fn by_function(repository: &Repository<'_>, entry: &Entry, file: &TestFile) -> Option<u32> {
    let definition = entry.definition.as_ref()?;
    if Language::of(&entry.point.file) != Some(file.language) {
        return None;
    }
    let related = imports(repository, entry, file).is_some()
        || word_positions(&file.text, stem(&entry.point.file)).next().is_some();
    if !related {
        return None;
    }
    let blank = blanked(file.language, &file.text);
    let own = file.path == entry.point.file;
    word_positions(&blank, &definition.name).map(|at| line_of(&blank, at)).find(|line| {
        let in_a_test = file.cases.iter().any(|case| case.line < *line && *line <= case.end);
        in_a_test && !(own && definition.line <= *line && *line <= definition.end)
    })
}

fn by_module(repository: &Repository<'_>, entry: &Entry, file: &TestFile) -> Option<u32> {
    imports(repository, entry, file)
}

fn imports(repository: &Repository<'_>, entry: &Entry, file: &TestFile) -> Option<u32> {
    let stack = stacks::of_file(repository.stacks, &entry.point.file)?;
    if stack.language != file.language {
        return None;
    }
    stacks::imports(stack, &file.path, &file.text, &entry.point.file)
}
