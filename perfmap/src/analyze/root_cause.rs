//! The largest bottleneck → the chain of whys: from the wall time to a step, to what that step waited for or computed,
//! to the pattern that the run confirmed there, to who was on the other side, down to a line of code, a configured
//! limit or the structure of the program. Each link carries what was measured of it; where a link has no measurement
//! the chain ends.

use super::{
    suspicions::{Category, Evidence, Suspicion, Value, Verdict, Why},
    types::Bottleneck,
};
use crate::{
    map::{Map, Step, WaitCause},
    recording::Nanos,
};

/// Deeper than this, the other sides of calls are not followed.
const MOST_SIDES: usize = 3;

pub fn chain(map: &Map, top: &[Bottleneck], suspicions: &[Suspicion]) -> Vec<Why> {
    let Some(step) = top.iter().find_map(|bottleneck| find(&map.steps, bottleneck.step.as_deref()?)) else {
        return Vec::new();
    };
    let mut links = vec![where_it_goes(map, step)];
    links.extend(what_it_consists_of(step));
    let pattern = pattern(step, suspicions);
    if let Some(pattern) = pattern {
        links.push(Why {
            why: format!("Why does {} take so long?", step.function),
            because: pattern.description.clone(),
            evidence: pattern.evidence.clone(),
        });
    }
    let last = other_sides(step, &mut links);
    links.extend(where_it_ends(last, pattern));
    links
}

fn find<'m>(steps: &'m [Step], id: &str) -> Option<&'m Step> {
    steps.iter().find_map(|step| if step.id == id { Some(step) } else { find(&step.children, id) })
}

fn where_it_goes(map: &Map, step: &Step) -> Why {
    let share = step.wall.0 as f64 / map.wall.0.max(1) as f64 * 100.0;
    Why {
        why: "What takes the wall time?".into(),
        because: step.function.clone(),
        evidence: vec![
            Evidence::new("time in it", Value::Time(step.wall)),
            Evidence::new("wall time", Value::Time(map.wall)),
            Evidence::new("share", Value::Percent(share)),
            Evidence::new("step", Value::Text(step.id.clone())),
        ],
    }
}

/// The largest part of its time: on the CPU, or one cause of waits; and what it called.
fn what_it_consists_of(step: &Step) -> Option<Why> {
    let (cause, time) = largest(step)?;
    let because = match cause {
        None => "it computes".to_owned(),
        Some(cause) => format!("it waits: {}", named(cause)),
    };
    let mut evidence = vec![
        Evidence::new("of its time", Value::Time(step.wall)),
        Evidence::new(cause.map_or("on the CPU", named), Value::Time(time)),
    ];
    if let Some(call) = &step.call {
        evidence.push(Evidence::new("round trips", Value::Count(call.round_trips)));
        evidence.push(Evidence::new("to", Value::Text(call.peer.clone())));
        evidence.extend(call.latency.map(|latency| Evidence::new("median of one", Value::Time(latency.median))));
    }
    Some(Why { why: format!("What does {} do all that time?", step.function), because, evidence })
}

fn largest(step: &Step) -> Option<(Option<WaitCause>, Nanos)> {
    let waits = step.waits.0.iter().map(|(cause, time)| (Some(*cause), *time));
    waits.chain([(None, step.cpu)]).filter(|(_, time)| *time > Nanos::ZERO).max_by_key(|(_, time)| *time)
}

fn named(cause: WaitCause) -> &'static str {
    match cause {
        WaitCause::Network => "for the network",
        WaitCause::Db => "for a database",
        WaitCause::Disk => "for the disk",
        WaitCause::Lock => "for a lock",
        WaitCause::Sleep => "for a timer",
        WaitCause::Child => "for a child process",
        WaitCause::Pipe => "for a pipe",
        WaitCause::RunQueue => "for a free CPU",
        WaitCause::Throttled => "for its CPU quota",
        WaitCause::Gpu => "for a GPU",
        WaitCause::Other => "for something that is not known",
    }
}

/// The confirmed suspicion with the largest gain that concerns the step; else one about a step above it.
fn pattern<'s>(step: &Step, suspicions: &'s [Suspicion]) -> Option<&'s Suspicion> {
    let confirmed = || suspicions.iter().filter(|one| one.verdict == Verdict::Confirmed);
    let gain = |one: &&Suspicion| one.gain.as_ref().map(|gain| gain.wall);
    let below = |id: &String| *id == step.id || id.starts_with(&format!("{}.", step.id));
    let above = |id: &String| step.id.starts_with(&format!("{id}."));
    let own = confirmed().filter(|one| one.affected_steps.contains(&step.id)).max_by_key(gain);
    let near = || confirmed().filter(|one| one.affected_steps.iter().any(below)).max_by_key(gain);
    own.or_else(near).or_else(|| confirmed().filter(|one| one.affected_steps.iter().any(above)).max_by_key(gain))
}

