//! Pure Python on several CPython versions: the known split within 2 points, with the right lines.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use perfmap_tests::{Trace, places, turn};

const POINTS: f64 = 2.0;
/// Of readings from outside, which are of other moments than the samples.
const OUTSIDE: f64 = 5.0;

fn split(version: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let Some(python) = places::python(version) else {
        // Where an interpreter is not to be had, its test says so; `some_interpreter_is_there` keeps all from being missing.
        eprintln!("not run: CPython {version} is not installed here");
        return Ok(());
    };
    split_of(&python)
}

fn split_of(python: &Path) -> Result<()> {
    let traced = Trace::workload("w22_python", &[])?.options(&["--freq", "999"]).env("WL_PYTHON", python).passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for f in truth.functions()? {
        let share = map.share(&f.name);
        ensure!(
            (share - f.wall_share_pct).abs() <= POINTS,
            "{}: {share:.2} %, truth {:.2} %",
            f.name,
            f.wall_share_pct
        );
        ensure!(map.nested("run_rounds", &f.name), "{} does not lie under run_rounds", f.name);
    }
    ensure!(map.nested("build_index", "_descend"), "the recursion is not under its caller");
    traced.owns_its_time()?;
    traced.check("schema,functions,location,edges,class,top")
}

#[test]
fn some_interpreter_is_there() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let found: Vec<&str> = ["3.11", "3.12", "3.13"].into_iter().filter(|v| places::python(v).is_some()).collect();
    ensure!(!found.is_empty(), "none of CPython 3.11, 3.12 and 3.13 is installed: nothing of Python was tested");
    eprintln!("CPython found: {}", found.join(", "));
    Ok(())
}

#[test]
fn cpython_3_8() -> Result<()> {
    split("3.8")
}

#[test]
fn cpython_3_9() -> Result<()> {
    split("3.9")
}

#[test]
fn cpython_3_10() -> Result<()> {
    split("3.10")
}

#[test]
fn cpython_3_11() -> Result<()> {
    split("3.11")
}

#[test]
fn cpython_3_12() -> Result<()> {
    split("3.12")
}

#[test]
fn cpython_3_13() -> Result<()> {
    split("3.13")
}

/// The interpreter's library is a part of the program, as uv and Debian install it: pyenv's are programs beside theirs.
#[test]
fn statically_linked() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let all = ["3.13", "3.12", "3.11", "3.10", "3.9", "3.8"];
    let installed = all.map(|version| PathBuf::from(format!("/usr/bin/python{version}")));
    let kept = all.into_iter().filter_map(places::python);
    let Some(python) = kept.chain(installed).find(|path| is_static(path)) else {
        eprintln!("not run: every CPython here has its library beside it");
        return Ok(());
    };
    eprintln!("statically linked: {}", python.display());
    split_of(&python)
}

/// It names no libpython that is to be loaded.
fn is_static(python: &Path) -> bool {
    std::fs::read(python)
        .is_ok_and(|bytes| bytes.starts_with(b"\x7fELF") && !bytes.windows(11).any(|name| name == b"libpython3."))
}

/// Forced on an interpreter that our own walk knows: the same split, by readings from outside. Neighbouring functions
/// run for 40 ms and more, readings come every 10 ms or, on a loaded machine, some 25 ms.
#[test]
fn read_from_outside() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let Some(python) = ["3.12", "3.11", "3.13"].into_iter().find_map(places::python) else { return Ok(()) };
    let traced = Trace::workload("w22_python", &[])?
        .options(&["--freq", "999", "--python", "py-spy"])
        .env("WL_PYTHON", python)
        .passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for f in truth.functions()? {
        let share = map.share(&f.name);
        ensure!(
            (share - f.wall_share_pct).abs() <= OUTSIDE,
            "{}: {share:.2} %, truth {:.2} %",
            f.name,
            f.wall_share_pct
        );
        ensure!(map.nested("run_rounds", &f.name), "{} does not lie under run_rounds", f.name);
    }
    ensure!(map.warnings().contains("are read from outside by py-spy"), "not said: {}", map.warnings());
    traced.owns_its_time()?;
    traced.check("schema,functions,location")
}
