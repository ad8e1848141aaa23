//! The map → the project's functions by the time that they compute on the chain of waits, largest first.
//! A function is one wherever it is called from.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::{
    map::{Location, Map, Step, WaitCause, Waits},
    recording::Nanos,
};

/// Above this share of the wall time (percent) a function's lines are looked at.
pub const HOT_PCT: f64 = 30.0;
#[derive(Debug, Clone, PartialEq)]
pub struct Hot {
    pub function: String,
    pub location: Option<Location>,
    /// Index into [`Map::services`].
    pub service: usize,
    /// In the order of the map.
    pub steps: Vec<String>,
    /// Own time on the CPU: none of its children's.
    pub cpu: Nanos,
    /// Of the wall time without waits for a CPU: what it would be on a machine with nothing else to do.
    pub share_pct: f64,
}

pub fn functions(map: &Map) -> Vec<Hot> {
    let mut found = Found::new();
    for step in &map.steps {
        collect(step, &mut found);
    }
    let base = without_queues(map);
    let mut all: Vec<Hot> = found
        .into_iter()
        .filter(|(_, (cpu, _))| *cpu > Nanos::ZERO)
        .map(|((service, function, location), (cpu, steps))| Hot {
            function: function.to_owned(),
            location: location.cloned(),
            service,
            steps,
            cpu,
            share_pct: super::share_pct(cpu, base),
        })
        .collect();
    all.sort_by_key(|hot| Reverse(hot.cpu));
    all
}

/// The wall time without the waits for a CPU: what it would be on a machine with nothing else to do.
pub fn without_queues(map: &Map) -> Nanos {
    map.wall.since(queued(map))
}

/// On the chain of waits: ready to run, but without a CPU or without quota.
fn queued(map: &Map) -> Nanos {
    let of = |waits: &Waits| waits.of(WaitCause::RunQueue).plus(waits.of(WaitCause::Throttled));
    fn below(step: &Step, of: &impl Fn(&Waits) -> Nanos) -> Nanos {
        let own = if step.beside { Nanos::ZERO } else { of(&step.own_waits) };
        own.plus(step.children.iter().map(|child| below(child, of)).sum())
    }
    map.steps.iter().map(|step| below(step, &of)).sum::<Nanos>().plus(of(&map.outside.waits))
}

type Found<'m> = BTreeMap<(usize, &'m str, Option<&'m Location>), (Nanos, Vec<String>)>;

fn collect<'m>(step: &'m Step, found: &mut Found<'m>) {
    if !step.beside && step.own_cpu > Nanos::ZERO {
        let (cpu, steps) = found.entry((step.service, &step.function, step.location.as_ref())).or_default();
        *cpu = cpu.plus(step.own_cpu);
        steps.push(step.id.clone());
    }
    for child in &step.children {
        collect(child, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::fixture::{map, ms, step};

    #[test]
    fn a_function_is_one_wherever_it_is_called_from() {
        let mut map = map();
        let own = |id: &str, cpu| Step { own_cpu: ms(cpu), ..step(id, "parse", cpu, cpu) };
        map.steps.extend([own("2", 500), own("3", 600), Step { beside: true, ..own("4", 9000) }]);
        let found = functions(&map);
        assert_eq!((found[0].function.as_str(), found[0].cpu), ("parse", ms(1100)));
        assert_eq!(found[0].steps, ["2", "3"]);
        assert_eq!((found[1].function.as_str(), found[1].service), ("extract_text", 1));
    }

    #[test]
    fn a_busy_machine_makes_no_function_cooler() {
        let share = |map: &Map| functions(map)[0].share_pct;
        let calm = share(&map());
        let mut busy = map();
        busy.wall = busy.wall.plus(ms(5000));
        busy.steps[0].own_waits.add(WaitCause::RunQueue, ms(4000));
        busy.outside.waits.add(WaitCause::Throttled, ms(1000));
        assert!((share(&busy) - calm).abs() < 1e-9, "{} {calm}", share(&busy));
    }
}
