//! Tasks that do the same, side by side → why so many are not so many times as fast: who they are (`workers`), what they do
//! again and again (`items`), what their time went into (`waits`, `peers`, `limiter`, `breakdown`), what they wait for
//! together (`resources`), and what would be gained without that (`expected`). Definitions: `docs/parallelism.md`.

mod breakdown;
mod category;
mod convoy;
mod cores;
mod disk;
mod efficiencies;
#[cfg(test)]
pub(crate) mod example;
mod expected;
mod factor;
mod fix;
mod flows;
mod holds;
mod idle;
mod items;
mod jobs;
mod limiter;
mod look;
mod peers;
mod requests;
mod resources;
mod stages;
#[cfg(test)]
mod tests;
mod types;
mod waits;
mod workers;

pub use types::{
    Category, Confidence, Disagreement, Efficiencies, Expected, ItemSource, Items, Limit, Parallelism, Resource,
    Severity, Side, Spent, StepTime, WorkerKind, WorkerUse,
};

use crate::{
    analyze::{share_pct, suspicions::Facts},
    map::Activity,
    recording::Nanos,
};
use look::Look;
use waits::Key;

/// None: nothing was seen to be done side by side, again and again.
pub fn parallelism(facts: &Facts<'_>) -> Option<Parallelism> {
    // One thread may have many coroutines.
    let calls = !facts.correlated.flows.round_trips.is_empty();
    if facts.recording.tasks.len() < workers::LEAST && facts.recording.turns.is_empty() && !calls {
        return None;
    }
    let activity = Activity::new(facts.recording, facts.resolved, facts.correlated);
    let groups = workers::groups(facts, &activity);
    let looks = groups.into_iter().filter_map(|group| look::look(facts, &activity, group));
    let looks = looks.chain(flows::looks(facts, &activity));
    // What most of the workers' time went into; of equal ones the first.
    let mut best = looks.reduce(|best, look| if rank(&look) > rank(&best) { look } else { best })?;
    let mut slight = resources::slight(&best);
    if cores::are_taken_by_others(facts, &best) {
        slight.insert(Key::RunQueue);
    }
    best.keep(&slight);
    told(facts, &activity, &best)
}

/// Threads that repeat say more than lives of threads, and of processes.
fn rank(look: &Look) -> (bool, Nanos) {
    (look.counted.as_ref().is_some_and(|counted| counted.items.source == ItemSource::Repetition), look.in_steps())
}

fn told(facts: &Facts<'_>, activity: &Activity<'_>, look: &Look) -> Option<Parallelism> {
    let recording = facts.recording;
    let work = &recording.work;
    let items = items::ranked(facts, look.counted.as_ref().map(|counted| counted.items.clone()));
    let count = items.first()?.count;
    let workers = work.workers.map_or(look.bits.len() as u64, u64::from);
    let totals = breakdown::totals(look);
    let per_item = |sum: Nanos| sum.0 as f64 / count as f64;
    let duration = look.duration();
    let cores = recording.meta.cpus;
    let busy = look.worker_time();
    // Who is asked for nothing is not slow: only the time with something to do counts.
    let in_use = if look.served { look.in_steps().0 as f64 / busy.0.max(1) as f64 } else { 1.0 };
    let of_item = (per_item(totals.work), per_item(totals.cpu));
    let mut rates = factor::rates(count, Nanos((duration.0 as f64 * in_use) as u64), workers, of_item, cores)?;
    rates.actual *= in_use;
    let severity = factor::severity(rates.factor);
    let resources = resources::resources(facts, activity, look);
    let (tail_pct, idle_pct) = (share_pct(totals.tail, busy), share_pct(totals.idle, busy));
    // Who did the only item it was there for has not run out of work.
    let one_each = items.first().is_some_and(|items| items.source == ItemSource::Lives && items.count <= workers);
    let (tail_judged, idle_judged) = if look.served || one_each { (0.0, 0.0) } else { (tail_pct, idle_pct) };
    let judged = category::judge(&resources, tail_judged, idle_judged, severity);
    let category = judged.category;
    // One item each, of whatever length: without something that they share there is no rate that they should have.
    if one_each && category == Category::None {
        return None;
    }
    let critical = resources.first().filter(|first| first.category == category);
    let item = Nanos(look.in_steps().0 / count);
    let found = efficiencies::efficiencies(look, rates.actual, item.as_ms());
    let efficiency = 1.0 / rates.factor;
    let rest = rest(facts, count);
    let mut begun: Vec<Nanos> =
        look.counted.iter().flat_map(|counted| counted.begins.iter().flatten().copied()).collect();
    begun.sort_unstable();
    let run = expected::Run { workers, cores, items: count, actual: rates.actual };
    let of_item = expected::Item {
        work: per_item(totals.work),
        shared: per_item(totals.shared),
        cpu: per_item(tree_cpu(facts, look).max(totals.cpu)),
    };
    let expected = (category != Category::None)
        .then(|| expected::expected(run, of_item, &resources, critical.is_some(), rest.unwrap_or(count)))
        .flatten();
    let file = critical
        .and_then(|one| one.waiting.as_ref()?.location.as_ref())
        .or_else(|| look.steps.iter().find_map(|step| step.location.as_ref()))
        .map(|location| location.file.as_str());
    let change = fix::change(category, look.kind, workers, file, critical);
    let root_cause = root_cause(category, critical, look, (tail_pct, idle_pct));
    Some(Parallelism {
        kind: look.kind,
        workers,
        workers_told: work.workers.is_some(),
        root: look.root.clone(),
        service: service(facts, look),
        begun,
        duration,
        remaining: rest.map(|left| (left, Nanos((left as f64 / rates.actual * 1e9) as u64))),
        item,
        item_work: Nanos(totals.work.0 / count),
        item_cpu: Nanos(totals.cpu.0 / count),
        steps: breakdown::steps(look, count),
        single_rate: rates.single,
        theoretical_rate: rates.theoretical,
        capped_by_cores: rates.capped.then_some(cores),
        actual_rate: rates.actual,
        factor: rates.factor,
        efficiency,
        severity,
        category,
        by_factor: judged.by_factor,
        uses: breakdown::uses(look),
        idle_pct: tail_pct + idle_pct,
        disagreements: efficiencies::disagreements(&found, efficiency, rates.capped || look.served, &items),
        efficiencies: found,
        items,
        resources,
        root_cause,
        change,
        expected,
    })
}

