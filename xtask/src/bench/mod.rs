//! Overhead side by side: the fixed work of `w15_overhead` with nothing, with perfmap and with its peers, in interleaved pairs,
//! → medians and ratios in `docs/benchmarks.md`. Never a test: a machine's noise must not fail a build.

mod table;
mod tool;

use crate::{
    setup::{self, For},
    shell::{self, cargo, must, root},
};
use anyhow::{Context, Result};
use tool::{Run, Tool};

pub const DEFAULT_PAIRS: usize = 10;

/// What `w15_overhead/run` can play.
const VARIANTS: [&str; 4] = ["pycpu", "pysys", "pyswitch", "c"];

/// All runs of one tool on one variant; `None` in a pair where the tool failed.
pub struct Series {
    pub variant: &'static str,
    pub tool: Tool,
    pub runs: Vec<Option<Run>>,
}

pub fn bench(pairs: usize) -> Result<()> {
    anyhow::ensure!(pairs > 0, "--pairs must be at least 1");
    if !shell::is_root() {
        // Every tool runs with the same rights, so the whole of the benchmark does.
        let me = std::env::current_exe().context("find this program")?;
        return must(shell::as_root(&me).args(["bench", "--pairs", &pairs.to_string()]));
    }
    setup::setup(For::Tests)?;
    must(cargo().args(["build", "--release", "--locked", "-p", "perfmap"]))?;
    must(std::process::Command::new("sh").arg(root().join("tests/workloads/w15_overhead/setup.sh")))?;
    let scratch = shell::target_dir().join("bench");
    std::fs::create_dir_all(&scratch).with_context(|| format!("make {}", scratch.display()))?;

    let mut all = Vec::new();
    for variant in VARIANTS {
        let mut rows: Vec<Series> =
            Tool::ALL.into_iter().map(|tool| Series { variant, tool, runs: Vec::new() }).collect();
        let count = rows.len();
        for pair in 0..pairs {
            for turn in 0..count {
                // Rotated, so that no tool always runs first on a machine that has just rested.
                let Some(row) = rows.get_mut((turn + pair) % count) else { continue };
                if !row.tool.installed() || pair >= row.tool.most_pairs(variant) {
                    continue;
                }
                eprintln!("{variant}: pair {} of {pairs}: {}", pair + 1, row.tool.name());
                let run = row.tool.run(variant, &scratch);
                if let Err(e) = &run {
                    eprintln!("  {e:#}");
                }
                row.runs.push(run.ok());
            }
        }
        all.extend(rows);
    }
    let page = table::page(&all, pairs);
    let path = root().join("docs/benchmarks.md");
    std::fs::write(&path, &page).with_context(|| format!("write {}", path.display()))?;
    print!("{page}");
    eprintln!("wrote {}", path.display());
    Ok(())
}
