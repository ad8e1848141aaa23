//! The catalogue of suspicions: each rule is one file with one function of the same [`Facts`]; the table is the list of
//! all. A rule answers with the suspicions that it looked into, confirmed or dismissed; with nothing where nothing in
//! the run or the source gave rise to it. Rules write their own words, so that a rule is one file.

mod calls;
mod draft;
mod entries;
mod independence;
mod memory_hints;
mod replayed;
mod rules;
mod sharing;
mod sketch;
mod sketch_resources;
mod source;
mod stacks;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_local;
#[cfg(test)]
mod tests_resources;
#[cfg(test)]
mod told;
mod types;

pub(crate) use rules::{database_write_lock::engine_names as database_lock_stacks, pacing::evenness};
pub(in crate::analyze) use rules::{disk_throughput_bound, major_faults};
pub(crate) use sharing::Sharing;
pub(crate) use sketch::Language as CodeLanguage;
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

/// Of equal gain, in this order.
pub const RULES: &[Rule] = &[
    Rule {
        id: "connection_per_request",
        category: Category::ConnectionManagement,
        judge: rules::connection_per_request::judge,
    },
    Rule { id: "dns_per_request", category: Category::ConnectionManagement, judge: rules::dns_per_request::judge },
    Rule {
        id: "tls_full_handshake",
        category: Category::ConnectionManagement,
        judge: rules::tls_full_handshake::judge,
    },
    Rule { id: "repeated_request", category: Category::DataFlow, judge: rules::repeated::requests },
    Rule { id: "repeated_query", category: Category::DataFlow, judge: rules::repeated::queries },
    Rule { id: "repeated_file_read", category: Category::DataFlow, judge: rules::repeated_file_read::judge },
    Rule { id: "over_fetching", category: Category::DataFlow, judge: rules::over_fetching::judge },
    Rule { id: "tiny_io", category: Category::DataFlow, judge: rules::file_sizes::tiny },
    Rule { id: "small_sync_writes", category: Category::DataFlow, judge: rules::file_sizes::syncs },
    Rule { id: "sync_io_in_async", category: Category::AsyncPatterns, judge: rules::sync_io_in_async::judge },
    Rule { id: "sequential_awaits", category: Category::AsyncPatterns, judge: rules::sequential_awaits::judge },
    Rule { id: "n_plus_one_queries", category: Category::Architecture, judge: rules::n_plus_one_queries::judge },
    Rule { id: "sequential_http_calls", category: Category::Architecture, judge: rules::sequential_http_calls::judge },
    Rule { id: "batch_unused", category: Category::Architecture, judge: rules::unused::batch },
    Rule { id: "cache_unused", category: Category::Architecture, judge: rules::unused::cache },
    Rule { id: "repeated_computation", category: Category::RedundantWork, judge: rules::repeated_computation::judge },
    Rule { id: "pool_exhaustion", category: Category::ConnectionManagement, judge: rules::pool_exhaustion::judge },
    Rule { id: rules::memory_leak::ID, category: Category::ResourceLifecycle, judge: rules::memory_leak::judge },
    Rule {
        id: rules::large_allocation::ID,
        category: Category::ResourceLifecycle,
        judge: rules::large_allocation::judge,
    },
    Rule { id: "leaked_descriptors", category: Category::ResourceLifecycle, judge: rules::leaked_descriptors::judge },
    Rule { id: "leftover_temp_files", category: Category::ResourceLifecycle, judge: rules::leftover_temp_files::judge },
    Rule { id: "default_limit_reached", category: Category::Configuration, judge: rules::default_limit_reached::judge },
    Rule { id: "rate_limiting", category: Category::Concurrency, judge: rules::rate_limiting::judge },
    Rule { id: "delayed_ack_stall", category: Category::Environment, judge: rules::delayed_ack_stall::judge },
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
        id: rules::disk_throughput_bound::ID,
        category: Category::Environment,
        judge: rules::disk_throughput_bound::judge,
    },
    Rule { id: rules::major_faults::ID, category: Category::Environment, judge: rules::major_faults::judge },
    Rule {
        id: "many_short_lived_processes",
        category: Category::Environment,
        judge: rules::many_short_lived_processes::judge,
    },
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

/// A gain below this share of the wall time (1 %) is no hint.
const LEAST_GAIN: u64 = 100;

/// All suspicions of a run: confirmed ones first, then by gain, then in the order of the catalogue.
pub fn suspicions(facts: &Facts<'_>) -> Vec<Suspicion> {
    let mut found: Vec<Suspicion> = Vec::new();
    for rule in RULES {
        match (rule.judge)(facts) {
            Answer::Found(of_rule) => of_rule.into_iter().for_each(|one| join(&mut found, one)),
            Answer::Quiet | Answer::NotEnough(_) => {}
        }
    }
    source::judge(facts, &mut found);
    for one in &mut found {
        memory_hints::add(facts, one);
        bound(facts, one);
    }
    found.sort_by_key(|one| (one.verdict, std::cmp::Reverse(one.gain.as_ref().map(|gain| gain.wall))));
    found
}

/// The same suspicion at several steps is one entry. Where it is confirmed at one, those that dismiss it at others go.
fn join(found: &mut Vec<Suspicion>, one: Suspicion) {
    let same = found.iter_mut().find(|known| known.id == one.id && known.subject == one.subject);
    let Some(known) = same else {
        found.push(one);
        return;
    };
    if one.verdict < known.verdict {
        *known = one;
        return;
    }
    if one.verdict > known.verdict {
        return;
    }
    // The words and figures of the one that costs more; steps and gains of both.
    let (mut kept, other) = match (&known.gain, &one.gain) {
        (Some(a), Some(b)) if b.wall > a.wall => (one, known.clone()),
        (None, Some(_)) => (one, known.clone()),
        _ => (known.clone(), one),
    };
    for id in other.affected_steps {
        if !kept.affected_steps.contains(&id) {
            kept.affected_steps.push(id);
        }
    }
    kept.affected_steps.sort_by_key(|id| position(id));
    if let (Some(gain), Some(more)) = (&mut kept.gain, other.gain) {
        gain.wall = gain.wall.plus(more.wall);
        gain.basis = format!("{}; {}", gain.basis, more.basis);
    }
    *known = kept;
}

/// Ids in the order of the map: `1.10` behind `1.2`.
fn position(id: &str) -> Vec<u32> {
    id.split('.').map(|part| part.parse().unwrap_or(u32::MAX)).collect()
}

/// No more is gained than the steps take, and what is less than a hundredth of the wall time is no hint.
fn bound(facts: &Facts<'_>, one: &mut Suspicion) {
    if one.verdict != Verdict::Confirmed {
        (one.gain, one.change) = (None, None);
        return;
    }
    let Some(gain) = &mut one.gain else { return };
    let mut of_steps = crate::recording::Nanos::ZERO;
    calls::walk(&facts.map.steps, None, &mut |step, _| {
        let inside = |id: &String| *id == step.id || step.id.starts_with(&format!("{id}."));
        if one.affected_steps.contains(&step.id) && one.affected_steps.iter().filter(|id| inside(id)).count() == 1 {
            of_steps = of_steps.plus(step.wall);
        }
    });
    if !one.affected_steps.is_empty() {
        gain.wall = gain.wall.min(of_steps);
    }
    gain.wall = gain.wall.min(facts.map.wall);
    if gain.wall.0.saturating_mul(LEAST_GAIN) < facts.map.wall.0 {
        (one.gain, one.change) = (None, None);
    }
}
