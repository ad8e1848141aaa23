//! Python: uv, poetry, pdm, hatch, pipenv or a plain environment; pytest, unittest or Django's own runner.

use super::{
    Case, inside,
    manifest::{mention, mentioned, upwards},
    tool, words,
};
use crate::discover::{
    found::{Evidence, Language, Runnable, Stack, Tool},
    source::{definitions::Definition, word_positions},
    tree::{Tree, join, name, parent, stem},
};

const MANIFESTS: [&str; 7] =
    ["pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile", "tox.ini", "manage.py"];
const FRAMEWORKS: [&str; 12] = [
    "fastapi",
    "flask",
    "django",
    "starlette",
    "aiohttp",
    "tornado",
    "sanic",
    "celery",
    "rq",
    "dramatiq",
    "litestar",
    "click",
];
const MOST_FILES_LOOKED_AT: usize = 200;

pub fn is_manifest(name: &str) -> bool {
    MANIFESTS.contains(&name)
}

pub fn detect(tree: &Tree, manifest: &str) -> Stack {
    let directory = parent(manifest);
    let files: Vec<String> = tree
        .files()
        .filter(|file| parent(file) == directory)
        .filter(|file| is_manifest(name(file)) || (name(file).starts_with("requirements") && file.ends_with(".txt")))
        .map(str::to_owned)
        .collect();
    let first = MANIFESTS.iter().map(|name| join(directory, name)).find(|file| tree.has(file));
    let mut stack = plain(tree, manifest);
    stack.directory = directory.to_owned();
    stack.manifest = Evidence::file(first.unwrap_or_else(|| manifest.to_owned()));
    stack.name = project_name(tree, directory);
    stack.manager = manager(tree, directory);
    let mut frameworks = mentioned(tree, &files, &FRAMEWORKS);
    // Django's requirement is written with a capital.
    for (written, name) in [("Django", "django"), ("Flask", "flask")] {
        let known = frameworks.iter().any(|found| found.name == name);
        frameworks.extend(mention(tree, &files, written).filter(|_| !known).map(|evidence| tool(name, evidence)));
    }
    stack.test_tools = test_tools(tree, directory, &files, &frameworks);
    stack.frameworks = frameworks;
    stack
}

/// A package without a manifest, at the root.
pub fn plain(tree: &Tree, file: &str) -> Stack {
    let evidence = Evidence::file(file);
    let tests = tree.files().filter(|file| is_test_file(file)).take(MOST_FILES_LOOKED_AT).map(str::to_owned);
    let pytest = mention(tree, &tests.collect::<Vec<_>>(), "pytest");
    Stack {
        language: Language::Python,
        directory: String::new(),
        manifest: evidence.clone(),
        name: None,
        manager: manager(tree, ""),
        test_tools: vec![pytest.map_or(tool("unittest", evidence), |found| tool("pytest", found))],
        frameworks: Vec::new(),
    }
}

fn project_name(tree: &Tree, directory: &str) -> Option<String> {
    let table: toml::Table = tree.read(&join(directory, "pyproject.toml"))?.parse().ok()?;
    let of = |path: &[&str]| {
        let mut value = table.get(*path.first()?)?;
        for key in path.get(1..)? {
            value = value.get(*key)?;
        }
        value.as_str().map(str::to_owned)
    };
    of(&["project", "name"]).or_else(|| of(&["tool", "poetry", "name"]))
}

fn manager(tree: &Tree, directory: &str) -> Tool {
    let locks = [
        ("uv.lock", "uv"),
        ("poetry.lock", "poetry"),
        ("pdm.lock", "pdm"),
        ("hatch.toml", "hatch"),
        ("Pipfile", "pipenv"),
    ];
    for (lock, name) in locks {
        if let Some(file) = upwards(tree, directory, &[lock]) {
            return tool(name, Evidence::file(file));
        }
    }
    if let Some(file) = upwards(tree, directory, &["pyproject.toml"]) {
        let keys = [("tool.uv", "uv"), ("tool.poetry", "poetry"), ("tool.pdm", "pdm"), ("tool.hatch.envs", "hatch")];
        let text = tree.read(&file).unwrap_or_default();
        for (key, name) in keys {
            let table = |line: &str| line.trim_start().starts_with(&format!("[{key}"));
            if let Some(at) = text.lines().position(table) {
                return tool(name, Evidence::at(file, u32::try_from(at).unwrap_or(u32::MAX - 1) + 1));
            }
        }
    }
    // The one thing here that git ignores: what `python -m venv` leaves behind.
    let mut here = directory;
    loop {
        for (place, name) in [(".venv", ".venv"), ("venv", "venv")] {
            let found = join(here, &format!("{place}/pyvenv.cfg"));
            if tree.has_ignored(&found) {
                return tool(name, Evidence::file(found));
            }
        }
        if here.is_empty() {
            break;
        }
        here = parent(here);
    }
    tool("python", Evidence::file(directory))
}

