//! Stacks → whether a worker waits there to be given work. What hands out items is no resource that the workers share: who
//! waits at it has nothing to do.

use crate::resolve::{Language, PlaceId, Resolved};

/// By `StackId`.
pub(super) fn stacks(resolved: &Resolved) -> Vec<bool> {
    resolved.stacks.iter().map(|stack| waits_for_work(resolved, stack)).collect()
}

/// Python's process pools alone have a lock there; other queues are told by who ends the wait.
fn waits_for_work(resolved: &Resolved, stack: &[PlaceId]) -> bool {
    let python = stack
        .iter()
        .filter_map(|id| resolved.places.get(id.0 as usize))
        .filter(|place| place.language == Language::Python);
    for place in python {
        let name = place.function.rsplit('.').next().unwrap_or(&place.function);
        let file = place.file.as_deref().unwrap_or_default();
        if ["/multiprocessing/queues.py", "/multiprocessing/pool.py", "/concurrent/futures/process.py"]
            .iter()
            .any(|end| file.ends_with(end))
        {
            return matches!(name, "get" | "worker" | "_process_worker");
        }
        // Up to the first function that is no part of the library's way to the lock.
        if !["/multiprocessing/synchronize.py", "/multiprocessing/connection.py"].iter().any(|end| file.ends_with(end))
        {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Place;

    fn place(function: &str, file: &str) -> Place {
        Place {
            function: function.into(),
            file: Some(file.into()),
            line: None,
            first_line: None,
            language: Language::Python,
            module: None,
            inlined: false,
            unnamed: None,
        }
    }

    fn idle(frames: &[(&str, &str)]) -> bool {
        let places = frames.iter().map(|(function, file)| place(function, file)).collect();
        let stacks = vec![(0..frames.len() as u32).map(PlaceId).collect()];
        stacks_of(&Resolved { places, stacks })
    }

    fn stacks_of(resolved: &Resolved) -> bool {
        stacks(resolved)[0]
    }

    #[test]
    fn a_pool_s_queue_is_no_lock_and_a_lock_in_the_item_is() {
        let enter = ("SemLock.__enter__", "/usr/lib/python3.11/multiprocessing/synchronize.py");
        let get = ("Queue.get", "/usr/lib/python3.11/multiprocessing/queues.py");
        let work = ("part", "/p/app.py");
        assert!(idle(&[enter, get, work]));
        assert!(idle(&[get, work]));
        assert!(!idle(&[enter, work]));
        assert!(!idle(&[work, get]));
    }
}
