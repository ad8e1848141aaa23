//! 64 threads with and without `perfmap scale`, alternating: each fetches (a sleep), computes and writes under one lock.
//! → items per second that the program counted itself, and their ratio.

use super::table::{median, text};
use crate::shell::{must, output_of, release_binary, root};
use anyhow::{Context, Result, ensure};
use std::{fmt::Write as _, path::Path, process::Command};

const WORKERS: u32 = 64;
/// Of one run, in seconds.
const LENGTH: &str = "6";
/// The section's first line; it ends where the next one begins.
const TITLE: &str = "## 64 workers, with perfmap scale";

/// What the issue allows, of the throughput.
const BUDGET_PCT: f64 = 5.0;

/// The page's section.
pub fn section(pairs: usize, scratch: &Path) -> Result<String> {
    must(&mut Command::new(root().join("tests/workloads/w80_scale/setup.sh")))?;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let (mut alone, mut with) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        // The first one of a pair takes turns.
        for scaled in if pair % 2 == 0 { [false, true] } else { [true, false] } {
            let how = if scaled { "with perfmap scale" } else { "alone" };
            let rate = run(scaled, scratch)?;
            eprintln!("{WORKERS} workers: pair {} of {pairs}: {how}: {rate:.0} items/s", pair + 1);
            if scaled { with.push(rate) } else { alone.push(rate) }
        }
    }
    let ratios: Vec<f64> = with.iter().zip(&alone).map(|(with, alone)| with / alone).collect();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let ratio = median(ratios);
    let cost = ratio.map(|ratio| (1.0 - ratio) * 100.0);
    eprintln!("{WORKERS} workers: {} of the throughput, budget {BUDGET_PCT} %", percent(cost));
    let commit = output_of("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    let mut page = format!("{TITLE}\n\n");
    let _ = writeln!(
        page,
        "`w80_scale items` with {WORKERS} threads for {LENGTH} s, `perfmap scale --no-baseline` or nothing, {pairs} pairs that alternate; medians,\n\
         the ratio within pairs. Commit {commit}, load average before the first: {}. Budget: {BUDGET_PCT} % of the throughput.\n",
        load.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
    );
    let _ = writeln!(page, "| perfmap | items/s | ratio | least | cost |\n|---|---:|---:|---:|---:|");
    let _ = writeln!(page, "| no | {} | 1.000 | 1.000 | |", text(median(alone), 0));
    let _ = writeln!(page, "| yes | {} | {} | {least:.3} | {} |", text(median(with), 0), text(ratio, 3), percent(cost));
    Ok(page)
}

fn percent(cost: Option<f64>) -> String {
    cost.map_or_else(|| "not measured".to_owned(), |cost| format!("{cost:.1} %"))
}

/// `page` with its section replaced, or put before the one on load, which is the last.
pub fn with_section(page: &str, section: &str) -> String {
    let (before, after) = match page.find(TITLE) {
        Some(at) => {
            let rest = &page[at + TITLE.len()..];
            (&page[..at], rest.find("\n## ").map_or("", |end| &rest[end + 1..]))
        }
        None => page.split_at(page.find(super::load::TITLE).unwrap_or(page.len())),
    };
    format!("{}\n\n{}\n{after}", before.trim_end(), section.trim_end())
}

/// Items per second, by the program's own count.
fn run(scaled: bool, scratch: &Path) -> Result<f64> {
    let dir = scratch.join("scale");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let work = root().join("tests/workloads/w80_scale/run");
    let mut command = if scaled {
        let mut perfmap = Command::new(release_binary());
        perfmap.args(["scale", "--no-baseline", "--no-escalate", "--quiet", "--as-root", "--out"]);
        perfmap.arg(dir.join("map")).arg("--").arg(&work);
        perfmap
    } else {
        Command::new(&work)
    };
    command.args(["items", LENGTH]).env("WL_WORKERS", WORKERS.to_string()).env("TRUTH_DIR", &dir);
    let out = command.env("PATH", super::tool::path()).output().context("run w80_scale")?;
    ensure!(out.status.success(), "{}: {}", out.status, String::from_utf8_lossy(&out.stderr));
    let truth = std::fs::read_to_string(dir.join("runs.jsonl")).context("read its truth")?;
    let last: serde_json::Value = serde_json::from_str(truth.lines().last().context("no truth")?)?;
    last["per_second"].as_f64().context("no rate in its truth")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_comes_before_the_one_on_load_and_is_replaced() {
        let page = format!("# Page\n\nwords\n\n{}\n\nload\n", super::super::load::TITLE);
        let first = with_section(&page, &format!("{TITLE}\n\nold\n"));
        let second = with_section(&first, &format!("{TITLE}\n\nnew\n"));
        assert_eq!(second, format!("# Page\n\nwords\n\n{TITLE}\n\nnew\n{}\n\nload\n", super::super::load::TITLE));
        assert_eq!(with_section("# Page\n", &format!("{TITLE}\n")), format!("# Page\n\n{TITLE}\n"));
    }
}
