use super::*;

fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
    let root = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, text).expect("a file");
    }
    let tree = Tree::open(root.path()).expect("a tree");
    (root, tree)
}

/// Manager and runner of the package at the root.
fn tools(files: &[(&str, &str)]) -> String {
    let (_root, tree) = tree(files);
    let stacks = detect(&tree);
    let names = stacks.iter().map(|stack| {
        let first = stack.test_tools.first().map_or("", |tool| tool.name);
        format!("{} {first}", stack.manager.name)
    });
    names.collect::<Vec<_>>().join(", ")
}

#[test]
fn python_tools() {
    let project = |more: &str| format!("[project]\nname = \"x\"\ndependencies = [\"pytest\"]\n{more}");
    assert_eq!(tools(&[("pyproject.toml", &project("[tool.hatch.envs.default]\n"))]), "hatch pytest");
    assert_eq!(tools(&[("pyproject.toml", &project("[tool.pdm]\n"))]), "pdm pytest");
    assert_eq!(tools(&[("pyproject.toml", &project("")), ("uv.lock", "")]), "uv pytest");
    assert_eq!(
        tools(&[("pyproject.toml", &project("")), (".gitignore", ".venv\n"), (".venv/pyvenv.cfg", "")]),
        ".venv pytest"
    );
    assert_eq!(tools(&[("Pipfile", "[dev-packages]\npytest = \"*\"\n")]), "pipenv pytest");
    assert_eq!(tools(&[("setup.py", ""), ("test_x.py", "import unittest\n")]), "python unittest");
    assert_eq!(tools(&[("x.py", ""), ("test_x.py", "import pytest\n")]), "python pytest");
    assert_eq!(tools(&[("pyproject.toml", "[[[ no toml"), ("poetry.lock", "")]), "poetry unittest");
}

#[test]
fn node_tools() {
    let package = |scripts: &str, dev: &str| format!("{{\"scripts\": {{{scripts}}}, \"devDependencies\": {{{dev}}}}}");
    let jest = package("", "\"jest\": \"29\"");
    assert_eq!(tools(&[("package.json", &jest), ("yarn.lock", "")]), "yarn jest");
    let mocha = package("\"test\": \"mocha -r x\"", "\"jest\": \"1\", \"mocha\": \"10\"");
    assert_eq!(tools(&[("package.json", &mocha), ("bun.lock", "")]), "bun mocha");
    assert_eq!(tools(&[("package.json", &package("\"test\": \"node --test\"", ""))]), "npm node:test");
    assert_eq!(tools(&[("package.json", "{\"scripts\": 7}")]), "npm node:test".replace("npm node:test", ""));
    assert_eq!(tools(&[("index.js", "")]), "npm node:test");
}

#[test]
fn the_environment_of_a_package_below() {
    let (_root, tree) =
        tree(&[(".gitignore", ".venv\n"), (".venv/pyvenv.cfg", ""), ("a/b/setup.py", ""), ("a/b/x.py", "")]);
    let stacks = detect(&tree);
    let stack = of_file(&stacks, "a/b/x.py").expect("a package");
    assert_eq!(interpreter(stack), ["../../.venv/bin/python"]);
    assert_eq!(module_of(stack, "a/b/src/c/d.py"), "c.d");
    assert_eq!(module_of(stack, "a/b/c/__init__.py"), "c");
}

#[test]
fn a_test_target_with_its_own_directory() {
    let manifest = "[package]\nname = \"checks\"\n[[test]]\nname = \"live\"\npath = \"live/main.rs\"\n";
    let code = "#[test]\nfn works() {\n}\n";
    let root_manifest = "[workspace]\nmembers = [\"tests\"]\n";
    let (_root, tree) = tree(&[
        ("Cargo.toml", root_manifest),
        ("tests/Cargo.toml", manifest),
        ("tests/live/main.rs", ""),
        ("tests/live/http.rs", code),
    ]);
    let stacks = detect(&tree);
    let file = "tests/live/http.rs";
    let cases =
        cases(Language::Rust, file, code, &crate::discover::source::definitions::definitions(Language::Rust, code));
    let stack = of_file(&stacks, file).expect("a package");
    let run = run_test(&tree, &stacks, stack, file, cases.first()).expect("a command");
    assert_eq!(run.line(), "cargo test -p checks --test live http::works -- --exact --nocapture");
}

#[test]
fn names_of_runners() {
    let of = |language, path: &str, text: &str| {
        let found = crate::discover::source::definitions::definitions(language, text);
        cases(language, path, text, &found).into_iter().map(|case| case.name).collect::<Vec<_>>()
    };
    assert_eq!(
        of(Language::Python, "t.py", "class TestA:\n    def test_b(self):\n        def test_c(): pass\n"),
        ["TestA::test_b"]
    );
    assert_eq!(
        of(Language::Go, "a_test.go", "func TestA(t *T) {\n}\nfunc Testing() {\n}\nfunc TestMain(m *M) {\n}\n"),
        ["TestA"]
    );
    assert_eq!(of(Language::Node, "a.test.js", "it('a', f);\ntest(`b`, g);\nsubmit('c');\n"), ["a", "b"]);
    let rust = "mod tests {\n    #[tokio::test(flavor = \"x\")]\n    async fn a() {}\n\n    fn b() {}\n}\n";
    assert_eq!(of(Language::Rust, "src/x/mod.rs", rust), ["x::tests::a"]);
    let java = "class AT {\n  @Test\n  @Tag(\"x\")\n  void a() {}\n  void b() {}\n}\n";
    assert_eq!(of(Language::Java, "AT.java", java), ["AT.a"]);
}
