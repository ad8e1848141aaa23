//! The same kind of thing one after the other, or the very same thing twice: queries, requests, reads, small writes.

use super::{Findings, Seen, number};
use crate::{
    discover::chain::{
        follow::Effect,
        table::{self, What},
    },
    recording::SourceKind,
};
use std::collections::BTreeMap;

pub(super) fn find(seen: &Seen<'_>, findings: &mut Findings<'_>) {
    for effect in &seen.effects {
        let sequence = effect.in_sequence(seen.function);
        let line = effect.call.line;
        let place = if effect.call.in_loop { "in a loop" } else { "in a loop of its caller" };
        match effect.what {
            What::Syncs if sequence => {
                findings.add("small_sync_writes", seen.at, line, format!("{}() {place}", effect.short()));
            }
            What::Opens if sequence && !effect.varies() && effect.call.in_loop => {
                findings.add("repeated_file_read", seen.at, line, format!("{}() of one file {place}", effect.short()));
            }
            What::Does(kind, _) if sequence => repeated(seen, effect, kind, place, findings),
            What::Does(SourceKind::DbQuery, _) => {}
            What::Does(..)
            | What::Client(_)
            | What::Opens
            | What::TempFile
            | What::Limiter
            | What::Batch(_)
            | What::Cache
            | What::Syncs
            | What::Nothing => {}
        }
        let all = effect.target.as_deref().is_some_and(|text| text.to_ascii_uppercase().starts_with("SELECT *"));
        if effect.kind() == Some(SourceKind::DbQuery) && all {
            findings.add("over_fetching", seen.at, line, "SELECT * takes all columns".to_owned());
        }
    }
}

fn repeated(seen: &Seen<'_>, effect: &Effect, kind: SourceKind, place: &str, findings: &mut Findings<'_>) {
    let (line, short) = (effect.call.line, effect.short());
    let mut add = |rule: &str, what: String| findings.add(rule, seen.at, line, what);
    match kind {
        SourceKind::DbQuery | SourceKind::CacheOp => {
            add("n_plus_one_queries", format!("{short}() {place}"));
            if effect.call.in_loop && !effect.varies() && effect.target.is_some() && effect.call.args.len() == 1 {
                add("repeated_query", format!("{short}() with one statement and no parameter {place}"));
            }
        }
        SourceKind::HttpCall | SourceKind::GrpcCall => {
            add("sequential_http_calls", format!("{short}() {place}"));
            let asks = effect.target.as_deref().is_some_and(|target| target.starts_with("GET"));
            if asks && effect.call.in_loop && !effect.varies() && !text_varies(effect) {
                add("repeated_request", format!("{short}() to one address {place}"));
            }
        }
        SourceKind::FileIo => {
            let small =
                number(&effect.call).and_then(|number| number.parse::<u32>().ok()).is_some_and(|size| size < 512);
            let reads = effect.call.last().to_ascii_lowercase();
            if small && (reads.contains("read") || reads.contains("write")) {
                add("tiny_io", format!("{short}() of a few bytes {place}"));
            } else if reads.contains("write") && !reads.contains("lines") && !reads.contains("all") {
                add("tiny_io", format!("{short}() {place}"));
            }
            let whole =
                ["read_text", "read_bytes", "readfile", "readfilesync", "read_to_string", "load", "readalltext"];
            if effect.call.in_loop && !effect.varies() && whole.contains(&reads.as_str()) {
                add("repeated_file_read", format!("{short}() of one file {place}"));
            }
        }
        SourceKind::Subprocess => add("many_short_lived_processes", format!("{short}() {place}")),
        SourceKind::Sleep => add("rate_limiting", format!("{short}() {place}")),
        SourceKind::LockWait => add("lock_contention", format!("{short}() {place}")),
        SourceKind::QueueOp | SourceKind::Gpu | SourceKind::FunctionCall => {}
    }
}

fn text_varies(effect: &Effect) -> bool {
    effect.call.text().is_none_or(|text| text.contains('{'))
}

