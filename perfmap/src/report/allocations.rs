//! What probes at the allocators saw → its line in the escalation.

use super::{
    human::{duration, grouped, memory},
    result::AllocationOut,
};
use crate::analyze::{Allocating, Amount, Native};

/// Functions that are named of each kind.
const NAMED: usize = 5;

pub fn native(native: &Native) -> [String; 3] {
    let Native { calls, bytes, frees, alive, untracked, lost, unwatched, stopped, wall, before, functions } = native;
    let by = |one: &Allocating, of: &Amount| {
        let line = one.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{} ({}{line}) {}", one.function, one.file, amount(of))
    };
    let named = |of: fn(&Allocating) -> &Amount| {
        let mut most: Vec<&Allocating> = functions.iter().filter(|one| of(one).bytes > 0).collect();
        most.sort_by(|a, b| of(b).bytes.cmp(&of(a).bytes).then_with(|| a.function.cmp(&b.function)));
        let named: Vec<String> = most.into_iter().take(NAMED).map(|one| by(one, of(one))).collect();
        if named.is_empty() { "none by the project".to_owned() } else { named.join(", ") }
    };
    let mut result = format!(
        "{} allocated in {} calls: {}; alive at the end {}: {}; a run of its own, that took {} instead of {} ({} more for each of \
         {} calls)",
        memory(*bytes as f64),
        grouped(*calls),
        named(|one| &one.all),
        amount(alive),
        named(|one| &one.alive),
        duration(*wall),
        duration(*before),
        duration(native.per_call()),
        grouped(calls.saturating_add(*frees)),
    );
    let mut but = |what: String| {
        result.push_str("; ");
        result.push_str(&what);
    };
    if let Some(stopped) = stopped {
        but(format!(
            "the calls were so many that it was given up after {}: what came later is not in it",
            duration(*stopped)
        ));
    }
    if *lost > 0 {
        but(format!("{} records had no room: the figures are too low", grouped(*lost)));
    }
    if *untracked > 0 {
        but(format!("of {} it is not known whether they were freed", memory(*untracked as f64)));
    }
    if *unwatched > 0 {
        but(format!(
            "{} processes were not looked at: too short, too many, or no allocator that is known",
            grouped(u64::from(*unwatched))
        ));
    }
    ["probes at the allocator".into(), "--allocations was given".into(), result]
}

pub fn out(functions: &[Allocating]) -> Vec<AllocationOut> {
    let whole = |error: f64| error.ceil() as u64;
    let one = |Allocating { function, file, line, all, alive }: &Allocating| AllocationOut {
        function: function.clone(),
        location: line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")),
        bytes: all.bytes,
        bytes_error: whole(all.bytes_error),
        blocks: all.blocks.round() as u64,
        blocks_error: whole(all.blocks_error),
        alive_bytes: alive.bytes,
        alive_bytes_error: whole(alive.bytes_error),
    };
    functions.iter().map(one).collect()
}

/// "12.0 MiB ± 0.5 MiB in 4,000 ± 120 blocks".
fn amount(of: &Amount) -> String {
    let error = |error: f64, text: String| if error > 0.0 { format!(" ± {text}") } else { String::new() };
    format!(
        "{}{} in {}{} blocks",
        memory(of.bytes as f64),
        error(of.bytes_error, memory(of.bytes_error)),
        grouped(of.blocks.round() as u64),
        error(of.blocks_error, grouped(of.blocks_error.ceil() as u64)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Nanos;

    #[test]
    fn estimates_have_their_errors_and_what_is_missing_is_said() {
        let of = |bytes, bytes_error| Amount { bytes, bytes_error, blocks: 40.0, blocks_error: bytes_error / 1e5 };
        let keep = Allocating {
            function: "keep".into(),
            file: "a.c".into(),
            line: Some(7),
            all: of(64 << 20, 3e6),
            alive: of(64 << 20, 0.0),
        };
        let seen = Native {
            calls: 1000,
            bytes: 100 << 20,
            frees: 500,
            alive: of(64 << 20, 0.0),
            untracked: 0,
            lost: 3,
            unwatched: 0,
            stopped: None,
            wall: Nanos(30_000_000),
            before: Nanos(15_000_000),
            functions: vec![keep],
        };
        let [_, _, result] = native(&seen);
        assert_eq!(
            result,
            "100 MiB allocated in 1 000 calls: keep (a.c:7) 64 MiB ± 2.9 MiB in 40 ± 30 blocks; \
             alive at the end 64 MiB in 40 blocks: keep (a.c:7) 64 MiB in 40 blocks; \
             a run of its own, that took 30.0 ms instead of 15.0 ms (10 µs more for each of 1 500 calls); 3 records had no room: the figures are too low"
        );
    }
}
