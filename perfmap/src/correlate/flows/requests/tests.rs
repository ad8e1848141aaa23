use proptest::prelude::*;

use super::*;
use crate::recording::{Layer, Nanos, SocketId, TaskId};
use CallStep::{Abandoned, Desync, RequestEnd, ResponseEnd};
use Direction::{Received, Sent};

fn request(operation: &str) -> CallStep {
    CallStep::Request { method: None, operation: Some(operation.into()), host: None, repeat: None }
}

const RESPONSE: CallStep = CallStep::Response { status: None, failed: false };
const REFUSAL: CallStep = CallStep::Response { status: None, failed: true };

fn message(at: u64, direction: Direction, steps: &[(u32, CallStep)]) -> Message {
    let mark =
        |(stream, step): &(u32, CallStep)| Mark::Call { wire: Wire::Postgres, stream: *stream, step: step.clone() };
    Message {
        at: Nanos(at),
        task: TaskId(0),
        socket: SocketId(0),
        direction,
        layer: Layer::Wire,
        bytes: 10,
        descriptor: 3,
        marks: steps.iter().map(mark).collect(),
        stack: None,
    }
}

/// Operation, sent, received, answered, refused.
type Found = (String, u64, u64, bool, bool);

/// Each message's time is its place.
fn exchanges(messages: &[(Direction, &[(u32, CallStep)])]) -> (Vec<Found>, bool) {
    let messages: Vec<Message> = (0_u64..).zip(messages).map(|(at, (way, steps))| message(at, *way, steps)).collect();
    let calls = read(&messages.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!((calls.requests, calls.protocol), (Sent, Protocol::Postgres));
    let of = |exchange: Exchange| {
        let answered = exchange.outcome == Outcome::Answered;
        (exchange.target.unwrap_or_default(), exchange.sent.0, exchange.received.0, answered, exchange.refused)
    };
    (calls.exchanges.into_iter().map(of).collect(), calls.low)
}

fn of(operation: &str, sent: u64, received: u64) -> Found {
    (operation.into(), sent, received, true, false)
}

/// One reads for the connection, and reads on while others answer.
#[test]
fn who_answers_can_be_another_one() {
    let by = |task: u32, message: Message| Message { task: TaskId(task), ..message };
    let messages = [
        by(1, message(0, Received, &[(0, request("a")), (0, RequestEnd), (5, request("b")), (5, RequestEnd)])),
        by(2, message(1, Sent, &[(0, RESPONSE), (5, RESPONSE)])),
        by(3, message(2, Sent, &[(5, ResponseEnd), (0, ResponseEnd)])),
    ];
    let calls = read(&messages.iter().collect::<Vec<_>>()).unwrap();
    let tasks: Vec<_> = calls.exchanges.iter().map(|exchange| (exchange.task.0, exchange.answers.0)).collect();
    assert_eq!(tasks, [(1, 2), (1, 2)]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (found, low) = exchanges(&[
        (Sent, &[(0, request("a")), (0, RequestEnd), (0, request("b")), (0, RequestEnd)]),
        (Received, &[(0, RESPONSE)]),
        (Received, &[(0, ResponseEnd), (0, RESPONSE), (0, REFUSAL)]),
        (Sent, &[(0, request("c"))]),
        (Received, &[(0, ResponseEnd)]),
        (Sent, &[(0, RequestEnd)]),
    ]);
    let expected = [
        of("a", 0, 2),
        ("b".into(), 0, 4, true, true),
        // Never answered: the connection was closed.
        ("c".into(), 3, 3, false, false),
    ];
    assert_eq!((found.as_slice(), low), (expected.as_slice(), false));
}

#[test]
fn streams_are_answered_in_any_order() {
    let (found, low) = exchanges(&[
        (Sent, &[(1, request("a")), (3, request("b")), (5, request("c")), (1, RequestEnd)]),
        (Received, &[(3, RESPONSE), (3, ResponseEnd), (1, RESPONSE)]),
        (Received, &[(5, Abandoned), (1, ResponseEnd)]),
        (Sent, &[(3, request("d"))]),
        (Received, &[(3, RESPONSE), (3, ResponseEnd)]),
    ]);
    let expected = [of("a", 0, 2), of("b", 0, 1), ("c".into(), 0, 0, false, false), of("d", 3, 4)];
    assert_eq!((found.as_slice(), low), (expected.as_slice(), false));
}

#[test]
fn a_gap_in_the_only_answer_hides_nothing() {
    let (found, low) = exchanges(&[
        (Sent, &[(0, request("a")), (0, RequestEnd)]),
        (Received, &[(0, RESPONSE), (0, Desync)]),
        (Received, &[]),
        (Sent, &[(0, request("b")), (0, RequestEnd)]),
        (Received, &[(0, RESPONSE), (0, ResponseEnd)]),
    ]);
    assert_eq!((found.as_slice(), low), ([of("a", 0, 2), of("b", 3, 4)].as_slice(), false));
}

#[test]
fn what_a_gap_may_hide_is_neither_counted_nor_failed() {
    let (found, low) = exchanges(&[
        (Sent, &[(0, request("a")), (0, request("b")), (0, request("c"))]),
        (Received, &[(0, RESPONSE), (0, Desync)]),
        (Sent, &[(0, request("d"))]),
        (Received, &[(0, RESPONSE), (0, ResponseEnd)]),
    ]);
    assert_eq!((found.as_slice(), low), ([of("a", 0, 1), of("d", 2, 3)].as_slice(), true));
    let (found, low) = exchanges(&[(Sent, &[(7, request("a"))]), (Received, &[(0, Desync)])]);
    assert_eq!((found.as_slice(), low), ([].as_slice(), true));
}

/// Their numbers tell what belongs to what on both sides of it.
#[test]
fn streams_over_a_gap() {
    let (found, low) = exchanges(&[
        (Sent, &[(1, request("a")), (3, request("b")), (5, request("c"))]),
        (Received, &[(1, RESPONSE), (0, Desync)]),
        (Received, &[(1, ResponseEnd), (3, ResponseEnd), (5, REFUSAL), (5, ResponseEnd)]),
    ]);
    let expected = [of("a", 0, 2), of("b", 0, 2), ("c".into(), 0, 2, true, true)];
    assert_eq!((found.as_slice(), low), (expected.as_slice(), false));
    let (found, low) = exchanges(&[
        (Sent, &[(1, request("a")), (3, request("b"))]),
        (Received, &[(1, RESPONSE), (0, Desync)]),
        (Sent, &[(5, request("c"))]),
        (Received, &[(5, RESPONSE), (5, ResponseEnd)]),
    ]);
    assert_eq!((found.as_slice(), low), ([of("a", 0, 1), of("c", 2, 3)].as_slice(), true));
}

#[test]
fn an_answer_without_a_request_says_that_the_count_is_low() {
    let (found, low) = exchanges(&[(Received, &[(0, RESPONSE), (0, ResponseEnd)])]);
    assert_eq!((found.as_slice(), low), ([of("", 0, 0)].as_slice(), true));
}

fn step() -> impl Strategy<Value = CallStep> {
    let some = || Just(request("x"));
    prop_oneof![
        some(),
        some(),
        Just(RequestEnd),
        Just(RESPONSE),
        Just(RESPONSE),
        Just(ResponseEnd),
        Just(ResponseEnd),
        Just(Abandoned),
        Just(Desync)
    ]
}

proptest! {
    /// Whatever the marks say: never more answers than said, no request twice, and bytes are given out once.
    #[test]
    fn total_on_any_marks(
        messages in proptest::collection::vec(
            (any::<bool>(), proptest::collection::vec((0_u32..4, step()), 0..5)), 0..20)
    ) {
        let messages: Vec<Message> = (0_u64..)
            .zip(&messages)
            .map(|(at, (sent, steps))| message(at, if *sent { Sent } else { Received }, steps))
            .collect();
        if let Some(calls) = read(&messages.iter().collect::<Vec<_>>()) {
            let all = messages.iter().flat_map(|message| &message.marks);
            let said = |wanted: fn(&CallStep) -> bool| {
                all.clone().filter(|mark| matches!(mark, Mark::Call { step, .. } if wanted(step))).count()
            };
            let answers = said(|step| matches!(step, CallStep::Response { .. }));
            let requests = said(|step| matches!(step, CallStep::Request { .. }));
            let answered = calls.exchanges.iter().filter(|exchange| exchange.outcome == Outcome::Answered).count();
            // Behind a gap an end alone says that there was an answer.
            let ends = said(|step| matches!(step, CallStep::ResponseEnd));
            prop_assert!(answered <= answers + ends && calls.exchanges.len() <= requests + answers);
            let bytes: u64 = calls.exchanges.iter().map(|each| each.request_bytes + each.response_bytes).sum();
            prop_assert!(bytes <= 10 * messages.len() as u64);
            prop_assert!(calls.exchanges.iter().all(|each| each.received >= each.sent));
        }
    }
}
