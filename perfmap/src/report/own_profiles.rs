//! What programs told in profiles of their own → its part of the map, of the page, and its lines for the terminal. Always under its
//! own name: these figures are the programs', not perfmap's.

use std::fmt::Write;

use super::{
    human::{bytes, duration, grouped, percent},
    markdown::{code, text},
    number::{ms, pct},
    output::{OwnFunctionOut, OwnKindOut, OwnProfileOut},
    text::visible,
};
use crate::{
    analyze::{Analysis, OwnSeen},
    recording::{Nanos, OwnFunction, OwnKind, OwnProfile, Recording},
};

/// Functions of each kind in the map, and in a line.
const FUNCTIONS: usize = 10;
const NAMED: usize = 4;
/// From this share of samples without names on the profile's functions are the names of the process's CPU.
const NAMELESS_PCT: f64 = 50.0;

pub fn out(recording: &Recording, analysis: &Analysis) -> Vec<OwnProfileOut> {
    each(recording, analysis).map(|(own, seen)| profile_out(recording, own, seen)).collect()
}

fn each<'a>(recording: &'a Recording, analysis: &'a Analysis) -> impl Iterator<Item = (&'a OwnProfile, OwnSeen)> {
    let seen = analysis.own_profiles.iter().copied().chain(std::iter::repeat(OwnSeen::default()));
    recording.own_profiles.iter().zip(seen)
}

fn profile_out(recording: &Recording, own: &OwnProfile, seen: OwnSeen) -> OwnProfileOut {
    let OwnProfile { source, process: _, program, span, covered, readings, kinds } = own;
    OwnProfileOut {
        source: visible(source),
        process: process(recording, own),
        program: Some(visible(program)).filter(|program| !program.is_empty()),
        readings: *readings,
        from_ms: span.map(|(from, _)| ms(from)),
        to_ms: span.map(|(_, to)| ms(to)),
        duration_ms: (*covered > Nanos::ZERO).then(|| ms(*covered)),
        samples: own.process.map(|_| seen.samples),
        unnamed_samples_pct: (seen.samples > 0).then(|| pct(unnamed_pct(seen))),
        kinds: kinds.iter().map(kind_out).collect(),
    }
}

fn process(recording: &Recording, own: &OwnProfile) -> Option<String> {
    let process = recording.processes.get(own.process?.0 as usize)?;
    let name = process.images.last().map_or("?", |image| image.comm.as_str());
    Some(visible(&format!("{name} ({})", process.pid)))
}

fn unnamed_pct(seen: OwnSeen) -> f64 {
    100.0 * seen.unnamed as f64 / seen.samples.max(1) as f64
}

/// None where the values have both signs: parts of a difference are no shares.
fn share(kind: &OwnKind, value: i64) -> Option<f64> {
    let one_sign = kind.functions.iter().all(|one| one.own >= 0 && one.all >= 0);
    (one_sign && kind.total > 0).then(|| 100.0 * value as f64 / kind.total as f64)
}

fn kind_out(kind: &OwnKind) -> OwnKindOut {
    let function = |one: &OwnFunction| OwnFunctionOut {
        function: visible(&one.name),
        location: location(one),
        own: one.own,
        self_pct: share(kind, one.own).map(pct),
        total: one.all,
        total_pct: share(kind, one.all).map(pct),
    };
    OwnKindOut {
        kind: visible(&kind.kind),
        unit: visible(&kind.unit),
        total: kind.total,
        functions: kind.functions.iter().take(FUNCTIONS).map(function).collect(),
    }
}

fn location(one: &OwnFunction) -> Option<String> {
    let line = if one.first_line > 0 { format!(":{}", one.first_line) } else { String::new() };
    (!one.file.is_empty()).then(|| format!("{}{line}", visible(&one.file)))
}

/// One line for each source and kind that has values; counts beside times or bytes are left to the map.
pub fn lines(recording: &Recording, analysis: &Analysis) -> Vec<String> {
    let mut lines = Vec::new();
    for (own, seen) in each(recording, analysis) {
        let whose = process(recording, own).unwrap_or_else(|| "a process that is not known".into());
        let time = if own.covered > Nanos::ZERO { format!(", {} of it", duration(own.covered)) } else { String::new() };
        let measured = own.kinds.iter().any(|kind| kind.unit != "count" && kind.total != 0);
        for kind in own.kinds.iter().filter(|kind| kind.total != 0 && (kind.unit != "count" || !measured)) {
            let named: Vec<String> = kind.functions.iter().take(NAMED).map(|one| named(kind, one)).collect();
            lines.push(format!(
                "{whose} tells of itself{time}: {} {}: {} ({})",
                visible(&kind.kind),
                value(kind, kind.total),
                named.join(", "),
                visible(&own.source)
            ));
        }
        if own.kinds.iter().all(|kind| kind.total == 0) {
            lines.push(format!("{whose} tells of itself{time}: nothing ({})", visible(&own.source)));
        }
        if seen.samples > 0 && unnamed_pct(seen) >= NAMELESS_PCT {
            lines.push(format!(
                "{} of the {} samples that perfmap took of {whose} have no function's name: what its CPU profile names is what they lack",
                percent(unnamed_pct(seen)),
                grouped(seen.samples)
            ));
        }
    }
    lines
}

