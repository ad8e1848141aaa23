//! Timelines → steps: the wait graph walked from the root task, folded to the project's functions.
//!
//! Pure: the same recording gives the same map. Text and rounding are `report`'s, judgement is `analyze`'s.

mod activity;
mod audit;
mod beside;
mod bursts;
mod calls;
mod embedded_database;
mod far_ends;
mod fold;
mod glob;
mod go_library;
mod go_processor;
mod gpu_driver;
mod inside;
mod interpreter_lock;
mod known;
#[cfg(test)]
mod laws;
mod lock_place;
mod locks;
mod loops;
#[cfg(test)]
mod loops_tests;
mod model;
mod outside;
mod own;
mod points;
mod project;
mod queries;
mod queue_place;
#[cfg(test)]
mod scale_tests;
mod scarce;
mod served;
mod services;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

pub use activity::{Activity, Awaited, Coroutine, Doing, Piece};
pub use audit::{Broken, audit};
pub use embedded_database::stacks as embedded_database_stacks;
pub use model::{
    Counted, DiskWaits, Latency, Location, Lock, LockSide, Map, Outside, Peer, PeerCall, Rival, Served, Step, StepKind,
    WaitCause, Waits,
};
pub use own::{Innermost, innermost};
pub use project::FunctionId;

pub use services::program;

use crate::{
    correlate::{self, Correlated, PeerFlow, Protocol, RoundTrip},
    recording::{Nanos, Recording},
    resolve::Resolved,
};

#[derive(Debug, Clone)]
pub struct MapOptions {
    /// Steps below this share of wall time (0.01 = 1 %) and without I/O are folded into their parent.
    pub min_share: f64,
}

impl Default for MapOptions {
    fn default() -> Self {
        Self { min_share: 0.01 }
    }
}

pub fn build(recording: &Recording, resolved: &Resolved, correlated: &Correlated, options: &MapOptions) -> Map {
    built(recording, resolved, correlated, options, false).map
}

/// The map and what only an audit looks at.
struct Built {
    map: Map,
    remainder: fold::Remainder,
    pieces: Option<Vec<(Nanos, Nanos)>>,
}

fn built(
    recording: &Recording,
    resolved: &Resolved,
    correlated: &Correlated,
    options: &MapOptions,
    audited: bool,
) -> Built {
    let mut project = project::Project::new(&recording.meta, resolved);
    let points = points::Points::new(recording, correlated);
    let has_project = processes_with_project(recording, &project, &points);
    let services = services::Services::new(recording, &correlated.flows, &has_project);
    let interpreter_lock = interpreter_lock::InterpreterLock::new(recording, correlated, resolved);
    let embedded_database = embedded_database::stacks(resolved);
    let go_processor = go_processor::stacks(resolved);
    let gpu_driver = gpu_driver::GpuDriver::new(resolved);
    let loops = loops::Loops::new(recording, correlated, resolved, &project);
    let inside = inside::Inside::new(recording, resolved, &mut project, &services, &points, &has_project);
    let queries = queries::Queries::new(&correlated.flows);
    let known = known::Known {
        recording,
        correlated,
        project: &project,
        services: &services,
        points: &points,
        interpreter_lock: &interpreter_lock,
        embedded_database: &embedded_database,
        go_processor: &go_processor,
        gpu_driver: &gpu_driver,
        has_project: &has_project,
        loops: &loops,
        inside: &inside,
        queries: &queries,
        leads_to_project: &upwards(recording, has_project.clone()),
    };
    let mut walk = walk::Walk::new(&known);
    walk.pieces = audited.then(Vec::new);
    walk.run();
    let walk::Walk { mut tree, visits, pieces, outside, owned, idle, samples, .. } = walk;
    let wall = recording.meta.wall;
    tree.least_start = Nanos((options.min_share * wall.0 as f64) as u64);
    beside::counts(&known, &mut tree, &visits);
    beside::time(&known, &mut tree, &visits);
    let locks = locks::locks(&known, resolved);
    let (rivals, disks) = (scarce::rivals(&known, resolved), scarce::disks(&known, resolved));
    let peer_names: Vec<String> =
        correlated.flows.peers.iter().map(|peer| services.of_peer(peer).unwrap_or(&peer.address).to_owned()).collect();
    let folding = fold::Folding {
        project: &project,
        flows: &correlated.flows,
        peer_names: &peer_names,
        wall,
        min_share: options.min_share,
        samples,
        period: recording.meta.longest_period(),
    };
    let (steps, remainder) = fold::steps(tree, &folding);
    let outside = Outside {
        self_time: remainder.self_time,
        cpu: remainder.cpu,
        waits: remainder.waits.clone(),
        http_round_trips: remainder.http_round_trips,
        db_round_trips: remainder.db_round_trips,
        failed_requests: remainder.failed_requests,
        file_read: remainder.file_read,
        file_written: remainder.file_written,
        memory_delta: remainder.memory_delta,
        calls: remainder.calls.clone(),
        top: outside::top(recording, resolved, &outside),
    };
    let served = served::served(&known);
    let mut peers = peers(&correlated.flows.peers, &services);
    peers.extend(far_ends::peers(recording, &peers));
    peers.sort_by(by_traffic);
    let closure_error = i64::try_from(i128::from(owned) - i128::from(wall.0)).unwrap_or(i64::MAX);
    let earlier = recording.earlier.length;
    let nameless = correlated.flows.round_trips.iter().filter(|trip| is_nameless(trip)).count() as u64;
    let services = services.names;
    let map = Map {
        wall,
        earlier,
        steps,
        outside,
        idle,
        served,
        peers,
        peer_names,
        locks,
        rivals,
        disks,
        nameless,
        services,
        closure_error,
    };
    Built { map, remainder, pieces }
}

