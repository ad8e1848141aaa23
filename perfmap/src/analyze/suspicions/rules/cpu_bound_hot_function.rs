//! One function of the project computes for a large part of the wall time. Time on the chain of waits alone counts, and
//! none that its callees of the project have; time in libraries is its caller's. Importing modules is no such work.

use super::super::{
    Answer, Category, Evidence, Facts, Suspicion, Value, Verdict, calls, replayed, sharing::Sharing, sketch::Pattern,
};
use crate::{
    analyze::{
        hot::{self, HOT_PCT, Hot},
        lines::{Lines, Looker},
    },
    map::{Map, StepKind},
};

pub const ID: &str = "cpu_bound_hot_function";
/// Below this share nobody would suspect it.
const SUSPECTED_PCT: f64 = 15.0;
/// Above this share of its samples the time is that of imports.
const IMPORTS_PCT: f64 = 50.0;

pub fn judge(facts: &Facts<'_>) -> Answer {
    let looker = Looker::new(facts.recording, facts.resolved);
    let found: Vec<Suspicion> = hot::functions(facts.map)
        .into_iter()
        .filter(|hot| hot.share_pct > SUSPECTED_PCT)
        .map(|hot| {
            let lines = looker.lines(&hot);
            suspicion(facts.map, hot, &lines)
        })
        .collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn suspicion(map: &Map, hot: Hot, lines: &Lines) -> Suspicion {
    let importing_pct = lines.importing as f64 / lines.samples.max(1) as f64 * 100.0;
    let mut evidence = vec![
        Evidence::held_against(
            "own CPU time, share of the wall time without waits for a CPU",
            Value::Percent(hot.share_pct),
            Value::Percent(HOT_PCT),
        ),
        Evidence::new("own CPU time", Value::Time(hot.cpu)),
        Evidence::new("CPU samples in it", Value::Count(lines.samples)),
    ];
    let program = is_program(map, &hot);
    let (verdict, note) = if hot.share_pct <= HOT_PCT {
        (Verdict::Dismissed, "it computes for less than the limit".to_owned())
    } else if importing_pct > IMPORTS_PCT {
        evidence.push(Evidence::new("samples while it imported modules", Value::Percent(importing_pct)));
        (Verdict::Dismissed, "most of that is the import of modules, once for each process".to_owned())
    } else {
        (
            Verdict::Confirmed,
            match lines.lines.first() {
                Some(line) => {
                    format!("line {} has {:.0} % of its {} samples", line.line, line.share_pct, lines.samples)
                }
                None if program => {
                    "it is a program of its own: none of the project's functions was seen in it".to_owned()
                }
                None if lines.samples == 0 => "no sample fell into it; its time is that between its waits".to_owned(),
                None => "its samples carry no lines".to_owned(),
            },
        )
    };
    if let (Verdict::Confirmed, Some(line)) = (verdict, lines.lines.first()) {
        evidence.push(Evidence::new(&format!("samples at line {}", line.line), Value::Percent(line.share_pct)));
    }
    let function = hot.function.clone();
    let mut one = Suspicion {
        id: ID,
        category: Category::HotCode,
        subject: hot.function.clone(),
        location: hot.location,
        affected_steps: hot.steps,
        description: match map.services.get(hot.service).filter(|_| map.services.len() > 1) {
            Some(service) => format!("{} of {service} computes for much of the wall time", hot.function),
            None => format!("{} computes for much of the wall time", hot.function),
        },
        verdict,
        evidence,
        note,
        gain: None,
        change: None,
    };
    let why = "how long other code for the same work computes is not measured; no more than its own CPU time";
    let sharing = if program { Sharing::HotProgram } else { Sharing::HotCode };
    replayed::advise(&mut one, Pattern::Sharing(sharing), &function, why);
    one
}

/// A compressor, a compiler: what it computes is not the project's code, how it is called is.
fn is_program(map: &Map, hot: &Hot) -> bool {
    let mut program = hot.location.is_none();
    calls::walk(&map.steps, None, &mut |step, _| {
        program &= step.kind == StepKind::Subprocess || !hot.steps.contains(&step.id);
    });
    program
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::{
        fixture::{map, step},
        suspicions::testing::with_map,
    };
    use crate::map::Step;

    #[test]
    fn found_where_one_function_computes_for_a_third() {
        let answer = with_map(&map(), judge);
        let Answer::Found(found) = answer else { panic!("{answer:?}") };
        let [only] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((only.subject.as_str(), only.verdict), ("extract_text", Verdict::Confirmed));
        assert_eq!(only.affected_steps, ["1.1.2.1"]);
        assert_eq!(only.description, "extract_text of tikal computes for much of the wall time");
    }

    #[test]
    fn dismissed_where_it_is_a_fifth_and_quiet_where_it_is_nothing() {
        let mut map = map();
        map.wall = crate::recording::Nanos(map.wall.0 * 2);
        let Answer::Found(found) = with_map(&map, judge) else { panic!("quiet") };
        assert_eq!(found[0].verdict, Verdict::Dismissed);
        map.wall = crate::recording::Nanos(map.wall.0 * 2);
        assert_eq!(with_map(&map, judge), Answer::Quiet);
    }

    #[test]
    fn of_a_program_of_its_own_no_lines_are_named() {
        let mut map = map();
        let step = Step { own_cpu: map.wall, kind: StepKind::Subprocess, ..step("2", "gzip", 2750, 2750) };
        map.steps.push(step);
        let Answer::Found(found) = with_map(&map, judge) else { panic!("quiet") };
        let hint = |at: usize| found[at].change.as_ref().map(|change| change.hint.as_str());
        assert_eq!(hint(0), Some("Give gzip less to do, or let it work on several parts at one time."));
        assert!(found[0].note.starts_with("it is a program of its own"));
        assert_eq!(hint(1), Some("Do less in extract_text: its lines with most samples first."));
    }

    #[test]
    fn imports_are_no_hot_function() {
        let hot = Hot {
            function: "<module>".into(),
            location: None,
            service: 0,
            steps: vec!["1".into()],
            cpu: crate::recording::Nanos(900_000_000),
            share_pct: 60.0,
        };
        let lines = Lines { samples: 100, importing: 80, ..Lines::default() };
        assert_eq!(suspicion(&map(), hot.clone(), &lines).verdict, Verdict::Dismissed);
        let lines = Lines { importing: 20, ..lines };
        assert_eq!(suspicion(&map(), hot, &lines).verdict, Verdict::Confirmed);
    }
}
