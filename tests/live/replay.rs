//! `perfmap report`: the same bytes without root, and never a panic on what is no recording.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, places, turn};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

const FILES: [&str; 7] = [
    "performance_map.yaml",
    "profile_result.yaml",
    "context.md",
    "wall.svg",
    "cpu.svg",
    "offcpu.svg",
    "profile.folded",
];

/// `perfmap report` as nobody, in a directory that nobody may write, with no path but the system's.
fn report_as_nobody(recording: &Path, out: &Path) -> Result<Output> {
    let scratch = out.parent().context("an output directory with a parent")?;
    // The build directory may lie in a home that others cannot enter.
    let perfmap = scratch.join("perfmap");
    std::fs::copy(places::perfmap()?, &perfmap).context("copy perfmap")?;
    std::fs::set_permissions(&perfmap, std::fs::Permissions::from_mode(0o755)).context("open perfmap")?;
    std::fs::create_dir_all(out).context("make the output directory")?;
    std::fs::set_permissions(out, std::fs::Permissions::from_mode(0o777)).context("open the output directory")?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all", "--"]);
    command.arg(&perfmap).arg("report").arg(recording).arg("--out").arg(out);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").current_dir("/");
    command.output().context("run perfmap report as nobody")
}

fn readable(path: &Path) -> Result<PathBuf> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).context("open the recording")?;
    Ok(path.to_path_buf())
}

fn scratch() -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir().context("make a scratch directory")?;
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).context("open it")?;
    Ok(dir)
}

fn same_bytes(workload: &str, variant: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload(workload, &[variant])?.passes()?;
    let dir = scratch()?;
    let recording = dir.path().join("recording.perfmap");
    std::fs::copy(traced.recording(), &recording).context("copy the recording")?;
    for turn in ["first", "second"] {
        let out = dir.path().join(turn);
        let report = report_as_nobody(&readable(&recording)?, &out)?;
        ensure!(report.status.success(), "{}: {}", report.status, String::from_utf8_lossy(&report.stderr));
        for file in FILES {
            let (here, there) = (std::fs::read(traced.out.join(file)), std::fs::read(out.join(file)));
            let (here, there) =
                (here.with_context(|| format!("trace: {file}"))?, there.with_context(|| format!("report: {file}"))?);
            ensure!(here == there, "{file} of the {turn} report differs ({} and {} bytes)", here.len(), there.len());
        }
    }
    Ok(())
}

#[test]
fn native_report_is_byte_identical_without_root() -> Result<()> {
    same_bytes("w21_native", "c")
}

#[test]
fn python_report_is_byte_identical_without_root() -> Result<()> {
    same_bytes("w24_halves", "py")
}

#[test]
fn http_report_is_byte_identical_without_root() -> Result<()> {
    same_bytes("w27_http", "all")
}

/// The binary that was profiled is gone when the report is made.
#[test]
fn a_deleted_program_keeps_its_names() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let source = perfmap_tests::workload::ready("w24_halves")?.join("bin/halves");
    let dir = scratch()?;
    let program = dir.path().join("halves");
    std::fs::copy(&source, &program).context("copy the program")?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).context("open the program")?;
    let traced =
        Trace::command([&program]).dir(dir.path()).options(&["--no-baseline", "--app", "*halves*"]).passes()?;
    std::fs::remove_file(&program).context("delete the program")?;
    let out = dir.path().join("out");
    let recording = dir.path().join("recording.perfmap");
    std::fs::copy(traced.recording(), &recording).context("copy the recording")?;
    let report = report_as_nobody(&readable(&recording)?, &out)?;
    ensure!(report.status.success(), "{}", String::from_utf8_lossy(&report.stderr));
    let text = std::fs::read_to_string(out.join("performance_map.yaml")).context("read the map")?;
    let map = perfmap_tests::Map::parse(&text)?;
    ensure!(map.has("burn_half") && map.has("sleep_half"), "no steps of burn_half and sleep_half:\n{text}");
    Ok(())
}

/// Exit code and words, never a panic (101) or a signal.
fn refuses(bytes: &[u8], what: &str) -> Result<()> {
    let dir = scratch()?;
    let file = dir.path().join("broken.perfmap");
    std::fs::write(&file, bytes).context("write the broken recording")?;
    let report = report_as_nobody(&readable(&file)?, &dir.path().join("out"))?;
    let said = String::from_utf8_lossy(&report.stderr);
    let code = report.status.code().with_context(|| format!("{what}: killed: {}", report.status))?;
    ensure!(code != 0 && code != 101, "{what}: exit {code}: {said}");
    ensure!(!said.contains("panicked"), "{what}: {said}");
    ensure!(said.contains("broken.perfmap"), "{what}: the message does not name the file: {said}");
    Ok(())
}

#[test]
fn garbage_is_refused() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    refuses(b"", "an empty file")?;
    refuses(b"\0\0\0\0\0\0\0\0", "zeros")?;
    refuses(&[0xff; 100_000], "ones")?;
    refuses(b"performance_map: {}\n", "a YAML file")?;
    // A repeatable stream of bytes without any form.
    let mut state = 1u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(65536)
    .collect();
    refuses(&noise, "noise")
}

#[test]
fn a_truncated_recording_is_refused_at_every_length() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w27_http", &["head"])?.passes()?;
    let whole = std::fs::read(traced.recording()).context("read the recording")?;
    for part in 0..16 {
        let length = whole.len() * part / 16;
        refuses(whole.get(..length).unwrap_or_default(), &format!("the first {length} of {} bytes", whole.len()))?;
    }
    Ok(())
}

/// One flipped bit may go unseen or be refused; it may not crash.
#[test]
fn a_recording_with_flipped_bits_never_crashes() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w27_http", &["head"])?.passes()?;
    let whole = std::fs::read(traced.recording()).context("read the recording")?;
    let dir = scratch()?;
    for step in 0..40 {
        let mut bytes = whole.clone();
        let at = bytes.len() * step / 40;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1 << (step % 8);
        }
        let file = dir.path().join("flipped.perfmap");
        std::fs::write(&file, &bytes).context("write the recording")?;
        let report = report_as_nobody(&readable(&file)?, &dir.path().join("out"))?;
        let said = String::from_utf8_lossy(&report.stderr);
        ensure!(report.status.code().is_some_and(|code| code != 101), "byte {at}: {}: {said}", report.status);
    }
    Ok(())
}

#[test]
fn a_missing_recording_is_named() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let dir = scratch()?;
    let report = report_as_nobody(&dir.path().join("absent.perfmap"), &dir.path().join("out"))?;
    let said = String::from_utf8_lossy(&report.stderr);
    ensure!(!report.status.success() && said.contains("absent.perfmap"), "{}: {said}", report.status);
    Ok(())
}
