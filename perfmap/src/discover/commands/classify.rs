//! One line of a shell → what it is for: a test, an end-to-end test, a benchmark, a build, a server; or none of these.

use crate::discover::found::CommandKind;

/// The last command of `a && b` that is one of those looked for.
pub fn kind_of(line: &str) -> Option<CommandKind> {
    let line = line.split(" #").next().unwrap_or(line);
    let parts = line.split("&&").flat_map(|part| part.split(';')).flat_map(|part| part.split(" | "));
    parts.filter_map(one).last()
}

fn one(part: &str) -> Option<CommandKind> {
    let mut words: Vec<&str> = part.split_whitespace().map(|word| word.trim_matches(['"', '\'', '@'])).collect();
    while let Some(skip) = in_front(&words) {
        words.drain(..skip.min(words.len()));
    }
    let program = words.first()?.rsplit('/').next()?;
    let arguments: Vec<&str> = words.get(1..)?.iter().copied().filter(|word| !word.starts_with('-')).collect();
    let first = arguments.first().copied().unwrap_or_default();
    let has = |wanted: &[&str]| arguments.iter().any(|word| wanted.contains(word));
    let option = |wanted: &str| words.iter().any(|word| *word == wanted || word.starts_with(&format!("{wanted}=")));
    let test = || {
        let end_to_end = words.iter().any(|word| {
            word.split(['/', ':', '-', '_', '.', '='])
                .any(|part| matches!(part, "e2e" | "integration" | "acceptance" | "functional"))
        });
        Some(if end_to_end { CommandKind::E2eTest } else { CommandKind::Test })
    };
    match program {
        "pytest" | "py.test" if option("--benchmark-only") => Some(CommandKind::Benchmark),
        "pytest" | "py.test" | "tox" | "nox" | "jest" | "mocha" | "ava" | "rspec" | "phpunit" | "unittest"
        | "playwright" | "cypress" | "bats" | "behave" => test(),
        "vitest" if first == "bench" => Some(CommandKind::Benchmark),
        "vitest" => test(),
        "manage.py" | "django-admin" => match first {
            "test" => test(),
            "runserver" => Some(CommandKind::Start),
            _ => None,
        },
        "node" if option("--test") => test(),
        "node" if first.ends_with("server.js") || first.ends_with("main.js") || first.ends_with("app.js") => {
            Some(CommandKind::Start)
        }
        "python" | "python3"
            if ["server.py", "app.py", "main.py", "wsgi.py"].iter().any(|end| first.ends_with(end)) =>
        {
            Some(CommandKind::Start)
        }
        "npm" | "pnpm" | "yarn" | "bun" => {
            let plain: Vec<&str> =
                arguments.iter().copied().filter(|word| !matches!(*word, "run" | "run-script")).collect();
            match plain.first().copied().unwrap_or_default() {
                "t" => test(),
                "install" | "ci" | "add" | "exec" | "publish" | "set" | "config" => None,
                name => super::kind_by_name(name),
            }
        }
        "go" => match first {
            "test" if option("-bench") => Some(CommandKind::Benchmark),
            "test" => test(),
            "build" => Some(CommandKind::Build),
            "run" => Some(CommandKind::Start),
            _ => None,
        },
        "cargo" => match first {
            "test" | "t" | "nextest" => test(),
            "xtask" if has(&["test", "ci"]) => test(),
            "xtask" if has(&["bench"]) => Some(CommandKind::Benchmark),
            "bench" | "criterion" => Some(CommandKind::Benchmark),
            "build" | "b" => Some(CommandKind::Build),
            "run" | "r" => Some(CommandKind::Start),
            _ => None,
        },
        "mvn" | "mvnw" => {
            if has(&["verify", "integration-test"]) {
                Some(CommandKind::E2eTest)
            } else if has(&["test"]) {
                test()
            } else if has(&["package", "compile", "install"]) {
                Some(CommandKind::Build)
            } else {
                has(&["spring-boot:run", "quarkus:dev"]).then_some(CommandKind::Start)
            }
        }
        "gradle" | "gradlew" => {
            let tasks: Vec<&str> = arguments.iter().map(|word| word.rsplit(':').next().unwrap_or_default()).collect();
            let runs = |wanted: &[&str]| tasks.iter().any(|task| wanted.contains(task));
            if runs(&["integrationTest", "e2eTest"]) {
                Some(CommandKind::E2eTest)
            } else if runs(&["test", "check"]) {
                test()
            } else if runs(&["jmh"]) {
                Some(CommandKind::Benchmark)
            } else if runs(&["bootRun", "run"]) {
                Some(CommandKind::Start)
            } else {
                runs(&["build", "assemble", "bootJar"]).then_some(CommandKind::Build)
            }
        }
        "dotnet" | "rake" | "rails" | "composer" | "make" | "just" | "task" | "hatch" | "pdm" | "poe" | "invoke"
        | "inv" => {
            let name = arguments.iter().copied().find(|word| *word != "run").unwrap_or_default();
            super::kind_by_name(name)
        }
        "uvicorn" | "gunicorn" | "hypercorn" | "daphne" | "granian" | "celery" | "rq" | "dramatiq" | "nodemon"
        | "tsx" | "puma" | "unicorn" | "sidekiq" => Some(CommandKind::Start),
        "flask" | "fastapi" if has(&["run", "dev"]) => Some(CommandKind::Start),
        "nest" | "next" | "vite" => match first {
            "build" => Some(CommandKind::Build),
            "start" | "dev" => Some(CommandKind::Start),
            _ => None,
        },
        "docker-compose" | "compose" if first == "up" => Some(CommandKind::Start),
        "docker" | "podman" if first == "build" => Some(CommandKind::Build),
        "tsc" => Some(CommandKind::Build),
        _ => None,
    }
}

/// How many words in front are no part of the command: `FOO=1`, `sudo`, `uv run`, `npx` …
fn in_front(words: &[&str]) -> Option<usize> {
    let first = *words.first()?;
    let second = words.get(1).copied().unwrap_or_default();
    let is_assignment = first.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    match (first, second) {
        _ if is_assignment => Some(1),
        ("sudo" | "time" | "exec" | "env" | "npx" | "bunx" | "command" | "$" | "xvfb-run" | "-", _) => Some(1),
        ("uv" | "poetry" | "pipenv", "run") => Some(2 + options(words.get(2..)?)),
        ("pdm" | "hatch", "run") if words.len() > 2 => Some(2),
        ("pnpm" | "yarn" | "npm", "exec" | "dlx") | ("bundle", "exec") => Some(2),
        ("coverage", "run") => Some(2),
        ("python" | "python3" | "coverage" | ".venv/bin/python", "-m") | ("-m", _) if words.len() > 1 => {
            Some(if first == "-m" { 1 } else { 2 })
        }
        ("python" | "python3", script) if script.ends_with("manage.py") => Some(1),
        ("docker", "compose") => Some(1),
        _ => None,
    }
}

/// `--extra dev`, `--frozen`: up to the first word that is a program.
fn options(words: &[&str]) -> usize {
    let mut skipped = 0;
    while let Some(word) = words.get(skipped) {
        match *word {
            "--extra" | "--group" | "--with" | "--python" | "-p" | "--package" | "--directory" => skipped += 2,
            word if word.starts_with('-') => skipped += 1,
            _ => break,
        }
    }
    skipped.min(words.len())
}
