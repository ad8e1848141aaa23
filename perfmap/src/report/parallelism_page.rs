//! Parallelism → `parallelism.md`: baseline, steps, rates, root cause, fix, and what is expected of it, as tables.

use std::fmt::Write as _;

use super::{
    finding,
    human::{duration, grouped, percent},
    markdown::{code, fence, text},
    parallelism::{category_name, disagreement, item_ms, kind_name, limit, rate, severity_name, spent_name},
};
use crate::{
    analyze::{
        parallelism::{Category, Confidence, ItemSource, Parallelism, Resource, Severity, Side, StepTime},
        scaling::Scaling,
    },
    recording::{Nanos, Recording},
};

pub const NAME: &str = "parallelism.md";
/// Rows of resources and of workers.
const RESOURCES: usize = 6;
const WORKERS: usize = 12;
/// Innermost frames of a stack.
const FRAMES: usize = 8;

/// None where neither equal workers nor anything about their number was seen.
pub fn render(recording: &Recording, workers: Option<&Parallelism>, scaling: Option<&Scaling>) -> Option<String> {
    let mut page = format!("# Parallelism of {}\n\n", code(&super::text::command_line(&recording.meta.command)));
    if let Some(found) = workers {
        compared(&mut page, found);
    }
    if let Some(found) = scaling {
        page.push_str(&super::scaling::section(found));
    }
    (workers.is_some() || scaling.is_some()).then_some(page)
}

fn compared(page: &mut String, found: &Parallelism) {
    let _ = writeln!(page, "{}\n", text(&summary(found)));
    baseline(page, found);
    steps(page, found);
    rates(page, found);
    cause(page, found);
    fix(page, found);
    expected(page, found);
    workers(page, found);
    checks(page, found);
}

/// "64 threads do 118 items/s of 2 203 items/s that they could: factor 18.7, critical, lock contention".
pub fn summary(found: &Parallelism) -> String {
    let kind = kind_name(found.kind);
    let cause = match found.category {
        Category::None => String::new(),
        _ if found.severity == Severity::Good => String::new(),
        category => format!(", {}", category_name(category)),
    };
    format!(
        "{} {kind} do {}; together they could do {}: factor {:.1}, {}{cause}",
        found.workers,
        rate(found.actual_rate),
        rate(found.theoretical_rate),
        found.factor,
        severity_name(found.severity)
    )
}

fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|any| cell(any)).collect();
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

/// A number is no list in a cell.
fn cell(any: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || " .,%×µ".contains(character);
    if any.chars().all(plain) { any.to_owned() } else { text(any) }
}

fn baseline(page: &mut String, found: &Parallelism) {
    page.push_str("## Baseline metrics\n\n| metric | value |\n|---|---|\n");
    let told = if found.workers_told { " (--workers)" } else { "" };
    row(page, &["workers", &format!("{} {}{told}", found.workers, kind_name(found.kind))]);
    row(page, &["root function", &format!("{} ({})", found.root, found.service)]);
    for (number, items) in found.items.iter().enumerate() {
        let name = if number == 0 { "items" } else { "items, counted otherwise" };
        let source = match items.source {
            ItemSource::Told => "as told",
            ItemSource::Progress => "by progress",
            ItemSource::Repetition => "by repetition",
            ItemSource::Lives => "by lives",
        };
        let confidence = match items.confidence {
            Confidence::High => "high",
            Confidence::Medium => "medium",
            Confidence::Low => "low",
        };
        row(page, &[name, &format!("{} ({source}: {}; confidence {confidence})", grouped(items.count), items.what)]);
    }
    row(page, &["time", &duration(found.duration)]);
    row(page, &["rate", &rate(found.actual_rate)]);
    if let Some((items, time)) = found.remaining {
        row(page, &["remaining", &format!("{} items, {} at this rate", grouped(items), duration(time))]);
    }
    page.push('\n');
}

fn steps(page: &mut String, found: &Parallelism) {
    let count = found.items.first().map_or(0, |items| items.count);
    let _ = writeln!(page, "## Profiling results (sample size {})\n", grouped(count));
    page.push_str("| step | mean ms | median ms | p95 ms | % of item | uncontended ms | spent |\n");
    page.push_str("|---|---:|---:|---:|---:|---:|---|\n");
    for step in &found.steps {
        row(
            page,
            &[
                &named(step),
                &item_ms(step.mean),
                &item_ms(step.median),
                &item_ms(step.p95),
                &percent(step.share_pct),
                &item_ms(step.uncontended),
                &spent(step),
            ],
        );
    }
    row(page, &["item", &item_ms(found.item), "", "", "", &item_ms(found.item_work), ""]);
    page.push('\n');
}

fn named(step: &StepTime) -> String {
    match &step.location {
        Some(location) => format!("{} ({})", step.name, finding::place(location)),
        None => step.name.clone(),
    }
}

/// Parts of a hundredth of the step or more.
fn spent(step: &StepTime) -> String {
    let large = step.spent.iter().filter(|(_, time)| time.0.saturating_mul(100) >= step.mean.0);
    let mut parts: Vec<String> = large.map(|(on, time)| format!("{} {}", spent_name(*on), item_ms(*time))).collect();
    if let Some(alone) = step.alone {
        parts.push(format!("(alone {})", item_ms(alone)));
    }
    parts.join(", ")
}

