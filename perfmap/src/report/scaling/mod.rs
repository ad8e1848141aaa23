//! Rates by number of workers, and the forecast, as they are shown: keys of the result, a picture, a plot for the
//! terminal, a section of `parallelism.md`. What they mean is decided in `analyze::scaling`.

pub mod out;
mod plot;
mod scale;
mod section;
mod svg;
mod words;

pub use out::out;
pub use section::section;
pub use svg::{FILE_NAME, render as svg};

use super::terminal::{
    View,
    line::{Line, Page, Style},
};
use crate::analyze::scaling::Scaling;

/// The terminal's lines. False where there is nothing to show.
pub(super) fn show(page: &mut Page, scaling: &Scaling) -> bool {
    for (label, text) in words::lines(scaling) {
        page.paragraph(label, Style::Strong, &text);
    }
    if let Some(curve) = &scaling.curve
        && let Some(plot) = plot::plot(curve, page.width(), page.view.unicode)
    {
        for line in plot {
            page.line(&Line::of(Style::Plain, &line));
        }
    }
    *scaling != Scaling::default()
}

/// The plot alone, as a block of text.
fn plain_plot(scaling: &Scaling) -> Option<String> {
    let curve = scaling.curve.as_ref()?;
    Some(plot::plot(curve, View::PLAIN.width.min(90), true)?.join("\n"))
}

#[cfg(test)]
mod tests;
