//! `cargo xtask test`: every check and every test in one order, cheap ones first, with one closing line of counts.

use crate::{
    build_ebpf, checks,
    setup::{self, For},
    shell::{self, cargo, is_root, must},
    tally::Tally,
};
use anyhow::Result;

/// Needs nothing but Rust: unit and property tests.
pub fn unit() -> Result<()> {
    let mut tally = Tally::default();
    tally.cargo_test("unit tests", cargo().arg("test"))?;
    tally.close()
}

/// Everything. Installs first what is missing.
pub fn all() -> Result<()> {
    setup::setup(For::Tests)?;
    let mut tally = Tally::default();
    tally.check("format", must(cargo().args(["fmt", "--all", "--check"])));
    tally.check(
        "clippy",
        must(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])),
    );
    tally.check(
        "clippy, with the BPF linker",
        must(cargo().args([
            "clippy",
            "-p",
            "xtask",
            "--all-targets",
            "--features",
            "ebpf",
            "--locked",
            "--",
            "-D",
            "warnings",
        ])),
    );
    checks::deny(&mut tally);
    tally.check("build-ebpf --check", build_ebpf::run(build_ebpf::Mode::Check));
    tally.cargo_test("unit tests", cargo().args(["test", "--locked", "--no-fail-fast"]))?;
    live(&mut tally)?;
    tally.close()
}

/// The live tests compare times with a program that measures itself at the same time, within a few per cent. On a shared
/// machine about one run of a hundred misses that for reasons outside both, so a few may be run again, and the closing
/// lines say which. A test that fails for a reason fails each time.
const REPEATABLE: usize = 3;
const REPEATS: usize = 2;

/// The binary under test is a release build, made as the user; only the test programs run as root.
fn live(tally: &mut Tally) -> Result<()> {
    let built = must(cargo().args(["build", "--release", "--locked", "-p", "perfmap"]))
        .and_then(|()| must(cargo().args(["test", "--locked", "-p", "perfmap-tests", "--no-run"])));
    let ready = built.is_ok();
    tally.check("build for the live tests", built);
    if !ready {
        return Ok(());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}:/usr/sbin:/sbin", shell::tools_venv().join("bin").display());
    if !is_root() {
        eprintln!("the live tests need root: they run through sudo");
    }
    let tests = || {
        let mut tests = cargo();
        tests.args(["test", "--locked", "-p", "perfmap-tests", "--no-fail-fast"]);
        if !is_root() {
            // cargo starts the test programs through this; what they build still belongs to the user.
            let runner = format!("sudo -E env PATH={path} PERFMAP_BIN={}", shell::release_binary().display());
            tests.env(runner_variable(), runner);
        }
        tests.env("PATH", &path).env("PERFMAP_BIN", shell::release_binary());
        tests
    };
    let failed = tally.cargo_test("live tests", &mut tests())?;
    if failed.len() <= REPEATABLE {
        for test in &failed {
            let again = || must(tests().args(["--test", "live", "--", "--exact", test])).is_ok();
            if (0..REPEATS).any(|_| again()) {
                tally.passed_again(test);
            }
        }
    }
    Ok(())
}

/// `CARGO_TARGET_<TRIPLE>_RUNNER` of this machine.
fn runner_variable() -> String {
    let host = shell::output_of("rustc", &["-vV"]).unwrap_or_default();
    let triple = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("x86_64-unknown-linux-gnu");
    format!("CARGO_TARGET_{}_RUNNER", triple.to_uppercase().replace(['-', '.'], "_"))
}
