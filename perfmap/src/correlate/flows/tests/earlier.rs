//! Whatever is given up, and when: what it came to and what stays add up to the whole.

use std::collections::BTreeMap;

use super::*;
use crate::recording::{Earlier, OTHER_REQUESTS};

/// As the recorder does it.
fn give_up(recording: &mut Recording, until: Nanos, gone: &[SocketId]) -> (u64, Vec<SocketId>) {
    let (past, rest): (Vec<Event>, Vec<Event>) =
        std::mem::take(&mut recording.events).into_iter().partition(|event| event.at() < until);
    let mut earlier = std::mem::take(&mut recording.earlier);
    recording.events = past;
    let mut folded = fold(recording, until, gone);
    recording.events.retain(|event| match event {
        Event::Message(message) => {
            message.at >= folded.keep_from[message.socket.0 as usize]
                && !message.marks.is_empty()
                && !folded.gone.contains(&message.socket)
        }
        _ => false,
    });
    recording.events.extend(rest);
    earlier.add(&mut folded);
    earlier.length = until;
    recording.earlier = earlier;
    for id in &folded.gone {
        let socket = &mut recording.sockets[id.0 as usize];
        let empty = Socket { family: Family::Other(0), local: None, remote: None, states: vec![], ..socket.clone() };
        *socket = Socket { role: Role::Unknown, closed: None, sent_bytes: 0, received_bytes: 0, ..empty };
    }
    (folded.cut, folded.gone)
}

type Counts = (BTreeMap<(bool, Option<String>), u64>, u64, Vec<(String, u64, u64, u64, u64)>);

/// Answers by route, requests without one, and the peers' figures.
fn totals(flows: &Flows) -> Counts {
    let mut answered: BTreeMap<(bool, Option<String>), u64> = BTreeMap::new();
    for trip in &flows.round_trips {
        *answered.entry((trip.inbound, trip.route.clone())).or_default() += 1;
    }
    for calls in flows.earlier.iter().filter(|calls| calls.tally.answered > 0) {
        *answered.entry((calls.of.inbound, calls.of.route.clone())).or_default() += calls.tally.answered;
        assert_eq!(
            calls.tally.latencies.weighted().map(|(_, count)| count).sum::<u64>(),
            calls.tally.answered,
            "a latency for each"
        );
    }
    let unanswered: u64 = flows.earlier.iter().map(|calls| calls.tally.unanswered).sum();
    let of = |peer: &PeerFlow| {
        (peer.address.clone(), peer.round_trips, peer.failed, peer.connections, peer.bytes_sent + peer.bytes_received)
    };
    let mut peers: Vec<_> = flows.peers.iter().map(of).collect();
    peers.sort();
    (answered, flows.failed.len() as u64 + unanswered, peers)
}

#[derive(Debug, Clone)]
enum Act {
    Ask(u8),
    /// The oldest question.
    Answer,
    Close,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![4 => any::<u8>().prop_map(Act::Ask), 5 => Just(Act::Answer), 1 => Just(Act::Close)]
}

/// Pipelined, interleaved over connections, some left without an answer.
fn play(session: &mut Session, acts: &[(usize, Act)]) {
    let mut open: Vec<Option<(usize, u64)>> = vec![None; 4];
    let mut port = 4000;
    for (connection, act) in acts {
        let (client, asked) = *open[*connection].get_or_insert_with(|| {
            port += 1;
            (session.connect(port), 0)
        });
        match act {
            Act::Ask(route) => {
                let bytes = format!("GET /r{}/{route} HTTP/1.1\r\nHost: a\r\n\r\n", route % 3);
                session.ask(client, bytes.as_bytes());
                open[*connection] = Some((client, asked + 1));
            }
            Act::Answer if asked > 0 => {
                session.answer(client, OK);
                open[*connection] = Some((client, asked - 1));
            }
            Act::Answer => {}
            Act::Close => {
                session.close(client);
                open[*connection] = None;
            }
        }
    }
}

