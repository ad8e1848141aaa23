//! Findings → one plain sentence each, the same in every output.

use crate::{
    analyze::{CallProtocol, Class, Detail, Warning, baseline::Metric},
    map::{DiskWaits, Lock, LockSide, Rival, WaitCause},
    recording::{Nanos, Overload, Thinned, Thinning, Unnamed},
};

use super::{
    human::{bytes, duration, percent},
    output::ClassOut,
};

pub const OUTSIDE: &str = "(outside the project)";
/// The remainder of watched processes.
pub const IDLE: &str = "(waiting for requests)";

pub fn class_out(class: Class) -> ClassOut {
    match class {
        Class::Cpu => ClassOut::Cpu,
        Class::IoDb => ClassOut::IoDb,
        Class::IoNetwork => ClassOut::IoNetwork,
        Class::IoFile => ClassOut::IoFile,
        Class::External => ClassOut::External,
        Class::Cache => ClassOut::Cache,
        Class::Architecture => ClassOut::Architecture,
        Class::Lock => ClassOut::Lock,
        Class::Wait => ClassOut::Wait,
        Class::Infrastructure => ClassOut::Infrastructure,
        Class::None => ClassOut::None,
        Class::Unknown => ClassOut::Unknown,
    }
}

pub fn class_name(class: Class) -> &'static str {
    match class {
        Class::Cpu => "CPU",
        Class::IoDb => "I/O-DB",
        Class::IoNetwork => "I/O-Network",
        Class::IoFile => "I/O-File",
        Class::External => "External",
        Class::Cache => "Cache",
        Class::Architecture => "Architecture",
        Class::Lock => "Lock",
        Class::Wait => "Wait",
        Class::Infrastructure => "Infrastructure",
        Class::None => "none",
        Class::Unknown => "Unknown",
    }
}

pub fn cause_name(cause: WaitCause) -> &'static str {
    match cause {
        WaitCause::Network => "network",
        WaitCause::Db => "db",
        WaitCause::Disk => "disk",
        WaitCause::Lock => "lock",
        WaitCause::Sleep => "sleep",
        WaitCause::Child => "child",
        WaitCause::Pipe => "pipe",
        WaitCause::RunQueue => "runqueue",
        WaitCause::Throttled => "throttled",
        WaitCause::Gpu => "gpu",
        WaitCause::Other => "other",
    }
}

fn waiting_for(cause: WaitCause) -> &'static str {
    match cause {
        WaitCause::Network => "waiting for the network",
        WaitCause::Db => "waiting for a database",
        WaitCause::Disk => "waiting for a disk",
        WaitCause::Lock => "waiting for a lock",
        WaitCause::Sleep => "sleeping",
        WaitCause::Child => "waiting for a child process",
        WaitCause::Pipe => "waiting for a pipe or a signal",
        WaitCause::RunQueue => "waiting for a CPU (run queue)",
        WaitCause::Throttled => "held back by the cgroup's CPU limit",
        WaitCause::Gpu => "waiting for the GPU",
        WaitCause::Other => "waiting, for what is not known",
    }
}

fn calls(protocol: CallProtocol, count: u64) -> &'static str {
    match (protocol, count == 1) {
        (CallProtocol::Http, true) => "HTTP call",
        (CallProtocol::Http, false) => "HTTP calls",
        (CallProtocol::Grpc, true) => "gRPC call",
        (CallProtocol::Grpc, false) => "gRPC calls",
        (CallProtocol::Database, true) => "query",
        (CallProtocol::Database, false) => "queries",
        (CallProtocol::Cache, true) => "cache call",
        (CallProtocol::Cache, false) => "cache calls",
        (CallProtocol::Queue, true) => "queue call",
        (CallProtocol::Queue, false) => "queue calls",
    }
}

/// What it is, without figures of time: "13 sequential HTTP calls to mt-engine". `function` may be empty.
pub fn what(detail: &Detail, function: &str) -> String {
    let of = |what: &str| if function.is_empty() { what.to_owned() } else { format!("{function}: {what}") };
    match detail {
        Detail::SequentialCalls { count, protocol, peer, .. } => {
            format!("{count} sequential {} to {peer}", calls(*protocol, *count))
        }
        Detail::Calls { count, protocol, peer, .. } => format!("{count} {} to {peer}", calls(*protocol, *count)),
        Detail::OnCpu { .. } => of("on the CPU"),
        Detail::Waiting { cause, .. } => of(waiting_for(*cause)),
        Detail::ForInterpreter { .. } => of("waiting to compute while another thread has the interpreter"),
        Detail::FileIo { bytes_read, bytes_written, .. } => {
            of(&format!("file I/O, {} read, {} written", bytes(*bytes_read), bytes(*bytes_written)))
        }
        Detail::NothingStandsOut { .. } => "no step owns more than 20 % of the wall time".into(),
        Detail::Outside { largest: None, .. } => "outside the project's functions".into(),
        Detail::Outside { largest: Some(name), .. } => {
            format!("outside the project's functions, most of it in {name}")
        }
        Detail::Unexplained { .. } => of("time without a known cause"),
        Detail::NothingMeasured => "nothing was measured".into(),
    }
}

