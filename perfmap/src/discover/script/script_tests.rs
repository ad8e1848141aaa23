use std::process::Command;

use crate::discover::{
    discover,
    found::{Script, TestCommand},
};

fn made(files: &[(&str, &str)], target: &str) -> (tempfile::TempDir, Script) {
    let root = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, text).expect("a file");
    }
    let found = discover(root.path(), "", target).expect("found");
    let TestCommand::Generated(script) = found.test else { panic!("{:?}", found.test) };
    for (name, text) in &script.files {
        std::fs::write(root.path().join(name), text).expect("a file");
    }
    (root, script)
}

fn parses(root: &std::path::Path) {
    let out = Command::new("sh").arg("-n").arg(root.join("profile_test.sh")).output().expect("sh runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_hostile_repository_writes_no_commands() {
    let readme = "```\npython3 serve.py --port 8000' ; touch owned; echo '\n```\n";
    let app = "app = FastAPI()\n@app.get(\"/x'$(touch owned)`touch owned`\")\ndef show():\n    pass\n";
    let (root, script) = made(&[("README.md", readme), ("app/main.py", app)], "/x'$(touch owned)`touch owned`");
    parses(root.path());
    // What comes before the requests is only assignments: with these harmless there is nothing to run.
    let head = script.files[0].1.split("up() {").next().expect("a head").to_owned() + "\nprintf '%s' \"$ROUTE\"\n";
    std::fs::write(root.path().join("head.sh"), head).expect("a file");
    let out = Command::new("sh").arg("head.sh").current_dir(root.path()).output().expect("sh runs");
    assert_eq!(String::from_utf8_lossy(&out.stdout), "/x'$(touch owned)`touch owned`", "{out:?}");
    assert!(!root.path().join("owned").exists());
}

#[test]
fn a_started_service_is_guessed_and_marked() {
    let app = "api = FastAPI()\n@api.post('/orders/{order}')\nasync def change(order: int): ...\n";
    let (root, script) = made(&[("shop/main.py", app)], "POST /orders/7");
    parses(root.path());
    let text = &script.files[0].1;
    assert!(
        text.contains("START='python3 -m uvicorn shop.main:api --port 8000'  # guessed: how it is started;"),
        "{text}"
    );
    let expected = [
        "how it is started; shop/main.py makes the application",
        "the parameters of /orders/{order}",
        "the body of the request",
    ];
    assert_eq!(script.guessed, expected);
}

#[test]
fn a_benchmark_in_python_runs() {
    let code = "import time\n\n\nclass Till:\n    def add(self, price: int, note: str, tax=0.2):\n        return price\n\n\nasync def fetch(name: str):\n    return name\n";
    for (target, guessed) in [("shop/till.py::Till.add", 3), ("shop/till.py::fetch", 1)] {
        let (root, script) = made(&[("shop/till.py", code)], target);
        assert_eq!(script.guessed.len(), guessed, "{:?}", script.guessed);
        parses(root.path());
        let out = Command::new("sh").arg(root.path().join("profile_test.sh")).output().expect("sh runs");
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(said.contains(" calls, ") && said.contains(" us each"), "{target}: {out:?}");
    }
}

#[test]
fn what_cannot_be_called_is_said() {
    use crate::discover::{found::NoBenchmark, no_command};
    let root = tempfile::tempdir().expect("a directory");
    std::fs::write(root.path().join("a.py"), "def f():\n    def g():\n        pass\n").expect("a file");
    let found = discover(root.path(), "", "a.py::f.g").expect("found");
    assert_eq!(no_command(&found), Some(NoBenchmark::Private));
}
