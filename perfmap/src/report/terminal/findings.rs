//! What was suspected and what became of it, what to do, and whether to go on: the part of the page that is read first
//! and last.

use crate::{
    analyze::{
        Analysis, Level, Reason, Recommendation,
        suspicions::{Suspicion, Verdict},
    },
    map::Map,
};

use super::{
    super::{finding, human::percent},
    line::{Line, Page, Style, cut, padded, width},
};

/// Of the words in front of a line.
const LABEL: usize = 11;
/// From this width on the text stands beside the suspicion's name, else below it.
const SIDE_BY_SIDE: usize = 100;
const WIDEST_SUBJECT: usize = 24;
/// Ids of dismissed suspicions on the short page.
const DISMISSED: usize = 6;
/// Lines of a hot function.
const LINES: usize = 4;

/// "proceed: 2 suspicions confirmed; mt_translate owns 48 % of the wall time".
pub fn conclusion(page: &mut Page, analysis: &Analysis) {
    let found = &analysis.conclusion;
    let doubts = found.reasons.iter().filter(|reason| matches!(reason, Reason::Doubtful(_))).count();
    let mut reasons: Vec<String> = match doubts {
        0 => vec![],
        1 => vec!["a warning below puts the figures in doubt".into()],
        some => vec![format!("{some} warnings below put the figures in doubt")],
    };
    let others = found.reasons.iter().filter(|reason| !matches!(reason, Reason::Doubtful(_)));
    reasons.extend(others.map(finding::reason));
    let style = match found.recommendation {
        Recommendation::Proceed => Style::Strong,
        Recommendation::Concerns | Recommendation::Block => Style::Warning,
    };
    let text = format!("{}: {}", finding::recommendation_name(found.recommendation), reasons.join("; "));
    page.paragraph("verdict", style, &text);
}

/// False where there is nothing to show.
pub fn suspicions(page: &mut Page, map: &Map, analysis: &Analysis) -> bool {
    let verbose = page.view.all_steps;
    let of = |verdict: Verdict| -> Vec<&Suspicion> {
        analysis.suspicions.iter().filter(|one| one.verdict == verdict).collect()
    };
    for (number, why) in analysis.root_cause.iter().enumerate() {
        page.paragraph(if number == 0 { "why" } else { "" }, Style::Dim, &format!("{} {}", why.why, why.because));
    }
    told(page, map, &of(Verdict::Confirmed), verbose);
    lines(page, analysis);
    for verdict in [Verdict::Unverified, Verdict::Dismissed] {
        let some = of(verdict);
        if verbose {
            told(page, map, &some, verbose);
        } else if !some.is_empty() {
            counted(page, &some);
        }
    }
    !analysis.suspicions.is_empty() || !analysis.root_cause.is_empty()
}

/// One by one: what, where, why, and the hint below.
fn told(page: &mut Page, map: &Map, some: &[&Suspicion], verbose: bool) {
    let ids = some.iter().map(|one| width(one.id)).max().unwrap_or(0) + 1;
    let subject = |page: &Page, one: &Suspicion| cut(&page.shown(&one.subject), WIDEST_SUBJECT, page.ellipsis());
    let subjects = some.iter().map(|one| width(&subject(page, one))).max().unwrap_or(0) + 2;
    for (number, one) in some.iter().enumerate() {
        let label = if number == 0 { finding::verdict_name(one.verdict) } else { "" };
        let style = match one.verdict {
            Verdict::Confirmed => Style::Strong,
            Verdict::Dismissed | Verdict::Unverified => Style::Plain,
        };
        let mut line = Line::of(Style::Dim, &padded(label, LABEL));
        line.push(style, &padded(one.id, ids));
        let mut text = one.note.clone();
        if let Some(place) = one.location.as_ref().map(finding::place).filter(|place| !text.contains(place.as_str())) {
            text = format!("{text} ({place})");
        }
        let name = subject(page, one);
        let wide = page.width() >= SIDE_BY_SIDE;
        if wide {
            line.push(Style::Plain, &padded(&name, subjects));
            page.hanging(line, LABEL + ids + subjects, &text);
        } else {
            line.push(Style::Plain, &name);
            page.line(&line);
            page.hanging(Line::of(Style::Plain, &" ".repeat(LABEL + 2)), LABEL + 2, &text);
        }
        if verbose {
            for evidence in &one.evidence {
                let mut line = Line::of(Style::Plain, &" ".repeat(LABEL + 2));
                line.push(Style::Dim, "· ");
                page.hanging(line, LABEL + 4, &finding::evidence(evidence));
            }
        }
        if let Some(change) = &one.change {
            let gain = finding::gain(one, map.wall).map(|gain| format!(": {gain}")).unwrap_or_default();
            let mut line = Line::of(Style::Plain, &" ".repeat(LABEL));
            line.push(Style::Verdict, "→ ");
            page.hanging(line, LABEL + 2, &format!("{}{gain}", change.hint.trim_end_matches('.')));
        }
    }
}

/// "8: cpu_contention, lock_contention ×2, …; perfmap report -v shows all".
fn counted(page: &mut Page, some: &[&Suspicion]) {
    let mut ids: Vec<(&str, usize)> = vec![];
    for one in some {
        match ids.iter_mut().find(|(id, _)| *id == one.id) {
            Some((_, count)) => *count += 1,
            None => ids.push((one.id, 1)),
        }
    }
    let left = ids.len().saturating_sub(DISMISSED);
    let names: Vec<String> = ids
        .iter()
        .take(DISMISSED)
        .map(|(id, count)| if *count > 1 { format!("{id} ×{count}") } else { (*id).to_owned() })
        .collect();
    let more = if left > 0 { format!(" and {left} more") } else { String::new() };
    let label = some.first().map_or("", |one| finding::verdict_name(one.verdict));
    let text = format!("{}: {}{more}; perfmap report -v shows why", some.len(), names.join(", "));
    page.hanging(Line::of(Style::Dim, &padded(label, LABEL)), LABEL, &text);
}

/// "extract_text: line 31 97 %, line 33 2 % of its samples".
fn lines(page: &mut Page, analysis: &Analysis) {
    for step in &analysis.escalation {
        if let Level::TimedLines { function, .. } = &step.level {
            let [profiler, _, result] = finding::escalation(step);
            page.paragraph("lines", Style::Dim, &format!("{function}, by {profiler}: {result}"));
        }
        if let Level::Hindered { option, hindrance, .. } = &step.level {
            page.paragraph("missing", Style::Dim, &format!("{option}: {hindrance}"));
        }
        if let Level::Allocated { .. } | Level::Native(_) = &step.level {
            let [_, _, result] = finding::escalation(step);
            page.paragraph("memory", Style::Dim, &result);
        }
        let Level::Lines { function, lines, location, .. } = &step.level else { continue };
        let text = if lines.lines.is_empty() || !lines.are_enough() {
            let [_, _, result] = finding::escalation(step);
            format!("{function}: {result}")
        } else {
            let named: Vec<String> = lines
                .lines
                .iter()
                .take(LINES)
                .map(|line| format!("{} {}", line.line, percent(line.share_pct)))
                .collect();
            let place = location.as_ref().map(|location| format!(" in {}", location.file)).unwrap_or_default();
            let run =
                lines.again.map(|again| format!(", in a second run at {} Hz", again.sample_hz)).unwrap_or_default();
            format!("{function}: {} of its samples{place}{run}", named.join(", "))
        };
        page.paragraph("lines", Style::Dim, &text);
    }
}
