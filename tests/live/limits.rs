//! Limits that others set: time in which a cgroup's CPU quota was used up is neither the program's nor its neighbours'.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, turn};

#[test]
fn a_cgroup_s_quota_holds_a_function_back() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w56_throttled", &[])?.passes()?;
    let truth = traced.truth()?;
    if let Some(why) = truth.json["skipped"].as_str() {
        eprintln!("not run: {why}");
        return Ok(());
    }
    let want = truth.json["throttled_ms"].as_f64().context("truth without throttled_ms")?;
    ensure!(want >= 200.0, "200 ms of CPU in a fifth of one were held back for {want:.0} ms only");
    let map = traced.map()?;
    let waits = |step: &perfmap_tests::Step| step.wait_ms.get("throttled").copied().unwrap_or(0.0);
    let got: f64 = map.outermost("burn").map(waits).sum();
    ensure!(got <= want * 1.1 + 10.0, "throttled for {got:.0} ms, the kernel says {want:.0} ms");
    // The kernel counts from when the quota is used up, the task's own time from when it is stopped: on a busy machine
    // it waits in between for a CPU on which it will be.
    let queued: f64 = map.outermost("burn").filter_map(|step| step.wait_ms.get("runqueue")).sum();
    ensure!(
        got >= want * 0.5 && got + queued >= want * 0.9 - 10.0,
        "throttled for {got:.0} ms and runnable for {queued:.0} ms, the kernel says {want:.0} ms of throttling"
    );
    let class = &map.json["bottleneck_classification"];
    ensure!(class == "Infrastructure", "the class is {class}");
    traced.owns_its_time()
}
