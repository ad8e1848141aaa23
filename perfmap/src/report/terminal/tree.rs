//! The step tree as a table: wall, share, step, service, and why it took that long.

use crate::{
    analyze::parts::Parts,
    map::{Map, Outside, Step, StepKind},
    recording::Nanos,
};

use super::line::{Line, Page, Style, cut, padded, right, width};
use crate::report::{
    human::{bytes, duration, memory, percent},
    number::share_pct,
    sentence::{IDLE, OUTSIDE, cause_name},
};

/// Rows without `all_steps`: what fits a tall terminal.
const ROWS: usize = 40;
const WALL: usize = 8;
const SHARE: usize = 5;
const GAP: usize = 2;
const WIDEST_SERVICE: usize = 16;
/// A reason below this share of wall time is not worth its column.
const REASON_PCT: f64 = 0.5;
/// Steps of at least this share are printed strong.
const STRONG_PCT: f64 = 20.0;

/// Own growth of memory from which on it is worth a word.
const GROWTH_TOLD: i64 = 16 << 20;

struct Row {
    wall: Nanos,
    share: f64,
    branch: String,
    step: String,
    /// "×13": stays when the name is cut.
    times: String,
    service: String,
    why: Vec<String>,
    style: Style,
}

/// False where there is nothing to show.
pub fn table(page: &mut Page, map: &Map) -> bool {
    let least = least_share(map, if page.view.all_steps { usize::MAX } else { ROWS });
    let mut rows = vec![];
    let mut hidden = 0;
    for step in &map.steps {
        collect(map, step, least, "", "", &mut rows, &mut hidden);
    }
    if map.outside.self_time > Nanos::ZERO {
        rows.push(outside_row(map));
    }
    if map.idle > Nanos::ZERO {
        rows.push(idle_row(map));
    }
    if rows.is_empty() {
        return false;
    }
    print(page, &rows);
    if hidden > 0 {
        let text = format!("… {hidden} more {} below {}", if hidden == 1 { "step" } else { "steps" }, percent(least));
        page.line(&Line::of(Style::Dim, &format!("{:indent$}{text}", "", indent = WALL + SHARE + GAP)));
    }
    true
}

/// The share that a step needs to be among the `most` largest.
fn least_share(map: &Map, most: usize) -> f64 {
    fn shares(step: &Step, map: &Map, found: &mut Vec<f64>) {
        found.push(share_pct(step.wall, map.wall));
        for child in &step.children {
            shares(child, map, found);
        }
    }
    let mut found = vec![];
    for step in &map.steps {
        shares(step, map, &mut found);
    }
    found.sort_by(|a, b| b.total_cmp(a));
    match found.get(most) {
        // Steps exactly as long as the first that does not fit stay out as well: `collect` asks for more.
        Some(&next) => next + f64::EPSILON * next.max(1.0) * 4.0,
        None => 0.0,
    }
}

fn collect(map: &Map, step: &Step, least: f64, first: &str, rest: &str, rows: &mut Vec<Row>, hidden: &mut usize) {
    let share = share_pct(step.wall, map.wall);
    if share < least {
        *hidden += size(step);
        return;
    }
    rows.push(Row {
        wall: step.wall,
        share,
        branch: first.to_owned(),
        step: label(step),
        times: times(step),
        service: map.services.get(step.service).filter(|_| map.services.len() > 1).cloned().unwrap_or_default(),
        why: why(map, step),
        style: if step.beside {
            Style::Dim
        } else if share >= STRONG_PCT {
            Style::Strong
        } else {
            Style::Plain
        },
    });
    let shown: Vec<&Step> = step.children.iter().filter(|child| share_pct(child.wall, map.wall) >= least).collect();
    for child in step.children.iter().filter(|child| share_pct(child.wall, map.wall) < least) {
        *hidden += size(child);
    }
    for (position, child) in shown.iter().enumerate() {
        let last = position + 1 == shown.len();
        let first = format!("{rest}{}", if last { "└ " } else { "├ " });
        let below = format!("{rest}{}", if last { "  " } else { "│ " });
        collect(map, child, least, &first, &below, rows, hidden);
    }
}

