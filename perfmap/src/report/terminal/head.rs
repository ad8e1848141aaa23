//! What was run, what it took, and the verdict.

use crate::{
    analyze::{
        Analysis, Bottleneck, Class, Detail,
        baseline::{self, Metric, Spread},
    },
    map::Map,
    recording::{Nanos, Recording},
};

use super::line::{Line, Page, Style};
use crate::report::{
    from_map::samples,
    human::{bytes, duration, grouped, memory, percent},
    number::count,
    sentence,
    text::command_line,
};

pub fn title(page: &mut Page, recording: &Recording) {
    let mut line = Line::of(Style::Strong, "perfmap");
    line.push(Style::Plain, "  ");
    line.push(Style::Plain, &command_line(&recording.meta.command));
    page.line(&line);
}

pub fn baseline(page: &mut Page, recording: &Recording) {
    let Some(runs) = recording.baseline.as_ref().filter(|runs| !runs.runs.is_empty()) else {
        page.items("baseline", &[Line::of(Style::Plain, "none")]);
        return;
    };
    let of = |metric| baseline::spread(runs, metric).unwrap_or_default();
    let wall = of(Metric::Wall);
    let mut items = vec![match &runs.reused_from {
        Some(file) => format!("{} from {file}", plural(runs.runs.len() as u64, "run")),
        None if runs.warmups > 0 => {
            format!("{}, {}", plural(runs.runs.len() as u64, "run"), plural(u64::from(runs.warmups), "warm-up"))
        }
        None => plural(runs.runs.len() as u64, "run"),
    }];
    items.push(format!("wall {} ±{}", time(wall), percent(wall.cv_pct)));
    items.push(format!("cpu {}", time(of(Metric::Cpu))));
    let delta = of(Metric::MemoryDelta).median / (1024.0 * 1024.0);
    items.push(format!("peak {} ({delta:+.0})", memory(of(Metric::MemoryPeak).median)));
    let (read, written) = (count(of(Metric::FileRead).median), count(of(Metric::FileWritten).median));
    if read + written > 0 {
        items.push(format!("files {} in, {} out", bytes(read), bytes(written)));
    }
    let (received, sent) = (count(of(Metric::NetRead).median), count(of(Metric::NetWritten).median));
    if received + sent > 0 {
        items.push(format!("net {} in, {} out", bytes(received), bytes(sent)));
    }
    for (label, metric) in [("http", Metric::HttpRoundTrips), ("db", Metric::DbRoundTrips)] {
        let trips = count(of(metric).median);
        if trips > 0 {
            items.push(format!("{label} {}", grouped(trips)));
        }
    }
    if let Some(gpu) = runs.runs.last().and_then(|run| run.gpu.as_ref()) {
        items.push(format!("gpu {}, {}", percent(gpu.utilization_pct), memory(gpu.memory_peak as f64)));
    }
    page.items("baseline", &plain(items));
}

pub fn profiled(page: &mut Page, recording: &Recording, map: &Map) {
    let overhead = baseline::overhead_pct(recording.baseline.as_ref(), map.wall.plus(map.earlier));
    let lost = recording.losses.0.values().fold(0u64, |sum, count| sum.saturating_add(*count));
    let bpf: Nanos = recording.meta.bpf_cost.iter().map(|(_, _, total)| *total).sum();
    let mut items = vec![
        match overhead {
            Some(pct) => format!(
                "wall {} ({}{})",
                duration(map.wall.plus(map.earlier)),
                if pct < 0.0 { "" } else { "+" },
                percent(pct)
            ),
            None => format!("wall {}", duration(map.wall.plus(map.earlier))),
        },
        plural(samples(recording), "sample"),
        plural(recording.events.len() as u64, "event"),
        format!("{} lost", grouped(lost)),
        recording.meta.backend.clone(),
    ];
    if bpf > Nanos::ZERO {
        items.push(format!("probes {}", duration(bpf)));
    }
    page.items("profiled", &plain(items));
    if let Some(means) = means(recording) {
        page.paragraph("means", Style::Warning, means);
    }
}

/// Why it was not eBPF that collected, what is lost by it, and what would give more.
pub fn means(recording: &Recording) -> Option<&str> {
    let lesser = matches!(recording.meta.backend.as_str(), "perf" | "procfs" | "counts");
    recording.meta.notes.first().filter(|_| lesser).map(String::as_str)
}

pub fn verdict(page: &mut Page, map: &Map, analysis: &Analysis) {
    let class = sentence::class_name(analysis.class);
    let style = match analysis.class {
        Class::None | Class::Unknown => Style::Strong,
        _ => Style::Verdict,
    };
    // The remainder outside the project can own more than the step that gives the class.
    let leading = match analysis.class {
        Class::None | Class::Unknown => None,
        class => analysis.top.iter().position(|bottleneck| bottleneck.class == class),
    };
    let text = match leading.and_then(|position| analysis.top.get(position)) {
        Some(leading) => owning(leading),
        None => {
            let function = analysis.top.first().map_or("", |first| first.function.as_str());
            sentence::detail(&analysis.detail, function, map.wall)
        }
    };
    page.paragraph(class, style, &text);
    for (position, bottleneck) in analysis.top.iter().enumerate().filter(|(position, _)| Some(*position) != leading) {
        let text = format!("{} ({})", owning(bottleneck), sentence::class_name(bottleneck.class));
        page.paragraph(if position == 0 && leading.is_none() { "largest" } else { "then" }, Style::Dim, &text);
    }
}

/// "13 sequential HTTP calls to mt-engine own 48 % of the wall time".
fn owning(bottleneck: &Bottleneck) -> String {
    let what = sentence::what(&bottleneck.detail, &bottleneck.function);
    let share = percent(bottleneck.share_pct);
    match &bottleneck.detail {
        Detail::SequentialCalls { .. } => format!("{what} own {share} of the wall time"),
        Detail::Calls { count, .. } => {
            format!("{what} {} {share} of the wall time", if *count == 1 { "owns" } else { "own" })
        }
        _ => format!("{what}, {share} of the wall time"),
    }
}

fn time(spread: Spread) -> String {
    duration(Nanos(spread.median as u64))
}

fn plural(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

fn plain(items: Vec<String>) -> Vec<Line> {
    items.iter().map(|item| Line::of(Style::Plain, item)).collect()
}
