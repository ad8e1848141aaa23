//! A comparison for the terminal: the verdict first, then figures, steps and suspicions.

use super::{Change, Diff, SuspicionRow, words};
use crate::report::terminal::{
    View,
    line::{Line, Page, Style, cut, padded, right, width},
};

/// Steps, largest change first.
const ROWS: usize = 30;
const NUMBER: usize = 10;
const GAP: usize = 2;

pub fn render(diff: &Diff, view: View) -> String {
    let mut page = Page::new(view);
    let mut title = Line::of(Style::Strong, "perfmap diff");
    title.push(Style::Plain, "  ");
    title.push(Style::Plain, &diff.test_commands.join("  →  "));
    page.line(&title);
    page.gap();
    if let Some(wall) = diff.wall() {
        page.paragraph("wall time", style(wall.change), &words::headline(wall));
        page.gap();
    }
    metrics(&mut page, diff);
    steps(&mut page, diff, view.all_steps);
    if let Some(suspicions) = &diff.suspicions {
        let kinds =
            [("new", &suspicions.new), ("resolved", &suspicions.resolved), ("remaining", &suspicions.remaining)];
        for (label, rows) in kinds {
            told(&mut page, label, rows);
        }
        if kinds.iter().any(|(_, rows)| !rows.is_empty()) {
            page.gap();
        }
    }
    for note in &diff.notes {
        page.paragraph("note", Style::Warning, note);
    }
    page.finish()
}

fn style(change: Change) -> Style {
    match change {
        Change::Worse => Style::Verdict,
        Change::Better => Style::Strong,
        Change::Noise | Change::Unknown => Style::Plain,
    }
}

fn row(page: &mut Page, name: &str, name_width: usize, cells: [&str; 3], state: &str, style: Style) {
    let mut line = Line::of(Style::Plain, &padded(&cut(&page.shown(name), name_width, page.ellipsis()), name_width));
    for cell in cells {
        line.push(Style::Plain, &right(&page.shown(cell), NUMBER));
    }
    line.push(Style::Plain, &" ".repeat(GAP));
    line.push(style, state);
    page.line(&line);
}

fn metrics(page: &mut Page, diff: &Diff) {
    let names = diff.metrics.iter().map(|row| width(row.metric)).max().unwrap_or(0).max(width("step"));
    row(page, "", names, ["before", "after", "change"], "", Style::Plain);
    for of in &diff.metrics {
        let cells = [words::quantity(of.unit, of.before), words::quantity(of.unit, of.after)];
        let by = words::relative(of.before, of.after);
        row(page, of.metric, names, [&cells[0], &cells[1], &by], words::change(of.change), style(of.change));
    }
    page.gap();
}

fn steps(page: &mut Page, diff: &Diff, all: bool) {
    let told = words::told(diff);
    if told.is_empty() {
        page.line(&Line::of(Style::Plain, "no step changed by more than runs differ by"));
        page.gap();
        return;
    }
    let most = if all { usize::MAX } else { ROWS };
    let longest = told.iter().take(most).map(|row| width(&page.shown(&words::name(row)))).max().unwrap_or(0);
    let room = page.width().saturating_sub(3 * NUMBER + GAP + width("noise not known"));
    let names = longest.min(room).max(width("step"));
    row(page, "step", names, ["before", "after", "change"], "", Style::Plain);
    for of in told.iter().take(most) {
        let side = |side: &Option<super::StepSide>| side.map_or("-".to_owned(), |side| words::ms(side.wall_time_ms));
        let sign = if of.difference() < 0.0 { "−" } else { "+" };
        let by = format!("{sign}{}", words::ms(of.difference().abs()));
        row(
            page,
            &words::name(of),
            names,
            [&side(&of.before), &side(&of.after), &by],
            words::state(of),
            style(of.change),
        );
    }
    if told.len() > most {
        page.line(&Line::of(Style::Dim, &format!("… {} more", told.len() - most)));
    }
    page.gap();
}

fn told(page: &mut Page, label: &str, rows: &[SuspicionRow]) {
    for (number, one) in rows.iter().enumerate() {
        let text = format!("{} {}: {}", one.id, one.subject, one.note);
        page.paragraph(if number == 0 { label } else { "" }, Style::Dim, &text);
    }
}
