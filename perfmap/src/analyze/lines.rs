//! A hot function → its lines by CPU samples: those of the profiled run, or, where they are too few and the command was run
//! again at a higher rate, those of that run. The two are never added up.

use std::{cmp::Reverse, collections::BTreeMap};

use super::hot::{self, HOT_PCT, Hot};
use crate::{
    map::{self, Innermost, Map},
    recording::{Event, Nanos, Recording, StackId},
    resolve::{self, Language, Place, Resolved},
};

/// With fewer samples in the function the 95 % interval of a half share is wider than ±14 points.
pub const ENOUGH_SAMPLES: u64 = 50;
/// With this many samples a second a function that took part of a second has enough of them.
pub const HIGHER_HZ: u32 = 999;
/// So many lines are named, those with most samples.
const LINES: usize = 10;
/// Of the normal distribution, for 95 %.
const Z: f64 = 1.96;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lines {
    /// CPU samples with the function innermost of the project's.
    pub samples: u64,
    /// Of them: while it imported modules.
    pub importing: u64,
    /// Of them: without a line.
    pub unknown: u64,
    /// Most samples first.
    pub lines: Vec<Line>,
    /// None: of the profiled run's samples.
    pub again: Option<Again>,
}

/// The run that lines are from, where it is not the profiled one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    pub sample_hz: u32,
    pub wall: Nanos,
    /// What the profiled run had.
    pub before: u64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    pub line: u32,
    pub samples: u64,
    /// Of the function's samples, in percent.
    pub share_pct: f64,
    /// Half width of the share's 95 % interval, in points.
    pub error_pct: f64,
}

impl Lines {
    /// Where not, a run with a higher rate is what helps.
    pub fn are_enough(&self) -> bool {
        self.samples >= ENOUGH_SAMPLES
    }
}

/// Hot functions with too few samples for their lines, where a run at a higher rate would have more: (function, samples).
pub fn too_few(recording: &Recording, resolved: &Resolved, map: &Map) -> Vec<(String, u64)> {
    if recording.meta.sample_hz >= HIGHER_HZ {
        return Vec::new();
    }
    let looker = Looker::new(recording, resolved);
    let of = |hot: Hot| {
        let lines = looker.lines(&hot);
        // Frames that carry no lines carry none at any rate.
        let named = lines.samples == 0 || lines.unknown < lines.samples;
        (named && !lines.are_enough()).then_some((hot.function, lines.samples))
    };
    hot::functions(map).into_iter().filter(|hot| hot.share_pct > HOT_PCT).filter_map(of).collect()
}

/// Where Python's hot functions begin: (absolute file, line).
pub fn hot_python(resolved: &Resolved, map: &Map) -> Vec<(String, u32)> {
    let hot: Vec<Hot> = hot::functions(map).into_iter().filter(|hot| hot.share_pct > HOT_PCT).collect();
    let is_hot = |place: &&Place| {
        hot.iter().any(|hot| {
            let at = hot.location.as_ref().is_some_and(|at| {
                Some(at.line) == place.first_line && place.file.as_deref().is_some_and(|file| file.ends_with(&at.file))
            });
            at && hot.function == place.function
        })
    };
    let python = resolved.places.iter().filter(|place| place.language == Language::Python).filter(is_hot);
    let mut found: Vec<(String, u32)> =
        python.filter_map(|place| Some((place.file.clone()?, place.first_line?))).collect();
    found.sort();
    found.dedup();
    found
}

/// Whose code each stack of the two runs is in.
pub struct Looker<'a> {
    recording: &'a Recording,
    own: Vec<Option<Innermost>>,
    own_again: Vec<Option<Innermost>>,
}

impl<'a> Looker<'a> {
    pub fn new(recording: &'a Recording, resolved: &Resolved) -> Looker<'a> {
        let again = recording.closer.samples.as_ref().map(|again| {
            let named = again.names.recording(&recording.meta);
            map::innermost(&named, &resolve::resolve(&named))
        });
        Looker { recording, own: map::innermost(recording, resolved), own_again: again.unwrap_or_default() }
    }

    /// From the samples of all threads: what nobody waited for computes at the same lines.
    pub fn lines(&self, hot: &Hot) -> Lines {
        let recording = self.recording;
        let samples = recording.events.iter().filter_map(|event| match event {
            Event::Sample(sample) => Some((sample.stack, u64::from(recording.meta.sample_every(sample.at)))),
            Event::OffCpu(_) | Event::ShortWaits(_) | Event::Message(_) | Event::FileIo(_) | Event::Memory(_) => None,
        });
        let first = counted(hot, &self.own, samples);
        let Some(again) = recording.closer.samples.as_ref().filter(|_| !first.are_enough()) else { return first };
        let second = counted(hot, &self.own_again, again.samples.iter().copied());
        // A run that ended in another way did other work.
        let same = !again.interrupted && again.ending == recording.meta.ending;
        if !same || second.samples <= first.samples {
            return first;
        }
        let from = Again { sample_hz: again.sample_hz, wall: again.wall, before: first.samples };
        Lines { again: Some(from), ..second }
    }
}

fn counted(hot: &Hot, own: &[Option<Innermost>], samples: impl Iterator<Item = (StackId, u64)>) -> Lines {
    let file = hot.location.as_ref().map(|location| location.file.as_str());
    let mut by_line: BTreeMap<u32, u64> = BTreeMap::new();
    let mut found = Lines::default();
    for (stack, weight) in samples {
        let Some(Some(place)) = own.get(stack.0 as usize) else { continue };
        if place.function != hot.function || file.is_some_and(|file| file != place.file) {
            continue;
        }
        found.samples = found.samples.saturating_add(weight);
        found.importing = found.importing.saturating_add(if place.importing { weight } else { 0 });
        match place.line {
            Some(line) => {
                let sum = by_line.entry(line).or_default();
                *sum = sum.saturating_add(weight);
            }
            None => found.unknown = found.unknown.saturating_add(weight),
        }
    }
    let total = found.samples.max(1) as f64;
    let line = |(line, samples): (u32, u64)| {
        let share = samples as f64 / total;
        Line { line, samples, share_pct: share * 100.0, error_pct: half_width(share, total) * 100.0 }
    };
    found.lines = by_line.into_iter().map(line).collect();
    found.lines.sort_by_key(|line| (Reverse(line.samples), line.line));
    found.lines.truncate(LINES);
    found
}

/// Of Wilson's interval: of a share of 0 or 1 it is not 0.
fn half_width(share: f64, total: f64) -> f64 {
    let square = Z * Z / total;
    Z * (share * (1.0 - share) / total + square / (4.0 * total)).sqrt() / (1.0 + square)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::fixture::{ms, recording, resolved},
        map::Location,
        recording::{Ending, Frame, FrameId, SampledAgain, Stack, StackEnd, StackNames},
    };

