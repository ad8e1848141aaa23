//! `--fail-on CONDITION` → an exit code for CI. What it says is asked of the same figures that the report shows.

use super::errors::Failure;
use crate::{
    analyze::{Analysis, Class, baseline, suspicions::Verdict},
    map::Map,
    recording::{Nanos, Recording},
    report::{self, diff::Change, diff::Diff},
};

/// The exit code where a condition holds: none of the command's usual ones.
pub const EXIT_CODE: u8 = 6;
const FORMS: &str = "confirmed, confirmed=RULE, class=CLASS or wall>MS";
const DIFF_FORMS: &str = "regression, step or suspicion";
const CLASSES: [Class; 12] = [
    Class::Cpu,
    Class::IoDb,
    Class::IoNetwork,
    Class::IoFile,
    Class::External,
    Class::Cache,
    Class::Architecture,
    Class::Lock,
    Class::Wait,
    Class::Infrastructure,
    Class::None,
    Class::Unknown,
];

#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    Confirmed,
    ConfirmedRule(String),
    Class(Class),
    /// Of the baseline's median; of the profiled run where there is no baseline.
    Wall(Nanos),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffCondition {
    /// The wall time is longer, by more than noise.
    Regression,
    /// A step is longer or new, by more than noise.
    Step,
    /// A suspicion is confirmed that was not before.
    Suspicion,
}

pub fn conditions(typed: &[String]) -> Result<Vec<Condition>, Failure> {
    typed.iter().map(|text| condition(text.trim()).ok_or_else(|| refused(text, FORMS))).collect()
}

fn condition(text: &str) -> Option<Condition> {
    if text == "confirmed" {
        return Some(Condition::Confirmed);
    }
    if let Some(rule) = text.strip_prefix("confirmed=") {
        let is_known = crate::analyze::suspicions::RULES.iter().any(|known| known.id == rule);
        return is_known.then(|| Condition::ConfirmedRule(rule.to_owned()));
    }
    if let Some(name) = text.strip_prefix("class=") {
        let named = |class: &&Class| report::class_name(**class).eq_ignore_ascii_case(name);
        return CLASSES.iter().find(named).map(|class| Condition::Class(*class));
    }
    let ms: f64 = text.strip_prefix("wall>")?.trim().trim_end_matches("ms").trim().parse().ok()?;
    (ms.is_finite() && ms >= 0.0).then_some(Condition::Wall(Nanos((ms * 1e6) as u64)))
}

pub fn diff_conditions(typed: &[String]) -> Result<Vec<DiffCondition>, Failure> {
    typed
        .iter()
        .map(|text| match text.trim() {
            "regression" => Ok(DiffCondition::Regression),
            "step" => Ok(DiffCondition::Step),
            "suspicion" => Ok(DiffCondition::Suspicion),
            _ => Err(refused(text, DIFF_FORMS)),
        })
        .collect()
}

fn refused(text: &str, forms: &str) -> Failure {
    Failure::Usage { what: format!("--fail-on {text} is no condition"), hint: Some(format!("it is {forms}")) }
}

/// What holds, each in words.
pub fn holding(conditions: &[Condition], recording: &Recording, map: &Map, analysis: &Analysis) -> Vec<String> {
    let confirmed = |rule: Option<&str>| {
        let mut all = analysis.suspicions.iter().filter(|one| one.verdict == Verdict::Confirmed);
        all.find(|one| rule.is_none_or(|rule| one.id == rule)).map(|one| format!("{} is confirmed", one.id))
    };
    let holds = |condition: &Condition| match condition {
        Condition::Confirmed => confirmed(None),
        Condition::ConfirmedRule(rule) => confirmed(Some(rule)),
        Condition::Class(class) => {
            (analysis.class == *class).then(|| format!("the class is {}", report::class_name(*class)))
        }
        Condition::Wall(limit) => {
            let median = recording.baseline.as_ref().and_then(|runs| baseline::spread(runs, baseline::Metric::Wall));
            let wall = median.map_or(map.wall.plus(map.earlier), |spread| Nanos(spread.median as u64));
            (wall > *limit).then(|| format!("the wall time is {:.0} ms, over {:.0} ms", wall.as_ms(), limit.as_ms()))
        }
    };
    conditions.iter().filter_map(holds).collect()
}

pub fn holding_of_diff(conditions: &[DiffCondition], diff: &Diff) -> Vec<String> {
    let holds = |condition: &DiffCondition| match condition {
        DiffCondition::Regression => {
            let slower = diff.wall().filter(|wall| wall.change == Change::Worse)?;
            Some(format!("the wall time went from {:.0} to {:.0} ms", slower.before, slower.after))
        }
        DiffCondition::Step => {
            let slower = diff.steps.iter().find(|row| row.change == Change::Worse)?;
            let name = slower.path.last().map_or("", String::as_str);
            Some(format!("the step {} takes {:.0} ms more", report::visible(name), slower.difference()))
        }
        DiffCondition::Suspicion => {
            let new = diff.suspicions.as_ref()?.new.first()?;
            Some(format!("{} of {} is new", report::visible(&new.id), report::visible(&new.subject)))
        }
    };
    conditions.iter().filter_map(holds).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::{analyze, fixture};

    fn all(words: &[&str]) -> Result<Vec<Condition>, Failure> {
        conditions(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    fn holds(word: &str) -> bool {
        let (recording, map) = (fixture::recording(), fixture::map());
        let analysis = analyze(&recording, &fixture::resolved(), &Default::default(), &map);
        !holding(&all(&[word]).expect(word), &recording, &map, &analysis).is_empty()
    }

    #[test]
    fn conditions_of_a_run() {
        assert!(holds("confirmed") && holds("confirmed=cpu_bound_hot_function"));
        assert!(!holds("confirmed=cpu_throttling"));
        assert!(holds("class=i/o-network") && !holds("class=CPU"));
        assert!(holds("wall>2000") && holds("wall> 2739 ms") && !holds("wall>2740"), "the median is 2740 ms");
    }

    #[test]
    fn what_is_no_condition() {
        for wrong in ["", "class", "class=x", "wall", "wall>", "wall>-1", "wall>nan", "wall<5", "confirmed=x"] {
            assert_eq!(all(&[wrong]).expect_err(wrong).exit_code(), 2);
        }
        assert_eq!(diff_conditions(&["faster".to_owned()]).expect_err("none").exit_code(), 2);
        assert_eq!(diff_conditions(&["regression".to_owned()]).ok(), Some(vec![DiffCondition::Regression]));
    }
}
