//! More wants to compute than may: threads that are ready wait for a CPU (the run queue), or, in CPython, for the one
//! interpreter that all threads of a process share. Time in which a CPU quota was used up is `cpu_throttling`'s.

use super::{
    super::{
        Answer, Category, Evidence, Facts, Suspicion, Value, Verdict,
        replayed::{self, Fix},
        sharing::Sharing,
        sketch::Pattern,
    },
    gil_contention, steps,
};
use crate::{
    analyze::share_pct,
    map::{Map, Rival, WaitCause},
    recording::Nanos,
};

pub const ID: &str = "cpu_contention";
const CONTENDED_PCT: f64 = 20.0;
/// Below this share nobody would suspect it: some waiting for a CPU is every program's.
const SUSPECTED_PCT: f64 = 2.0;

/// So many of those who had the CPU are named.
const RIVALS: usize = 3;

pub fn judge(facts: &Facts<'_>) -> Answer {
    let map = facts.map;
    let (in_steps, mut affected) = steps::sum(map, |step| step.own_waits.of(WaitCause::RunQueue));
    let run_queue = in_steps.plus(map.outside.waits.of(WaitCause::RunQueue));
    let queue_pct = share_pct(run_queue, map.wall);
    let interpreter = gil_contention::worst(map);
    let (interpreter_time, of_interpreter) = interpreter.unwrap_or((Nanos::ZERO, vec![]));
    let interpreter_pct = share_pct(interpreter_time, map.wall).min(100.0);
    if queue_pct.max(interpreter_pct) < SUSPECTED_PCT {
        return Answer::Quiet;
    }
    let limit = Value::Percent(CONTENDED_PCT);
    let mut evidence = vec![
        Evidence::held_against(
            "ready to run, but without a CPU: share of the wall time",
            Value::Percent(queue_pct),
            limit.clone(),
        ),
        Evidence::held_against(
            "one thread had the interpreter while others waited: share of the wall time",
            Value::Percent(interpreter_pct),
            limit,
        ),
        Evidence::new("CPUs of the machine", Value::Count(facts.recording.meta.cpus.into())),
    ];
    if !map.rivals.is_empty() {
        let most: Vec<String> = map.rivals.iter().take(RIVALS).map(named).collect();
        evidence.push(Evidence::new(
            "who had the CPU longest meanwhile, and how long threads waited",
            Value::Text(most.join(", ")),
        ));
    }
    let by_interpreter = interpreter_pct > CONTENDED_PCT && interpreter_pct >= queue_pct;
    let confirmed = by_interpreter || queue_pct > CONTENDED_PCT;
    if by_interpreter {
        affected = of_interpreter;
    }
    let note = if by_interpreter {
        format!("for {interpreter_pct:.0} % of the wall time threads waited for the interpreter that another had")
    } else {
        format!("for {queue_pct:.0} % of the wall time what was waited for was ready to run, but had no CPU")
    };
    let mut one = Suspicion {
        id: ID,
        category: Category::Environment,
        subject: if by_interpreter { "interpreter" } else { "run queue" }.into(),
        location: None,
        affected_steps: affected,
        description: "threads that could compute wait for their turn".into(),
        verdict: if confirmed { Verdict::Confirmed } else { Verdict::Dismissed },
        evidence,
        note,
        gain: None,
        change: None,
    };
    if by_interpreter {
        gil_contention::mend(facts, &mut one, None);
    } else {
        let fix = Fix { run_queue: true, more_cpus: true, ..Fix::default() };
        let basis = format!("with a CPU for each thread that was ready, instead of {}", facts.recording.meta.cpus);
        let sharing = if had_by_others(map) { Sharing::Machine } else { Sharing::Cpus };
        replayed::mend(facts, &mut one, Pattern::Sharing(sharing), "the program", &fix, &basis);
    }
    Answer::Found(vec![one])
}

/// While threads of the command waited, programs that are none of its own had the CPU for longer than its own threads.
fn had_by_others(map: &Map) -> bool {
    let waited = |traced: bool| -> Nanos {
        map.rivals.iter().filter(|rival| rival.who.is_some() && rival.traced == traced).map(|rival| rival.waited).sum()
    };
    waited(false) > waited(true)
}

/// `rustc 303 ms`, `worker in parse 12 ms`.
fn named(rival: &Rival) -> String {
    let who = rival.who.as_deref().unwrap_or("nobody");
    let doing = rival.function.as_ref().map(|function| format!(" in {function}")).unwrap_or_default();
    format!("{who}{doing} {:.0} ms", rival.waited.as_ms())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::{
        fixture::{map, ms},
        suspicions::testing::with_map,
    };

    fn verdict(map: &Map) -> Option<(String, Verdict)> {
        match with_map(map, judge) {
            Answer::Found(mut found) => found.pop().map(|one| (one.subject, one.verdict)),
            Answer::Quiet | Answer::NotEnough(_) => None,
        }
    }

    fn queued(length: u64) -> Map {
        let mut map = map();
        map.steps[0].own_waits.add(WaitCause::RunQueue, ms(length));
        map
    }

    #[test]
    fn the_run_queue() {
        assert_eq!(verdict(&queued(700)), Some(("run queue".into(), Verdict::Confirmed)));
        assert_eq!(verdict(&queued(100)), Some(("run queue".into(), Verdict::Dismissed)));
        assert_eq!(verdict(&queued(10)), None);
        let mut outside = map();
        outside.outside.waits.add(WaitCause::RunQueue, ms(700));
        assert_eq!(verdict(&outside), Some(("run queue".into(), Verdict::Confirmed)));
    }

    #[test]
    fn names_who_had_the_cpu() {
        let mut map = queued(700);
        let rival = |who: Option<&str>, function: Option<&str>, waited| Rival {
            who: who.map(str::to_owned),
            traced: function.is_some(),
            function: function.map(str::to_owned),
            waits: 2,
            waited: ms(waited),
        };
        map.rivals =
            vec![rival(Some("worker"), Some("parse"), 400), rival(Some("rustc"), None, 200), rival(None, None, 9)];
        let Answer::Found(found) = with_map(&map, judge) else { panic!("not found") };
        let told = found[0].evidence.iter().find_map(|evidence| match &evidence.value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        });
        assert_eq!(told, Some("worker in parse 400 ms, rustc 200 ms, nobody 9 ms"));
        assert!(!had_by_others(&map));
        map.rivals[1].waited = ms(500);
        assert!(had_by_others(&map));
    }

    #[test]
    fn the_interpreter() {
        let mut map = map();
        map.locks[0].interpreter = true;
        map.locks[0].held = ms(1500);
        assert_eq!(verdict(&map), Some(("interpreter".into(), Verdict::Confirmed)));
    }
}
