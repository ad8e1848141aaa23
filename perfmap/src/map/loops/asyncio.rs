//! Stacks → what of asyncio's own functions a coroutine waits in. The only place that knows them by name.

use crate::{
    map::activity::Awaited,
    resolve::{Language, PlaceId, Resolved},
};

/// Functions of a stack with their files, Python's alone, innermost first; names without their class.
pub(super) fn names<'a>(resolved: &'a Resolved, stack: &'a [PlaceId]) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
    let places = stack.iter().filter_map(|id| resolved.places.get(id.0 as usize));
    let python = places.filter(|place| place.language == Language::Python);
    python.map(|place| {
        let function = place.function.rsplit('.').next().unwrap_or(&place.function);
        (function, place.file.as_deref().unwrap_or(""))
    })
}

/// The innermost function, where it is one of asyncio's, with its file's name.
fn of_asyncio<'a>(resolved: &'a Resolved, stack: &'a [PlaceId]) -> Option<(&'a str, &'a str)> {
    let (function, file) = names(resolved, stack).next()?;
    Some((function, file.rsplit_once("asyncio/")?.1))
}

/// Waits until another coroutine goes on.
pub(super) fn waits_for_others(resolved: &Resolved, stack: &[PlaceId]) -> bool {
    match of_asyncio(resolved, stack) {
        Some((_, "locks.py" | "queues.py" | "taskgroups.py" | "timeouts.py")) => true,
        Some((function, "tasks.py")) => function != "sleep",
        Some(_) | None => false,
    }
}

/// What a coroutine waits for, as far as asyncio's innermost function tells.
pub(in crate::map) fn awaited(resolved: &Resolved, stack: &[PlaceId]) -> Awaited {
    match of_asyncio(resolved, stack) {
        Some((_, "locks.py")) => Awaited::Lock,
        Some((_, "queues.py")) => Awaited::Queue,
        Some(("sleep", "tasks.py")) => Awaited::Sleep,
        Some((_, "tasks.py" | "taskgroups.py" | "timeouts.py")) => Awaited::Others,
        Some(_) | None => Awaited::Other,
    }
}

pub(super) fn sleeps(resolved: &Resolved, stack: &[PlaceId]) -> bool {
    of_asyncio(resolved, stack) == Some(("sleep", "tasks.py"))
}

/// The loop itself is on the stack: asyncio's own, or another one (uvloop's is no Python function) that its runner drives.
pub(super) fn runs_loop(resolved: &Resolved, stack: &[PlaceId]) -> bool {
    names(resolved, stack).any(|(function, file)| is_loop(function, file))
}

fn is_loop(function: &str, file: &str) -> bool {
    match function {
        "_run_once" => true,
        "run" => file.ends_with("asyncio/runners.py"),
        _ => false,
    }
}

/// What the loop runs or resumes, without the loop and its callers.
pub(in crate::map) fn inside<'a>(resolved: &Resolved, stack: &'a [PlaceId]) -> &'a [PlaceId] {
    let end = stack.iter().position(|id| {
        names(resolved, std::slice::from_ref(id)).next().is_some_and(|(function, file)| is_loop(function, file))
    });
    stack.get(..end.unwrap_or(stack.len())).unwrap_or_default()
}
