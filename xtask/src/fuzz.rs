//! `cargo xtask fuzz`: every target of `fuzz/` for its time → clean, or the input that broke it.
//!
//! Needs a nightly compiler and cargo-fuzz. Seeds are in `fuzz/seeds`, small and kept; what a run finds on top stays in
//! `fuzz/corpus` on this machine.

use crate::{
    setup::cargo_bin,
    shell::{cargo, must, output_of, root},
};
use anyhow::{Context, Result, bail, ensure};
use std::{path::PathBuf, process::Command, time::Instant};

pub const DEFAULT_SECONDS: u64 = 60;
const CARGO_FUZZ: &str = "0.13.2";
const CODEGEN_UNITS: &str = "16";
/// One input that takes longer, or more memory, is a finding.
const SECONDS_AN_INPUT: u32 = 10;
const MEGABYTES: u32 = 2048;

pub fn fuzz(seconds: u64, chosen: &[&str]) -> Result<()> {
    let all = targets()?;
    for name in chosen {
        ensure!(all.iter().any(|target| target == name), "no target {name:?}; there are {}", all.join(", "));
    }
    let targets: Vec<&String> =
        all.iter().filter(|target| chosen.is_empty() || chosen.contains(&target.as_str())).collect();
    tools()?;
    eprintln!("builds the targets, then runs {} of them for {seconds} s each", targets.len());
    // The same versions of all crates as perfmap has.
    std::fs::copy(root().join("Cargo.lock"), fuzz_dir().join("Cargo.lock")).context("copy Cargo.lock")?;
    must(&mut cargo_fuzz("build"))?;
    sample()?;
    let mut broken = Vec::new();
    for target in targets {
        let started = Instant::now();
        let fine = run(target, seconds)?;
        eprintln!(
            "fuzz {target}: {} after {:.0} s",
            if fine { "clean" } else { "BROKEN" },
            started.elapsed().as_secs_f64()
        );
        if !fine {
            broken.push(target.as_str());
        }
    }
    ensure!(broken.is_empty(), "broken: {}; the inputs are in fuzz/artifacts", broken.join(", "));
    eprintln!("all clean");
    Ok(())
}

/// One file a target.
fn targets() -> Result<Vec<String>> {
    let dir = fuzz_dir().join("fuzz_targets");
    let files = std::fs::read_dir(&dir).with_context(|| format!("read {}", dir.display()))?;
    let mut names = Vec::new();
    for file in files {
        let path = file.with_context(|| format!("read {}", dir.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

fn run(target: &str, seconds: u64) -> Result<bool> {
    let folder = |name: &str| -> Result<PathBuf> {
        let folder = fuzz_dir().join(name).join(target);
        std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        Ok(folder)
    };
    // What is found goes to the first.
    let (corpus, seeds) = (folder("corpus")?, folder("seeds")?);
    let mut fuzz = cargo_fuzz("run");
    fuzz.arg(target).args([&corpus, &seeds]).arg("--");
    fuzz.args([
        format!("-max_total_time={seconds}"),
        format!("-timeout={SECONDS_AN_INPUT}"),
        format!("-rss_limit_mb={MEGABYTES}"),
        "-print_final_stats=1".to_owned(),
        "-verbosity=0".to_owned(),
    ]);
    let status = fuzz.status().context("start cargo fuzz")?;
    Ok(status.success())
}

/// The recording that the decoder's target begins with: it changes with the format, so a test writes it anew.
fn sample() -> Result<()> {
    let folder = fuzz_dir().join("corpus/recording_decode");
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let mut test = cargo();
    test.args(["test", "-q", "--locked", "-p", "perfmap", "--lib", "what_fuzzing_begins_with"]);
    must(test.env("PERFMAP_SEEDS", &folder))
}

fn tools() -> Result<()> {
    if output_of("rustc", &["+nightly", "--version"]).is_none() {
        bail!("fuzzing needs a nightly compiler: run `rustup toolchain install nightly`");
    }
    if output_of(&cargo_bin("cargo-fuzz").to_string_lossy(), &["--version"]).is_none() {
        eprintln!("will install with cargo (some minutes, once): cargo-fuzz {CARGO_FUZZ}");
        must(cargo().args(["install", "cargo-fuzz", "--locked", "--version", CARGO_FUZZ]))?;
    }
    Ok(())
}

fn cargo_fuzz(command: &str) -> Command {
    // Not through the stable cargo that runs this: rustup picks the compiler by the first word.
    let mut cargo = Command::new("cargo");
    // Of itself it makes one unit of each crate.
    cargo
        .args(["+nightly", "fuzz", command, "--codegen-units", CODEGEN_UNITS])
        .current_dir(root())
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO");
    cargo
}

fn fuzz_dir() -> PathBuf {
    root().join("fuzz")
}
