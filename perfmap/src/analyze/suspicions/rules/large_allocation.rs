//! A step in which resident memory grows by more than 100 MiB. Pages count where they are touched first, and what the step
//! gives back is taken off (`docs/memory.md`).

use super::super::{Answer, Category, Evidence, Facts, Suspicion, Value, Verdict};
use crate::map::Step;

pub const ID: &str = "large_allocation";
const LARGE: i64 = 100 << 20;
/// Below, nothing gives rise to the suspicion.
const LOOKED_AT: i64 = 32 << 20;

pub fn judge(facts: &Facts<'_>) -> Answer {
    let mut found = Vec::new();
    for step in &facts.map.steps {
        below(step, &mut found);
    }
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn below(step: &Step, found: &mut Vec<Suspicion>) {
    if step.memory_delta >= LOOKED_AT {
        found.push(suspicion(step));
    }
    for child in &step.children {
        below(child, found);
    }
}

fn suspicion(step: &Step) -> Suspicion {
    let grown = u64::try_from(step.memory_delta).unwrap_or(0);
    let large = step.memory_delta > LARGE;
    let note = if large {
        "so much was touched for the first time in it and is still there when it ends"
    } else {
        "it grows, but by less"
    };
    Suspicion {
        id: ID,
        category: Category::ResourceLifecycle,
        subject: step.function.clone(),
        location: step.location.clone(),
        affected_steps: vec![step.id.clone()],
        description: format!("memory grows much in {}", step.function),
        verdict: if large { Verdict::Confirmed } else { Verdict::Dismissed },
        evidence: vec![Evidence::held_against("growth", Value::Bytes(grown), Value::Bytes(LARGE as u64))],
        note: note.into(),
        gain: None,
        change: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::{fixture::map, suspicions::testing::with_map};

    #[test]
    fn found_dismissed_and_quiet() {
        let verdict = |bytes: i64| {
            let mut map = map();
            for step in &mut map.steps {
                quiet(step);
            }
            map.steps[0].children[0].memory_delta = bytes;
            match with_map(&map, judge) {
                Answer::Found(found) => found.first().map(|one| (one.verdict, one.affected_steps.clone())),
                Answer::Quiet | Answer::NotEnough(_) => None,
            }
        };
        assert_eq!(verdict(101 << 20), Some((Verdict::Confirmed, vec!["1.1".to_owned()])));
        assert_eq!(verdict(100 << 20).map(|found| found.0), Some(Verdict::Dismissed));
        assert_eq!(verdict(31 << 20), None);
        assert_eq!(verdict(-(200 << 20)), None);
    }

    fn quiet(step: &mut Step) {
        step.memory_delta = 0;
        step.children.iter_mut().for_each(quiet);
    }
}
