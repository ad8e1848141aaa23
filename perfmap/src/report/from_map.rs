//! Map, analysis and recording → the public [`Document`]: units, rounding, and which keys are left out.

use crate::{
    analyze::baseline::{Metric, Spread},
    analyze::{Analysis, Bottleneck, Rank, baseline},
    map::{
        Counted, DiskWaits, Latency, Lock, LockSide, Map, Outside, Peer, Rival, Served, Step, StepKind, WaitCause,
        Waits,
    },
    recording::{Baseline, Ending, Event, GpuUse, Nanos, Recording},
};

use super::{
    number::{count, mib, ms, ms_of, pct, rounded, share_pct},
    output::*,
    own_profiles, sentence,
    text::command_line,
};

pub fn document(recording: &Recording, map: &Map, analysis: &Analysis) -> Document {
    let remainder = remainder_id(map, 1);
    let top = analysis.top.iter().map(|bottleneck| bottleneck_out(bottleneck, map, &remainder)).collect();
    let primary = analysis.top.first().map_or("", |first| first.function.as_str());
    let mut steps: Vec<StepOut> = map.steps.iter().map(|step| step_out(step, map)).collect();
    if map.outside.self_time > Nanos::ZERO {
        steps.push(remainder_out(map, remainder));
    }
    if map.idle > Nanos::ZERO {
        steps.push(idle_out(map));
    }
    Document {
        performance_map: PerformanceMap {
            schema_version: SCHEMA_VERSION,
            test_command: command_line(&recording.meta.command),
            baseline: recording.baseline.as_ref().and_then(baseline_out),
            served: map.served.iter().map(|served| served_out(served, map)).collect(),
            peers: map.peers.iter().map(peer_out).collect(),
            profiled_run: profiled_run(recording, map),
            locks: map.locks.iter().map(|lock| lock_out(lock, map)).collect(),
            run_queue: map.rivals.iter().map(rival_out).collect(),
            disks: map.disks.iter().map(disk_out).collect(),
            own_profiles: own_profiles::out(recording, analysis),
            steps,
            bottleneck_classification: sentence::class_out(analysis.class),
            bottleneck_detail: sentence::detail(&analysis.detail, primary, map.wall),
            top_bottlenecks: top,
            warnings: analysis.warnings.iter().map(sentence::warning).collect(),
        },
    }
}

fn baseline_out(runs: &Baseline) -> Option<BaselineOut> {
    let spread = |metric| baseline::spread(runs, metric);
    let of = |metric| spread(metric).unwrap_or_default();
    let counted = |metric| spread(metric).map(|of| count(of.median));
    let spread_counted = |metric| spread(metric).map(|of| spread_out(of, same));
    let last = runs.runs.last()?;
    let bpf = of(Metric::ProbeCost).median;
    Some(BaselineOut {
        runs: runs.runs.len() as u64,
        warmups: runs.warmups,
        wall_time_ms: ms_of(of(Metric::Wall).median),
        cpu_time_ms: ms_of(of(Metric::Cpu).median),
        memory_peak_mb: mib(of(Metric::MemoryPeak).median),
        memory_delta_mb: mib(of(Metric::MemoryDelta).median),
        io_read_bytes: counted(Metric::FileRead),
        io_write_bytes: counted(Metric::FileWritten),
        net_read_bytes: counted(Metric::NetRead),
        net_write_bytes: counted(Metric::NetWritten),
        http_round_trips: counted(Metric::HttpRoundTrips),
        db_round_trips: counted(Metric::DbRoundTrips),
        gpu: last.gpu.as_ref().map(gpu_out),
        bpf_run_time_ms: (bpf > 0.0).then(|| ms_of(bpf)),
        memory_is_pss: runs.runs.iter().all(|run| run.memory_is_pss),
        reused_from: runs.reused_from.clone(),
        spread: SpreadsOut {
            wall_time_ms: spread_out(of(Metric::Wall), ms_of),
            cpu_time_ms: spread_out(of(Metric::Cpu), ms_of),
            memory_peak_mb: spread_out(of(Metric::MemoryPeak), mib),
            memory_delta_mb: spread_out(of(Metric::MemoryDelta), mib),
            io_read_bytes: spread_counted(Metric::FileRead),
            io_write_bytes: spread_counted(Metric::FileWritten),
            net_read_bytes: spread_counted(Metric::NetRead),
            net_write_bytes: spread_counted(Metric::NetWritten),
            http_round_trips: spread_counted(Metric::HttpRoundTrips),
            db_round_trips: spread_counted(Metric::DbRoundTrips),
        },
    })
}