/// CPU time of the whole tree while the workers worked: what the program computes before and after is not the items'.
fn tree_cpu(facts: &Facts<'_>, look: &Look) -> Nanos {
    let recording = facts.recording;
    let from = look.active.iter().map(|(from, _)| *from).min().unwrap_or_default();
    let to = look.active.iter().map(|(_, to)| *to).max().unwrap_or_default();
    let of_tree = recording.tasks.iter().zip(&facts.correlated.timelines);
    let of_tree = of_tree.filter(|(task, _)| !recording.is_outside(task.process));
    let on_cpu: Nanos = of_tree.map(|(_, timeline)| timeline.on_cpu(from, to)).sum();
    // The kernel's own account, where there is one, knows better what was not seen to wait.
    if recording.meta.tree_cpu > Nanos::ZERO { on_cpu.min(recording.meta.tree_cpu) } else { on_cpu }
}

/// Of the whole job, where its size was told.
fn rest(facts: &Facts<'_>, done: u64) -> Option<u64> {
    let work = &facts.recording.work;
    let last = work.progress.last();
    let total = work.total.or_else(|| last.and_then(|last| last.total))?;
    let done = last.map_or(done, |last| last.done);
    total.checked_sub(done).filter(|left| *left > 0)
}

fn service(facts: &Facts<'_>, look: &Look) -> String {
    let process = facts.recording.processes.get(look.process.0 as usize);
    process.and_then(|process| process.images.last()).map(crate::map::program).unwrap_or_default()
}

/// One sentence of what was measured.
fn root_cause(category: Category, critical: Option<&Resource>, look: &Look, (tail, idle): (f64, f64)) -> String {
    let Some(one) = critical else {
        return match category {
            Category::Imbalance => {
                let latest =
                    look.active.iter().enumerate().max_by_key(|(index, (_, to))| (*to, std::cmp::Reverse(*index)));
                let name = latest.and_then(|(worker, _)| look.names.get(worker)).cloned().unwrap_or_default();
                format!("{name} works longest; the others have nothing left to do for {tail:.0} % of the time")
            }
            Category::Starvation => format!("the workers wait for work for {idle:.0} % of the time"),
            _ if look.served => {
                format!(
                    "for {:.0} % of their time the workers have no request; they wait for nothing that they share for long",
                    tail + idle
                )
            }
            _ => "the workers wait for nothing that they share for long".into(),
        };
    };
    let holder = match (&one.holding, one.emptied) {
        (Some(side), true) => format!(", while who empties it is in {}", side.function),
        (Some(side), false) => format!(", while {} has it", side.function),
        (None, _) => String::new(),
    };
    let waiter = one.waiting.as_ref().map(|side| format!(" in {}", side.function)).unwrap_or_default();
    let what = match (&one.statement, &one.blocking_statement) {
        (Some(statement), Some(blocking)) => format!(" ({statement}; meanwhile others are in {blocking})"),
        (Some(statement), None) => format!(" ({statement})"),
        (None, _) => String::new(),
    };
    let saturated = match one.category {
        Category::SaturatedPeer => look.saturated.values().copied().fold(0.0_f64, f64::max) * 100.0,
        _ => 0.0,
    };
    let peer =
        if saturated > 0.0 { format!("; its only thread is busy {saturated:.0} % of the time") } else { String::new() };
    format!("{:.0} % of the workers' time is spent waiting{waiter} for {}{holder}{what}{peer}", one.lost_pct, one.name)
}
