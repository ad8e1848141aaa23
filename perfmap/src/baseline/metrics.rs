//! One counted run's recording → its metrics.

use crate::{
    collect::{Means, Outcome},
    recording::{Event, Family, FileIo, FileOperation, Metrics, Recording, Socket},
};

/// Of the whole process tree. Network bytes are what its processes sent and received through IPv4 and IPv6 sockets,
/// each end counted for itself: traffic between two processes of the tree is both sent and received.
/// `trips` (HTTP's, databases') are counted by who knows protocols: this room runs and adds up.
pub fn metrics(outcome: &Outcome, trips: [u64; 2]) -> Metrics {
    let Outcome { recording, origin: _, files: _, memory, peers: _, tls_libraries: _, allocations: _ } = outcome;
    let mut metrics = Metrics {
        wall: recording.observed(),
        cpu: recording.meta.tree_cpu,
        memory_peak: memory.peak,
        memory_delta: difference(memory.end, memory.start),
        memory_is_pss: memory.is_pss,
        is_counted: recording.meta.backend == Means::Ebpf.name(),
        http_round_trips: trips[0],
        db_round_trips: trips[1],
        gpu: recording.gpu.used(),
        lost: recording.losses.total(),
        probe_cost: recording.meta.bpf_cost.iter().map(|(_, _, time)| *time).sum(),
        ..Metrics::default()
    };
    add_files(&mut metrics, recording);
    for socket in recording.sockets.iter().filter(|socket| is_network(socket)) {
        metrics.net_read = metrics.net_read.saturating_add(socket.received_bytes);
        metrics.net_written = metrics.net_written.saturating_add(socket.sent_bytes);
    }
    for gone in recording.earlier.sockets.values() {
        metrics.net_read = metrics.net_read.saturating_add(gone.received[0]);
        metrics.net_written = metrics.net_written.saturating_add(gone.sent[0]);
    }
    metrics
}

fn add_files(metrics: &mut Metrics, recording: &Recording) {
    for event in &recording.events {
        let Event::FileIo(FileIo { operation, bytes, .. }) = event else { continue };
        let sum = match operation {
            FileOperation::Read => &mut metrics.file_read,
            FileOperation::Write => &mut metrics.file_written,
        };
        *sum = sum.saturating_add(*bytes);
    }
}

fn is_network(socket: &Socket) -> bool {
    match socket.family {
        Family::Ipv4 | Family::Ipv6 => true,
        Family::Unix | Family::Other(_) => false,
    }
}

fn difference(end: u64, start: u64) -> i64 {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    signed(end) - signed(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Nanos, Process, ProcessId, TaskId};

    fn socket(family: Family, sent: u64, received: u64) -> Socket {
        Socket { family, kind: 1, sent_bytes: sent, received_bytes: received, ..Socket::unknown(ProcessId(0)) }
    }

    fn io(operation: FileOperation, bytes: u64) -> Event {
        let at = Nanos(1);
        Event::FileIo(FileIo {
            task: TaskId(0),
            operation,
            first: at,
            last: at,
            calls: 1,
            bytes,
            stack: None,
            file: None,
        })
    }

    #[test]
    fn sums_over_the_tree() {
        let process = Process {
            pid: 1,
            parent: None,
            born: Nanos::ZERO,
            died: None,
            ending: None,
            images: vec![],
            own_name: None,
            cpu: Nanos(5),
        };
        let mut recording = Recording { processes: vec![process.clone(), process], ..Recording::default() };
        recording.meta.wall = Nanos(100);
        recording.meta.tree_cpu = Nanos(10);
        recording.meta.bpf_cost = vec![("a".into(), 2, Nanos(3)), ("b".into(), 1, Nanos(4))];
        recording.sockets = vec![socket(Family::Ipv4, 1, 2), socket(Family::Ipv6, 10, 20), socket(Family::Unix, 7, 7)];
        recording.events = vec![io(FileOperation::Read, 3), io(FileOperation::Read, 4), io(FileOperation::Write, 5)];
        let memory = crate::collect::MemoryCurve { peak: 9, start: 8, end: 6, is_pss: true };
        let run = metrics(
            &Outcome {
                recording,
                origin: crate::recording::Nanos::ZERO,
                files: Default::default(),
                memory,
                peers: vec![],
                tls_libraries: vec![],
                allocations: None,
            },
            [14, 3],
        );
        assert_eq!((run.http_round_trips, run.db_round_trips), (14, 3));
        assert_eq!((run.wall, run.cpu, run.probe_cost), (Nanos(100), Nanos(10), Nanos(7)));
        assert_eq!((run.memory_peak, run.memory_delta, run.memory_is_pss), (9, -2, true));
        assert_eq!((run.file_read, run.file_written), (7, 5));
        assert_eq!((run.net_read, run.net_written), (22, 11));
    }
}