fn same(value: f64) -> f64 {
    rounded(value, 0)
}

fn spread_out(spread: Spread, unit: fn(f64) -> f64) -> SpreadOut {
    SpreadOut { min: unit(spread.min), max: unit(spread.max), cv_pct: rounded(spread.cv_pct, 1) }
}

fn profiled_run(recording: &Recording, map: &Map) -> ProfiledRun {
    let meta = &recording.meta;
    let bpf: Nanos = meta.bpf_cost.iter().map(|(_, _, total)| *total).sum();
    let (exit_code, signal) = match meta.ending {
        Some(Ending::Exited(0)) | None => (None, None),
        Some(Ending::Exited(code)) => (Some(code), None),
        Some(Ending::Killed(signal)) => (None, Some(signal)),
    };
    ProfiledRun {
        wall_time_ms: ms(map.wall),
        before_window_ms: (map.earlier > Nanos::ZERO).then(|| ms(map.earlier)),
        overhead_pct: baseline::overhead_pct(recording.baseline.as_ref(), map.wall.plus(map.earlier))
            .map(|pct| rounded(pct, 1)),
        samples: samples(recording),
        events: recording.events.len() as u64,
        lost_events: recording.losses.0.values().fold(0, |sum, count| sum.saturating_add(*count)),
        backend: meta.backend.clone(),
        exit_code,
        signal,
        bpf_run_time_ms: (bpf > Nanos::ZERO).then(|| ms(bpf)),
        profiler_cpu_time_ms: (meta.own_cpu > Nanos::ZERO).then(|| ms(meta.own_cpu)),
        gpu: recording.gpu.used().as_ref().map(gpu_out),
    }
}

fn gpu_out(gpu: &GpuUse) -> GpuOut {
    GpuOut {
        utilization_pct: pct(gpu.utilization_pct),
        memory_peak_mb: mib(gpu.memory_peak as f64),
        device: gpu.device.clone(),
    }
}

/// CPU samples of a recording.
pub fn samples(recording: &Recording) -> u64 {
    recording.events.iter().filter(|event| matches!(event, Event::Sample(_))).count() as u64
}

fn peer_out(peer: &Peer) -> PeerOut {
    PeerOut {
        service: peer.service.clone(),
        address: peer.address.clone(),
        port: peer.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()),
        protocol: peer.protocol.clone(),
        round_trips: peer.round_trips,
        failed: peer.failed,
        connections: peer.connections,
        bytes_sent: peer.bytes_sent,
        bytes_received: peer.bytes_received,
        latency_ms: peer.latency.map(latency_out),
        connect_ms: peer.connect.map(ms),
        tls_handshake_ms: peer.tls_handshake.map(ms),
        counted: counted_out(peer.counted),
    }
}

fn counted_out(counted: Counted) -> CountedOut {
    match counted {
        Counted::Exact => CountedOut::Exact,
        Counted::Inferred => CountedOut::Inferred,
        Counted::AtLeast => CountedOut::AtLeast,
    }
}

fn latency_out(latency: Latency) -> LatencyOut {
    let Latency { min, median, p95, max } = latency;
    LatencyOut { min: ms(min), median: ms(median), p95: ms(p95), max: ms(max) }
}

fn lock_out(lock: &Lock, map: &Map) -> LockOut {
    let Lock { address, interpreter, service, waiter, holder, waits, which: _, waited, held } = lock;
    let side = |side: &LockSide| LockSideOut {
        function: side.function.clone(),
        location: side.location.as_ref().map(|at| format!("{}:{}", at.file, at.line)),
        stack: side.stack.clone(),
    };
    LockOut {
        kind: if *interpreter { LockKindOut::Interpreter } else { LockKindOut::Mutex },
        address: address.map(|address| format!("{address:#x}")),
        service: (map.services.len() > 1).then(|| map.services.get(*service).cloned()).flatten(),
        waiter: waiter.as_ref().map(side),
        holder: holder.as_ref().map(side),
        waits: *waits,
        wait_ms: ms(*waited),
        hold_ms: ms(*held),
    }
}

