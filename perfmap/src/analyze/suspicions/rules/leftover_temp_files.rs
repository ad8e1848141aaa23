//! Files and directories that a function of the project makes where temporary files lie, and that are still there when the
//! run is over. What lies in a directory that the run made is that directory's; what a test runner keeps on purpose is made
//! by the runner.

use std::collections::BTreeMap;

use crate::{
    analyze::suspicions::{
        Answer, Facts,
        calls::Place,
        draft::{PATTERN, suspicion},
        sketch_resources::{self, Pattern},
        stacks::Stacks,
        types::{Category, Evidence, Suspicion, Value, Verdict},
    },
    map::Step,
};

const RULE: (&str, Category) = ("leftover_temp_files", Category::ResourceLifecycle);

#[derive(Default)]
struct Sum<'a> {
    step: Option<&'a Step>,
    made: u64,
    left: u64,
    examples: Vec<&'a str>,
}

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let stacks = Stacks::new(facts);
    let mut sums: BTreeMap<&str, Sum<'_>> = BTreeMap::new();
    for made in &facts.recording.files.made {
        let Some(step) = made.stack.and_then(|stack| stacks.step(stack)) else { continue };
        let of = sums.entry(step.id.as_str()).or_default();
        of.step = Some(step);
        of.made = of.made.saturating_add(made.count);
        of.left = of.left.saturating_add(made.left);
        of.examples.extend(made.examples.iter().map(String::as_str));
    }
    let enough = sums.into_values().filter(|of| of.made >= PATTERN as u64);
    let found: Vec<Suspicion> = enough.filter_map(|of| of_step(of.step?, &of)).collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn of_step(step: &Step, of: &Sum<'_>) -> Option<Suspicion> {
    let confirmed = of.left >= PATTERN as u64;
    let mut evidence = vec![
        Evidence::new("made", Value::Count(of.made)),
        Evidence::held_against("still there at the end", Value::Count(of.left), Value::Count(PATTERN as u64)),
    ];
    if let Some(example) = of.examples.first() {
        evidence.push(Evidence::new("one of them", Value::Text((*example).to_owned())));
    }
    let note = format!("{} of {} are still there", of.left, of.made);
    let verdict = if confirmed { Verdict::Confirmed } else { Verdict::Dismissed };
    let place = Place { step: Some(step), above: None };
    let description = format!("{} leaves temporary files behind.", step.function);
    let mut found = suspicion(RULE, step.function.clone(), Some(&place), (verdict, note), description, evidence);
    if confirmed {
        found.change = Some(sketch_resources::change(Pattern::Remove, found.location.as_ref(), &step.function));
    }
    Some(found)
}
