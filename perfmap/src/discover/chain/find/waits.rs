//! Awaits one after the other, calls that hold the thread of an event loop, limiters.

use super::{Findings, Seen, mentions};
use crate::{
    discover::chain::{facts::Call, index::Index, language::Language, table::What},
    recording::SourceKind,
};

pub(super) fn find(seen: &Seen<'_>, findings: &mut Findings<'_>) {
    awaits(seen, findings);
    blocking(seen, findings);
    for effect in &seen.effects {
        if effect.what == What::Limiter {
            findings.add("rate_limiting", seen.at, effect.call.line, format!("{}()", effect.short()));
        }
    }
}

/// Two in a row, or one in a loop, where the later does not use what the earlier gave.
fn awaits(seen: &Seen<'_>, findings: &mut Findings<'_>) {
    if !seen.function.is_async {
        return;
    }
    let waits =
        |call: &&Call| call.awaited && !call.concurrent && call.receiver_of.is_none_or(|_| true) && !gathers(call);
    let awaited: Vec<&Call> = seen.function.calls.iter().filter(waits).collect();
    if let Some(call) = awaited.iter().find(|call| call.in_loop && works(findings.index, seen, call)) {
        findings.add("sequential_awaits", seen.at, call.line, format!("await {}() in a loop", name(call)));
    }
    let mut before: Option<&Call> = None;
    for call in awaited.iter().filter(|call| !call.in_loop && works(findings.index, seen, call)) {
        if let Some(earlier) = before {
            let needs = |bound: &String| {
                call.args.iter().any(|arg| mentions(&arg.value, bound)) || call.path.first() == Some(bound)
            };
            let independent = earlier.bound.as_ref().is_some_and(|bound| !needs(bound));
            if independent && earlier.line != call.line {
                let what = format!("await {}() after {}(), whose result it does not take", name(call), name(earlier));
                findings.add("sequential_awaits", seen.at, call.line, what);
            }
        }
        before = Some(call);
    }
}

/// A wait for something outside, or for a function of the project, not for a bare future or a body already here.
fn works(index: &Index, seen: &Seen<'_>, call: &Call) -> bool {
    let effect = seen.effects.iter().find(|effect| effect.call.line == call.line && effect.call.path == call.path);
    match effect {
        Some(effect) => matches!(
            effect.kind(),
            Some(
                SourceKind::HttpCall
                    | SourceKind::GrpcCall
                    | SourceKind::DbQuery
                    | SourceKind::CacheOp
                    | SourceKind::QueueOp
            )
        ),
        // What no table knows and the project does not have is a message loop as likely as a request.
        None => {
            index.functions.contains_key(call.last())
                && !matches!(call.last(), "json" | "text" | "read" | "close" | "next" | "sleep" | "delay")
        }
    }
}

fn gathers(call: &Call) -> bool {
    matches!(call.last(), "gather" | "all" | "allSettled" | "wait" | "WhenAll" | "join_all" | "try_join_all")
}

fn name(call: &Call) -> String {
    call.path.get(call.path.len().saturating_sub(2)..).unwrap_or_default().join(".")
}

/// In Node all code runs on the loop; elsewhere async functions and what they call do. Go and Java have no such loop.
fn blocking(seen: &Seen<'_>, findings: &mut Findings<'_>) {
    let always = match seen.language {
        Language::Python | Language::Rust | Language::CSharp => false,
        Language::JavaScript | Language::TypeScript | Language::Tsx => true,
        Language::Go | Language::Java => return,
    };
    for effect in &seen.effects {
        let call = &effect.call;
        // What is awaited yields; what is handed to a thread does not hold this one.
        if !(always || effect.on_loop) || !effect.holds_thread() || call.awaited || call.concurrent {
            continue;
        }
        let asked = match effect.what {
            What::Does(kind, _) => kind != SourceKind::LockWait || seen.language != Language::Rust,
            What::Syncs => true,
            // Opening a local file alone is quick; what is done with it counts.
            What::Opens => !matches!(seen.language, Language::JavaScript | Language::TypeScript | Language::Tsx),
            What::Client(_) | What::TempFile | What::Limiter | What::Batch(_) | What::Cache | What::Nothing => false,
        };
        if asked {
            let place = match (seen.function.is_async, always) {
                (true, _) => "in an async function",
                (false, true) => "on the event loop",
                (false, false) => "in a function that an async one calls",
            };
            findings.add("sync_io_in_async", seen.at, call.line, format!("{}() {place}", effect.short()));
        }
    }
}
