//! `scaling.svg`: measured rates with their spread, the fitted curve, what linear would be, the top, and the law's
//! figures. A picture without scripts or fonts of its own.

use std::fmt::Write;

use super::{
    scale::{marks, reach},
    words,
};
use crate::{
    analyze::scaling::{Curve, Peak},
    report::text::visible,
};

pub const FILE_NAME: &str = "scaling.svg";

const WIDTH: f64 = 920.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 110.0;
const BOTTOM: f64 = 96.0;
/// Pieces of the curve.
const PIECES: u32 = 200;

const MEASURED: &str = "#c2410c";
const FITTED: &str = "#1d4ed8";
const LINEAR: &str = "#9ca3af";
const KNEE: &str = "#15803d";
const INK: &str = "#1f2937";
const GRID: &str = "#e5e7eb";

/// Where values lie in the picture.
struct Frame {
    workers: f64,
    rate: f64,
}

impl Frame {
    fn x(&self, workers: f64) -> f64 {
        LEFT + workers / self.workers * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, rate: f64) -> f64 {
        HEIGHT - BOTTOM - rate / self.rate * (HEIGHT - TOP - BOTTOM)
    }
}

/// None where there is no point to draw. Writing to a String does not fail.
pub fn render(curve: &Curve, command: &str) -> Option<Vec<u8>> {
    let (workers, rate) = reach(curve)?;
    let frame = Frame { workers, rate };
    let mut svg = String::new();
    let _ = write!(
        svg,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\" \
         fill=\"{INK}\" role=\"img\">\n<title>Rate by number of workers</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    head(&mut svg, curve, command);
    axes(&mut svg, curve, &frame);
    law(&mut svg, curve, &frame);
    points(&mut svg, curve, &frame);
    legend(&mut svg, curve);
    svg.push_str("</svg>\n");
    Some(svg.into_bytes())
}

fn text(svg: &mut String, (x, y): (f64, f64), attributes: &str, words: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {attributes}>{}</text>", escaped(words));
}

fn escaped(words: &str) -> String {
    visible(words).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn head(svg: &mut String, curve: &Curve, command: &str) {
    text(svg, (LEFT, 30.0), "font-size=\"17\" font-weight=\"bold\"", "Rate by number of workers");
    let short: String = command.chars().take(110).collect();
    let cut = if short.len() < command.len() { "…" } else { "" };
    text(svg, (LEFT, 50.0), "font-family=\"monospace\" font-size=\"12\" fill=\"#6b7280\"", &format!("{short}{cut}"));
    let (law, one) = match &curve.law {
        Ok(usl) => (
            format!(
                "contention σ {}, coherency κ {}",
                words::with_interval(&usl.sigma, words::percent),
                words::with_interval(&usl.kappa, words::figure),
            ),
            format!(
                "one worker {} {}{}",
                words::with_interval(&usl.lambda, words::figure),
                words::unit(curve),
                if usl.sigma.interval.is_some() { "; in brackets the 95 % intervals" } else { "" },
            ),
        ),
        Err(why) => (words::why_not(*why), String::new()),
    };
    text(svg, (LEFT, 72.0), "font-size=\"12\"", &law);
    text(svg, (LEFT, 90.0), "font-size=\"12\"", &one);
}

fn axes(svg: &mut String, curve: &Curve, frame: &Frame) {
    let (left, right, floor) = (LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM);
    for mark in marks(frame.rate, 6.0) {
        let y = frame.y(mark);
        let _ = writeln!(svg, "<path d=\"M{left:.1} {y:.1}H{right:.1}\" stroke=\"{GRID}\"/>");
        text(svg, (left - 8.0, y + 4.5), "text-anchor=\"end\"", &words::figure(mark));
    }
    for mark in marks(frame.workers, 10.0).into_iter().filter(|mark| mark.fract() == 0.0 && *mark >= 1.0) {
        let x = frame.x(mark);
        let _ = writeln!(svg, "<path d=\"M{x:.1} {floor:.1}v5\" stroke=\"{INK}\"/>");
        text(svg, (x, floor + 20.0), "text-anchor=\"middle\"", &format!("{mark:.0}"));
    }
    let _ = writeln!(svg, "<path d=\"M{left:.1} {TOP:.1}V{floor:.1}H{right:.1}\" fill=\"none\" stroke=\"{INK}\"/>");
    text(svg, ((left + right) / 2.0, floor + 40.0), "text-anchor=\"middle\"", "workers");
    let y = (TOP + floor) / 2.0;
    let turned = format!("text-anchor=\"middle\" transform=\"rotate(-90 22 {y:.1})\"");
    text(svg, (22.0, y), &turned, words::unit(curve));
}

fn law(svg: &mut String, curve: &Curve, frame: &Frame) {
    let Ok(usl) = &curve.law else { return };
    let lambda = usl.lambda.value;
    // Up to where it leaves the picture.
    let end = frame.workers.min(frame.rate / lambda);
    let _ = writeln!(
        svg,
        "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" fill=\"none\" stroke=\"{LINEAR}\" stroke-width=\"1.5\" \
         stroke-dasharray=\"6 5\"/>",
        frame.x(0.0),
        frame.y(0.0),
        frame.x(end),
        frame.y(lambda * end),
    );
    let mut path = String::new();
    for piece in 0..=PIECES {
        let workers = 1.0 + (frame.workers - 1.0) * f64::from(piece) / f64::from(PIECES);
        let to = if piece == 0 { 'M' } else { 'L' };
        let _ = write!(path, "{to}{:.1} {:.1}", frame.x(workers), frame.y(usl.rate(workers).min(frame.rate)));
    }
    let _ = writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{FITTED}\" stroke-width=\"2.2\"/>");
    if let (Peak::At { workers, rate }, Some(knee)) = (usl.peak(), usl.knee())
        && knee <= frame.workers
    {
        let (x, floor) = (frame.x(knee), HEIGHT - BOTTOM);
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {TOP:.1}V{floor:.1}\" stroke=\"{KNEE}\" stroke-width=\"1.3\" stroke-dasharray=\"2 4\"/>"
        );
        let anchor = if x > WIDTH * 0.7 { ("end", -8.0) } else { ("start", 8.0) };
        let label = format!("best: {workers:.0} workers, {} {}", words::figure(rate), words::unit(curve));
        let attributes = format!("text-anchor=\"{}\" fill=\"{KNEE}\" font-weight=\"bold\"", anchor.0);
        // At the floor, where no measurement lies beside the best one.
        text(svg, (x + anchor.1, floor - 12.0), &attributes, &label);
    }
}

