use proptest::prelude::*;

use super::*;
use CommandKind::{Benchmark, Build, E2eTest, Start, Test};

#[test]
fn what_commands_are_for() {
    let table = [
        ("uv run --extra dev pytest -q", Some(Test)),
        ("poetry run python manage.py test", Some(Test)),
        ("CI=1 python -m pytest tests/e2e", Some(E2eTest)),
        ("coverage run -m pytest", Some(Test)),
        ("npx jest --ci", Some(Test)),
        ("npm ci && npm test", Some(Test)),
        ("npm run test:e2e", Some(E2eTest)),
        ("pnpm -r test", Some(Test)),
        ("pnpm exec vitest bench", Some(Benchmark)),
        ("yarn start", Some(Start)),
        ("node --test test/", Some(Test)),
        ("go test -bench=. ./...", Some(Benchmark)),
        ("go build ./...", Some(Build)),
        ("cargo nextest run", Some(Test)),
        ("cargo bench -p x", Some(Benchmark)),
        ("exec cargo xtask test </dev/null", Some(Test)),
        ("./mvnw -B verify", Some(E2eTest)),
        ("./gradlew :core:test", Some(Test)),
        ("bundle exec rspec", Some(Test)),
        ("dotnet test", Some(Test)),
        ("docker compose up -d", Some(Start)),
        ("gunicorn shop.wsgi", Some(Start)),
        ("make integration", Some(E2eTest)),
        ("pip install pytest", None),
        ("npm install jest", None),
        ("cargo install cargo-nextest", None),
        ("echo test", None),
        ("make clean", None),
        ("", None),
    ];
    for (line, kind) in table {
        assert_eq!(kind_of(line), kind, "{line}");
    }
}

fn found(files: &[(&str, &str)]) -> Vec<String> {
    let root = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, text).expect("a file");
    }
    let tree = Tree::open(root.path()).expect("a tree");
    let settings = Settings::read(&tree).expect("settings");
    let all = commands(&tree, &settings, &[]);
    all.iter()
        .map(|command| format!("{:?} {} [{}] {}", command.kind, command.line, command.directory, command.evidence))
        .collect()
}

#[test]
fn settings_come_first_and_each_command_once() {
    let workflow =
        "jobs:\n  a:\n    steps:\n      - run: make test\n      - run: npm test\n        working-directory: web\n";
    let readme = "# x\n\n```sh\n$ make test\nmake test ...\n```\nrun `make test`\n";
    let files = [
        ("perfmap.toml", "[commands]\ntest = \"make all-tests\"\n"),
        (".github/workflows/a.yml", workflow),
        ("README.md", readme),
        ("Makefile", "X := 1\ntest: x\n\ttrue\nbench:\n"),
        ("noxfile.py", "@nox.session(name=\"integration\")\ndef s(session): ...\n"),
    ];
    assert_eq!(
        found(&files),
        [
            "Test make all-tests [] perfmap.toml:2",
            "Test make test [] .github/workflows/a.yml:4",
            "Test npm test [web] .github/workflows/a.yml:5",
            "E2eTest nox -s integration [] noxfile.py:2",
            "Benchmark make bench [] Makefile:4",
        ]
    );
}

#[test]
fn a_misspelt_setting_is_told() {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::write(root.path().join("perfmap.toml"), "[services]\na = \"port:1\"\n[commands]\ntset = \"x\"\n")
        .expect("a file");
    let tree = Tree::open(root.path()).expect("a tree");
    let error = Settings::read(&tree).expect_err("no such command").to_string();
    assert!(error.starts_with("perfmap.toml, line 4: unknown field `tset`"), "{error}");
}

proptest! {
    #[test]
    fn total(line in any::<String>(), words in "(npm|run|uv|-m|python|cargo|test|=|\"| |--extra|&&|;)*") {
        kind_of(&line);
        kind_of(&words);
    }
}
