//! Allocations by function, in a run with probes at the C library's allocator: held against what the program asked for itself.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, turn};
use serde_json::Value;

/// What is given is 1.96 standard deviations; five of them do not come about by chance.
const DEVIATIONS: f64 = 5.0 / 1.96;

#[test]
fn what_is_allocated_and_what_stays_goes_to_its_function() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w85_allocations", &[])?.option("--allocations").passes()?;
    let text = std::fs::read_to_string(traced.result_path()).context("read the result")?;
    let result: Value = serde_yaml::from_str(&text).context("parse the result")?;
    let steps = result["profile_result"]["escalation"].as_array().cloned().unwrap_or_default();
    let step = steps.iter().find(|step| step["profiler"] == "probes at the allocator").context("no word of it")?;
    let said = step["result"].as_str().unwrap_or_default();
    ensure!(step["level"] == 3 && !said.contains("too low"), "{step}");
    let found = step["allocations"].as_array().cloned().unwrap_or_default();
    let truth = traced.truth()?;
    let all = truth.json["allocations"].as_array().cloned().context("truth without allocations")?;
    for of in &all {
        let function = of["function"].as_str().context("no name")?;
        let one =
            found.iter().find(|one| one["function"] == function).with_context(|| format!("no {function}: {step}"))?;
        let number = |from: &Value, key: &str| from[key].as_f64().with_context(|| format!("no {key} in {from}"));
        for (what, truth, error) in [
            ("bytes", "bytes", "bytes_error"),
            ("blocks", "blocks", "blocks_error"),
            ("alive_bytes", "alive", "alive_bytes_error"),
        ] {
            let (got, truth, error) = (number(one, what)?, number(of, truth)?, number(one, error)?);
            ensure!((got - truth).abs() <= error * DEVIATIONS, "{function}: {what} {got} ± {error}, truth {truth}");
        }
        // What is freed is not alive, by whichever thread; large blocks are not estimated.
        let exact = function == "keep_large";
        ensure!(!exact || one["bytes_error"] == 0, "{one}");
        ensure!(exact || one["bytes_error"].as_f64() > Some(0.0), "{one}");
        ensure!(number(of, "alive")? > 0.0 || number(one, "alive_bytes")? == 0.0, "{one}");
    }
    Ok(())
}