proptest! {
    #[test]
    fn parts_add_up_to_the_whole(
        acts in proptest::collection::vec((0_usize..4, act()), 1..80),
        cuts in proptest::collection::vec(0_u64..12_000, 1..4),
        traced in any::<bool>(),
        read in prop_oneof![Just(65536_usize), Just(20)],
    ) {
        let mut session = Session::new(traced, read);
        play(&mut session, &acts);
        let whole = totals(&session.flows());
        let mut cuts = cuts;
        cuts.sort_unstable();
        let mut released: Vec<SocketId> = vec![];
        for cut in cuts {
            // Of those that were closed long ago, nothing is left.
            let gone: Vec<SocketId> = (0..session.recording.sockets.len() as u32)
                .map(SocketId)
                .filter(|id| !released.contains(id))
                .filter(|id| session.recording.sockets[id.0 as usize].closed.is_some_and(|at| at < Nanos(cut)))
                .collect();
            let (lost, forgotten) = give_up(&mut session.recording, Nanos(cut), &gone);
            released.extend(forgotten);
            prop_assert_eq!(lost, 0);
            prop_assert_eq!(&totals(&session.flows()), &whole, "given up before {}", cut);
        }
    }

    #[test]
    fn total_over_any_marks_too(
        messages in proptest::collection::vec((0_usize..4, any::<bool>(), 0_u64..1000, proptest::collection::vec(any_mark(), 0..5)), 0..60),
        cut in 0_u64..80,
    ) {
        let mut session = Session::new(true, 65536);
        session.connect(4000);
        session.connect(4000);
        for (socket, sent, bytes, marks) in messages {
            session.now += 1;
            let direction = if sent { Direction::Sent } else { Direction::Received };
            session.record(socket, direction, bytes, marks);
        }
        give_up(&mut session.recording, Nanos(200 + cut), &[]);
        totals(&session.flows());
    }
}

/// A stream that never ends beside others that do: their messages do not stay for its sake.
#[test]
fn a_connection_that_never_rests_is_cut_and_that_is_counted() {
    use crate::recording::{CallStep, Wire};
    let mut session = Session::new(false, 65536);
    let client = session.connect(4000);
    let mark = |stream, step| vec![Mark::Call { wire: Wire::Http2, stream, step }];
    let request = || CallStep::Request { method: None, operation: Some("/x".into()), host: None, repeat: None };
    let ask = |session: &mut Session, stream, step, sent| {
        session.now += 10;
        session.record(client, if sent { Direction::Sent } else { Direction::Received }, 10, mark(stream, step));
    };
    ask(&mut session, 1, request(), true);
    for stream in 1..=1000 {
        ask(&mut session, 2 * stream + 1, request(), true);
        ask(&mut session, 2 * stream + 1, CallStep::RequestEnd, true);
        ask(&mut session, 2 * stream + 1, CallStep::Response { status: Some(200), failed: false }, false);
        ask(&mut session, 2 * stream + 1, CallStep::ResponseEnd, false);
    }
    let until = Nanos(session.now + 1);
    let (cut, _) = give_up(&mut session.recording, until, &[]);
    assert_eq!((cut, session.recording.events.len()), (1, 0));
    let flows = session.flows();
    assert_eq!(flows.count(CallKind::is_web), 1000);
    assert_eq!(flows.earlier[0].counted(), Counted::AtLeast);
}

/// Latencies are exact at their ends, and near in between.
#[test]
fn latencies_of_both_parts_are_one_distribution() {
    let mut session = Session::new(false, 65536);
    let client = session.connect(4000);
    for wait in 1..=200 {
        session.ask(client, GET);
        session.now += wait * 1_000_000;
        session.answer(client, OK);
    }
    let whole = session.flows().peers[0].latency.expect("a latency");
    let until = session.recording.events[250].at();
    give_up(&mut session.recording, until, &[]);
    let parts = session.flows().peers[0].latency.expect("a latency");
    assert_eq!((parts.min, parts.max), (whole.min, whole.max));
    for (near, exact) in [(parts.median, whole.median), (parts.p95, whole.p95)] {
        assert!((near.0 as f64 / exact.0 as f64 - 1.0).abs() < 0.04, "{near:?} for {exact:?}");
    }
}

#[test]
fn lost_messages_weaken_what_was_counted_before() {
    let mut session = Session::new(false, 65536);
    let client = session.connect(4000);
    session.ask(client, GET);
    session.answer(client, OK);
    session.ask(client, GET);
    let until = Nanos(session.now);
    give_up(&mut session.recording, until, &[]);
    assert_eq!(session.flows().earlier[0].counted(), Counted::Exact);
    session.recording.losses.add(Loss::RingFullMessage, 1);
    assert_eq!(session.flows().earlier[0].counted(), Counted::AtLeast);
    assert_ne!(Earlier::default(), session.recording.earlier);
    assert_ne!(session.flows().earlier[0].of.route.as_deref(), Some(OTHER_REQUESTS));
}
