//! Half CPU, half sleep: 50 to 50 within 1 point.

use anyhow::{Result, ensure};
use perfmap_tests::{Trace, turn};

fn halves(variant: &str) -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w24_halves", &[variant])?.options(&["--freq", "999"]).passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    let (burn, sleep) = (truth.function("burn_half")?, truth.function("sleep_half")?);
    for f in [&burn, &sleep] {
        let share = map.share(&f.name);
        ensure!((share - f.wall_share_pct).abs() <= 1.0, "{}: {share:.2} %, truth {:.2} %", f.name, f.wall_share_pct);
    }
    let (a, b) = (map.wall_of("burn_half"), map.wall_of("sleep_half"));
    let half = 100.0 * a / (a + b);
    ensure!((half - 50.0).abs() <= 1.0, "burn_half is {half:.2} % of the two");
    // The cause is told, not only the length.
    let slept: f64 = map.outermost("sleep_half").filter_map(|step| step.wait_ms.get("sleep")).sum();
    ensure!(slept >= b * 0.95, "of {b:.0} ms in sleep_half only {slept:.0} ms are called sleep");
    let cpu = map.cpu_ms("burn_half");
    ensure!(
        (cpu - burn.cpu_ms).abs() <= burn.cpu_ms * 0.02 + 10.0,
        "burn_half: {cpu:.0} ms of CPU, truth {:.0}",
        burn.cpu_ms
    );
    traced.owns_its_time()
}

#[test]
fn c_halves() -> Result<()> {
    halves("c")
}

#[test]
fn python_halves() -> Result<()> {
    halves("py")
}
