//! Sizes of pools, time-outs and limits that the source sets, and defaults that it leaves as they are.
//!
//! They stand where clients are made: in the functions of the chain and at the top of the files that the chain uses.

use super::{Findings, Seen, number};
use crate::discover::chain::{
    facts::{Call, Facts, Value},
    index::{At, Index},
    language::Language,
    look::Meaning,
    modules,
    table::{self, What, settings},
};
use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

const MOST_FILES: usize = 200;

pub(super) fn find(index: &Index, whole: &HashMap<usize, Rc<Facts>>, seen: &[Seen<'_>], findings: &mut Findings<'_>) {
    for one in seen {
        let Some(facts) = whole.get(&one.at.file) else { continue };
        for call in &one.function.calls {
            judge(index, one.at, one.language, facts, call, findings);
        }
    }
    // The functions that set up the chain's routes: in Go, Rust and Node the clients are made there.
    let mut setting_up: Vec<At> = index
        .routes
        .iter()
        .filter(|route| route.registered.function != 0 && seen.iter().any(|one| one.at == route.handler))
        .map(|route| route.registered)
        .collect();
    setting_up.sort_unstable();
    setting_up.dedup();
    for at in setting_up {
        let language = index.files.get(at.file).and_then(|file| file.language);
        let (Some(facts), Some(language)) = (whole.get(&at.file), language) else { continue };
        for call in facts.functions.get(at.function).iter().flat_map(|function| &function.calls) {
            judge(index, at, language, facts, call, findings);
        }
    }
    // The tops of the files of the chain, and of those that they import.
    let mut files: BTreeSet<usize> = seen.iter().map(|one| one.at.file).collect();
    let imported: Vec<usize> = files
        .iter()
        .filter_map(|file| Some((*file, index.files.get(*file)?)))
        .flat_map(|(file, one)| {
            one.facts.imports.iter().take(64).flat_map(move |import| modules::files(index, file, &import.module))
        })
        .take(MOST_FILES)
        .collect();
    files.extend(imported);
    for file in files {
        let Some(one) = index.files.get(file) else { continue };
        let (Some(language), Some(top)) = (one.language, one.facts.functions.first()) else { continue };
        for call in &top.calls {
            judge(index, At { file, function: 0 }, language, &one.facts, call, findings);
        }
    }
}

fn judge(index: &Index, at: At, language: Language, facts: &Facts, call: &Call, findings: &mut Findings<'_>) {
    let name = call.path.get(call.path.len().saturating_sub(2)..).unwrap_or_default().join(".");
    let mut set = false;
    for arg in &call.args {
        let Some((given, rule)) =
            arg.name.as_deref().and_then(|name| Some((name, settings::of_argument(name, &call.path.join("."))?)))
        else {
            continue;
        };
        if let Some(figure) = figure(&arg.value) {
            set |= rule == "pool_exhaustion";
            findings.add(rule, at, call.line, format!("{name}({given}={figure})"));
        }
    }
    if let (Some(rule), Some(figure)) = (settings::of_setter(call.last()), number(call)) {
        findings.add(rule, at, call.line, format!("{name}({figure})"));
        return;
    }
    if set {
        return;
    }
    let what = match index.look(at.file, facts, at.function, &call.path) {
        Meaning::Outside(parts) => table::classify(language, &parts),
        Meaning::Function(_) | Meaning::Class(..) | Meaning::Many(_) => None,
    };
    if let Some(What::Client(Some(bound))) = what {
        findings.add(
            "default_limit_reached",
            at,
            call.line,
            format!("{name}() with its default of {bound} connections"),
        );
    }
}

fn figure(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.clone()),
        // `Duration.ofSeconds(5)`, `aiohttp.ClientTimeout(total=5)`
        Value::Call(_, Some(last)) => figure(last),
        Value::Text(_) | Value::Name(_) | Value::Call(_, None) | Value::Function(_) | Value::Other => None,
    }
}
