//! Stacks → whether a database inside the program (SQLite) is what waits in them.
//!
//! Such a database has no connection: it waits for its file (a sync, a read), for a lock on it that another process has,
//! and asks for that again after a sleep. The kernel shows a disk, a lock or a timer; the library's functions on the
//! stack say whose wait it is. Interpreted code that the library calls back waits for itself. Not known where the library
//! is linked statically and its names are gone.

use super::known::Known;
use crate::{
    correlate::{Cause, Wait},
    recording::StackId,
    resolve::{Language, Place, Resolved},
};

/// By `StackId`.
pub fn stacks(resolved: &Resolved) -> Vec<bool> {
    resolved
        .stacks
        .iter()
        .map(|stack| {
            let places = stack.iter().filter_map(|id| resolved.places.get(id.0 as usize));
            places
                .filter(|place| place.language != Language::Kernel)
                .take_while(|place| place.language == Language::Native)
                .any(is_sqlite)
        })
        .collect()
}

fn is_sqlite(place: &Place) -> bool {
    let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    // All of its public functions begin so; those inside of it that do not lie between these.
    place.function.starts_with("sqlite3_")
        || place.file.as_deref().is_some_and(|file| base(file) == "sqlite3.c")
        || place.module.as_deref().is_some_and(|module| base(module).starts_with("libsqlite3"))
}

impl Known<'_> {
    /// A database inside the program waits for its file or for a lock on it. For its own threads' locks it waits as
    /// others do.
    pub(super) fn is_embedded_database(&self, wait: &Wait) -> bool {
        let may = match wait.cause {
            Cause::Disk | Cause::Sleep => true,
            Cause::Lock => !wait.futex,
            Cause::Network | Cause::Database | Cause::Child | Cause::Pipe | Cause::Other => false,
        };
        may && self.is_of_embedded_database(wait.stack)
    }

    pub(super) fn is_of_embedded_database(&self, stack: Option<StackId>) -> bool {
        stack.is_some_and(|stack| self.embedded_database.get(stack.0 as usize).copied().unwrap_or(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::PlaceId;

    /// Leaf first: `language function module`.
    fn waits(places: &[(Language, &str, &str)]) -> bool {
        let place = |(language, function, module): &(Language, &str, &str)| Place {
            function: (*function).into(),
            file: None,
            line: None,
            first_line: None,
            language: *language,
            module: (!module.is_empty()).then(|| (*module).into()),
            inlined: false,
            unnamed: None,
        };
        let ids = (0..places.len() as u32).map(PlaceId).collect();
        stacks(&Resolved { places: places.iter().map(place).collect(), stacks: vec![ids] })[0]
    }

    use Language::{Jit, Kernel, Native, Python};
    const LIBC: &str = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    const SYNC: [(Language, &str, &str); 2] = [(Kernel, "ext4_sync_file", ""), (Native, "fdatasync", LIBC)];

    #[test]
    fn the_library_and_what_it_is_linked_into() {
        let shared = (Native, "libsqlite3.so.0.8.6+0x1234", "/usr/lib/libsqlite3.so.0.8.6");
        let caller = (Python, "Store.save", "");
        assert!(waits(&[SYNC[0], SYNC[1], shared, caller]));
        let linked = [(Native, "unixSync", "/p/app"), (Native, "sqlite3_step", "/p/app"), (Native, "save", "/p/app")];
        assert!(waits(&[&SYNC[..], &linked[..]].concat()));
        assert!(waits(&[(Native, "clock_nanosleep", LIBC), shared]));
    }

    #[test]
    fn others_and_what_it_calls_back() {
        let library = (Native, "sqlite3_step", "/usr/lib/libsqlite3.so.0");
        assert!(!waits(&[SYNC[0], SYNC[1], (Native, "save", "/p/app")]));
        assert!(!waits(&[(Native, "clock_nanosleep", LIBC), (Python, "nap", ""), library]));
        assert!(!waits(&[(Jit, "nap", ""), library]));
        assert!(!waits(&[(Python, "sqlite3_step", "")]));
    }
}
