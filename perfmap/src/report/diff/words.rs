//! Figures of a comparison → words that the table and the Markdown share.

use super::{Change, Diff, MetricRow, StepRow, Unit};
use crate::{
    recording::Nanos,
    report::human::{bytes, duration, grouped, memory, percent},
};

/// Of the wall time: what is new or gone below this share is no line.
const LEAST_PCT: f64 = 1.0;

pub fn quantity(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Ms => ms(value),
        Unit::Mb => memory(value * 1024.0 * 1024.0),
        Unit::Bytes => bytes(value as u64),
        Unit::Count => grouped(value as u64),
    }
}

pub fn ms(value: f64) -> String {
    duration(Nanos((value * 1e6) as u64))
}

/// "+12 %", "−48 %"; nothing from nothing.
pub fn relative(before: f64, after: f64) -> String {
    if before <= 0.0 {
        return String::new();
    }
    let pct = (after / before - 1.0) * 100.0;
    if pct.abs() < 0.05 {
        return "0 %".into();
    }
    format!("{}{}", if pct < 0.0 { "−" } else { "+" }, percent(pct.abs()))
}

pub fn change(change: Change) -> &'static str {
    match change {
        Change::Better => "better",
        Change::Worse => "worse",
        Change::Noise => "within noise",
        Change::Unknown => "noise not known",
    }
}

/// "13 sequential …": the wall time in one sentence.
pub fn headline(wall: &MetricRow) -> String {
    let figures = format!("{} → {}", ms(wall.before), ms(wall.after));
    let by = relative(wall.before, wall.after);
    match wall.change {
        Change::Better => format!("faster: {figures} ({by})"),
        Change::Worse => format!("slower: {figures} ({by})"),
        Change::Noise => format!("no change that stands out of the noise: {figures} ({by})"),
        Change::Unknown => format!("{figures} ({by}); whether that is noise is not known"),
    }
}

/// Steps that are told: changed, new or gone, and of some size.
pub fn told(diff: &Diff) -> Vec<&StepRow> {
    let wall = diff.wall().map_or(0.0, |wall| wall.before.max(wall.after));
    let is_large = |row: &&StepRow| row.difference().abs() >= wall * LEAST_PCT / 100.0;
    diff.steps.iter().filter(|row| row.change != Change::Noise).filter(is_large).collect()
}

pub fn state(row: &StepRow) -> &'static str {
    match (&row.before, &row.after) {
        (None, Some(_)) => "new",
        (Some(_), None) => "gone",
        (Some(_), Some(_)) | (None, None) => change(row.change),
    }
}

/// The last functions of a path, which tell it from others.
pub fn name(row: &StepRow) -> String {
    let from = row.path.len().saturating_sub(2);
    row.path.get(from..).unwrap_or_default().join(" › ")
}