fn points(svg: &mut String, curve: &Curve, frame: &Frame) {
    for point in &curve.points {
        let (x, y) = (frame.x(f64::from(point.workers)), frame.y(point.rate));
        if point.runs > 1 {
            let (low, high) = (frame.y(point.lowest), frame.y(point.highest));
            let _ = writeln!(
                svg,
                "<path d=\"M{x:.1} {low:.1}V{high:.1}M{:.1} {low:.1}h8M{:.1} {high:.1}h8\" stroke=\"{MEASURED}\"/>",
                x - 4.0,
                x - 4.0,
            );
        }
        let _ = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{MEASURED}\"><title>{} workers: {} {}</title></circle>",
            point.workers,
            words::figure(point.rate),
            words::unit(curve),
        );
    }
}

fn legend(svg: &mut String, curve: &Curve) {
    let y = HEIGHT - 18.0;
    let mut x = LEFT;
    let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{:.1}\" r=\"4.5\" fill=\"{MEASURED}\"/>", y - 4.0);
    text(svg, (x + 12.0, y), "", "measured (median, lowest to highest)");
    if curve.law.is_err() {
        return;
    }
    let has_best = curve.law.as_ref().is_ok_and(|usl| usl.knee().is_some());
    x += 270.0;
    for (colour, dashes, name, step) in [
        (FITTED, "", "Universal Scalability Law", 230.0),
        (LINEAR, " stroke-dasharray=\"6 5\"", "linear", 110.0),
        (KNEE, " stroke-dasharray=\"2 4\"", "best", 0.0),
    ] {
        if name == "best" && !has_best {
            continue;
        }
        let line = y - 4.0;
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {line:.1}h28\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dashes}/>"
        );
        text(svg, (x + 36.0, y), "", name);
        x += step;
    }
}
