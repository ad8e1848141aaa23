//! `perfmap discover` and `perfmap trace TARGET`: what is found is really run, and what is written belongs to the user.

use anyhow::{Context, Result, ensure};
use perfmap::recording::{EntryKind, TestSource};
use perfmap_tests::{Map, places, recorded, turn};
use std::{
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::Path,
    process::{Command, Output, Stdio},
};

const TILL: &str = "\
import time


def total(prices):
    time.sleep(0.3)
    return sum(prices)


def rounded(price: float, digits: int = 2):
    return round(price, digits)
";

const TEST_TILL: &str = "\
import unittest

from shop.till import total


class TillTest(unittest.TestCase):
    def test_nothing(self):
        self.assertEqual(total([]), 0)
";

/// A service with a router of its own: nothing has to be installed.
const SERVER: &str = "\
import http.server
import sys
import time

ROUTES = {}


class Router:
    def get(self, path):
        def taken(function):
            ROUTES[path.split('{')[0]] = function
            return function

        return taken


router = Router()


@router.get('/orders/{order_id}')
def show_order(order_id):
    time.sleep(0.02)
    return order_id


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        front, _, last = self.path.rpartition('/')
        function = ROUTES.get(front + '/')
        body = function(last).encode() if function else b'no'
        self.send_response(200 if function else 404)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


if __name__ == '__main__':
    http.server.HTTPServer(('127.0.0.1', int(sys.argv[2])), Handler).serve_forever()
";

fn project(files: &[(&str, &str)]) -> Result<tempfile::TempDir> {
    let root = tempfile::Builder::new().prefix("perfmap-target-").tempdir().context("make a project")?;
    std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).context("open it")?;
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().context("a parent")?).context("make a directory")?;
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(root)
}

fn till() -> Result<tempfile::TempDir> {
    project(&[
        ("setup.py", ""),
        ("shop/__init__.py", ""),
        ("shop/till.py", TILL),
        ("tests/__init__.py", ""),
        ("tests/test_till.py", TEST_TILL),
    ])
}

