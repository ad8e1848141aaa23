//! The runtime's own words for why a goroutine waits → what it waits for. Their numbers differ from release to release, so
//! the words are read from the running program.

/// What a goroutine waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    Sleep,
    /// A descriptor that the network poller watches.
    Descriptor,
    /// A mutex.
    Lock,
    /// Another goroutine: a channel, a group, a condition.
    Goroutine,
    /// The runtime's own work, and what is not known.
    Runtime,
}

/// By `runtime.g.waitreason`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reasons(Vec<Reason>);

impl Reasons {
    pub fn of<'a>(words: impl Iterator<Item = &'a [u8]>) -> Reasons {
        Reasons(words.map(reason).collect())
    }

    pub fn get(&self, number: u32) -> Reason {
        self.0.get(number as usize).copied().unwrap_or(Reason::Runtime)
    }

    /// Those that any release has are among them.
    pub fn are_plausible(&self) -> bool {
        [Reason::Sleep, Reason::Descriptor, Reason::Goroutine].iter().all(|reason| self.0.contains(reason))
    }
}

/// A semaphore ("semacquire") is a mutex's up to 1.19, a group's up to 1.24: the functions on the stack tell which.
fn reason(words: &[u8]) -> Reason {
    match words {
        b"sleep" => Reason::Sleep,
        b"IO wait" => Reason::Descriptor,
        b"sync.Mutex.Lock" | b"sync.RWMutex.RLock" | b"sync.RWMutex.Lock" => Reason::Lock,
        b"semacquire" | b"sync.Cond.Wait" | b"sync.WaitGroup.Wait" => Reason::Goroutine,
        b"coroutine" => Reason::Goroutine,
        _ if words.starts_with(b"chan ") || words.starts_with(b"select") => Reason::Goroutine,
        _ => Reason::Runtime,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_several_releases() {
        let words: [&[u8]; 7] = [
            b"",
            b"IO wait",
            b"chan receive (nil chan)",
            b"select (no cases)",
            b"sleep",
            b"GC worker (idle)",
            b"sync.Mutex.Lock",
        ];
        let reasons = Reasons::of(words.into_iter());
        let of: Vec<Reason> = (0..8).map(|number| reasons.get(number)).collect();
        use Reason::{Descriptor, Goroutine, Lock, Runtime, Sleep};
        assert_eq!(of, [Runtime, Descriptor, Goroutine, Goroutine, Sleep, Runtime, Lock, Runtime]);
        assert!(reasons.are_plausible() && !Reasons::default().are_plausible());
    }
}
