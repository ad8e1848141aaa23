//! A curve → lines of text for a terminal: measured rates, the fitted curve, what linear would be, the top.

use super::{
    scale::{marks, reach},
    words::{figure, unit},
};
use crate::analyze::scaling::Curve;

const ROWS: usize = 14;
const WIDEST: usize = 90;
const NARROWEST: usize = 40;

struct Signs {
    measured: char,
    fitted: char,
    linear: char,
    top: char,
    side: char,
    corner: char,
    floor: char,
}

const UNICODE: Signs =
    Signs { measured: '●', fitted: '·', linear: '╱', top: '┊', side: '│', corner: '└', floor: '─' };
const ASCII: Signs = Signs { measured: 'O', fitted: '.', linear: '/', top: ':', side: '|', corner: '+', floor: '-' };

/// None where there is no point to draw.
pub(super) fn plot(curve: &Curve, width: usize, unicode: bool) -> Option<Vec<String>> {
    let signs = if unicode { UNICODE } else { ASCII };
    let (workers, rate) = reach(curve)?;
    let labels: Vec<(usize, String)> =
        marks(rate, 4.0).into_iter().map(|mark| (row(mark, rate), figure(mark))).collect();
    let margin = labels.iter().map(|(_, text)| text.chars().count()).max().unwrap_or(0) + 1;
    let columns = width.clamp(NARROWEST, WIDEST).saturating_sub(margin + 2);
    let mut grid = vec![vec![' '; columns]; ROWS];
    let mut put = |column: f64, value: f64, sign: char| {
        let at = column.round().max(0.0) as usize;
        if (0.0..=rate).contains(&value)
            && let Some(cell) = grid.get_mut(row(value, rate)).and_then(|row| row.get_mut(at.min(columns - 1)))
        {
            *cell = sign;
        }
    };
    let column = |count: f64| count / workers * (columns - 1) as f64;
    let usl = curve.law.as_ref().ok();
    // What is drawn later lies above.
    if let Some(usl) = usl {
        let knee = usl.knee().filter(|knee| *knee <= workers);
        for step in 0..ROWS {
            if let Some(knee) = knee {
                put(column(knee), rate * (step as f64 + 0.5) / ROWS as f64, signs.top);
            }
        }
        for at in 0..columns {
            let count = at as f64 / (columns - 1) as f64 * workers;
            put(at as f64, usl.lambda.value * count, signs.linear);
        }
        for at in 0..columns {
            let count = at as f64 / (columns - 1) as f64 * workers;
            if count >= 1.0 {
                put(at as f64, usl.rate(count), signs.fitted);
            }
        }
    }
    for point in &curve.points {
        put(column(f64::from(point.workers)), point.rate, signs.measured);
    }
    let mut lines = vec![format!("{:>margin$} {} by number of workers", "", unit(curve))];
    for (index, cells) in grid.iter().enumerate() {
        let label = labels.iter().find(|(at, _)| *at == index).map_or("", |(_, text)| text.as_str());
        lines.push(format!("{label:>margin$} {}{}", signs.side, String::from_iter(cells)).trim_end().to_owned());
    }
    lines.push(format!("{:>margin$} {}{}", "", signs.corner, String::from(signs.floor).repeat(columns)));
    lines.push(format!("{:>margin$} {}", "", floor_labels(workers, columns)).trim_end().to_owned());
    let legend = match usl {
        Some(usl) => {
            let top = usl.knee().filter(|knee| *knee <= workers);
            let top = top.map(|_| format!("   {} most", signs.top)).unwrap_or_default();
            format!("{} measured   {} fitted   {} linear{top}", signs.measured, signs.fitted, signs.linear)
        }
        None => format!("{} measured", signs.measured),
    };
    lines.push(format!("{:>margin$}  {legend}", ""));
    Some(lines)
}

/// From the top.
fn row(value: f64, most: f64) -> usize {
    let up = (value / most * ROWS as f64).floor().max(0.0) as usize;
    ROWS - 1 - up.min(ROWS - 1)
}

/// Numbers of workers under their columns, where they do not run into each other.
fn floor_labels(workers: f64, columns: usize) -> String {
    let mut text = String::new();
    for mark in marks(workers, columns as f64 / 9.0) {
        let at = (mark / workers * (columns - 1) as f64).round() as usize + 1;
        let used = text.chars().count();
        if mark < 1.0 || mark.fract() != 0.0 || used > at {
            continue;
        }
        text.push_str(&" ".repeat(at - used));
        text.push_str(&figure_of_count(mark));
    }
    text
}

fn figure_of_count(count: f64) -> String {
    format!("{count:.0}")
}