fn perfmap(root: &Path, words: &[&str], env: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(places::perfmap()?);
    command.args(words).current_dir(root).env("PATH", places::path()?).env("NO_COLOR", "1");
    command.envs(env.iter().copied()).stdin(Stdio::null());
    command.output().context("run perfmap")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn passed(output: &Output) -> Result<()> {
    ensure!(output.status.success(), "perfmap ended with {}:\n{}", output.status, stderr(output));
    Ok(())
}

#[test]
fn a_function_is_traced_by_its_own_test() -> Result<()> {
    let _turn = turn()?;
    let root = till()?;
    let output = perfmap(root.path(), &["trace", "--no-baseline", "shop/till.py::total"], &[])?;
    passed(&output)?;
    let said = stderr(&output);
    ensure!(
        said.contains("runs python3 -m unittest tests.test_till.TillTest.test_nothing: an existing test"),
        "{said}"
    );
    let out = root.path().join(".optimization/shop-till-py-total");
    let map = Map::read(&out.join("performance_map.yaml"))?;
    let wall = map.wall_of("total");
    ensure!(wall >= 290.0, "total slept for 300 ms, its step has {wall}");
    let source = recorded::read(&out.join("recording.perfmap"))?.source.context("no source in the recording")?;
    let entry = source.entry.context("no entry")?;
    ensure!((entry.kind, entry.file.as_str(), entry.line) == (EntryKind::Function, "shop/till.py", 4), "{entry:?}");
    let test = source.e2e_test.context("no test")?;
    ensure!(test.source == TestSource::Function, "{test:?}");
    ensure!(!out.join("profile_test.sh").exists(), "there is a test, and a script was written");
    Ok(())
}

#[test]
fn a_route_without_a_test_is_asked_with_curl() -> Result<()> {
    let _turn = turn()?;
    let port = TcpListener::bind("127.0.0.1:0").context("find a port")?.local_addr().context("its number")?.port();
    let readme = format!("# Orders\n\n```\n$ python3 server.py --port {port}\n```\n");
    let root = project(&[("README.md", &readme), ("setup.py", ""), ("server.py", SERVER)])?;
    let output = perfmap(root.path(), &["trace", "--no-baseline", "GET", "/orders/{id}"], &[])?;
    passed(&output)?;
    let out = root.path().join(".optimization/get-orders-id");
    let script = std::fs::read_to_string(out.join("profile_test.sh")).context("the script")?;
    ensure!(script.contains(&format!("http://127.0.0.1:{port}")), "{script}");
    ensure!(script.contains("ROUTE=/orders/1  # guessed"), "{script}");
    let map = Map::read(&out.join("performance_map.yaml"))?;
    let wall = map.wall_of("show_order");
    ensure!(wall >= 20.0 * 20.0 * 0.97, "20 requests of 20 ms each, the step has {wall} ms");
    let source = recorded::read(&out.join("recording.perfmap"))?.source.context("no source in the recording")?;
    let entry = source.entry.context("no entry")?;
    ensure!(entry.route.as_deref() == Some("GET /orders/{order_id}") && entry.function == "show_order", "{entry:?}");
    ensure!(source.e2e_test.is_some_and(|test| test.command.is_none() && test.source == TestSource::None));
    ensure!(stderr(&output).contains("warning: no end-to-end test found"), "{}", stderr(&output));
    Ok(())
}

#[test]
fn what_is_not_there_is_told_with_its_neighbours() -> Result<()> {
    let root = till()?;
    for command in ["discover", "trace"] {
        let output = perfmap(root.path(), &[command, "shop/till.py::totl"], &[])?;
        ensure!(output.status.code() == Some(2), "{command}: {:?}", output.status);
        let said = stderr(&output);
        ensure!(said.contains("error: file/function not found at shop/till.py::totl"), "{said}");
        ensure!(said.contains("hint: did you mean shop/till.py::total?"), "{said}");
    }
    Ok(())
}

#[test]
fn scripts_belong_to_the_user_and_follow_no_link() -> Result<()> {
    let root = till()?;
    let nobody = nix::unistd::User::from_name("nobody")?.context("no user nobody")?;
    let (uid, gid) = (nobody.uid.as_raw(), nobody.gid.as_raw());
    chown(root.path(), Some(uid), Some(gid)).context("give the project away")?;
    let (uid_text, gid_text) = (uid.to_string(), gid.to_string());
    let env = [("SUDO_UID", uid_text.as_str()), ("SUDO_GID", &gid_text), ("SUDO_USER", "nobody")];
    let target = ["discover", "shop/till.py::rounded"];
    // The test takes in the module, so the function's own script is asked for by taking the test away.
    std::fs::remove_file(root.path().join("tests/test_till.py")).context("remove the test")?;
    passed(&perfmap(root.path(), &target, &env)?)?;
    let out = root.path().join(".optimization/shop-till-py-rounded");
    for file in ["profile_test.sh", "profile_bench.py", "."] {
        let owner = std::fs::symlink_metadata(out.join(file)).with_context(|| file.to_owned())?.uid();
        ensure!(owner == uid, "{file} belongs to {owner}");
    }
    // An edited script is the user's.
    std::fs::write(out.join("profile_test.sh"), "exit 0\n").context("edit the script")?;
    passed(&perfmap(root.path(), &target, &env)?)?;
    let kept = std::fs::read_to_string(out.join("profile_test.sh")).context("the script")?;
    ensure!(kept == "exit 0\n", "{kept}");
    // Where the user could plant a link, none is followed.
    std::fs::remove_dir_all(root.path().join(".optimization")).context("remove the results")?;
    let elsewhere = tempfile::tempdir().context("make a directory")?;
    symlink(elsewhere.path(), root.path().join(".optimization")).context("plant a link")?;
    std::os::unix::fs::lchown(root.path().join(".optimization"), Some(uid), Some(gid)).context("give the link away")?;
    let output = perfmap(root.path(), &target, &env)?;
    ensure!(output.status.code() == Some(5), "{:?}: {}", output.status, stderr(&output));
    ensure!(std::fs::read_dir(elsewhere.path())?.next().is_none(), "something was written behind the link");
    Ok(())
}