/// Whoever answered, as long as he is seen and most of the time was his.
fn other_sides<'m>(step: &'m Step, links: &mut Vec<Why>) -> &'m Step {
    let mut at = step;
    for _ in 0..MOST_SIDES {
        let side = at.children.iter().filter(|child| child.over_socket).max_by_key(|child| child.wall);
        let Some(side) = side.filter(|side| side.wall.0 > at.wall.0 / 2) else { break };
        let mut evidence = vec![Evidence::new("time in it", Value::Time(side.wall))];
        if let Some((cause, time)) = largest(side) {
            evidence.push(Evidence::new(cause.map_or("on the CPU", named), Value::Time(time)));
        }
        evidence.push(Evidence::new("step", Value::Text(side.id.clone())));
        links.push(Why {
            why: format!("What is {} waiting for on the other side?", at.function),
            because: side.function.clone(),
            evidence,
        });
        at = side;
    }
    at
}

/// The line where something can be changed.
fn where_it_ends(last: &Step, pattern: Option<&Suspicion>) -> Option<Why> {
    if let Some(pattern) = pattern {
        let kind = match pattern.category {
            Category::Configuration => "a configured limit",
            Category::Architecture => "the structure of the program",
            Category::Environment => "the environment",
            Category::ConnectionManagement
            | Category::DataFlow
            | Category::AsyncPatterns
            | Category::ResourceLifecycle
            | Category::RedundantWork
            | Category::Concurrency
            | Category::HotCode => "a line of code",
        };
        let place = pattern.location.as_ref();
        let because = place.map_or(kind.to_owned(), |at| format!("{kind}: {}:{}", at.file, at.line));
        let mut evidence = vec![Evidence::new("confirmed", Value::Text(format!("{}: {}", pattern.id, pattern.note)))];
        evidence.extend(pattern.gain.as_ref().map(|gain| Evidence::new("would be saved", Value::Time(gain.wall))));
        return Some(Why { why: "What is it in the end?".into(), because, evidence });
    }
    let at = last.location.as_ref()?;
    let own = Evidence::new("its own time", Value::Time(last.self_time));
    let because = format!("a line of code: {}:{}", at.file, at.line);
    Some(Why { why: "What is it in the end?".into(), because, evidence: vec![own] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::{analyze, fixture},
        correlate::Correlated,
        map::Location,
    };

    fn of(suspicions: &[Suspicion]) -> Vec<Why> {
        let (mut map, recording, resolved) = (fixture::map(), fixture::recording(), fixture::resolved());
        map.steps[0].children[0].children[0].children[0].over_socket = true;
        let analysis = analyze(&recording, &resolved, &Correlated::default(), &map);
        chain(&map, &analysis.top, suspicions)
    }

    #[test]
    fn from_the_wall_time_to_the_line() {
        let sequential = Suspicion {
            id: "sequential_http_calls",
            category: Category::Architecture,
            subject: "mt-engine".into(),
            location: Some(Location { file: "app/services/job_processor.py".into(), line: 18 }),
            affected_steps: vec!["1.1.1".into()],
            description: "Calls of POST /translate to mt-engine are made one after the other.".into(),
            verdict: Verdict::Confirmed,
            evidence: vec![Evidence::new("calls", Value::Count(13))],
            note: "13 calls, never two at one time".into(),
            gain: None,
            change: None,
        };
        let links = of(std::slice::from_ref(&sequential));
        let words: Vec<&str> = links.iter().map(|link| link.because.as_str()).collect();
        assert_eq!(
            words,
            [
                "mt_translate",
                "it waits: for the network",
                "Calls of POST /translate to mt-engine are made one after the other.",
                "handle_translate",
                "the structure of the program: app/services/job_processor.py:18",
            ]
        );
        assert!(links.iter().all(|link| !link.evidence.is_empty()), "each link has its measurement");
        assert_eq!(of(&[Suspicion { verdict: Verdict::Dismissed, ..sequential }]).len(), 4);
    }

    #[test]
    fn without_a_pattern_it_ends_where_the_time_is_spent() {
        let links = of(&[]);
        assert_eq!(links.last().unwrap().because, "a line of code: mt/app.py:12");
        assert!(chain(&Map::default(), &[], &[]).is_empty());
    }
}