fn rival_out(rival: &Rival) -> RivalOut {
    let Rival { who, traced, function, waits, waited } = rival;
    RivalOut { had_cpu: who.clone(), traced: *traced, function: function.clone(), waits: *waits, wait_ms: ms(*waited) }
}

fn disk_out(disk: &DiskWaits) -> DiskOut {
    let DiskWaits { device, function, waits, waited } = disk;
    DiskOut { device: device.clone(), function: function.clone(), waits: *waits, wait_ms: ms(*waited) }
}

fn step_out(step: &Step, map: &Map) -> StepOut {
    let call = step.call.as_ref();
    StepOut {
        id: step.id.clone(),
        function: step.function.clone(),
        location: step.location.as_ref().map(|at| format!("{}:{}", at.file, at.line)),
        service: (map.services.len() > 1).then(|| map.services.get(step.service).cloned()).flatten(),
        kind: kind_out(step.kind),
        wall_time_ms: ms(step.wall),
        time_share_pct: pct(share_pct(step.wall, map.wall)),
        self_ms: ms(step.self_time),
        cpu_time_ms: ms(step.thread_cpu),
        wait_ms: wait_out(&step.waits),
        thread_time_ms: (ms(step.thread_time) != ms(step.wall) && step.thread_time > Nanos::ZERO)
            .then(|| ms(step.thread_time)),
        concurrent: step.beside,
        http_round_trips: under(step, |step| step.http_round_trips),
        failed_requests: under(step, |step| step.failed_requests),
        db_round_trips: under(step, |step| step.db_round_trips),
        io_read_bytes: under(step, |step| step.file_read),
        io_write_bytes: under(step, |step| step.file_written),
        memory_delta_mb: growth(growth_under(step)),
        peer: call.map(|call| call.peer.clone()),
        endpoint: call.and_then(|call| call.endpoint.clone()),
        latency_ms: call.and_then(|call| call.latency).map(latency_out),
        sequential: call.filter(|_| step.http_round_trips + step.db_round_trips > 1).map(|call| call.sequential),
        counted: call.and_then(|call| counted_of(&call.peer, map)),
        error_pct: pct(step.error_pct),
        largest: vec![],
        children: step.children.iter().map(|child| step_out(child, map)).collect(),
    }
}

/// In MiB. Changes are told in steps of half a MiB or more, beside what each CPU holds back: less than one is nothing.
fn growth(bytes: i64) -> Option<f64> {
    (bytes.unsigned_abs() >= 1 << 20).then(|| mib(bytes as f64))
}

/// Of the step and all below it.
fn growth_under(step: &Step) -> i64 {
    step.children.iter().fold(step.memory_delta, |sum, child| sum.saturating_add(growth_under(child)))
}

/// A count of the step and all below it.
fn under(step: &Step, own: fn(&Step) -> u64) -> u64 {
    step.children.iter().fold(own(step), |sum, child| sum.saturating_add(under(child, own)))
}

/// None where it is exact.
fn counted_of(peer: &str, map: &Map) -> Option<CountedOut> {
    let of = map.peers.iter().filter(|known| known.address == peer || known.service.as_deref() == Some(peer));
    let worst = of.map(|known| known.counted).max()?;
    (worst != Counted::Exact).then(|| counted_out(worst))
}

fn kind_out(kind: StepKind) -> KindOut {
    match kind {
        StepKind::FunctionCall => KindOut::FunctionCall,
        StepKind::HttpCall => KindOut::HttpCall,
        StepKind::GrpcCall => KindOut::GrpcCall,
        StepKind::DbQuery => KindOut::DbQuery,
        StepKind::CacheOp => KindOut::CacheOp,
        StepKind::QueueOp => KindOut::QueueOp,
        StepKind::FileIo => KindOut::FileIo,
        StepKind::LockWait => KindOut::LockWait,
        StepKind::Sleep => KindOut::Sleep,
        StepKind::Subprocess => KindOut::Subprocess,
        StepKind::Gpu => KindOut::Gpu,
        StepKind::Loop => KindOut::Loop,
    }
}

