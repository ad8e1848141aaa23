//! The report for people and for tools that read Markdown: the problem, the map as a table, suspicions, hints, and the
//! commands to go on with. Whatever a target named is escaped: a function may be called like a heading or a link.

use std::fmt::Write;

use crate::{
    analyze::{
        Analysis, Level,
        suspicions::{Suspicion, Verdict},
    },
    map::{Map, Step},
    recording::Recording,
};

use super::{
    finding,
    human::{duration, percent},
    markdown::{code, fence, text},
    number::share_pct,
    own_profiles, sentence,
    text::command_line,
};

/// Steps in the table; the file beside it has all.
const ROWS: usize = 60;
/// Dismissed suspicions that are told one by one.
const DISMISSED: usize = 20;

/// Writing to a String does not fail, so that results of `write!` say nothing here.
pub fn render(recording: &Recording, map: &Map, analysis: &Analysis) -> String {
    let mut page = String::new();
    let command = command_line(&recording.meta.command);
    let _ = writeln!(page, "# Where the time of {} goes\n", code(&command));
    problem(&mut page, map, analysis);
    table(&mut page, map);
    suspicions(&mut page, map, analysis);
    own_profiles::section(&mut page, recording, analysis);
    lines(&mut page, analysis);
    let _ = writeln!(page, "## Commands\n");
    let again = format!("perfmap trace -- {command}");
    page.push_str(&fence("sh", &format!("{again}\nperfmap report -v recording.perfmap\nperfmap diff OLD NEW")));
    if let Some(test) = recording.source.as_ref().and_then(|source| source.e2e_test.as_ref()) {
        match &test.command {
            Some(command) => {
                let _ = writeln!(page, "\nEnd-to-end test: {}", code(command));
            }
            None => page.push_str("\nNo end-to-end test was found.\n"),
        }
    }
    if !analysis.warnings.is_empty() {
        page.push_str("\n## Warnings\n\n");
        for warning in &analysis.warnings {
            let _ = writeln!(page, "- {}", text(&sentence::warning(warning)));
        }
    }
    page
}

fn problem(page: &mut String, map: &Map, analysis: &Analysis) {
    let primary = analysis.top.first().map_or("", |first| first.function.as_str());
    let _ = writeln!(page, "## Problem\n");
    let _ = writeln!(
        page,
        "**{}**: {}. Wall time {}.\n",
        sentence::class_name(analysis.class),
        text(&sentence::detail(&analysis.detail, primary, map.wall)),
        duration(map.wall)
    );
    let reasons: Vec<String> = analysis.conclusion.reasons.iter().map(|one| text(&finding::reason(one))).collect();
    let recommendation = finding::recommendation_name(analysis.conclusion.recommendation);
    let _ = writeln!(page, "Verdict: **{recommendation}** ({}).\n", reasons.join("; "));
    for bottleneck in &analysis.top {
        let what = sentence::detail(&bottleneck.detail, &bottleneck.function, map.wall);
        let step = bottleneck.step.as_ref().map(|step| format!(", step {step}")).unwrap_or_default();
        let _ = writeln!(page, "- {} of the wall time: {}{step}", percent(bottleneck.share_pct), text(&what));
    }
    if !analysis.root_cause.is_empty() {
        page.push_str("\n### Root cause\n\n");
        for (number, why) in analysis.root_cause.iter().enumerate() {
            let evidence: Vec<String> = why.evidence.iter().map(finding::evidence).collect();
            let evidence =
                if evidence.is_empty() { String::new() } else { format!(" ({})", text(&evidence.join("; "))) };
            let _ = writeln!(page, "{}. {} {}{evidence}", number + 1, text(&why.why), text(&why.because));
        }
    }
    page.push('\n');
}

fn table(page: &mut String, map: &Map) {
    page.push_str(
        "## Map\n\n| step | wall | % | function | where | service | why |\n|---|---:|---:|---|---|---|---|\n",
    );
    let mut left = ROWS;
    let mut hidden = 0;
    for step in &map.steps {
        row(page, map, step, 0, &mut left, &mut hidden);
    }
    let outside = &map.outside;
    if outside.self_time.0 > 0 {
        let share = percent(share_pct(outside.self_time, map.wall));
        let _ = writeln!(page, "| | {} | {share} | {} | | | |", duration(outside.self_time), sentence::OUTSIDE);
    }
    if hidden > 0 {
        let _ = writeln!(page, "\n{hidden} more steps are in the performance map.");
    }
    page.push('\n');
}

fn row(page: &mut String, map: &Map, step: &Step, depth: usize, left: &mut usize, hidden: &mut usize) {
    if *left == 0 {
        *hidden += 1;
    } else {
        *left -= 1;
        let indent = "&nbsp;&nbsp;".repeat(depth.min(20));
        let endpoint = step.call.as_ref().and_then(|call| call.endpoint.as_deref());
        let called =
            endpoint.filter(|endpoint| *endpoint != step.function).map(|endpoint| format!(" · {}", text(endpoint)));
        let service = map.services.get(step.service).filter(|_| map.services.len() > 1).map(|name| text(name));
        let _ = writeln!(
            page,
            "| {} | {} | {} | {indent}{}{} | {} | {} | {} |",
            step.id,
            duration(step.wall),
            percent(share_pct(step.wall, map.wall)),
            text(&step.function),
            called.unwrap_or_default(),
            step.location.as_ref().map(|location| text(&finding::place(location))).unwrap_or_default(),
            service.unwrap_or_default(),
            why(step)
        );
    }
    for child in &step.children {
        row(page, map, child, depth + 1, left, hidden);
    }
}

