//! Results of programs with a fault and of their twins, as they lie in a directory → how far both are from what decides: the
//! table in `docs/classification.md`. Reads what is there; runs nothing.
//!
//! `DIR/…/RULE.bad/…/profile_result.json` and the same of `RULE.good`; several results of a program are taken together.

use crate::shell::root;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

const PAGE: &str = "docs/classification.md";
const BEGIN: &str = "<!-- cargo xtask margins -->";
const END: &str = "<!-- end of margins -->";
/// Nearer than this to what decides, a verdict may come about by chance.
const WIDE: f64 = 2.0;
/// Programs that do not have their rule's name.
const NAMES: [(&str, &str); 8] = [
    ("hot_function", "cpu_bound_hot_function"),
    ("remote_cpu", "remote_service_cpu_bound"),
    ("lock", "lock_contention"),
    ("database", "database_write_lock"),
    ("gil", "gil_contention"),
    ("queue", "cpu_contention"),
    ("time_out", "default_limit_reached"),
    ("processes", "many_short_lived_processes"),
];
const MAX_DEPTH: usize = 6;

/// What one rule held against its limits in the runs of one program.
#[derive(Debug, Default)]
struct Side {
    runs: usize,
    confirmed: usize,
    /// By what was measured.
    figures: BTreeMap<String, Vec<Figure>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Figure {
    value: f64,
    limit: f64,
    unit: String,
}

#[derive(Debug, Default)]
struct Pair {
    fault: Side,
    twin: Side,
}

pub fn margins(directory: &str) -> Result<()> {
    let mut files = Vec::new();
    find(Path::new(directory), MAX_DEPTH, &mut files)?;
    files.sort();
    let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
    for file in &files {
        let Some((rule, is_fault)) = program(file) else { continue };
        let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let json = serde_json::from_str(&text).with_context(|| format!("parse {}", file.display()))?;
        let pair = pairs.entry(rule.clone()).or_default();
        add(if is_fault { &mut pair.fault } else { &mut pair.twin }, &rule, &json);
    }
    ensure!(!pairs.is_empty(), "no RULE.bad and RULE.good with a profile_result.json below {directory}");
    let lines: Vec<String> = pairs.iter().flat_map(|(rule, pair)| lines(rule, pair)).collect();
    let table = format!(
        "{BEGIN}\n| rule | decides | limit | with the fault | twin |\n|---|---|---|---|---|\n{}\n{END}",
        lines.join("\n")
    );
    println!("{table}");
    let page = root().join(PAGE);
    let text = std::fs::read_to_string(&page).with_context(|| format!("read {PAGE}"))?;
    std::fs::write(&page, put(&text, &table)?).with_context(|| format!("write {PAGE}"))
}

fn find(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let listing = std::fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    for entry in listing.flatten() {
        let kind = entry.file_type().with_context(|| format!("look at {}", entry.path().display()))?;
        if kind.is_dir() && depth > 0 {
            find(&entry.path(), depth - 1, files)?;
        } else if kind.is_file() && entry.file_name() == "profile_result.json" {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// The rule, and whether the program has the fault; by the nearest directory that says so.
fn program(file: &Path) -> Option<(String, bool)> {
    let names = file.ancestors().filter_map(|path| path.file_name()?.to_str());
    let (name, way) = names.filter_map(|name| name.split_once('.')).find(|(_, way)| ["bad", "good"].contains(way))?;
    let rule = NAMES.iter().find(|(short, _)| *short == name).map_or(name, |(_, rule)| rule);
    Some((rule.to_owned(), way == "bad"))
}

fn add(side: &mut Side, rule: &str, result: &Value) {
    side.runs += 1;
    let all = result.pointer("/profile_result/suspicion_stack").and_then(Value::as_array);
    let of_rule: Vec<&Value> =
        all.into_iter().flatten().filter(|one| one.get("id").and_then(Value::as_str) == Some(rule)).collect();
    let is_confirmed = |one: &&&Value| one.get("verdict").and_then(Value::as_str) == Some("confirmed");
    let confirmed = of_rule.iter().find(is_confirmed);
    side.confirmed += usize::from(confirmed.is_some());
    // Of several that are dismissed each is one more chance to be wrong; of those confirmed one is enough.
    for one in confirmed.map_or(of_rule.as_slice(), std::slice::from_ref) {
        for evidence in one.get("evidence").and_then(Value::as_array).into_iter().flatten() {
            let number = |key: &str| evidence.get(key).and_then(Value::as_f64);
            let text = |key: &str| evidence.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            if let (Some(value), Some(limit)) = (number("value"), number("limit")) {
                side.figures.entry(text("what")).or_default().push(Figure { value, limit, unit: text("unit") });
            }
        }
    }
}

fn lines(rule: &str, Pair { fault, twin }: &Pair) -> Vec<String> {
    let mut lines = Vec::new();
    // What is at most the limit with the fault lies above it without.
    let above =
        |figures: &[Figure]| figures.iter().filter(|figure| figure.value > figure.limit).count() * 2 > figures.len();
    // All figures make the fault, and a single one that is missing the twin.
    let of_twin = fault.figures.iter().filter_map(|(what, figures)| {
        let (_, far) = nearest(twin.figures.get(what)?, !above(figures))?;
        Some(far)
    });
    let twin_is_near = of_twin.fold(0.0, f64::max) < WIDE;
    for (what, figures) in &fault.figures {
        let Some(first) = figures.first() else { continue };
        let above = above(figures);
        let with = shown(figures, above, true);
        let without = match twin.figures.get(what) {
            Some(figures) => shown(figures, !above, twin_is_near),
            None if twin.figures.is_empty() => "not raised".to_owned(),
            None => "not measured".to_owned(),
        };
        let unit = if first.unit == "count" { "" } else { first.unit.as_str() };
        let limit = format!("{} {unit}", number(first.limit));
        lines.push(format!("| `{rule}` | {what} | {} | {with} | {without} |", limit.trim()));
    }
    if lines.is_empty() && fault.confirmed > 0 {
        let without = if twin.confirmed == 0 { "not confirmed" } else { "**confirmed**" };
        lines.push(format!("| `{rule}` | no figure with a limit | – | confirmed | {without} |"));
    }
    let missed = fault.runs - fault.confirmed;
    if missed > 0 || twin.confirmed > 0 {
        let (runs, wrong) = (fault.runs, twin.confirmed);
        lines.push(format!(
            "| `{rule}` | verdicts | | **{missed} of {runs} missed** | **{wrong} of {} wrong** |",
            twin.runs
        ));
    }
    lines
}

/// The figure that is nearest to its limit, and how many times it is on its side of it; under 1: on the other side.
fn nearest(figures: &[Figure], above: bool) -> Option<(f64, f64)> {
    let times = |figure: &Figure| {
        let ratio = if above { figure.value / figure.limit } else { figure.limit / figure.value };
        if ratio.is_nan() { 1.0 } else { ratio }
    };
    figures.iter().map(|figure| (figure.value, times(figure))).min_by(|a, b| a.1.total_cmp(&b.1))
}

fn shown(figures: &[Figure], above: bool, warns: bool) -> String {
    let Some((value, far)) = nearest(figures, above) else { return String::new() };
    let by = if (1.0..f64::INFINITY).contains(&far) { format!(" ({far:.1}×)") } else { String::new() };
    let text = format!("{}{by}", number(value));
    if warns && far < WIDE { format!("**{text}**") } else { text }
}

fn number(value: f64) -> String {
    let digits = if value != 0.0 && value.abs() < 1.0 {
        3
    } else if value.fract() == 0.0 {
        0
    } else {
        1
    };
    format!("{value:.digits$}")
}

fn put(page: &str, table: &str) -> Result<String> {
    let (Some(begin), Some(end)) = (page.find(BEGIN), page.find(END)) else {
        bail!("{PAGE} has no place for the table")
    };
    let before = page.get(..begin).unwrap_or_default();
    let after = page.get(end + END.len()..).unwrap_or_default();
    Ok(format!("{before}{table}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(verdict: &str, ratio: f64, count: f64) -> Value {
        json!({"profile_result": {"suspicion_stack": [
            {"id": "other", "verdict": "confirmed", "evidence": [{"what": "x", "value": 1, "limit": 1, "unit": "ms"}]},
            {"id": "tiny_io", "verdict": verdict, "evidence": [
                {"what": "share", "value": ratio, "limit": 0.5, "unit": "ratio"},
                {"what": "at one time", "value": count, "limit": 1, "unit": "count"},
                {"what": "text", "value": "rustc", "limit": 1, "unit": "text"},
                {"what": "calls", "value": 3, "unit": "count"},
            ]},
        ]}})
    }

    fn pair(faults: &[Value], twins: &[Value]) -> Pair {
        let mut pair = Pair::default();
        faults.iter().for_each(|one| add(&mut pair.fault, "tiny_io", one));
        twins.iter().for_each(|one| add(&mut pair.twin, "tiny_io", one));
        pair
    }

    #[test]
    fn the_nearest_run_stands_in_the_table() {
        let faults = [result("confirmed", 2.0, 1.0), result("confirmed", 1.5, 1.0)];
        let twins = [result("dismissed", 0.1, 8.0), result("dismissed", 0.4, 8.0)];
        assert_eq!(
            lines("tiny_io", &pair(&faults, &twins)),
            [
                "| `tiny_io` | at one time | 1 | **1 (1.0×)** | 8 (8.0×) |",
                "| `tiny_io` | share | 0.500 ratio | 1.5 (3.0×) | 0.400 (1.2×) |",
            ]
        );
    }

    #[test]
    fn a_twin_that_nothing_keeps_apart() {
        let said = lines("tiny_io", &pair(&[result("confirmed", 0.9, 1.0)], &[result("dismissed", 0.4, 1.0)]));
        assert_eq!(
            said,
            [
                "| `tiny_io` | at one time | 1 | **1 (1.0×)** | **1 (1.0×)** |",
                "| `tiny_io` | share | 0.500 ratio | **0.900 (1.8×)** | **0.400 (1.2×)** |",
            ]
        );
    }

    #[test]
    fn wrong_verdicts_are_said() {
        let nothing = json!({"profile_result": {"suspicion_stack": []}});
        let said =
            lines("tiny_io", &pair(&[result("confirmed", 2.0, 1.0), nothing.clone()], std::slice::from_ref(&nothing)));
        assert_eq!(said[1], "| `tiny_io` | share | 0.500 ratio | 2 (4.0×) | not raised |");
        assert_eq!(said[2], "| `tiny_io` | verdicts | | **1 of 2 missed** | **0 of 1 wrong** |");
        let said = lines("tiny_io", &pair(std::slice::from_ref(&nothing), std::slice::from_ref(&nothing)));
        assert_eq!(said, ["| `tiny_io` | verdicts | | **1 of 1 missed** | **0 of 1 wrong** |"]);
    }

    #[test]
    fn programs_are_known_by_their_directories() {
        let of = |path: &str| program(Path::new(path));
        assert_eq!(of("/k/w70/tiny_io.bad/out/profile_result.json"), Some(("tiny_io".into(), true)));
        assert_eq!(of("/k/gil.good/2/profile_result.json"), Some(("gil_contention".into(), false)));
        assert_eq!(of("/k/tiny_io.other/profile_result.json"), None);
    }

    #[test]
    fn the_table_takes_the_place_of_the_one_before() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let table = format!("{BEGIN}\nnew\n{END}");
        assert_eq!(put(&page, &table).ok(), Some(format!("a\n{BEGIN}\nnew\n{END}\nb\n")));
        assert!(put("a", &table).is_err());
    }
}
