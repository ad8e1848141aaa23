//! File bytes per function: exact, for every family of calls.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, Traced, turn};

/// Every function's bytes, to the byte.
fn exact(traced: &Traced) -> Result<()> {
    let (map, truth) = (traced.map()?, traced.truth()?);
    let files = truth.json["files"].as_array().context("truth without files")?;
    ensure!(!files.is_empty(), "truth with an empty list of files");
    let mut wrong = Vec::new();
    for f in files {
        let name = f["function"].as_str().context("a file entry without a function")?;
        let want = (f["io_read_bytes"].as_u64().unwrap_or(0), f["io_write_bytes"].as_u64().unwrap_or(0));
        let got = map.outermost(name).fold((0, 0), |sum, s| (sum.0 + s.io_read_bytes, sum.1 + s.io_write_bytes));
        if got != want {
            wrong.push(format!("{name}: read and written {got:?}, truth {want:?}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    traced.owns_its_time()
}

#[test]
fn c_calls_of_every_family() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    exact(&Trace::workload("w25_files", &["c"])?.passes()?)
}

#[test]
fn python_calls() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    exact(&Trace::workload("w25_files", &["py"])?.passes()?)
}

/// The baseline counts the whole tree: what the kernel's own counters had before the truth was written, plus what the loader
/// and the writing of the truth add (under 64 KiB).
#[test]
fn baseline_bytes_agree_with_the_kernels_counters() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w25_files", &["c"])?.with_baseline().passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for (key, counter) in [("io_read_bytes", "rchar"), ("io_write_bytes", "wchar")] {
        let (got, want) = (map.baseline(key)?, truth.json["kernel_io"][counter].as_f64().context("no kernel_io")?);
        ensure!((got - want).abs() <= 65536.0, "{key} {got}, {counter} {want}");
    }
    Ok(())
}
