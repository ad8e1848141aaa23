//! What watched processes were asked for, how often, and how long it took.

use crate::map::Map;

use super::line::{Line, Page, Style, cut, padded, right, width};
use crate::report::{
    from_map::per_second,
    human::{duration, grouped},
};

/// More endpoints than these say nothing more on a screen; the file has all.
const ROWS: usize = 12;
const GAP: usize = 2;

/// False where there is nothing to show.
pub fn table(page: &mut Page, map: &Map) -> bool {
    if map.served.is_empty() {
        return false;
    }
    let several = map.services.len() > 1;
    let head = ["served", "count", "per s", "median", "p95", "max", if several { "service" } else { "" }];
    let mut rows = vec![head.map(str::to_owned)];
    let shown = if page.view.all_steps { map.served.len() } else { ROWS };
    for served in map.served.iter().take(shown) {
        rows.push([
            served.endpoint.clone(),
            grouped(served.count),
            format!("{:.1}", per_second(served.count, map.wall.plus(map.earlier))),
            duration(served.latency.median),
            duration(served.latency.p95),
            duration(served.latency.max),
            map.services.get(served.service).filter(|_| several).cloned().unwrap_or_default(),
        ]);
    }
    let widths: Vec<usize> = (0..head.len())
        .map(|column| rows.iter().map(|row| width(&page.shown(&row[column]))).max().unwrap_or(0))
        .collect();
    // A long path gives way to the figures.
    let figures: usize = widths[1..].iter().map(|width| width + GAP).sum();
    let first = widths[0].min(page.width().saturating_sub(figures).max(16));
    for (position, row) in rows.iter().enumerate() {
        let style = if position == 0 { Style::Dim } else { Style::Plain };
        let mut line = Line::of(style, &padded(&cut(&page.shown(&row[0]), first, page.ellipsis()), first));
        for (column, text) in row.iter().enumerate().skip(1) {
            let shown = page.shown(text);
            let cell = if column == head.len() - 1 { shown } else { right(&shown, widths[column]) };
            line.push(style, &format!("{:GAP$}{cell}", ""));
        }
        page.line(&line);
    }
    let more = map.served.len().saturating_sub(shown);
    if more > 0 {
        page.line(&Line::of(Style::Dim, &format!("{} {more} more", page.ellipsis())));
    }
    true
}