fn named(kind: &OwnKind, one: &OwnFunction) -> String {
    let share = share(kind, one.own).map_or_else(|| value(kind, one.own), percent);
    format!("{} {share}", visible(&one.name))
}

fn value(kind: &OwnKind, value: i64) -> String {
    let size = value.unsigned_abs();
    let text = match kind.unit.as_str() {
        "nanoseconds" => duration(Nanos(size)),
        "bytes" => bytes(size),
        "count" => grouped(size),
        other => format!("{} {}", grouped(size), visible(other)),
    };
    if value < 0 { format!("-{text}") } else { text }
}

pub fn section(page: &mut String, recording: &Recording, analysis: &Analysis) {
    let lines = lines(recording, analysis);
    if lines.is_empty() {
        return;
    }
    page.push_str("## What programs tell of themselves\n\nSums of their own profiles; no part of the map above.\n\n");
    for line in &lines {
        let _ = writeln!(page, "- {}", text(line));
    }
    page.push_str("\n| source | kind | function | where | self | in all |\n|---|---|---|---|---:|---:|\n");
    for own in &recording.own_profiles {
        for kind in &own.kinds {
            for one in kind.functions.iter().take(FUNCTIONS) {
                let place = location(one).map(|at| code(&at)).unwrap_or_default();
                let (kind_name, name) = (text(&kind.kind), code(&one.name));
                let (own_value, all) = (value(kind, one.own), value(kind, one.all));
                let _ =
                    writeln!(page, "| {} | {kind_name} | {name} | {place} | {own_value} | {all} |", text(&own.source));
            }
        }
    }
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::{self, fixture},
        correlate,
        recording::ProcessId,
    };

    fn told() -> OwnProfile {
        let function = |name: &str, own, all| OwnFunction {
            name: name.into(),
            file: "/src/main.go".into(),
            first_line: 3,
            own,
            all,
        };
        OwnProfile {
            source: "http://127.0.0.1:6060/debug/pprof/profile".into(),
            process: Some(ProcessId(0)),
            program: "/srv/app".into(),
            span: Some((Nanos(0), Nanos(2_000_000_000))),
            covered: Nanos(1_900_000_000),
            readings: 2,
            kinds: vec![
                OwnKind {
                    kind: "cpu".into(),
                    unit: "nanoseconds".into(),
                    total: 1_000_000_000,
                    functions: vec![
                        function("main.hot", 750_000_000, 750_000_000),
                        function("main.main", 0, 1_000_000_000),
                    ],
                    left_out: 0,
                },
                OwnKind {
                    kind: "inuse_space".into(),
                    unit: "bytes".into(),
                    total: -1024,
                    functions: vec![function("main.free", -2048, -2048), function("main.keep|it", 1024, 1024)],
                    left_out: 0,
                },
            ],
        }
    }

    #[test]
    fn a_profile_is_told_under_its_own_name_with_its_unit_and_its_time() {
        let mut recording = fixture::recording();
        recording.own_profiles = vec![told()];
        let correlated = correlate::correlate(&recording);
        let mut analysis = analyze::analyze(&recording, &fixture::resolved(), &correlated, &fixture::map());
        analysis.own_profiles = vec![OwnSeen { samples: 50, unnamed: 49 }];
        let [out] = &out(&recording, &analysis)[..] else { panic!("one") };
        assert_eq!((out.readings, out.duration_ms, out.unnamed_samples_pct), (2, Some(1900.0), Some(98.0)));
        assert_eq!(out.kinds[0].functions[0].self_pct, Some(75.0));
        assert_eq!(out.kinds[1].functions[0].self_pct, None, "parts of a difference are no shares");
        let lines = lines(&recording, &analysis);
        assert!(lines[0].contains("cpu 1.00 s: main.hot 75 %, main.main 0.0 %"), "{lines:?}");
        assert!(lines[1].contains("inuse_space -") && lines[1].contains("main.free -"), "{lines:?}");
        assert!(lines[2].starts_with("98 % of the 50 samples"), "{lines:?}");
        let mut page = String::new();
        section(&mut page, &recording, &analysis);
        assert!(page.contains("main.keep\u{2502}it"), "a name ends no cell: {page}");
    }
}
