//! Where things lie: the repository, the binary under test, the interpreters of this machine.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

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

/// The interpreter of one CPython version: one that pyenv or uv keeps, else one of the PATH. A pyenv shim is no interpreter.
pub fn python(version: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let kept = [(".pyenv/versions", version.to_owned()), (".local/share/uv/python", format!("cpython-{version}"))];
    for (dir, prefix) in kept {
        let Ok(listing) = std::fs::read_dir(home.join(dir)) else { continue };
        let mut found: Vec<PathBuf> = listing
            .flatten()
            .filter(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                // "3.1" must not take 3.11.
                name.strip_prefix(&prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
            .map(|entry| entry.path().join(format!("bin/python{version}")))
            .filter(|path| path.is_file())
            .collect();
        found.sort();
        if let Some(path) = found.pop() {
            return Some(path);
        }
    }
    program(&format!("python{version}")).filter(|path| !path.to_string_lossy().contains("/shims/"))
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