/// The largest part of its own time, where it has any; of a call, which waits while the other side works, of all.
fn why(step: &Step) -> String {
    let is_call = step.call.is_some();
    let (cpu, waits) = if is_call { (step.cpu, &step.waits) } else { (step.own_cpu, &step.own_waits) };
    let waits = waits.0.iter().map(|(cause, length)| (*length, sentence::cause_name(*cause)));
    let largest = waits.chain([(cpu, "cpu")]).max_by_key(|(length, _)| *length);
    let own = largest.filter(|(length, _)| length.0 > 0).map(|(length, name)| format!("{name} {}", duration(length)));
    let trips = step.call.as_ref().map(|call| call.round_trips).filter(|count| *count > 0);
    let trips = trips.map(|count| format!("{count} round trip{}", if count == 1 { "" } else { "s" }));
    let beside = step.beside.then(|| "concurrent".to_owned());
    [own, trips, beside].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn suspicions(page: &mut String, map: &Map, analysis: &Analysis) {
    page.push_str("## Suspicions\n\n");
    if analysis.suspicions.is_empty() {
        page.push_str("Nothing gave rise to one.\n\n");
        return;
    }
    let of = |verdict: Verdict| analysis.suspicions.iter().filter(move |one| one.verdict == verdict);
    for one in of(Verdict::Confirmed) {
        confirmed(page, map, one);
    }
    for verdict in [Verdict::Unverified, Verdict::Dismissed] {
        let count = of(verdict).count();
        if count == 0 {
            continue;
        }
        let _ = writeln!(page, "{count} {}:\n", finding::verdict_name(verdict));
        for one in of(verdict).take(DISMISSED) {
            let _ = writeln!(page, "- `{}` {}: {}", one.id, text(&one.subject), text(&one.note));
        }
        if count > DISMISSED {
            let _ = writeln!(page, "- {} more", count - DISMISSED);
        }
        page.push('\n');
    }
}

fn confirmed(page: &mut String, map: &Map, one: &Suspicion) {
    let _ = writeln!(page, "### {} (confirmed): {}\n", one.id, text(&one.subject));
    let _ = writeln!(page, "{}: {}.\n", text(&one.description), text(&one.note));
    let _ = writeln!(page, "- category: {}", finding::category_name(one.category));
    if let Some(location) = &one.location {
        let _ = writeln!(page, "- where: {}", code(&finding::place(location)));
    }
    if !one.affected_steps.is_empty() {
        let _ = writeln!(page, "- steps: {}", one.affected_steps.join(", "));
    }
    for evidence in &one.evidence {
        let _ = writeln!(page, "- {}", text(&finding::evidence(evidence)));
    }
    if let Some(change) = &one.change {
        let _ = write!(page, "\n**Hint:** {}", text(&change.hint));
        if let (Some(gain), Some(shown)) = (&one.gain, finding::gain(one, map.wall)) {
            let _ = write!(page, ", {} ({})", shown, text(&gain.basis));
        } else if let Some(why) = &change.ungained {
            let _ = write!(page, " No gain is computed: {}", text(why));
        }
        page.push_str(".\n");
        for (label, sketch) in [("Before", &change.before), ("After", &change.after)] {
            if !sketch.is_empty() {
                let _ = writeln!(page, "\n{label}:\n\n{}", fence("", sketch).trim_end());
            }
        }
    }
    page.push('\n');
}

fn lines(page: &mut String, analysis: &Analysis) {
    for step in &analysis.escalation {
        if let Level::TimedLines { function, lines, .. } = &step.level {
            let [profiler, _, result] = finding::escalation(step);
            let _ = writeln!(page, "## Timed lines of {}\n\n{}: {}.\n", text(function), text(&profiler), text(&result));
            page.push_str("| line | % of its time | executions |\n|---:|---:|---:|\n");
            for line in lines {
                let _ = writeln!(page, "| {} | {} | {} |", line.line, percent(line.share_pct), line.executions);
            }
            page.push('\n');
        }
        let Level::Lines { function, location, lines, .. } = &step.level else { continue };
        let place = location.as_ref().map(|location| format!(" ({})", code(&location.file))).unwrap_or_default();
        let _ = writeln!(page, "## Lines of {}{place}\n", text(function));
        let [_, reason, result] = finding::escalation(step);
        let _ = writeln!(page, "{}: {}.\n", text(&reason), text(&result));
        if !lines.lines.is_empty() {
            page.push_str("| line | % of its samples | ± | samples |\n|---:|---:|---:|---:|\n");
            for line in &lines.lines {
                let _ = writeln!(
                    page,
                    "| {} | {} | {:.0} | {} |",
                    line.line,
                    percent(line.share_pct),
                    line.error_pct.ceil(),
                    line.samples
                );
            }
            page.push('\n');
        }
    }
}
