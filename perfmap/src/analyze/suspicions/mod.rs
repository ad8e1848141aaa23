//! The catalogue of suspicions: each rule is one file with one function of the same [`Facts`]; the table is the list of
//! all. A rule answers with the suspicions that it looked into, confirmed or dismissed; with nothing where nothing in
//! the run or the source gave rise to it. Rules write their own words, so that a rule is one file.

mod rules;
#[cfg(test)]
pub(crate) mod testing;
mod types;

pub use types::{Category, Change, Evidence, Gain, Suspicion, Value, Verdict, Why};

use crate::{correlate::Correlated, map::Map, recording::Recording, resolve::Resolved};

/// All that a rule may look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub recording: &'a Recording,
    pub resolved: &'a Resolved,
    pub correlated: &'a Correlated,
    pub map: &'a Map,
}

/// One rule of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub id: &'static str,
    pub category: Category,
    pub judge: fn(&Facts<'_>) -> Answer,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Looked into, each with its verdict.
    Found(Vec<Suspicion>),
    /// Nothing gave rise to it.
    Quiet,
    /// Not enough was measured to say; what is missing.
    NotEnough(String),
}

/// In the order of the catalogue (`docs/classification.md`).
pub const RULES: &[Rule] = &[
    Rule { id: rules::lock_contention::ID, category: Category::Concurrency, judge: rules::lock_contention::judge },
    Rule {
        id: rules::database_write_lock::ID,
        category: Category::Concurrency,
        judge: rules::database_write_lock::judge,
    },
    Rule { id: rules::gil_contention::ID, category: Category::Concurrency, judge: rules::gil_contention::judge },
    Rule { id: rules::cpu_contention::ID, category: Category::Environment, judge: rules::cpu_contention::judge },
    Rule { id: rules::cpu_throttling::ID, category: Category::Environment, judge: rules::cpu_throttling::judge },
    Rule {
        id: rules::cpu_bound_hot_function::ID,
        category: Category::HotCode,
        judge: rules::cpu_bound_hot_function::judge,
    },
    Rule {
        id: rules::remote_service_cpu_bound::ID,
        category: Category::HotCode,
        judge: rules::remote_service_cpu_bound::judge,
    },
];

/// All suspicions of a run: confirmed ones first, then by gain, then in the order of the catalogue.
pub fn suspicions(facts: &Facts<'_>) -> Vec<Suspicion> {
    let mut found: Vec<Suspicion> = Vec::new();
    for rule in RULES {
        match (rule.judge)(facts) {
            Answer::Found(of_rule) => found.extend(of_rule),
            Answer::Quiet | Answer::NotEnough(_) => {}
        }
    }
    found.sort_by_key(|one| (one.verdict, std::cmp::Reverse(one.gain.as_ref().map(|gain| gain.wall))));
    found
}
