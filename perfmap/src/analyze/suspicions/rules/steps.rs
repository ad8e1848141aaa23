//! What several rules ask of the step tree: sums over the chain of waits, and which steps they come from.

use super::super::{Evidence, Value};
use crate::{
    analyze::share_pct,
    map::{Map, Step},
    recording::{Nanos, Recording, Resource, Scope},
};

/// Steps on the chain of waits (those beside it own no wall time), root first.
pub fn walk<'m>(map: &'m Map, visit: &mut impl FnMut(&'m Step)) {
    fn below<'m>(step: &'m Step, visit: &mut impl FnMut(&'m Step)) {
        if !step.beside {
            visit(step);
        }
        for child in &step.children {
            below(child, visit);
        }
    }
    for step in &map.steps {
        below(step, visit);
    }
}

/// Sum of a part of the steps' own time, and the ids of the steps that have a tenth of it or more.
pub fn sum(map: &Map, part: impl Fn(&Step) -> Nanos) -> (Nanos, Vec<String>) {
    let mut parts: Vec<(Nanos, &Step)> = vec![];
    walk(map, &mut |step| {
        let length = part(step);
        if length > Nanos::ZERO {
            parts.push((length, step));
        }
    });
    let total: Nanos = parts.iter().map(|(length, _)| *length).sum();
    let large = parts.into_iter().filter(|(length, _)| length.0 >= total.0 / 10);
    (total, large.map(|(_, step)| step.id.clone()).collect())
}

/// Steps of a function, by its name and service.
pub fn of_function(map: &Map, service: usize, function: &str) -> Vec<String> {
    let mut found = vec![];
    walk(map, &mut |step| {
        if step.service == service && step.function == function {
            found.push(step.id.clone());
        }
    });
    found
}

/// What the kernel's account of pressure says of a resource, for a rule's evidence.
pub fn pressure(recording: &Recording, resource: Resource) -> Option<Evidence> {
    let pressure = recording.environment.pressure_of(resource)?;
    let whose = match pressure.scope {
        Scope::Machine => "the machine",
        Scope::Group => "its control group",
    };
    let what = match resource {
        Resource::Cpu => "a CPU",
        Resource::Io => "a device",
        Resource::Memory => "memory",
    };
    let pct = share_pct(pressure.some, recording.environment.length);
    Some(Evidence::new(&format!("a task of {whose} waited for {what}, of the time (PSI)"), Value::Percent(pct)))
}