fn time(detail: &Detail) -> Option<Nanos> {
    match detail {
        Detail::SequentialCalls { time, .. }
        | Detail::Calls { time, .. }
        | Detail::OnCpu { time }
        | Detail::Waiting { time, .. }
        | Detail::ForInterpreter { time }
        | Detail::FileIo { time, .. }
        | Detail::Outside { time, .. }
        | Detail::Unexplained { time } => Some(*time),
        Detail::NothingStandsOut { largest } => Some(*largest),
        Detail::NothingMeasured => None,
    }
}

/// With its time: "13 sequential HTTP calls to mt-engine (1590 ms of 2750 ms)".
pub fn detail(detail: &Detail, function: &str, wall: Nanos) -> String {
    let what = what(detail, function);
    let of = format!("of {} ms", whole_ms(wall));
    match (detail, time(detail)) {
        (_, None) => what,
        (Detail::NothingStandsOut { .. }, Some(largest)) => format!("{what} (largest: {} ms {of})", whole_ms(largest)),
        (_, Some(time)) => format!("{what} ({} ms {of})", whole_ms(time)),
    }
}

/// "want waited 148 ms (3 times) for the lock at 0x4040, held by hold (142 ms)".
pub fn lock(lock: &Lock) -> String {
    let name = |side: &Option<LockSide>| side.as_ref().map(|side| side.function.clone());
    let which = match (lock.interpreter, lock.address) {
        (true, _) => "the interpreter's lock".into(),
        (false, Some(address)) => format!("the lock at {address:#x}"),
        (false, None) => "a lock".into(),
    };
    let waiter = name(&lock.waiter).unwrap_or_else(|| "somebody".into());
    let times = if lock.waits == 1 { "once".into() } else { format!("{} times", lock.waits) };
    let holder = match name(&lock.holder) {
        Some(holder) => format!("held by {holder}"),
        None => "held by an unknown function".into(),
    };
    format!("{waiter} waited {} ms ({times}) for {which}, {holder} ({} ms)", whole_ms(lock.waited), whole_ms(lock.held))
}

pub fn rival(rival: &Rival) -> String {
    let times = if rival.waits == 1 { "once".into() } else { format!("{} times", rival.waits) };
    let who = match (&rival.who, &rival.function) {
        (Some(who), Some(function)) => format!("{who} had the CPU (in {function})"),
        (Some(who), None) => format!("{who} had the CPU"),
        (None, _) => "the CPU was idle".into(),
    };
    format!("{who} before threads that were ready to run: they waited {} ms ({times})", whole_ms(rival.waited))
}

pub fn disk(disk: &DiskWaits) -> String {
    let times = if disk.waits == 1 { "once".into() } else { format!("{} times", disk.waits) };
    let most = disk.function.as_ref().map(|function| format!(", most of it in {function}")).unwrap_or_default();
    format!("{} was waited for {} ms ({times}){most}", disk.device, whole_ms(disk.waited))
}

/// Below 10 ms a decimal is needed to say anything.
fn whole_ms(length: Nanos) -> String {
    let ms = length.as_ms();
    if ms >= 10.0 || ms == 0.0 { format!("{ms:.0}") } else { format!("{ms:.1}") }
}

pub fn warning(warning: &Warning) -> String {
    match warning {
        Warning::Interrupted => "interrupted: the map shows what was seen until then".into(),
        Warning::CommandFailed { code } => {
            format!("the command failed in the profiled run (exit code {code}): the map may show another path")
        }
        Warning::CommandKilled { signal } => {
            format!("the command was killed by {}: the map ends there", signal_name(*signal))
        }
        Warning::NoBaseline => "no baseline: the profiler's overhead and the spread between runs are not known".into(),
        Warning::UnstableBaseline { metric, cv_pct } => {
            format!(
                "unstable baseline: {} varies by {} between runs; use more runs",
                metric_name(*metric),
                percent(*cv_pct)
            )
        }
        Warning::Overhead { pct } => {
            format!("the profiled run was {} slower than the baseline: shares may be distorted", percent(*pct))
        }
        Warning::Window { length, events, wall } => format!(
            "times are those of the last {} alone: the detail of the {} before it ({events} events) was given up to keep \
             memory bounded (--detail-memory); requests, connections and bytes are counted over all of it",
            duration(*wall),
            duration(*length)
        ),
        Warning::Thinned(thinned) => thinning(thinned),
        Warning::ProbeTime { pct } => format!(
            "the probes ran for {} of the command's own CPU time: its CPU time and its shares may be distorted",
            percent(*pct)
        ),
        Warning::Lost { kind, count } => format!("{count} lost: {}", kind.meaning()),
        Warning::BaselineLost { count } => {
            format!("{count} events lost in the baseline runs: its counts are lower bounds")
        }
        Warning::TruncatedStacks { share_pct } => {
            format!("truncated stacks: {} of the CPU samples do not reach their thread's start", percent(*share_pct))
        }
        Warning::MissingSymbols { file, why, share_pct } => {
            let file = file.as_deref().unwrap_or("memory without a file");
            format!("missing symbols: {} of the CPU samples are in {file} ({})", percent(*share_pct), unnamed(*why))
        }
        Warning::FewSamples { samples } => {
            format!("only {samples} CPU samples: shares of CPU time are rough; raise --freq or profile a longer run")
        }
        Warning::NamelessRequests { count } => format!(
            "{count} HTTP/2 requests have no name: their connection is older than the recording, and names are sent as places \
             in a table that was filled before (or parts of it were not captured)"
        ),
        Warning::InferredCounts { peer } => {
            format!("round trips to {peer} are inferred from TLS records")
        }
        Warning::LowCounts { peer } => {
            format!("round trips to {peer} are at least what is shown: parts of the traffic were not captured")
        }
        Warning::NotClosed { pct } => {
            format!("owners miss the wall time by {}: this is a fault of perfmap, please report it", percent(*pct))
        }
        Warning::Note(note) => note.clone(),
    }
}

