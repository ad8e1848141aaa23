//! Overhead side by side: fixed work and the example, with nothing, with perfmap and with its peers, in interleaved pairs,
//! → medians and ratios in `docs/benchmarks.md`. Never a test: a machine's noise must not fail a build.

mod load;
mod means;
mod scale;
mod table;
mod tool;

use crate::{
    setup::{self, For},
    shell::{self, cargo, must, root},
};
use anyhow::{Context, Result};
use tool::{Run, Tool};

pub const DEFAULT_PAIRS: usize = 10;

/// What is run: fixed work of four kinds, and the example, for how long its files take.
const WORKS: [Work; 5] = [
    Work { workload: "w15_overhead", variant: "pycpu" },
    Work { workload: "w15_overhead", variant: "pysys" },
    Work { workload: "w15_overhead", variant: "pyswitch" },
    Work { workload: "w15_overhead", variant: "c" },
    Work { workload: "w01_example", variant: "default" },
];

/// A workload's `run` with one variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    pub workload: &'static str,
    pub variant: &'static str,
}

/// All runs of one tool on one variant; `None` in a pair where the tool failed.
pub struct Series {
    pub work: Work,
    pub tool: Tool,
    pub runs: Vec<Option<Run>>,
}

/// What of the page is measured; the rest of it stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    All,
    /// The server under load alone.
    Load,
    /// 64 workers alone.
    Scale,
    /// The means of collecting alone, which have a page of their own; never part of all.
    Means,
}

pub fn bench(what: What, pairs: usize) -> Result<()> {
    anyhow::ensure!(pairs > 0, "--pairs must be at least 1");
    if !shell::is_root() {
        // Every tool runs with the same rights, so the whole of the benchmark does.
        let me = std::env::current_exe().context("find this program")?;
        let only: &[&str] = match what {
            What::All => &[],
            What::Load => &["--load"],
            What::Scale => &["--scale"],
            What::Means => &["--means"],
        };
        return must(shell::as_root(&me).arg("bench").args(only).args(["--pairs", &pairs.to_string()]));
    }
    if !matches!(what, What::Scale | What::Means) {
        // Their own workloads need nothing but Python and a compiler.
        setup::setup(For::Tests)?;
    }
    must(cargo().args(["build", "--release", "--locked", "-p", "perfmap"]))?;
    let scratch = shell::target_dir().join("bench");
    std::fs::create_dir_all(&scratch).with_context(|| format!("make {}", scratch.display()))?;
    let path = root().join(match what {
        What::All | What::Load | What::Scale => "docs/benchmarks.md",
        What::Means => "docs/backends.md",
    });
    let page = match what {
        What::All => work(pairs, &scratch)?,
        What::Load | What::Scale | What::Means => {
            std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?
        }
    };
    let page = match what {
        What::All | What::Scale => scale::with_section(&page, &scale::section(pairs, &scratch)?),
        What::Load | What::Means => page,
    };
    let page = match what {
        What::Means => means::with_section(&page, &means::section(pairs, &scratch)?),
        What::All | What::Load => load::with_section(&page, &load::section(pairs, &scratch)?),
        What::Scale => page,
    };
    std::fs::write(&path, &page).with_context(|| format!("write {}", path.display()))?;
    print!("{page}");
    eprintln!("wrote {}", path.display());
    Ok(())
}

/// The page but for the server under load.
fn work(pairs: usize, scratch: &std::path::Path) -> Result<String> {
    for workload in ["w15_overhead", "w01_example"] {
        let setup = root().join("tests/workloads").join(workload).join("setup.sh");
        must(std::process::Command::new(setup).env("PATH", tool::path()))?;
    }
    let mut all = Vec::new();
    for work in WORKS {
        let mut rows: Vec<Series> = Tool::ALL.into_iter().map(|tool| Series { work, tool, runs: Vec::new() }).collect();
        let count = rows.len();
        for pair in 0..pairs {
            for turn in 0..count {
                // Rotated, so that no tool always runs first on a machine that has just rested.
                let Some(row) = rows.get_mut((turn + pair) % count) else { continue };
                if !row.tool.installed() || pair >= row.tool.most_pairs(work) {
                    continue;
                }
                eprintln!("{}: pair {} of {pairs}: {}", work.variant, pair + 1, row.tool.name());
                let run = row.tool.run(work, scratch);
                if let Err(e) = &run {
                    eprintln!("  {e:#}");
                }
                row.runs.push(run.ok());
            }
        }
        all.extend(rows);
    }
    Ok(table::page(&all, pairs))
}
