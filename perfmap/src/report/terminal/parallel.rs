//! Why so many workers are not so many times as fast, in a few lines.

use super::line::{Page, Style};
use crate::{
    analyze::parallelism::{ItemSource, Parallelism, Severity},
    report::{
        human::{duration, grouped, percent},
        parallelism::{item_ms, limit, rate},
        parallelism_page,
    },
};

/// Steps that are named.
const STEPS: usize = 5;

pub fn lines(page: &mut Page, found: &Parallelism) {
    let quiet = found.severity == Severity::Good;
    let style = if quiet { Style::Plain } else { Style::Strong };
    page.paragraph("parallel", style, &parallelism_page::summary(found));
    if let Some(items) = found.items.first() {
        let source = match items.source {
            ItemSource::Told => "as told".to_owned(),
            ItemSource::Progress => "by the progress told".to_owned(),
            ItemSource::Repetition | ItemSource::Lives => format!("by {}", items.what),
        };
        let steps: Vec<String> = found
            .steps
            .iter()
            .take(STEPS)
            .map(|step| match step.mean == step.uncontended {
                true => format!("{} {} ms", step.name, item_ms(step.mean)),
                false => format!("{} {} ms ({} uncontended)", step.name, item_ms(step.mean), item_ms(step.uncontended)),
            })
            .collect();
        let text =
            format!("{} items in {} ({source}): {}", grouped(items.count), duration(found.duration), steps.join(", "));
        page.paragraph("", Style::Dim, &text);
    }
    if quiet {
        return;
    }
    page.paragraph("", Style::Plain, &found.root_cause);
    if let Some(words) = found.by_factor {
        page.paragraph("", Style::Dim, &format!("by the factor alone one would look for {words} first"));
    }
    if let Some(expected) = &found.expected {
        let batched = expected
            .batched
            .as_ref()
            .map(|(items, batched, _)| format!("; {items} items to a turn: {}", rate(*batched)));
        let text = format!(
            "without that wait {} ({} → {}), limited by {}{}",
            rate(expected.rate),
            duration(expected.now),
            duration(expected.time),
            limit(&expected.limit),
            batched.unwrap_or_default()
        );
        page.paragraph("", Style::Plain, &text);
    }
    if let Some(change) = &found.change {
        page.paragraph("", Style::Verdict, &format!("→ {}", change.hint.trim_end_matches('.')));
    }
    for one in &found.disagreements {
        let text =
            format!("{}: {} and {} differ by more than 20 %", one.what, percent_or(one.one), percent_or(one.other));
        page.paragraph("", Style::Dim, &text);
    }
}

/// Shares are below 1, counts are not.
fn percent_or(value: f64) -> String {
    if value <= 1.0 { percent(value * 100.0) } else { format!("{value:.1}") }
}