fn rates(page: &mut String, found: &Parallelism) {
    page.push_str("## Parallelisation analysis\n\n| | items/s | |\n|---|---:|---|\n");
    let number = |rate: f64| format!("{rate:.2}");
    row(page, &["single worker", &number(found.single_rate), &format!("1000 / {} ms", item_ms(found.item_work))]);
    let cap = found
        .capped_by_cores
        .map(|cores| format!("; {cores} CPU cores do no more, at {} ms of CPU time an item", item_ms(found.item_cpu)));
    let times = format!("{} × {}{}", number(found.single_rate), found.workers, cap.unwrap_or_default());
    row(page, &["theoretical", &number(found.theoretical_rate), &times]);
    row(page, &["actual", &number(found.actual_rate), "measured"]);
    let _ = writeln!(
        page,
        "\nSerialization factor {:.2}, efficiency {}: **{}**.\n",
        found.factor,
        percent(found.efficiency * 100.0),
        severity_name(found.severity)
    );
}

fn cause(page: &mut String, found: &Parallelism) {
    page.push_str("## Root cause\n\n");
    let _ = writeln!(page, "**{}**: {}.\n", category_name(found.category), text(&found.root_cause));
    if let Some(words) = found.by_factor {
        let _ = writeln!(page, "By the factor alone one would first look for {words}; the evidence is another.\n");
    }
    if found.resources.is_empty() {
        return;
    }
    page.push_str("| waited for | category | of the workers' time | waits | a turn ms | at a time | in use |\n");
    page.push_str("|---|---|---:|---:|---:|---:|---:|\n");
    for resource in found.resources.iter().take(RESOURCES) {
        row(
            page,
            &[
                &resource.name,
                category_name(resource.category),
                &percent(resource.lost_pct),
                &grouped(resource.waits),
                &resource.turn.map(item_ms).unwrap_or_default(),
                &resource.places.map(|places| places.to_string()).unwrap_or_default(),
                &percent(resource.utilisation_pct),
            ],
        );
    }
    page.push('\n');
    if let Some(critical) = found.critical() {
        evidence(page, critical);
    }
}

fn evidence(page: &mut String, critical: &Resource) {
    let has = if critical.emptied { "Who empties it, meanwhile" } else { "Has it meanwhile" };
    for (what, side) in [("Waits", &critical.waiting), (has, &critical.holding)] {
        if let Some(Side { function, location, stack }) = side {
            let place = location.as_ref().map(|at| format!(" ({})", code(&finding::place(at)))).unwrap_or_default();
            let inner: Vec<&str> = stack
                .get(stack.len().saturating_sub(FRAMES)..)
                .unwrap_or_default()
                .iter()
                .map(String::as_str)
                .collect();
            let _ = writeln!(page, "- {what}: {}{place}: {}", text(function), code(&inner.join(" > ")));
        }
    }
    for (what, statement) in
        [("Statement that waits", &critical.statement), ("Others are meanwhile in", &critical.blocking_statement)]
    {
        if let Some(statement) = statement {
            let _ = writeln!(page, "- {what}: {}", code(statement));
        }
    }
    for one in &critical.evidence {
        let _ = writeln!(page, "- {}", text(&finding::evidence(one)));
    }
    page.push('\n');
}

fn fix(page: &mut String, found: &Parallelism) {
    let Some(change) = &found.change else { return };
    page.push_str("## Recommended fix\n\n");
    let _ = writeln!(page, "{}\n", text(&change.hint));
    for (label, sketch) in [("Before", &change.before), ("After", &change.after)] {
        if !sketch.is_empty() {
            let _ = writeln!(page, "{label}:\n\n{}", fence("", sketch));
        }
    }
}

fn expected(page: &mut String, found: &Parallelism) {
    let Some(expected) = &found.expected else { return };
    page.push_str("## Expected improvement\n\n| | items/s | time | limited by |\n|---|---:|---:|---|\n");
    let number = |rate: f64| format!("{rate:.2}");
    row(page, &["now", &number(found.actual_rate), &duration(expected.now), category_name(found.category)]);
    row(page, &["without that wait", &number(expected.rate), &duration(expected.time), &limit(&expected.limit)]);
    if let Some((items, batched, by)) = &expected.batched {
        let time = Nanos((expected.items as f64 / batched.max(f64::MIN_POSITIVE) * 1e9) as u64);
        row(page, &[&format!("{items} items to a turn"), &number(*batched), &duration(time), &limit(by)]);
    }
    let _ = writeln!(page, "\nTimes are for {} items.\n", grouped(expected.items));
}

fn workers(page: &mut String, found: &Parallelism) {
    page.push_str("## Workers\n\n| worker | items | worked | waited for others | idle |\n|---|---:|---:|---:|---:|\n");
    for one in found.uses.iter().take(WORKERS) {
        let [worked, waited, idle] = [one.worked_pct, one.waited_pct, one.idle_pct].map(percent);
        row(page, &[&one.name, &grouped(one.items), &worked, &waited, &idle]);
    }
    if found.uses.len() > WORKERS {
        let _ = writeln!(page, "\n{} more are in the result.", found.uses.len() - WORKERS);
    }
    page.push('\n');
}

fn checks(page: &mut String, found: &Parallelism) {
    let of = &found.efficiencies;
    page.push_str("## Checks\n\n| | |\n|---|---:|\n");
    for (name, value) in [
        ("load balance", of.load_balance),
        ("serialization efficiency", of.serialization),
        ("transfer efficiency", of.transfer),
        ("parallel efficiency, their product", of.parallel),
        ("efficiency by rates", found.efficiency),
    ] {
        row(page, &[name, &percent(value * 100.0)]);
    }
    row(page, &["workers at an item, counted", &format!("{:.1}", of.in_items)]);
    row(page, &["the same by Little's law", &format!("{:.1}", of.little)]);
    page.push('\n');
    for one in &found.disagreements {
        let _ = writeln!(page, "These differ by more than 20 %: {}.\n", text(&disagreement(one)));
    }
}
