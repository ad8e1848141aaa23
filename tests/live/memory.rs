//! Memory by function: what the program measured of itself around each of them.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, Traced, turn};

/// MiB under the outermost steps of the function.
fn grown(traced: &Traced, function: &str) -> Result<f64> {
    Ok(traced.map()?.outermost(function).map(|step| step.memory_delta_mb).sum())
}

#[test]
fn growth_goes_to_the_function_that_it_happens_in() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w74_memory", &["growth"])?.passes()?;
    let truth = traced.truth()?;
    let all = truth.json["memory"]["growth_by_function_mb"].as_object().context("truth without growth")?;
    for (function, mib) in all {
        let (mib, got) = (mib.as_f64().context("no number")?, grown(&traced, function)?);
        // Changes are told by half MiB, and each CPU holds some pages back.
        ensure!((got - mib).abs() <= 0.05 * mib.abs() + 2.0, "{function}: {got:.1} MiB, truth {mib:.1} MiB");
    }
    ensure!(all.values().filter(|mib| mib.as_f64().is_some_and(|mib| mib.abs() > 40.0)).count() >= 5, "{all:?}");
    traced.check("schema,memory")?;
    traced.owns_its_time()
}

#[test]
fn what_is_freed_again_is_no_growth() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w74_memory", &["steady"])?.passes()?;
    let got = grown(&traced, "steady")?;
    ensure!(got.abs() < 3.0, "steady grew by {got:.1} MiB");
    let leaks = Trace::workload("w74_memory", &["leak"])?.passes()?;
    let (got, truth) = (grown(&leaks, "leak")?, leaks.truth()?);
    let mib = truth.json["memory"]["growth_by_function_mb"]["leak"].as_f64().context("truth without growth")?;
    ensure!((got - mib).abs() <= 0.05 * mib + 2.0, "leak: {got:.1} MiB, truth {mib:.1} MiB");
    Ok(())
}
