//! `wall.svg`, `cpu.svg`, `offcpu.svg`: flame graphs of all threads of the tree.

use inferno::flamegraph::{
    self, Direction, Options, Palette,
    color::{BackgroundColor, BasicPalette, MultiPalette},
};

use crate::{recording::Recording, resolve::Resolved};

use super::{
    stack_lines::{self, Lines},
    text::{command_line, visible},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Graph {
    Wall,
    OnCpu,
    OffCpu,
}

impl Graph {
    pub const ALL: [Graph; 3] = [Graph::Wall, Graph::OnCpu, Graph::OffCpu];

    pub fn file_name(self) -> &'static str {
        match self {
            Graph::Wall => "wall.svg",
            Graph::OnCpu => "cpu.svg",
            Graph::OffCpu => "offcpu.svg",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Graph::Wall => "Wall time of all threads: on-CPU (sampled) + off-CPU (measured)",
            Graph::OnCpu => "On-CPU time of all threads (sampled)",
            Graph::OffCpu => "Off-CPU time of all threads (measured)",
        }
    }

    fn lines(self, recording: &Recording, resolved: &Resolved) -> Lines {
        match self {
            Graph::Wall => stack_lines::wall(recording, resolved),
            Graph::OnCpu => stack_lines::on_cpu(recording, resolved),
            Graph::OffCpu => stack_lines::off_cpu(recording, resolved),
        }
    }

    /// On-CPU frames by language (kernel, interpreted, native); blue for waits.
    fn colors(self) -> (Palette, BackgroundColor) {
        match self {
            Graph::Wall | Graph::OnCpu => (Palette::Multi(MultiPalette::Java), BackgroundColor::Grey),
            Graph::OffCpu => (Palette::Basic(BasicPalette::Blue), BackgroundColor::Grey),
        }
    }
}

pub fn render(graph: Graph, recording: &Recording, resolved: &Resolved) -> Vec<u8> {
    let lines = graph.lines(recording, resolved);
    if lines.is_empty() {
        return without_stacks(graph, "nothing was recorded for this graph");
    }
    let (colors, background) = graph.colors();
    let mut options = Options::default();
    options.title = graph.title().into();
    // Roots on top: one deep stack of an interpreter's imports would else leave the opened page empty.
    options.direction = Direction::Inverted;
    options.subtitle = Some(visible(&command_line(&recording.meta.command)));
    options.count_name = "µs".into();
    options.colors = colors;
    options.bgcolors = Some(background);
    // Colours from the names alone: the other ways draw from a random source.
    options.deterministic = true;
    options.no_sort = true;
    options.min_width = 0.1;
    let folded: Vec<String> = lines.iter().map(|(line, us)| format!("{line} {us}")).collect();
    let mut svg = vec![];
    match flamegraph::from_lines(&mut options, folded.iter().map(String::as_str), &mut svg) {
        Ok(()) => svg,
        Err(error) => without_stacks(graph, &format!("this graph could not be drawn: {error}")),
    }
}

/// A valid picture that says why there is none.
fn without_stacks(graph: Graph, why: &str) -> Vec<u8> {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1200\" height=\"90\" viewBox=\"0 0 1200 90\" \
         font-family=\"monospace\" text-anchor=\"middle\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#f8f8f8\"/>\n\
         <text x=\"600\" y=\"32\" font-size=\"17\">{}</text>\n\
         <text x=\"600\" y=\"62\" font-size=\"12\">{}</text>\n\
         </svg>\n",
        escape(graph.title()),
        escape(&visible(why)),
    )
    .into_bytes()
}