fn wait_out(waits: &Waits) -> WaitOut {
    let of = |cause| Some(ms(waits.of(cause))).filter(|&length| length > 0.0);
    WaitOut {
        network: of(WaitCause::Network),
        db: of(WaitCause::Db),
        disk: of(WaitCause::Disk),
        lock: of(WaitCause::Lock),
        sleep: of(WaitCause::Sleep),
        child: of(WaitCause::Child),
        pipe: of(WaitCause::Pipe),
        runqueue: of(WaitCause::RunQueue),
        throttled: of(WaitCause::Throttled),
        gpu: of(WaitCause::Gpu),
        other: of(WaitCause::Other),
    }
}

/// The next position at the top of the tree, or the one after it.
fn remainder_id(map: &Map, next: usize) -> String {
    let highest = map.steps.iter().filter_map(|step| step.id.parse::<usize>().ok()).max().unwrap_or(0);
    (highest.max(map.steps.len()) + next).to_string()
}

/// Looks like the remainder outside the project, with nothing in it but time.
fn idle_out(map: &Map) -> StepOut {
    let outside = Outside { self_time: map.idle, ..Outside::default() };
    let waits = Waits([(WaitCause::Other, map.idle)].into());
    let idle = Map { wall: map.wall, outside: Outside { waits, ..outside }, ..Map::default() };
    StepOut { function: sentence::IDLE.into(), ..remainder_out(&idle, remainder_id(map, 2)) }
}

fn served_out(served: &Served, map: &Map) -> ServedOut {
    let Served { service, endpoint, count, failed, latency, counted } = served;
    let mut steps = map.steps.iter().filter(|step| step.function == *endpoint && step.location.is_none());
    ServedOut {
        service: (map.services.len() > 1).then(|| map.services.get(*service).cloned()).flatten(),
        endpoint: endpoint.clone(),
        count: *count,
        per_second: per_second(*count, map.wall.plus(map.earlier)),
        failed: *failed,
        latency_ms: latency_out(*latency),
        counted: counted_out(*counted),
        step: steps.find(|step| step.service == *service).map(|step| step.id.clone()),
    }
}

pub fn per_second(count: u64, wall: Nanos) -> f64 {
    if wall == Nanos::ZERO { 0.0 } else { rounded(count as f64 * 1e9 / wall.0 as f64, 2) }
}

fn remainder_out(map: &Map, id: String) -> StepOut {
    let outside = &map.outside;
    StepOut {
        id,
        function: sentence::OUTSIDE.into(),
        location: None,
        service: None,
        kind: KindOut::FunctionCall,
        wall_time_ms: ms(outside.self_time),
        time_share_pct: pct(share_pct(outside.self_time, map.wall)),
        self_ms: ms(outside.self_time),
        cpu_time_ms: ms(outside.cpu),
        wait_ms: wait_out(&outside.waits),
        thread_time_ms: None,
        concurrent: false,
        http_round_trips: outside.http_round_trips,
        failed_requests: outside.failed_requests,
        db_round_trips: outside.db_round_trips,
        io_read_bytes: outside.file_read,
        io_write_bytes: outside.file_written,
        memory_delta_mb: growth(outside.memory_delta),
        peer: None,
        endpoint: None,
        latency_ms: None,
        sequential: None,
        counted: None,
        error_pct: 0.0,
        largest: outside
            .top
            .iter()
            .map(|(function, time)| LargestOut { function: function.clone(), self_ms: ms(*time) })
            .collect(),
        children: vec![],
    }
}

fn bottleneck_out(bottleneck: &Bottleneck, map: &Map, remainder: &str) -> BottleneckOut {
    let Bottleneck { step, function, class, rank, share_pct, detail } = bottleneck;
    BottleneckOut {
        step: step.clone().unwrap_or_else(|| remainder.to_owned()),
        function: if step.is_some() { function.clone() } else { sentence::OUTSIDE.into() },
        class: sentence::class_out(*class),
        rank: match rank {
            Rank::Primary => RankOut::Primary,
            Rank::Secondary => RankOut::Secondary,
            Rank::Tertiary => RankOut::Tertiary,
        },
        share_pct: rounded(*share_pct, 1),
        description: sentence::detail(detail, function, map.wall),
    }
}
