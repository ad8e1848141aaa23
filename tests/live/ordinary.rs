//! Programs that anybody has: what is confirmed of them is true of them, and that is little.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, turn};
use serde_json::Value;
use std::{path::Path, process::Command};

/// Of the machine and its other programs: facts, wherever they are confirmed.
pub(crate) const OF_THE_MACHINE: [&str; 4] =
    ["cpu_contention", "cpu_throttling", "disk_throughput_bound", "major_faults"];

/// No suspicion but these is confirmed.
fn confirms_at_most(program: &str, true_of_it: &[&str]) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w77_ordinary", &[program])?.passes()?;
    let text = std::fs::read_to_string(traced.result_path()).context("read the result")?;
    let file: Value = serde_yaml::from_str(&text).context("parse the result")?;
    let all = file["profile_result"]["suspicion_stack"].as_array().context("no suspicions in the result")?;
    let confirmed = all.iter().filter(|one| one["verdict"] == "confirmed");
    let wrong: Vec<String> = confirmed
        .filter(|one| one["id"].as_str().is_none_or(|id| !OF_THE_MACHINE.contains(&id) && !true_of_it.contains(&id)))
        .map(|one| format!("{}: {} ({})", one["id"], one["description"], one["verification_note"]))
        .collect();
    ensure!(wrong.is_empty(), "{program}: {wrong:#?}");
    let steps = traced.map()?;
    ensure!(steps.wall_ms()? > 50.0, "{program} did nothing");
    Ok(())
}

/// What is not on this machine cannot be run: the test says so.
fn is_here(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|out| out.status.success());
    if !found {
        eprintln!("skipped: no {program} here");
    }
    found
}

#[test]
fn a_crud_suite_on_sqlite() -> Result<()> {
    confirms_at_most("crud", &[])
}

/// Each test asks for the same: that is no loop of the program's.
#[test]
fn a_crud_suite_on_postgresql() -> Result<()> {
    confirms_at_most("crud_pg", &[])
}

/// Nothing but the site's own computing is between a request and its answer.
#[test]
fn requests_to_a_django_site() -> Result<()> {
    confirms_at_most("django", &["remote_service_cpu_bound"])
}

#[test]
fn a_flask_page() -> Result<()> {
    confirms_at_most("flask", &[])
}

#[test]
fn a_pandas_job() -> Result<()> {
    confirms_at_most("pandas", &[])
}

#[test]
fn cargo_test() -> Result<()> {
    confirms_at_most("cargo", &[])
}

#[test]
fn npm_test() -> Result<()> {
    if !is_here("npm") {
        return Ok(());
    }
    confirms_at_most("npm", &[])
}

#[test]
fn go_test() -> Result<()> {
    if !Command::new("go").arg("version").output().is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: no go here");
        return Ok(());
    }
    confirms_at_most("go", &[])
}

#[test]
fn maven_test() -> Result<()> {
    if !Path::new("/usr/share/maven-repo/org/apache/maven/plugins/maven-surefire-plugin").exists() || !is_here("mvn") {
        eprintln!("skipped: no Maven with its plugins here (libsurefire-java)");
        return Ok(());
    }
    confirms_at_most("maven", &[])
}

#[test]
fn git_clone() -> Result<()> {
    confirms_at_most("clone", &[])
}

/// The compiler computes for most of the time: that is what it is for.
#[test]
fn make_with_two_jobs() -> Result<()> {
    confirms_at_most("make", &["cpu_bound_hot_function"])
}
