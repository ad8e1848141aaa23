//! A stack → the step whose function is deepest on it, and where on it an event loop runs what it was given.

use std::collections::BTreeMap;

use super::{Facts, calls::walk, source::same_file};
use crate::{
    map::Step,
    recording::StackId,
    resolve::{Place, PlaceId},
};

pub(crate) struct Stacks<'a> {
    facts: Facts<'a>,
    /// By place.
    known: Vec<Option<&'a Step>>,
}

impl<'a> Stacks<'a> {
    pub fn new(facts: &Facts<'a>) -> Stacks<'a> {
        let mut steps: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
        walk(&facts.map.steps, None, &mut |step, _| steps.entry(&step.function).or_default().push(step));
        let of_place = |place: &Place| {
            let file = place.file.as_deref()?;
            let named = steps.get(place.function.as_str())?;
            named.iter().copied().find(|step| step.location.as_ref().is_some_and(|at| same_file(file, &at.file)))
        };
        let known = facts.resolved.places.iter().map(of_place).collect();
        Stacks { facts: *facts, known }
    }

    /// Leaf first.
    pub fn places(&self, stack: StackId) -> impl Iterator<Item = (PlaceId, &'a Place)> + use<'a> {
        let resolved = self.facts.resolved;
        let ids = resolved.stacks.get(stack.0 as usize).map_or(&[][..], |ids| &ids[..]);
        ids.iter().filter_map(move |id| Some((*id, resolved.places.get(id.0 as usize)?)))
    }

    /// The same, each with the step of its function where it is the project's.
    pub fn steps_on(&self, stack: StackId) -> impl Iterator<Item = (PlaceId, &'a Place, Option<&'a Step>)> {
        self.places(stack).map(|(id, place)| (id, place, self.known.get(id.0 as usize).copied().flatten()))
    }

    pub fn step(&self, stack: StackId) -> Option<&'a Step> {
        self.places(stack).find_map(|(id, _)| self.known.get(id.0 as usize).copied().flatten())
    }

    /// Where in the step's function the stack goes on.
    pub fn line_in(&self, stack: StackId, step: &Step) -> Option<u32> {
        let is_step = |id: PlaceId| {
            let known = self.known.get(id.0 as usize).copied().flatten();
            known.is_some_and(|known| known.function == step.function && known.location == step.location)
        };
        self.places(stack).find(|(id, _)| is_step(*id)).and_then(|(_, place)| place.line)
    }

    /// The system call is the poll of a loop: all of them use this one, and what is no loop seldom does.
    pub fn is_in_epoll(&self, stack: StackId) -> bool {
        self.places(stack).any(|(_, place)| place.function.starts_with("epoll_") || place.function.contains("_epoll_"))
    }

    /// The deepest step below an event loop that runs on this stack; None where the loop itself does, or there is none.
    pub fn step_in_loop(&self, stack: StackId) -> Option<&'a Step> {
        let mut deepest = None;
        for (id, place) in self.places(stack) {
            if runs_loop(place) {
                return deepest;
            }
            // What a module does while it is loaded is nobody's turn.
            if place.function.ends_with("<module>") {
                return None;
            }
            deepest = deepest.or(self.known.get(id.0 as usize).copied().flatten());
        }
        None
    }

    /// The step that an event loop runs and that runs a loop of its own to its end, as Node's `execFileSync` does: the poll of
    /// the inner one holds up the outer one.
    pub fn step_of_inner_loop(&self, stack: StackId) -> Option<&'a Step> {
        let (mut inside, mut deepest) = (false, None);
        for (id, place) in self.places(stack) {
            if runs_loop(place) {
                if deepest.is_some() {
                    return deepest;
                }
                inside = true;
            }
            if place.function.ends_with("<module>") {
                return None;
            }
            if inside {
                deepest = deepest.or(self.known.get(id.0 as usize).copied().flatten());
            }
        }
        None
    }
}

/// Runs callbacks one after the other: asyncio's loop or the runner of another one, libuv, a scheduler of tokio's.
pub(super) fn runs_loop(place: &Place) -> bool {
    let name = place.function.rsplit('.').next().unwrap_or_default();
    let file = place.file.as_deref().unwrap_or_default();
    name == "_run_once"
        || name == "run" && file.ends_with("asyncio/runners.py")
        || name == "uv_run"
        || place.function.contains("tokio::runtime::scheduler::")
}
