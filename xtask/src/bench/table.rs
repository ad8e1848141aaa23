//! Runs → a Markdown page: medians, ratios to the plain run of the same pair, and the machine that they hold for.

use super::{Series, WORKS, tool::Run, tool::Tool};
use crate::shell::output_of;
use std::fmt::Write as _;

pub fn page(all: &[Series], pairs: usize) -> String {
    let mut page = String::from("# Overhead, beside peers\n\n");
    let _ = writeln!(
        page,
        "Written by `cargo xtask bench --pairs {pairs}`; not a test, and only as good as the machine is quiet.\n"
    );
    let _ = writeln!(page, "- date: {}", output_of("date", &["-u", "+%Y-%m-%d"]).unwrap_or_default());
    let _ = writeln!(page, "- machine: {}", machine());
    let commit = output_of("git", &["rev-parse", "--short=12", "HEAD"]);
    let _ = writeln!(page, "- perfmap: commit {}\n", commit.unwrap_or_else(|| "unknown".into()));
    page.push_str(
        "Wall and CPU time are the program's own, taken inside it. A ratio is the median over pairs of this run's time to that\n\
         of the plain run beside it; `least` is the smallest of the wall ratios. `to disk` is from the program's last act to the tool's own end, less the same figure of\n\
         the plain run; `peak` is the tool's own resident set (`VmHWM`); `BPF` is the kernel's count of time in perfmap's programs.\n",
    );
    for work in WORKS {
        let rows: Vec<&Series> = all.iter().filter(|row| row.work == work).collect();
        let _ = writeln!(page, "\n## {} {}\n", work.workload, work.variant);
        page.push_str(
            "| tool | pairs | wall ms | CPU ms | wall ratio | least | CPU ratio | to disk ms | peak MiB | BPF ms |\n",
        );
        page.push_str("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
        let Some(plain) = rows.iter().find(|row| row.tool == Tool::Nothing) else { continue };
        for row in &rows {
            page.push_str(&line(row, plain));
        }
    }
    page
}

fn line(row: &Series, plain: &Series) -> String {
    let name = row.tool.name();
    if !row.tool.installed() {
        return format!("| {name} | not installed | | | | | | | | |\n");
    }
    if row.tool.most_pairs(row.work) == 0 {
        return format!("| {name} | cannot read this program | | | | | | | | |\n");
    }
    let good: Vec<Run> = row.runs.iter().flatten().copied().collect();
    if good.is_empty() {
        return format!("| {name} | failed | | | | | | | | |\n");
    }
    let ratios = |pick: fn(&Run) -> f64| -> Vec<f64> {
        let pairs = row.runs.iter().zip(&plain.runs);
        pairs.filter_map(|(run, plain)| Some(pick(run.as_ref()?) / pick(plain.as_ref()?))).collect()
    };
    let walls = ratios(|run| run.wall_ms);
    let of = |pick: fn(&Run) -> f64| median(good.iter().map(pick).collect());
    let exit = median(plain.runs.iter().flatten().map(|run| run.to_disk_ms).collect());
    let to_disk = of(|run| run.to_disk_ms).zip(exit).map(|(tool, plain)| (tool - plain).max(0.0));
    format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        good.len(),
        text(of(|run| run.wall_ms), 0),
        text(of(|run| run.cpu_ms), 0),
        text(median(walls.clone()), 3),
        text(walls.iter().copied().reduce(f64::min), 3),
        text(median(ratios(|run| run.cpu_ms)), 3),
        if row.tool == Tool::Nothing { String::new() } else { text(to_disk, 0) },
        text(median(good.iter().filter_map(|run| run.peak_mib).collect()), 1),
        text(median(good.iter().filter_map(|run| run.bpf_ms).collect()), 1),
    )
}

pub fn text(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.digits$}"))
}

/// Middle value; the mean of the two middle ones where their number is even.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let upper = *values.get(half)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some((values.get(half.checked_sub(1)?)? + upper) / 2.0)
}

fn machine() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{}, {cores} CPUs, Linux {}", model.unwrap_or("unknown CPU"), kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(wall_ms: f64) -> Option<Run> {
        Some(Run { wall_ms, cpu_ms: wall_ms, to_disk_ms: 5.0, peak_mib: Some(2.0), bpf_ms: None })
    }

    #[test]
    fn medians_of_none_one_and_many() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0]), Some(3.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_taken_pair_by_pair_and_failed_runs_drop_out() {
        let plain = Series { work: WORKS[3], tool: Tool::Nothing, runs: vec![run(100.0), run(200.0), run(100.0)] };
        let row = Series { work: WORKS[3], tool: Tool::Perfmap99, runs: vec![run(110.0), None, run(130.0)] };
        assert_eq!(line(&row, &plain), "| perfmap, 99 Hz | 2 | 120 | 120 | 1.200 | 1.100 | 1.200 | 0 | 2.0 |  |\n");
    }
}
