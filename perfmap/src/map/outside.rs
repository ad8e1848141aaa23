//! The remainder outside the project → the functions that own most of it, as a person would name them.

use rustc_hash::FxHashMap;

use super::{services, walk};
use crate::{
    recording::{Nanos, Recording, StackId, TaskId},
    resolve::{Language, Place, Resolved},
};

const SHOWN: usize = 3;

pub(super) fn top(recording: &Recording, resolved: &Resolved, outside: &walk::Outside) -> Vec<(String, Nanos)> {
    let mut by_name: FxHashMap<String, Nanos> = FxHashMap::default();
    for ((stack, task), length) in outside {
        let name = function(resolved, *stack).or_else(|| program(recording, *task)).unwrap_or_else(|| "unknown".into());
        let sum = by_name.entry(name).or_default();
        *sum = sum.plus(*length);
    }
    let mut sorted: Vec<(String, Nanos)> = by_name.into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sorted.truncate(SHOWN);
    sorted
}

/// The innermost function of an interpreter where there is one, else of a binary: nobody knows the C function below
/// `Lib.thing`, and everybody knows `Lib.thing`. The import machinery stands for the module that it runs.
fn function(resolved: &Resolved, stack: Option<StackId>) -> Option<String> {
    let stack = resolved.stacks.get(stack?.0 as usize)?;
    let places = || stack.iter().filter_map(|id| resolved.places.get(id.0 as usize));
    let importing = |place: &Place| place.file.as_deref().is_some_and(|file| file.starts_with("<frozen importlib"));
    places()
        .find(|place| place.language == Language::Python && !importing(place))
        .or_else(|| places().find(|place| place.language != Language::Kernel && place.unnamed.is_none()))
        .or_else(|| places().find(|place| place.language != Language::Kernel))
        .map(|place| match &place.file {
            Some(file) if place.function == "<module>" => format!("<module> of {}", tail(file)),
            Some(_) | None => place.function.clone(),
        })
}

/// The last two components: `requests/__init__.py`.
fn tail(file: &str) -> &str {
    file.rmatch_indices('/').nth(1).map_or(file, |(at, _)| &file[at + 1..])
}

fn program(recording: &Recording, task: TaskId) -> Option<String> {
    let task = recording.tasks.get(task.0 as usize)?;
    let image = recording.processes.get(task.process.0 as usize)?.images.last()?;
    Some(services::program(image))
}
