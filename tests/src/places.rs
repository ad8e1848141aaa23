//! Where things lie: the repository, the binary under test, the interpreters of this machine.

use anyhow::{Context, Result};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::OnceLock,
};

pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

pub fn workloads() -> PathBuf {
    root().join("tests/workloads")
}

/// `PERFMAP_BIN`, else the release build, else the debug build beside this test program.
pub fn perfmap() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("PERFMAP_BIN") {
        return Ok(PathBuf::from(path));
    }
    let me = std::env::current_exe().context("find this test program")?;
    // target/debug/deps/live-… → target
    let target = me.ancestors().nth(3).context("this test program does not lie in a target directory")?;
    let found =
        ["release/perfmap", "debug/perfmap"].map(|path| target.join(path)).into_iter().find(|path| path.is_file());
    found.with_context(|| format!("no perfmap in {}: run `cargo build --release -p perfmap`", target.display()))
}

/// A program of the PATH.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(extra).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// The PATH of what is traced: the real `uv` and the real `python3` before pyenv's shims of them, which are scripts and would
/// add 0.3 s of bash to every run.
pub fn path() -> Result<OsString> {
    static FRONT: OnceLock<Vec<PathBuf>> = OnceLock::new();
    let front = FRONT.get_or_init(|| {
        let real = [uv(), real_python()].into_iter().flatten();
        real.filter_map(|program| program.parent().map(Path::to_path_buf)).collect()
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(front.iter().cloned().chain(std::env::split_paths(&path))).context("join the PATH")
}

/// `cargo xtask setup` puts one into target/tools.
fn uv() -> Option<PathBuf> {
    let tools = root().join("target/tools/bin/uv");
    let kept = versions(".pyenv/versions", "").into_iter().map(|version| version.join("bin/uv"));
    std::iter::once(tools).chain(kept).find(|uv| uv.is_file())
}

fn real_python() -> Option<PathBuf> {
    let words = ["-c", "import os, sys; print(os.path.realpath(sys.executable))"];
    let out = std::process::Command::new(program("python3")?).args(words).output().ok()?;
    let python = PathBuf::from(String::from_utf8(out.stdout).ok()?.trim());
    python.with_file_name("python3").is_file().then_some(python)
}

/// Directories of one place in the home whose names begin with the version: newest last.
fn versions(place: &str, version: &str) -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let Ok(listing) = std::fs::read_dir(home.join(place)) else { return Vec::new() };
    // "3.1" must not take 3.11.
    let fits = |name: &str| {
        name.strip_prefix(version).is_some_and(|rest| version.is_empty() || rest.is_empty() || rest.starts_with('.'))
    };
    let mut found: Vec<PathBuf> = listing
        .flatten()
        .filter(|entry| fits(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// The interpreter of one CPython version: one that pyenv or uv keeps, else one of the PATH. A pyenv shim is no interpreter.
pub fn python(version: &str) -> Option<PathBuf> {
    let kept = [(".pyenv/versions", version.to_owned()), (".local/share/uv/python", format!("cpython-{version}"))];
    for (place, prefix) in kept {
        let programs = versions(place, &prefix).into_iter().map(|dir| dir.join(format!("bin/python{version}")));
        if let Some(python) = programs.rev().find(|path| path.is_file()) {
            return Some(python);
        }
    }
    program(&format!("python{version}")).filter(|path| !path.to_string_lossy().contains("/shims/"))
}

/// The Python of the virtual environment that `cargo xtask setup` makes.
pub fn tools_python() -> PathBuf {
    root().join("target/tools/bin/python")
}

/// A Python with PyYAML, for `check.py`.
pub fn python_with_yaml() -> Result<PathBuf> {
    let tools = root().join("target/tools/bin/python");
    let candidates = [Some(tools), program("python3")];
    candidates
        .into_iter()
        .flatten()
        .find(|python| {
            let import = std::process::Command::new(python).args(["-c", "import yaml"]).output();
            import.is_ok_and(|out| out.status.success())
        })
        .context("no python3 with PyYAML: run `cargo xtask setup`")
}
