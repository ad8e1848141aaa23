//! What the source made suspicious → joined to what the run showed. A finding whose function did not run is
//! unverified; one that ran without the run confirming it is dismissed, with what was measured of it.

use super::{
    Facts, RULES, Suspicion,
    calls::walk,
    types::{Evidence, Value, Verdict},
};
use crate::{
    map::{Location, Step},
    recording::{Nanos, SourceFinding},
};

pub(super) fn judge(facts: &Facts<'_>, found: &mut Vec<Suspicion>) {
    let Some(source) = &facts.recording.source else { return };
    let mut added: Vec<Suspicion> = Vec::new();
    for finding in &source.findings {
        let Some(rule) = RULES.iter().find(|rule| rule.id == finding.rule) else { continue };
        let steps = steps_of(facts, finding);
        let ids: Vec<String> = steps.iter().map(|step| step.id.clone()).collect();
        let place = Location { file: finding.file.clone(), line: finding.line };
        let is_below = |id: &String| ids.iter().any(|own| id == own || id.starts_with(&format!("{own}.")));
        if let Some(known) = found.iter_mut().find(|one| one.id == rule.id && one.affected_steps.iter().any(is_below)) {
            known.note = format!("{}; {}:{}: {}", known.note, finding.file, finding.line, finding.what);
            continue;
        }
        let ran = !steps.is_empty() || was_seen(facts, finding);
        let (verdict, note) = if ran {
            (Verdict::Dismissed, "the function ran, and the run does not show it".to_owned())
        } else {
            (Verdict::Unverified, "the function did not run".to_owned())
        };
        let wall: Nanos = steps.iter().map(|step| step.wall).sum();
        let count: u64 = steps.iter().map(|step| step.http_round_trips.saturating_add(step.db_round_trips)).sum();
        let evidence = match ran {
            true => vec![
                Evidence::new("time in the function", Value::Time(wall)),
                Evidence::new("round trips that it made itself", Value::Count(count)),
            ],
            false => Vec::new(),
        };
        // Equal words about one function are one suspicion.
        let description = finding.what.clone();
        let subject = finding.function.clone();
        match added.iter_mut().find(|one| one.id == rule.id && one.subject == subject && one.description == description)
        {
            Some(_) => {}
            None => added.push(Suspicion {
                id: rule.id,
                category: rule.category,
                subject,
                location: Some(place),
                affected_steps: ids,
                description,
                verdict,
                evidence,
                note,
                gain: None,
                change: None,
            }),
        }
    }
    found.append(&mut added);
}

pub(super) fn steps_of<'a>(facts: &Facts<'a>, finding: &SourceFinding) -> Vec<&'a Step> {
    let mut found = Vec::new();
    walk(&facts.map.steps, None, &mut |step, _| {
        let file = step.location.as_ref().is_some_and(|location| same_file(&location.file, &finding.file));
        if file && same_name(&step.function, &finding.function) {
            found.push(step);
        }
    });
    found
}

/// On some stack, if in no step of its own.
fn was_seen(facts: &Facts<'_>, finding: &SourceFinding) -> bool {
    facts.resolved.places.iter().any(|place| {
        place.file.as_deref().is_some_and(|file| same_file(file, &finding.file))
            && same_name(&place.function, &finding.function)
    })
}

/// One may be absolute, or relative to another root.
pub(super) fn same_file(a: &str, b: &str) -> bool {
    let ends = |long: &str, short: &str| {
        long == short || long.strip_suffix(short).is_some_and(|before| before.ends_with('/') && !short.is_empty())
    };
    ends(a, b) || ends(b, a)
}

/// Runtimes and sources qualify differently: the last names decide.
fn same_name(a: &str, b: &str) -> bool {
    fn last(name: &str) -> &str {
        name.rsplit(['.', ':', '/', '#']).next().unwrap_or(name)
    }
    !last(a).is_empty() && last(a) == last(b)
}