fn thinning(thinned: &Thinned) -> String {
    let Thinned { at, what, why } = thinned;
    let why = match why {
        Overload::ProbeTime { pct } => format!("the probes took {} of the command's own CPU time", percent(*pct)),
        Overload::RingFull { lost } => format!("{lost} records found no room"),
    };
    let what = match what {
        Thinning::Payload { bytes } => format!(
            "only the first {bytes} bytes of each socket message (4 KiB of a database's or a cache's) are looked at; where \
             that hides a request, counts are marked `at least`"
        ),
        Thinning::Stacks { bytes } => format!(
            "stack copies hold {} at most: deeper native callers are missing and show as truncated stacks",
            kib(*bytes)
        ),
        Thinning::Turns { every } => format!(
            "one of {every} requests of a connection has its function looked up, the others are counted where the one \
             before them was"
        ),
        Thinning::Sampling { every } => {
            format!("one of {every} CPU samples is taken and stands for {every}: shares stay right, their error grows")
        }
        Thinning::Waits { below } => {
            format!("waits below {} ms are summed over stretches of 10 ms, not told one by one", whole_ms(*below))
        }
    };
    format!("thinned from {} ms on, because {why}: {what}", whole_ms(*at))
}

fn kib(count: u32) -> String {
    format!("{} KiB", count / 1024)
}

fn metric_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Wall => "wall time",
        Metric::Cpu => "CPU time",
        Metric::MemoryPeak => "peak memory",
        Metric::MemoryDelta => "memory delta",
        Metric::FileRead => "bytes read from files",
        Metric::FileWritten => "bytes written to files",
        Metric::NetRead => "bytes received",
        Metric::NetWritten => "bytes sent",
        Metric::HttpRoundTrips => "HTTP round trips",
        Metric::DbRoundTrips => "database round trips",
        Metric::ProbeCost => "probe cost",
    }
}

fn unnamed(why: Unnamed) -> &'static str {
    match why {
        Unnamed::FileGone => "the file was gone",
        Unnamed::FileChanged => "the file on disk is another build",
        Unnamed::NoSymbol => "stripped; install its debug symbols",
        Unnamed::NoFile => "generated code; a perf map of the runtime would name it",
        Unnamed::Malformed => "not an ELF file that can be read",
        Unnamed::NotLookedUp => "not looked up",
    }
}

fn signal_name(signal: i32) -> String {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(known) => known.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_thinned_is_said_with_its_time_its_cause_and_its_meaning() {
        let at = Nanos(512_000_000);
        let said = |what, why| warning(&Warning::Thinned(Thinned { at, what, why }));
        let probes = Overload::ProbeTime { pct: 31.4 };
        assert_eq!(
            said(Thinning::Sampling { every: 2 }, probes),
            "thinned from 512 ms on, because the probes took 31 % of the command's own CPU time: one of 2 CPU samples is \
             taken and stands for 2: shares stay right, their error grows"
        );
        assert_eq!(
            said(Thinning::Stacks { bytes: 8192 }, Overload::RingFull { lost: 12 }),
            "thinned from 512 ms on, because 12 records found no room: stack copies hold 8 KiB at most: deeper native \
             callers are missing and show as truncated stacks"
        );
        assert!(said(Thinning::Payload { bytes: 512 }, probes).contains("first 512 bytes"));
        assert!(said(Thinning::Turns { every: 16 }, probes).contains("one of 16 requests"));
        assert!(said(Thinning::Waits { below: Nanos(1_000_000) }, probes).contains("waits below 1.0 ms"));
    }
}