fn size(step: &Step) -> usize {
    1 + step.children.iter().map(size).sum::<usize>()
}

/// "mt_translate · POST /translate".
fn label(step: &Step) -> String {
    let endpoint = step.call.as_ref().and_then(|call| call.endpoint.as_deref());
    match endpoint.filter(|endpoint| is_round_trips(step.kind) && *endpoint != step.function) {
        Some(endpoint) => format!("{} · {endpoint}", step.function),
        None => step.function.clone(),
    }
}

fn times(step: &Step) -> String {
    let count = round_trips(step);
    if is_round_trips(step.kind) && count > 1 { format!(" ×{count}") } else { String::new() }
}

fn round_trips(step: &Step) -> u64 {
    step.call.as_ref().map_or(0, |call| call.round_trips)
}

fn is_round_trips(kind: StepKind) -> bool {
    match kind {
        StepKind::HttpCall | StepKind::GrpcCall | StepKind::DbQuery | StepKind::CacheOp | StepKind::QueueOp => true,
        StepKind::FunctionCall
        | StepKind::FileIo
        | StepKind::LockWait
        | StepKind::Sleep
        | StepKind::Subprocess
        | StepKind::Gpu
        | StepKind::Loop => false,
    }
}

fn why(map: &Map, step: &Step) -> Vec<String> {
    let mut reasons = vec![];
    if step.beside {
        reasons.push("concurrent".to_owned());
    }
    // A call waits while the peer's steps below it run: its reason is the whole wait, not the little that is left.
    let (cpu, waits) =
        if is_round_trips(step.kind) { (step.cpu, &step.waits) } else { (step.own_cpu, &step.own_waits) };
    reasons.extend(parts(&Parts { cpu, waits: waits.clone() }, map.wall));
    if let Some(call) = &step.call {
        let known = map.services.len() > 1 && step.children.iter().any(|child| child.service != step.service);
        if is_round_trips(step.kind) && !known {
            reasons.push(format!("to {}", call.peer));
        }
        if let Some(latency) = call.latency.filter(|_| round_trips(step) > 1) {
            reasons.push(format!("{} median", duration(latency.median)));
            reasons.push(format!("{} max", duration(latency.max)));
        }
    }
    if step.failed_requests > 0 {
        reasons.push(format!("{} failed", step.failed_requests));
    }
    if step.memory_delta >= GROWTH_TOLD {
        reasons.push(format!("memory +{}", memory(step.memory_delta as f64)));
    }
    // Bytes count everything below: worth a word only where the step is about files.
    if step.children.is_empty() && step.file_read + step.file_written > 0 {
        reasons.push(format!("{} in, {} out", bytes(step.file_read), bytes(step.file_written)));
    }
    reasons
}

/// Longest first: "network 3.41 s", "cpu 0.12 s".
fn parts(parts: &Parts, wall: Nanos) -> Vec<String> {
    let mut named: Vec<(Nanos, &str)> = vec![(parts.cpu, "cpu")];
    named.extend(parts.waits.0.iter().map(|(&cause, &length)| (length, cause_name(cause))));
    named.retain(|(length, _)| share_pct(*length, wall) >= REASON_PCT);
    named.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    named.iter().take(3).map(|(length, name)| format!("{name} {}", duration(*length))).collect()
}

fn outside_row(map: &Map) -> Row {
    let Outside { self_time, cpu, waits, top, .. } = &map.outside;
    let mut reasons = parts(&Parts { cpu: *cpu, waits: waits.clone() }, map.wall);
    reasons.extend(top.first().map(|(name, length)| match length.0.saturating_mul(2) > self_time.0 {
        true => format!("mostly {name}"),
        false => format!("{name} {}", duration(*length)),
    }));
    Row {
        wall: *self_time,
        share: share_pct(*self_time, map.wall),
        branch: String::new(),
        step: OUTSIDE.into(),
        times: String::new(),
        service: String::new(),
        why: reasons,
        style: Style::Dim,
    }
}

