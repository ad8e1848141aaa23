//! Stacks → whether a task waits there for room in a queue that it puts something into. Knows names alone.
//!
//! Who takes from a queue waits for work; who puts into one that has no room waits for whoever empties it, and so does
//! everybody else who fills it.

use crate::resolve::{Language, Place, Resolved};

/// Functions of Go's runtime above the one that sends.
const NEAR: usize = 8;

/// By `StackId`.
pub(super) fn stacks(resolved: &Resolved) -> Vec<bool> {
    let place = |id: &crate::resolve::PlaceId| resolved.places.get(id.0 as usize);
    resolved.stacks.iter().map(|stack| waits_for_room(stack.iter().filter_map(place))).collect()
}

/// Leaf first.
fn waits_for_room<'a>(places: impl Iterator<Item = &'a Place>) -> bool {
    let (mut natives, mut waited) = (0, false);
    for place in places {
        match place.language {
            Language::Kernel => {}
            Language::Native => {
                natives += 1;
                if sends(&place.function, natives) {
                    return true;
                }
            }
            Language::Jit => return puts_in_java(&place.function),
            Language::Python => {
                let file = place.file.as_deref().unwrap_or_default();
                let name = place.function.rsplit('.').next().unwrap_or(&place.function);
                match name {
                    "wait" if file.ends_with("/threading.py") && !waited => waited = true,
                    "put" if file.ends_with("/queue.py") => return waited,
                    "put" => {
                        return ["/multiprocessing/queues.py", "/asyncio/queues.py"]
                            .iter()
                            .any(|end| file.ends_with(end));
                    }
                    _ => return false,
                }
            }
        }
    }
    false
}

fn sends(function: &str, natives: usize) -> bool {
    const CHANNELS: [&str; 4] = ["mpsc", "mpmc", "crossbeam_channel", "flume"];
    let go = matches!(function, "runtime.chansend" | "runtime.chansend1") && natives <= NEAR;
    go || function.contains("::send") && CHANNELS.iter().any(|channel| function.contains(channel))
}

fn puts_in_java(function: &str) -> bool {
    let (of, name) = function.rsplit_once(['.', ':']).unwrap_or(("", function));
    of.contains("BlockingQueue") && name.starts_with("put")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(places: &[(Language, &str, &str)]) -> bool {
        let place = |(language, function, file): &(Language, &str, &str)| Place {
            function: (*function).into(),
            file: Some((*file).into()),
            line: None,
            first_line: None,
            language: *language,
            module: None,
            inlined: false,
            unnamed: None,
        };
        let places: Vec<Place> = places.iter().map(place).collect();
        waits_for_room(places.iter())
    }

    #[test]
    fn who_fills_a_queue_is_told_from_who_empties_it() {
        use Language::{Jit, Kernel, Native, Python};
        let wait = (Python, "Condition.wait", "/usr/lib/python3.11/threading.py");
        let (queue, processes) = ("/usr/lib/python3.11/queue.py", "/usr/lib/python3.11/multiprocessing/queues.py");
        let acquire = (Native, "PyThread_acquire_lock_timed", "");
        let kernel = (Kernel, "futex_wait", "");
        assert!(waits(&[kernel, acquire, wait, (Python, "Queue.put", queue), (Python, "save", "/p/app.py")]));
        assert!(waits(&[kernel, (Python, "Queue.put", processes)]));
        assert!(waits(&[(Python, "Queue.put", "/usr/lib/python3.11/asyncio/queues.py")]));
        assert!(waits(&[(Native, "runtime.gopark", ""), (Native, "runtime.chansend1", ""), (Native, "main.save", "")]));
        assert!(waits(&[(Native, "std::thread::park", ""), (Native, "std::sync::mpmc::array::Channel<T>::send", "")]));
        assert!(waits(&[(Jit, "java.util.concurrent.ArrayBlockingQueue::put", "")]));
        assert!(!waits(&[kernel, acquire, wait, (Python, "Queue.get", queue)]));
        assert!(!waits(&[kernel, acquire, (Python, "Queue.put", queue)]), "the queue's own lock");
        assert!(!waits(&[kernel, wait, (Python, "work", "/p/app.py"), (Python, "put", queue)]));
        assert!(!waits(&[(Python, "put", "/p/app.py")]));
        assert!(!waits(&[(Native, "runtime.gopark", ""), (Native, "runtime.chanrecv1", "")]));
        assert!(!waits(&[(Jit, "java.util.concurrent.ArrayBlockingQueue::take", "")]));
        assert!(!waits(&[(Native, "send", ""), (Native, "app::socket::send", "")]));
    }
}