/// By `ProcessId`: a function of the project was on a stack of one of its tasks, after it executed its program.
fn processes_with_project(recording: &Recording, project: &project::Project, points: &points::Points) -> Vec<bool> {
    let mut found = vec![false; recording.processes.len()];
    for (task, at, stack) in points.all() {
        let process = recording.tasks.get(task.0 as usize).map(|task| task.process.0 as usize);
        if let Some(process) = process
            && let (Some(flag), Some(of)) = (found.get_mut(process), recording.processes.get(process))
            && !*flag
        {
            *flag = !project.stack(Some(stack)).is_empty() && !services::before_exec(of, at);
        }
    }
    found
}

/// True for a process also where it is for one below it.
fn upwards(recording: &Recording, mut flags: Vec<bool>) -> Vec<bool> {
    for (index, process) in recording.processes.iter().enumerate().rev() {
        if let Some(parent) = process.parent
            && flags[index]
            && let Some(flag) = flags.get_mut(parent.0 as usize)
        {
            *flag = true;
        }
    }
    flags
}

/// Names of HTTP/2 lie in a table that grows with the connection: who did not see it grow does not know them.
fn is_nameless(trip: &RoundTrip) -> bool {
    trip.route.is_none() && matches!(trip.protocol, Protocol::Http2 | Protocol::Grpc)
}

fn peers(flows: &[PeerFlow], services: &services::Services) -> Vec<Peer> {
    flows
        .iter()
        .map(|flow| Peer {
            service: services.of_peer(flow).map(Into::into),
            address: flow.address.clone(),
            protocol: flow.protocol.clone(),
            round_trips: flow.round_trips,
            failed: flow.failed,
            connections: flow.connections,
            bytes_sent: flow.bytes_sent,
            bytes_received: flow.bytes_received,
            latency: flow.latency.map(latency),
            connect: flow.connect,
            tls_handshake: flow.tls_handshake,
            counted: match flow.counted {
                correlate::Counted::Exact => Counted::Exact,
                correlate::Counted::Inferred => Counted::Inferred,
                correlate::Counted::AtLeast => Counted::AtLeast,
            },
            local: flow.local,
        })
        .collect()
}

/// Most round trips first.
fn by_traffic(a: &Peer, b: &Peer) -> std::cmp::Ordering {
    b.round_trips
        .cmp(&a.round_trips)
        .then_with(|| (b.bytes_sent, b.bytes_received).cmp(&(a.bytes_sent, a.bytes_received)))
        .then_with(|| a.address.cmp(&b.address))
}

fn latency(of: correlate::flows::Latency) -> Latency {
    let correlate::flows::Latency { min, median, p95, max } = of;
    Latency { min, median, p95, max }
}
