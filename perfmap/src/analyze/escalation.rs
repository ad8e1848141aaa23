//! Which levels of detail were gone to, each with its reason and what it gave. Level 1, functions, always; level 2, the
//! lines of a hot function, where one owns so much that its name alone is no answer. No level changes the program.

use super::hot::{self, ENOUGH_SAMPLES, HOT_PCT, Lines};
use crate::{
    map::{Location, Map},
    recording::{Event, Recording},
    resolve::Resolved,
};

/// Functions that are looked into: more than three cannot own over 30 % each.
const MOST: usize = 3;

#[derive(Debug, Clone, PartialEq)]
pub struct Escalation {
    pub level: Level,
    pub backend: String,
    pub sample_hz: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Level {
    Functions {
        samples: u64,
        events: u64,
    },
    /// Of one function: it owns `share_pct` of the wall time, which its callees do not explain.
    Lines {
        function: String,
        location: Option<Location>,
        share_pct: f64,
        lines: Lines,
    },
}

impl Level {
    pub fn number(&self) -> u32 {
        match self {
            Level::Functions { .. } => 1,
            Level::Lines { .. } => 2,
        }
    }
}

impl Lines {
    /// Where not, a run with a higher rate is what helps.
    pub fn are_enough(&self) -> bool {
        self.samples >= ENOUGH_SAMPLES
    }
}

pub(super) fn steps(recording: &Recording, resolved: &Resolved, map: &Map) -> Vec<Escalation> {
    let meta = &recording.meta;
    let step = |level| Escalation { level, backend: meta.backend.clone(), sample_hz: meta.sample_hz };
    let samples = recording.events.iter().filter(|event| matches!(event, Event::Sample(_))).count() as u64;
    let mut found = vec![step(Level::Functions { samples, events: recording.events.len() as u64 })];
    for hot in hot::functions(map).into_iter().filter(|hot| hot.share_pct > HOT_PCT).take(MOST) {
        let lines = hot::lines(recording, resolved, &hot);
        let hot::Hot { function, location, share_pct, .. } = hot;
        found.push(step(Level::Lines { function, location, share_pct, lines }));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::fixture::{map, recording, resolved};

    #[test]
    fn a_hot_function_is_looked_into() {
        let found = steps(&recording(), &resolved(), &map());
        let levels: Vec<u32> = found.iter().map(|step| step.level.number()).collect();
        assert_eq!(levels, [1, 2]);
        let Level::Lines { function, lines, .. } = &found[1].level else { panic!("{found:?}") };
        assert_eq!(function, "extract_text");
        assert!(!lines.are_enough());
        let mut cool = map();
        cool.wall.0 *= 2;
        assert_eq!(steps(&recording(), &resolved(), &cool).len(), 1);
    }
}
