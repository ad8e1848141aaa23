//! Native code at -O2 without frame pointers, with inlined functions and recursion: the known split within 2 points.

use anyhow::{Result, ensure};
use perfmap_tests::{Trace, Traced, turn};

/// The tolerance on a function's share of wall time.
const POINTS: f64 = 2.0;

fn split(variant: &str) -> Result<Traced> {
    let traced = Trace::workload("w21_native", &[variant])?.options(&["--freq", "999"]).passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    for f in truth.functions()? {
        let share = map.share(&f.name);
        ensure!(
            (share - f.wall_share_pct).abs() <= POINTS,
            "{}: {share:.2} %, truth {:.2} %",
            f.name,
            f.wall_share_pct
        );
        ensure!(map.nested("main", &f.name), "{} does not lie under main: its stacks are cut short", f.name);
    }
    traced.owns_its_time()?;
    traced.check("schema,functions,location,class,top")?;
    Ok(traced)
}

#[test]
fn c_split_is_within_two_points() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    split("c").map(drop)
}

#[test]
fn rust_split_is_within_two_points() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    split("rust").map(drop)
}

/// Both callers share one recursive function of 40 frames; each must own its own part of it.
#[test]
fn recursion_is_unwound_to_its_callers() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = split("c")?;
    let map = traced.map()?;
    for caller in ["tree_left", "tree_right"] {
        ensure!(map.nested(caller, "walk_tree"), "no walk_tree under {caller}");
    }
    let both = map.share("tree_left") + map.share("tree_right");
    let walk = map.share("walk_tree");
    ensure!((walk - both).abs() <= POINTS, "walk_tree {walk:.2} % is not its callers' {both:.2} %");
    Ok(())
}

/// The default rate: fewer samples, the same answer within what they allow.
#[test]
fn ninety_nine_hertz_gives_the_same_picture() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w21_native", &["c"])?.passes()?;
    let map = traced.map()?;
    for f in traced.truth()?.functions()? {
        let share = map.share(&f.name);
        ensure!((share - f.wall_share_pct).abs() <= 5.0, "{}: {share:.1} %, truth {:.1} %", f.name, f.wall_share_pct);
    }
    traced.owns_its_time()
}