fn test_tools(tree: &Tree, directory: &str, files: &[String], frameworks: &[Tool]) -> Vec<Tool> {
    let mut found = Vec::new();
    let settings = ["pytest.ini", "conftest.py", "tests/conftest.py", ".pytest.ini"];
    let settings = settings.iter().map(|name| join(directory, name)).find(|file| tree.has(file));
    let tests =
        || tree.below(directory).filter(|file| is_test_file(file)).take(MOST_FILES_LOOKED_AT).map(str::to_owned);
    let pytest = mention(tree, files, "pytest")
        .or(settings.map(Evidence::file))
        .or_else(|| mention(tree, &tests().collect::<Vec<_>>(), "pytest"));
    found.extend(pytest.map(|evidence| tool("pytest", evidence)));
    let manage = join(directory, "manage.py");
    if frameworks.iter().any(|framework| framework.name == "django") && tree.has(&manage) {
        found.push(tool("manage.py", Evidence::file(manage)));
    }
    for (file, name) in [("tox.ini", "tox"), ("noxfile.py", "nox")] {
        let file = join(directory, file);
        found.extend(tree.has(&file).then(|| tool(name, Evidence::file(file))));
    }
    if !found.iter().any(|tool| matches!(tool.name, "pytest" | "manage.py")) {
        let evidence = mention(tree, &tests().collect::<Vec<_>>(), "unittest").unwrap_or(Evidence::file(directory));
        found.insert(0, tool("unittest", evidence));
    }
    found
}

pub fn is_test_file(path: &str) -> bool {
    let name = name(path);
    name.ends_with(".py") && (name.starts_with("test_") || name.ends_with("_test.py") || name == "tests.py")
}

pub fn cases(definitions: &[Definition]) -> Vec<Case> {
    let tests = definitions.iter().filter(|found| found.is_function() && found.name.starts_with("test"));
    // A function inside of a test is none.
    let top = tests.filter(|found| found.qualified.split('.').filter(|part| part.starts_with("test")).count() == 1);
    top.map(|found| Case { name: found.qualified.replace('.', "::"), line: found.line, end: found.end }).collect()
}

/// The words before `python` or a tool of the environment; where they run.
fn launcher(stack: &Stack) -> Vec<String> {
    match stack.manager.name {
        "uv" => words(["uv", "run"]),
        "poetry" => words(["poetry", "run"]),
        "pdm" => words(["pdm", "run"]),
        "hatch" => words(["hatch", "run"]),
        "pipenv" => words(["pipenv", "run"]),
        _ => Vec::new(),
    }
}

/// `uv run python`, `.venv/bin/python`, `python3`.
pub fn interpreter(stack: &Stack) -> Vec<String> {
    let mut all = launcher(stack);
    all.push(match stack.manager.name {
        ".venv" | "venv" => {
            let depth = |path: &str| path.split('/').filter(|part| !part.is_empty()).count();
            let environment = parent(&stack.manager.evidence.file);
            let steps = depth(&stack.directory).saturating_sub(depth(parent(environment)));
            format!("{}{}/bin/python", "../".repeat(steps), name(environment))
        }
        "python" => "python3".to_owned(),
        _ => "python".to_owned(),
    });
    all
}

/// `app.services.orders` of `src/app/services/orders.py`.
pub fn module_of(stack: &Stack, file: &str) -> String {
    let inside = inside(&stack.directory, file);
    let inside = inside.strip_prefix("src/").unwrap_or(inside);
    let path = inside.strip_suffix("/__init__.py").or_else(|| inside.strip_suffix(".py")).unwrap_or(inside);
    path.replace('/', ".")
}

pub fn run_test(tree: &Tree, stack: &Stack, file: &str, case: Option<&Case>) -> Runnable {
    let inside = inside(&stack.directory, file);
    let node = case.map_or(inside.to_owned(), |case| format!("{inside}::{}", case.name));
    let dotted = || {
        let module = inside.strip_suffix(".py").unwrap_or(inside).replace('/', ".");
        case.map_or(module.clone(), |case| format!("{module}.{}", case.name.replace("::", ".")))
    };
    let first = stack.test_tools.first().map_or("unittest", |tool| tool.name);
    let through_tox = stack.manager.name == "python" && first == "pytest" && takes_arguments(tree, stack);
    let words = match first {
        "pytest" if through_tox => [words(["tox", "run", "--"]), vec![node, "-s".into()]].concat(),
        "pytest" => {
            let program = match launcher(stack) {
                plain if plain.is_empty() => [interpreter(stack), words(["-m", "pytest"])].concat(),
                managed => [managed, words(["pytest"])].concat(),
            };
            [program, vec![node, "-s".into()]].concat()
        }
        "manage.py" => [interpreter(stack), words(["manage.py", "test"]), vec![dotted()]].concat(),
        _ => [interpreter(stack), words(["-m", "unittest"]), vec![dotted()]].concat(),
    };
    Runnable { words, directory: stack.directory.clone() }
}

/// tox hands on what is behind `--` only where its file says so.
fn takes_arguments(tree: &Tree, stack: &Stack) -> bool {
    let text = tree.read(&join(&stack.directory, "tox.ini")).unwrap_or_default();
    text.lines().any(|line| line.contains("pytest") && line.contains("{posargs"))
}

pub fn imports(stack: &Stack, text: &str, entry: &str) -> Option<u32> {
    let module = module_of(stack, entry);
    let (package, last) = module.rsplit_once('.').unwrap_or(("", &module));
    let takes = |line: &str| {
        let code = line.trim_start();
        let Some(rest) = code.strip_prefix("from ").or_else(|| code.strip_prefix("import ")) else { return false };
        let named = rest.split_whitespace().next().unwrap_or_default().trim_end_matches(',');
        let dotted = format!(".{named}");
        let same =
            |whole: &str| !named.is_empty() && (whole == named || whole.ends_with(&dotted) && named.contains('.'));
        let from_package = code.starts_with("from ")
            && (same(package) || (package.is_empty() && named == "."))
            && word_positions(rest.split_once("import").map_or("", |(_, names)| names), last).next().is_some();
        same(&module) || from_package || (module == stem(entry) && named == module)
    };
    text.lines().position(takes).and_then(|at| u32::try_from(at + 1).ok())
}
