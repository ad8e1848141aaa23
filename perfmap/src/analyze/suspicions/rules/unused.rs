//! A confirmed pattern of calls, and a means against it that the program has: a batch method that the source shows in
//! the client's code, or a cache that the process talks to but this step does not.

use std::collections::BTreeSet;

use crate::{
    analyze::suspicions::{
        Answer, Facts,
        calls::{self, walk},
        rules::{n_plus_one_queries, repeated, sequential_http_calls},
        sketch::{self, Pattern},
        source,
        types::{Category, Evidence, Suspicion, Value, Verdict},
    },
    correlate::CallKind,
    recording::ProcessId,
};

const BATCH: (&str, Category) = ("batch_unused", Category::Architecture);
const CACHE: (&str, Category) = ("cache_unused", Category::Architecture);

fn confirmed(answers: [Answer; 2]) -> Vec<Suspicion> {
    let found = answers.into_iter().flat_map(|answer| match answer {
        Answer::Found(found) => found,
        Answer::Quiet | Answer::NotEnough(_) => vec![],
    });
    found.filter(|one| one.verdict == Verdict::Confirmed).collect()
}

pub(crate) fn batch(facts: &Facts<'_>) -> Answer {
    let Some(source) = &facts.recording.source else { return Answer::Quiet };
    let methods: Vec<_> = source.findings.iter().filter(|finding| finding.rule == BATCH.0).collect();
    if methods.is_empty() {
        return Answer::Quiet;
    }
    let mut found = Vec::new();
    for pattern in confirmed([n_plus_one_queries::judge(facts), sequential_http_calls::judge(facts)]) {
        let fits = methods.iter().find(|finding| {
            source::steps_of(facts, finding).iter().any(|step| {
                pattern.affected_steps.iter().any(|id| *id == step.id || id.starts_with(&format!("{}.", step.id)))
            })
        });
        if let Some(method) = fits {
            found.push(with(
                BATCH,
                Pattern::Batch,
                &pattern,
                format!("{}:{}: {}", method.file, method.line, method.what),
            ));
        }
    }
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

pub(crate) fn cache(facts: &Facts<'_>) -> Answer {
    let all = calls::made(facts);
    let process =
        |made: &calls::Made<'_>| facts.recording.tasks.get(made.trip.task.0 as usize).map(|task| task.process);
    let is_cache = |made: &&calls::Made<'_>| made.trip.protocol.kind() == CallKind::Cache;
    let with_cache: BTreeSet<ProcessId> = all.iter().filter(is_cache).filter_map(process).collect();
    if with_cache.is_empty() {
        return Answer::Quiet;
    }
    let asks_cache: BTreeSet<&str> =
        all.iter().filter(is_cache).filter_map(|made| made.place.step.map(|step| step.id.as_str())).collect();
    let mut found = Vec::new();
    for pattern in confirmed([repeated::requests(facts), repeated::queries(facts)]) {
        let own = |made: &&calls::Made<'_>| {
            made.place.step.is_some_and(|step| pattern.affected_steps.contains(&step.id)) && !is_cache(made)
        };
        let Some(call) = all.iter().find(own) else { continue };
        if !process(call).is_some_and(|process| with_cache.contains(&process)) {
            continue;
        }
        let mut uses = false;
        walk(&facts.map.steps, None, &mut |step, _| {
            let below =
                pattern.affected_steps.iter().any(|id| *id == step.id || step.id.starts_with(&format!("{id}.")));
            uses |= below && asks_cache.contains(step.id.as_str());
        });
        if !uses {
            found.push(with(
                CACHE,
                Pattern::UseCache,
                &pattern,
                "the process talks to a cache, this step does not".into(),
            ));
        }
    }
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn with(rule: (&'static str, Category), change: Pattern, pattern: &Suspicion, means: String) -> Suspicion {
    let mut evidence = pattern.evidence.clone();
    evidence.push(Evidence::new("means", Value::Text(means.clone())));
    let function = pattern.subject.clone();
    Suspicion {
        id: rule.0,
        category: rule.1,
        description: match change {
            Pattern::UseCache => format!("A cache is at hand and not asked: {}", pattern.description),
            _ => format!("A batch call is at hand and not used: {}", pattern.description),
        },
        note: format!("{}; {means}", pattern.note),
        evidence,
        change: Some(sketch::change(change, pattern.location.as_ref(), &function)),
        ..pattern.clone()
    }
}
