//! Stacks → whether a futex wait on them is one for mutual exclusion. Knows names alone.
//!
//! A futex carries conditions, semaphores, joins and queues as well: who waits there waits for something to happen, and
//! nobody holds it. The functions that take a lock say which it is; in CPython one function takes locks for both, so
//! that its caller decides.

use crate::resolve::{Language, Place, Resolved};

/// By `StackId`.
pub(super) fn stacks(resolved: &Resolved) -> Vec<bool> {
    let place = |id: &crate::resolve::PlaceId| resolved.places.get(id.0 as usize);
    resolved.stacks.iter().map(|stack| takes_a_lock(stack.iter().filter_map(place))).collect()
}

/// Leaf first.
fn takes_a_lock<'a>(places: impl Iterator<Item = &'a Place>) -> bool {
    let mut by_python = false;
    for place in places {
        match place.language {
            Language::Kernel => {}
            Language::Python => return by_python && !waits_for_an_event(place),
            Language::Jit => return false,
            Language::Native if is_condition(&place.function) => return false,
            Language::Native if takes(&place.function) => return true,
            Language::Native => by_python |= takes_for_python(&place.function),
        }
    }
    by_python
}

fn takes(function: &str) -> bool {
    const NAMES: [&str; 7] = [
        "pthread_mutex_lock",
        "pthread_mutex_timedlock",
        "pthread_mutex_clocklock",
        "pthread_rwlock_",
        "lll_lock_wait",
        "lock_contended", // Rust's std: Mutex, and RwLock's read_ and write_contended
        "write_contended",
    ];
    NAMES.iter().any(|name| function.contains(name))
        || function.contains("read_contended")
        || (function.contains("parking_lot") && function.contains("lock") && function.contains("_slow"))
}

fn takes_for_python(function: &str) -> bool {
    ["PyThread_acquire_lock", "_PyMutex_Lock", "PyMutex_Lock", "SemLock_acquire"]
        .iter()
        .any(|name| function.contains(name))
}

fn is_condition(function: &str) -> bool {
    ["pthread_cond_", "pthread_join", "pthread_barrier", "SimpleQueue", "PyEvent_Wait", "ThreadHandle_join"]
        .iter()
        .any(|name| function.contains(name))
        || (function.contains("Condvar") && function.contains("wait"))
        || function.contains("::park")
}

/// Functions of the standard library that use a lock as a signal.
fn waits_for_an_event(place: &Place) -> bool {
    const MODULES: [&str; 4] =
        ["/threading.py", "/queue.py", "/concurrent/futures/thread.py", "/multiprocessing/queues.py"];
    let of_library = place.file.as_deref().is_some_and(|file| MODULES.iter().any(|module| file.ends_with(module)));
    let name = place.function.rsplit('.').next().unwrap_or(&place.function);
    of_library && (matches!(name, "wait" | "join" | "get" | "_worker") || name.contains("_wait_for_tstate_lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(language: Language, function: &str, file: Option<&str>) -> Place {
        Place {
            function: function.into(),
            file: file.map(Into::into),
            line: None,
            first_line: None,
            language,
            module: None,
            inlined: false,
            unnamed: None,
        }
    }

    fn lock(natives: &[&str], python: Option<(&str, &str)>) -> bool {
        let mut places = vec![place(Language::Kernel, "futex_wait", None)];
        places.extend(natives.iter().map(|name| place(Language::Native, name, None)));
        places.extend(python.map(|(function, file)| place(Language::Python, function, Some(file))));
        takes_a_lock(places.iter())
    }

    #[test]
    fn locks_are_told_from_conditions() {
        for natives in [
            &["__lll_lock_wait", "pthread_mutex_lock@@GLIBC_2.2.5", "want_it"][..],
            &["std::sys::sync::mutex::futex::Mutex::lock_contended", "app::f"],
            &["syscall", "parking_lot::raw_mutex::RawMutex::lock_slow", "app::f"],
            &["std::sys::sync::rwlock::futex::RwLock::read_contended"],
        ] {
            assert!(lock(natives, None), "{natives:?}");
        }
        for natives in [
            &["__futex_abstimed_wait_common", "pthread_cond_wait@@GLIBC_2.3.2", "next_item"][..],
            &["std::sys::sync::condvar::futex::Condvar::wait", "app::f"],
            &["std::thread::park", "app::f"],
            &["__pthread_clockjoin_ex", "pthread_join"],
            &["sem_wait", "f"],
        ] {
            assert!(!lock(natives, None), "{natives:?}");
        }
    }

    #[test]
    fn python_s_locks_are_told_by_their_caller() {
        let natives = &["do_futex_wait", "sem_clockwait", "PyThread_acquire_lock_timed", "acquire_timed"];
        assert!(lock(natives, Some(("work", "/p/app.py"))));
        assert!(lock(natives, Some(("Condition.__enter__", "/usr/lib/python3.11/threading.py"))));
        assert!(!lock(natives, Some(("Condition.wait", "/usr/lib/python3.11/threading.py"))));
        assert!(!lock(natives, Some(("Thread._wait_for_tstate_lock", "/usr/lib/python3.11/threading.py"))));
        assert!(!lock(natives, Some(("_worker", "/usr/lib/python3.11/concurrent/futures/thread.py"))));
        assert!(lock(natives, Some(("wait", "/p/threading_app.py"))));
        assert!(!lock(&["sem_wait"], Some(("work", "/p/app.py"))));
    }
}
