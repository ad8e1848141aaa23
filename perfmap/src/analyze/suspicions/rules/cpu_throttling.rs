//! The program's cgroup used up its CPU quota, and its threads waited for the next period.

use super::{
    super::{
        Answer, Category, Evidence, Facts, Suspicion, Value, Verdict,
        replayed::{self, Fix},
        sharing::Sharing,
        sketch::Pattern,
    },
    steps,
};
use crate::{analyze::share_pct, map::WaitCause, recording::Nanos};

pub const ID: &str = "cpu_throttling";
const THROTTLED_PCT: f64 = 10.0;

pub fn judge(facts: &Facts<'_>) -> Answer {
    let map = facts.map;
    let (in_steps, affected) = steps::sum(map, |step| step.own_waits.of(WaitCause::Throttled));
    let throttled = in_steps.plus(map.outside.waits.of(WaitCause::Throttled));
    if throttled == Nanos::ZERO {
        return Answer::Quiet;
    }
    let pct = share_pct(throttled, map.wall);
    let mut one = Suspicion {
        id: ID,
        category: Category::Environment,
        subject: "CPU quota".into(),
        location: None,
        affected_steps: affected,
        description: "the cgroup's CPU quota was used up".into(),
        verdict: if pct > THROTTLED_PCT { Verdict::Confirmed } else { Verdict::Dismissed },
        evidence: vec![
            Evidence::held_against(
                "throttled, share of the wall time",
                Value::Percent(pct),
                Value::Percent(THROTTLED_PCT),
            ),
            Evidence::new("throttled", Value::Time(throttled)),
        ],
        note: format!("for {pct:.1} % of the wall time what was waited for had no quota left"),
        gain: None,
        change: None,
    };
    let fix = Fix { throttled: true, ..Fix::default() };
    replayed::mend(facts, &mut one, Pattern::Sharing(Sharing::Quota), "", &fix, "without the waits for the quota");
    Answer::Found(vec![one])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::{
        fixture::{map, ms},
        suspicions::testing::with_map,
    };

    #[test]
    fn found_dismissed_and_quiet() {
        let verdict = |length: u64| {
            let mut map = map();
            map.steps[0].children[0].own_waits.add(WaitCause::Throttled, ms(length));
            match with_map(&map, judge) {
                Answer::Found(found) => found.first().map(|one| (one.verdict, one.affected_steps.clone())),
                Answer::Quiet | Answer::NotEnough(_) => None,
            }
        };
        assert_eq!(verdict(600), Some((Verdict::Confirmed, vec!["1.1".to_owned()])));
        assert_eq!(verdict(20).map(|found| found.0), Some(Verdict::Dismissed));
        assert_eq!(verdict(0), None);
    }
}