/// What can only be seen over the whole chain: the same address or statement at two places, a batch or cache not used.
pub(super) fn over_the_chain(seen: &[Seen<'_>], findings: &mut Findings<'_>) {
    let mut same: BTreeMap<(&str, &str), Vec<(&Seen<'_>, &Effect)>> = BTreeMap::new();
    let mut cached = false;
    for one in seen {
        for effect in &one.effects {
            cached |= matches!(effect.what, What::Cache) || effect.kind() == Some(SourceKind::CacheOp);
            let rule = match effect.kind() {
                Some(SourceKind::HttpCall) => "repeated_request",
                Some(SourceKind::DbQuery) => "repeated_query",
                _ => continue,
            };
            if let Some(target) =
                effect.target.as_deref().filter(|target| !target.contains('?') && !target.contains("{}"))
            {
                same.entry((rule, target)).or_default().push((one, effect));
            }
        }
    }
    for ((rule, _), places) in same {
        let writes = places.iter().any(|(_, effect)| {
            let target = effect.target.as_deref().unwrap_or_default();
            ["POST", "PUT", "DELETE", "PATCH", "INSERT", "UPDATE", "BEGIN", "COMMIT"]
                .iter()
                .any(|verb| target.starts_with(verb))
        });
        for (one, effect) in places.iter().skip(1).filter(|_| !writes) {
            findings.add(
                rule,
                one.at,
                effect.call.line,
                format!("{}() with what an earlier call asked for", effect.short()),
            );
        }
    }
    for one in seen {
        for effect in one.effects.iter().filter(|effect| effect.in_sequence(one.function)) {
            let Some(kind) = effect.kind() else { continue };
            let asks =
                matches!(kind, SourceKind::DbQuery | SourceKind::CacheOp | SourceKind::HttpCall | SourceKind::GrpcCall);
            if !asks {
                continue;
            }
            let library = match kind {
                SourceKind::DbQuery | SourceKind::CacheOp => {
                    let method = effect.call.last();
                    // `executemany` is for what writes.
                    let reads = effect.target.as_deref().is_some_and(|text| text.starts_with("SELECT"));
                    let batch = table::batch_for(one.language, kind, method).filter(|_| method != "execute" || !reads);
                    batch.map(str::to_owned)
                }
                _ => None,
            };
            if let Some(batch) = library.or_else(|| own_batch(findings, one, effect)) {
                let what = format!("{}() in a loop where there is {batch}", effect.short());
                findings.add("batch_unused", one.at, effect.call.line, what);
            }
            if kind != SourceKind::CacheOp && !cached && has_cache(findings, one) {
                let what = format!("{}() in a loop; the cache of this service is not asked", effect.short());
                findings.add("cache_unused", one.at, effect.call.line, what);
            }
        }
    }
}

/// A method of the client's own class, or a route of the called service, that takes many.
fn own_batch(findings: &Findings<'_>, seen: &Seen<'_>, effect: &Effect) -> Option<String> {
    let many = |name: &str| {
        let lower = name.to_ascii_lowercase();
        ["batch", "bulk", "_many", "findmany", "getmany", "multi"].iter().any(|word| lower.contains(word))
    };
    let index = findings.index;
    let owner = seen.function.owner.as_ref();
    let facts = index.files.get(seen.at.file).map(|file| &file.facts);
    let method = facts.and_then(|facts| {
        let own = facts.functions.iter().filter(|function| owner.is_some() && function.owner.as_ref() == owner);
        own.map(|function| function.name.as_str()).find(|name| many(name) && *name != seen.function.name)
    });
    method.map(|name| format!("{name}()")).or_else(|| {
        if effect.kind() != Some(SourceKind::HttpCall) {
            return None;
        }
        let path = effect
            .target
            .as_deref()?
            .rsplit_once(|c: char| c.is_whitespace())
            .map_or(effect.target.as_deref()?, |(_, url)| url);
        let first = path.get(path.find('/')?..)?.split('/').find(|part| !part.is_empty() && !part.contains('{'))?;
        let beside = |path: &str| path.split('/').any(|part| part == first) && path.split('/').any(many);
        index.routes.iter().find(|route| beside(&route.path)).map(|route| format!("the route {}", route.shown()))
    })
}

/// A cache client somewhere in the same service.
fn has_cache(findings: &Findings<'_>, seen: &Seen<'_>) -> bool {
    let index = findings.index;
    let service = index.files.get(seen.at.file).and_then(|file| file.service);
    let cache = |module: &str| {
        let lower = module.to_ascii_lowercase();
        [
            "redis",
            "memcache",
            "cachetools",
            "lru-cache",
            "caffeine",
            "bigcache",
            "ristretto",
            "moka",
            "django.core.cache",
        ]
        .iter()
        .any(|name| lower.contains(name))
    };
    index
        .files
        .iter()
        .filter(|file| file.service == service)
        .any(|file| file.facts.imports.iter().any(|import| cache(&import.module) || cache(&import.local)))
}
