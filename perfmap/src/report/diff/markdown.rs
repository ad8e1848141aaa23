//! A comparison as Markdown, for a pull request.

use std::fmt::Write;

use super::{Diff, StepSide, words};
use crate::report::markdown::{code, text};

const ROWS: usize = 30;

/// Writing to a String does not fail, so that results of `write!` say nothing here.
pub fn render(diff: &Diff) -> String {
    let mut page = String::new();
    if let Some(wall) = diff.wall() {
        let _ = writeln!(page, "### Wall time {}\n", words::headline(wall));
    }
    let commands: Vec<String> = diff.test_commands.iter().map(|command| code(command)).collect();
    let _ = writeln!(page, "{}\n", commands.join(" → "));
    page.push_str("| | before | after | change | |\n|---|---:|---:|---:|---|\n");
    for row in &diff.metrics {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            row.metric,
            words::quantity(row.unit, row.before),
            words::quantity(row.unit, row.after),
            words::relative(row.before, row.after),
            words::change(row.change)
        );
    }
    steps(&mut page, diff);
    if let Some(suspicions) = &diff.suspicions {
        let kinds =
            [("New", &suspicions.new), ("Resolved", &suspicions.resolved), ("Remaining", &suspicions.remaining)];
        for (label, rows) in kinds.into_iter().filter(|(_, rows)| !rows.is_empty()) {
            let _ = writeln!(page, "\n{label} suspicions:\n");
            for one in rows {
                let _ = writeln!(page, "- `{}` {}: {}", plain(&one.id), text(&one.subject), text(&one.note));
            }
        }
    }
    for note in &diff.notes {
        let _ = writeln!(page, "\n> {}", text(note));
    }
    page
}

/// Ids are ours, but a file may say anything.
fn plain(id: &str) -> String {
    id.chars().filter(|character| character.is_ascii_alphanumeric() || *character == '_').take(64).collect()
}

fn steps(page: &mut String, diff: &Diff) {
    let told = words::told(diff);
    if told.is_empty() {
        page.push_str("\nNo step changed by more than runs differ by.\n");
        return;
    }
    page.push_str("\n| step | where | before | after | change | |\n|---|---|---:|---:|---:|---|\n");
    for row in told.iter().take(ROWS) {
        let side = |side: &Option<StepSide>| side.map_or("-".to_owned(), |side| words::ms(side.wall_time_ms));
        let place = row.location.as_deref().or(row.service.as_deref()).unwrap_or_default();
        let sign = if row.difference() < 0.0 { "−" } else { "+" };
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {sign}{} | {} |",
            text(&words::name(row)),
            text(place),
            side(&row.before),
            side(&row.after),
            words::ms(row.difference().abs()),
            words::state(row)
        );
    }
    if told.len() > ROWS {
        let _ = writeln!(page, "\n{} more steps changed.", told.len() - ROWS);
    }
}
