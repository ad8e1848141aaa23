//! Process trees: storms of short children, none missed; children under the step that waited for them.

use anyhow::{Result, ensure};
use perfmap_tests::{Trace, recorded, turn, workload};

/// Every child that the program reaped is in the recording as a process of its own.
fn storm(words: &[&str], executable: Option<&str>) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    // The program itself, not its `run`: that script forks children of its own.
    let program = ["bin/storm"].iter().chain(words);
    let traced = Trace::command(program).dir(workload::ready("w26_children")?).option("--no-baseline").passes()?;
    let want = traced.truth()?.json["children"]["reaped"].as_u64().unwrap_or(0);
    ensure!(want == 1000, "the program reaped {want} children");
    let recording = recorded::read(&traced.recording())?;
    let got = recorded::children_of_root(&recording);
    ensure!(got.len() as u64 == want, "{} of {want} children followed", got.len());
    let ended = got.iter().filter(|process| process.died.is_some()).count();
    ensure!(ended == got.len(), "{ended} of {} children have an end", got.len());
    if let Some(executable) = executable {
        let name = executable.rsplit('/').next().unwrap_or(executable);
        let named = got.iter().filter(|p| p.images.last().is_some_and(|image| image.comm == name)).count();
        ensure!(named == got.len(), "{named} of {} children are known as {name}", got.len());
    }
    traced.owns_its_time()
}

#[test]
fn a_thousand_children_by_posix_spawn() -> Result<()> {
    storm(&["spawn"], Some("/bin/true"))
}

#[test]
fn a_thousand_children_by_fork_and_exec() -> Result<()> {
    storm(&["exec"], Some("/bin/true"))
}

#[test]
fn a_thousand_forks_without_exec() -> Result<()> {
    storm(&["fork"], None)
}

#[test]
fn a_thousand_children_eight_at_a_time() -> Result<()> {
    storm(&["spawn", "8"], Some("/bin/true"))
}

#[test]
fn a_child_lies_under_the_function_that_waited_for_it() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w26_children", &["nest"])?.options(&["--freq", "999"]).passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for outer in ["run_burner", "run_by_shell"] {
        for inner in ["burn_left", "burn_right"] {
            ensure!(map.nested(outer, inner), "{inner} is not under {outer}");
        }
        let (got, want) = (map.share(outer), truth.function(outer)?.wall_share_pct);
        ensure!((got - want).abs() <= 2.0, "{outer}: {got:.1} %, truth {want:.1} %");
    }
    for inner in ["burn_left", "burn_right"] {
        let (got, want) = (map.share(inner), truth.function(inner)?.wall_share_pct);
        ensure!((got - want).abs() <= 2.0, "{inner}: {got:.1} %, truth {want:.1} %");
    }
    traced.owns_its_time()?;
    traced.check("schema,functions,edges")
}