fn idle_row(map: &Map) -> Row {
    Row {
        wall: map.idle,
        share: share_pct(map.idle, map.wall),
        branch: String::new(),
        step: IDLE.into(),
        times: String::new(),
        service: String::new(),
        why: vec![],
        style: Style::Dim,
    }
}

fn print(page: &mut Page, rows: &[Row]) {
    let widest = |of: &dyn Fn(&Row) -> String| rows.iter().map(|row| width(&page.shown(&of(row)))).max().unwrap_or(0);
    let services = match widest(&|row| row.service.clone()).min(WIDEST_SERVICE).min(page.width() / 5) {
        0 => 0,
        some => some.max(width("service")) + GAP,
    };
    let (steps, reasons) = shared(
        page.width().saturating_sub(WALL + SHARE + GAP + services),
        widest(&|row| format!("{}{}{}", row.branch, row.step, row.times)).max(width("step")),
        widest(&|row| row.why.join(", ")).max(width("why")),
    );
    let line = |wall: &str, share: &str, step: Line, service: &str, why: &str| {
        let mut line = Line::of(Style::Plain, &right(wall, WALL));
        line.push(Style::Plain, &right(share, SHARE));
        line.push(Style::Plain, &" ".repeat(GAP));
        line.append(step);
        line.push(Style::Dim, &padded(service, services));
        line.push(Style::Plain, why);
        line
    };
    let head = Line::of(Style::Dim, &padded("step", steps + GAP));
    let service = if services > 0 { "service" } else { "" };
    page.line(&line("wall", "%", head, service, "why"));
    for row in rows {
        let ellipsis = page.ellipsis();
        // A deep tree keeps half of the column for the names.
        let branch = tail(&page.shown(&row.branch), steps / 2, ellipsis);
        let times = page.shown(&row.times);
        let name = cut(&page.shown(&row.step), steps.saturating_sub(width(&branch) + width(&times)), ellipsis);
        let used = width(&branch) + width(&name) + width(&times);
        let mut step = Line::of(Style::Dim, &branch);
        step.push(row.style, &name);
        step.push(row.style, &times);
        step.push(Style::Plain, &" ".repeat((steps + GAP).saturating_sub(used)));
        let service = cut(&page.shown(&row.service), services.saturating_sub(GAP), ellipsis);
        let why = cut(&page.shown(&fitting(page, &row.why, reasons)), reasons, ellipsis);
        page.line(&line(&duration(row.wall), &share_text(row.share), step, &service, &why));
    }
}

/// The first reasons as far as they fit; the very first one always.
fn fitting(page: &Page, reasons: &[String], most: usize) -> String {
    let mut text = String::new();
    for reason in reasons {
        let longer = if text.is_empty() { reason.clone() } else { format!("{text}, {reason}") };
        if !text.is_empty() && width(&page.shown(&longer)) > most {
            break;
        }
        text = longer;
    }
    text
}

/// Columns for the step and for its reason: what both need where that fits, else the reason has at least two fifths.
fn shared(room: usize, steps: usize, reasons: usize) -> (usize, usize) {
    let room = room.saturating_sub(GAP);
    if steps + reasons <= room {
        return (steps, room - steps);
    }
    let reasons = reasons.min((room * 2 / 5).max(room.saturating_sub(steps)));
    (room - reasons, reasons)
}

/// The end of a branch that is too long.
fn tail(branch: &str, most: usize, ellipsis: &str) -> String {
    let count = branch.chars().count();
    if count <= most {
        return branch.to_owned();
    }
    let kept = most.saturating_sub(width(ellipsis) + 1) & !1;
    format!("{ellipsis} {}", branch.chars().skip(count - kept).collect::<String>())
}

fn share_text(share: f64) -> String {
    if share >= 0.95 || share == 0.0 { format!("{share:.0}") } else { format!("{share:.1}") }
}