    fn hot() -> Hot {
        let location = Location { file: "app/services/job_processor.py".into(), line: 2 };
        Hot {
            function: "mt_translate".into(),
            location: Some(location),
            service: 0,
            steps: vec!["1".into()],
            cpu: ms(1900),
            share_pct: 70.0,
        }
    }

    fn in_app() -> Recording {
        let mut recording = recording();
        recording.meta.project_roots = vec!["/app".into()];
        recording.meta.working_directory = "/app".into();
        recording
    }

    fn lines(recording: &Recording, hot: &Hot) -> Lines {
        Looker::new(recording, &resolved()).lines(hot)
    }

    #[test]
    fn lines_are_those_of_the_innermost_own_function() {
        let found = lines(&in_app(), &hot());
        assert_eq!((found.samples, found.importing, found.unknown), (196, 0, 0));
        let [only] = found.lines.as_slice() else { panic!("{found:?}") };
        assert_eq!((only.line, only.samples, only.share_pct), (3, 196, 100.0));
        assert!(only.error_pct > 0.5 && only.error_pct < 1.5, "{only:?}");
        assert_eq!(found.again, None);
        let other = Hot { location: Some(Location { file: "other.py".into(), line: 2 }), ..hot() };
        assert_eq!(lines(&in_app(), &other), Lines::default());
    }

    /// 60 samples at line 5 in the run at 999 Hz.
    fn again(ending: Option<Ending>) -> SampledAgain {
        let symbol = crate::recording::Symbol {
            functions: vec![crate::recording::SymbolFunction {
                name: "mt_translate".into(),
                file: Some("/app/app/services/job_processor.py".into()),
                line: Some(5),
                first_line: Some(2),
            }],
            unnamed: None,
        };
        SampledAgain {
            sample_hz: 999,
            wall: ms(400),
            ending,
            names: StackNames {
                frames: vec![Frame::Native { module: crate::recording::ModuleId(0), offset: 1 }],
                modules: vec![crate::recording::Module { path: "/app/app".into(), build_id: String::new() }],
                symbols: vec![symbol],
                stacks: vec![Stack {
                    kernel: [].into(),
                    native: [FrameId(0)].into(),
                    python: [].into(),
                    end: StackEnd::Complete,
                }],
                ..StackNames::default()
            },
            samples: vec![(StackId(0), 60)],
            ..SampledAgain::default()
        }
    }

    #[test]
    fn a_run_at_a_higher_rate_has_the_lines_where_the_first_has_too_few() {
        let mut recording = in_app();
        let ending = recording.meta.ending;
        recording.closer.samples = Some(again(ending));
        assert_eq!(lines(&recording, &hot()).again, None, "196 samples are enough");
        let mut few = 0;
        recording.events.retain(|event| {
            few += usize::from(matches!(event, Event::Sample(_)));
            few < 20 || !matches!(event, Event::Sample(_))
        });
        let before =
            lines(&Recording { closer: crate::recording::Closer::default(), ..recording.clone() }, &hot()).samples;
        assert!(before < ENOUGH_SAMPLES);
        let found = lines(&recording, &hot());
        assert_eq!(found.again, Some(Again { sample_hz: 999, wall: ms(400), before }));
        assert_eq!((found.samples, found.lines[0].line), (60, 5));
        recording.closer.samples = Some(again(Some(Ending::Exited(3))));
        assert_eq!(lines(&recording, &hot()).again, None, "it failed");
    }

    #[test]
    fn the_interval_is_wilson_s() {
        assert!((half_width(0.5, 50.0) - 0.1335).abs() < 0.001);
        assert!(half_width(1.0, 50.0) > 0.03);
    }
}
