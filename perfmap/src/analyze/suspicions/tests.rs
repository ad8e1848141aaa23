//! Rules on calls, and what holds for all, in both directions, on made-up runs.

use super::{told::run, *};
use crate::{analyze::fixture::ms, recording::*};
use Verdict::{Confirmed, Dismissed};

#[test]
fn a_connection_for_each_request() {
    let mut of = run();
    for n in 0..10 {
        let socket = of.connection(n * 10, 2000);
        of.get(socket, n * 10, n * 10 + 5);
    }
    let found = of.judged("connection_per_request");
    assert_eq!((found[0].verdict, found[0].subject.as_str()), (Confirmed, "catalog"));
    // The first connection is needed; ten less one at 2 ms, but the first began at the beginning.
    assert_eq!(found[0].gain.as_ref().unwrap().wall, ms(18));
    assert_eq!(found[0].affected_steps, ["1"]);
}

/// A collector of garbage closes them, long after: that held nobody up. Before the next request, it did.
#[test]
fn what_is_closed_later_costs_its_connect_alone() {
    let gain = |close_after: u64| {
        let mut of = run();
        for n in 0..10 {
            let socket = of.connection(n * 10, 2000);
            of.get(socket, n * 10, n * 10 + 5);
            of.recording.sockets[socket.0 as usize].closed = Some(ms(n * 10 + 5 + close_after));
        }
        of.judged("connection_per_request")[0].gain.as_ref().unwrap().wall
    };
    assert_eq!((gain(900), gain(1)), (ms(18), ms(9 * 3)));
}

/// A client that keeps its connections is not told to, where the service ends each after one answer.
#[test]
fn who_closes_first_is_who_is_told() {
    let hint = |server_closes_after: u64| {
        let mut of = run();
        for n in 0..10 {
            let (socket, other) = (of.connection(n * 10, 2000), of.connection(n * 10, 0));
            of.get(socket, n * 10, n * 10 + 5).server_socket = Some(other);
            for (which, at) in [(socket, n * 10 + 7), (other, n * 10 + 5 + server_closes_after)] {
                let change = StateChange { at: ms(at), from: TcpState::Established, to: TcpState::Closing };
                of.recording.sockets[which.0 as usize].states.push(change);
            }
        }
        of.judged("connection_per_request")[0].change.as_ref().unwrap().hint.clone()
    };
    assert!(hint(1).starts_with("Let the service that load asks keep connections open"), "{}", hint(1));
    assert!(hint(3).starts_with("Make one client outside load"), "{}", hint(3));
}

#[test]
fn one_connection_for_all_requests() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..13 {
        of.get(socket, n * 10, n * 10 + 5);
    }
    let found = of.judged("connection_per_request");
    assert_eq!((found[0].verdict, found[0].note.as_str()), (Dismissed, "1 connection(s), 13 requests"));
}

/// What is asked at one time needs a connection each, once.
#[test]
fn connections_of_requests_at_one_time() {
    let mut of = run();
    for n in 0..10 {
        let socket = of.connection(n, 100);
        of.get(socket, n, 500 + n);
    }
    assert_eq!(of.verdict("connection_per_request"), Some(Dismissed));
}

#[test]
fn few_requests_are_no_pattern() {
    let mut of = run();
    for n in 0..4 {
        let socket = of.connection(n * 10, 100);
        of.get(socket, n * 10, n * 10 + 5);
    }
    assert!(of.judged("connection_per_request").is_empty());
    assert!(of.judged("sequential_http_calls").is_empty());
}

/// `/page/17`, `/page/4`: a counter of the loop's, or the link in the last answer.
#[test]
fn numbers_that_are_too_short_to_be_told_apart() {
    let note = |short: bool| {
        let mut of = run();
        let socket = of.connection(0, 100);
        for n in 0..8 {
            let trip = of.get(socket, n * 100, n * 100 + 90);
            if short {
                trip.asked.tokens = vec![7];
            }
        }
        let found = of.judged("sequential_http_calls");
        assert_eq!(found[0].verdict, Confirmed);
        (found[0].note.contains("was not seen"), found[0].gain.as_ref().unwrap().basis.contains("only if none needs"))
    };
    assert_eq!((note(false), note(true)), ((false, false), (true, true)));
}

#[test]
fn calls_one_after_the_other() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..8 {
        of.get(socket, n * 100, n * 100 + 90);
    }
    let found = of.judged("sequential_http_calls");
    assert_eq!(found[0].verdict, Confirmed);
    assert_eq!(found[0].evidence[0].value, Value::Count(8));
    assert_eq!(found[0].gain.as_ref().unwrap().wall, ms(7 * 90));
    assert!(found[0].change.as_ref().unwrap().after.contains("ThreadPoolExecutor"));
}

#[test]
fn calls_that_need_one_another() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..8 {
        let trip = of.get(socket, n * 100, n * 100 + 90);
        trip.asked.tokens = vec![n as u32];
        trip.answered.tokens = vec![n as u32 + 1];
    }
    let found = of.judged("sequential_http_calls");
    assert_eq!(found[0].verdict, Dismissed);
    assert!(found[0].note.starts_with("dependent: 7 of 8"), "{}", found[0].note);
}

/// All need what the first one brought: the others do not need each other.
#[test]
fn one_answer_that_all_others_need() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..8 {
        let trip = of.get(socket, n * 100, n * 100 + 90);
        trip.asked.tokens = if n == 0 { vec![1] } else { vec![1, 50] };
        trip.answered.tokens = vec![50];
    }
    assert_eq!(of.verdict("sequential_http_calls"), Some(Confirmed));
}

#[test]
fn calls_at_one_time() {
    let mut of = run();
    for n in 0..8 {
        let socket = of.connection(n, 100);
        of.get(socket, n, 90 + n);
    }
    assert_eq!(of.verdict("sequential_http_calls"), Some(Dismissed));
}

/// Of what several threads ask at one time, only the chain of those that are waited for is at this step.
#[test]
fn calls_beside_those_that_are_waited_for() {
    let calls = |beside: &str| {
        let mut of = run();
        let socket = of.connection(0, 100);
        for n in 0..8 {
            of.get(socket, n * 100, n * 100 + 90);
            of.moves_to("1.1", "fetch");
            of.get(socket, n * 100 + 5, n * 100 + 95);
            of.moves_to("1.2", beside);
        }
        let all = of.judged("sequential_http_calls");
        all.iter().map(|one| one.verdict).collect::<Vec<_>>()
    };
    assert_eq!(calls("fetch"), [Dismissed, Dismissed]);
    assert_eq!(calls("another"), [Confirmed, Confirmed]);
}

#[test]
fn calls_of_which_nothing_was_read() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..8 {
        let trip = of.get(socket, n * 100, n * 100 + 90);
        (trip.asked, trip.answered) = Default::default();
    }
    assert!(of.judged("sequential_http_calls").is_empty());
}

/// A server makes one call for each of the requests that it answers.
#[test]
fn one_call_for_each_request_is_no_pattern() {
    let mut of = run();
    let (socket, inbound) = (of.connection(0, 100), of.connection(0, 100));
    for n in 0..8 {
        let request = of.get(inbound, n * 100, n * 100 + 95);
        (request.inbound, request.peer, request.server_socket) = (true, None, Some(inbound));
        of.map.steps[0].calls.pop();
        of.get(socket, n * 100 + 1, n * 100 + 90);
    }
    assert!(of.judged("sequential_http_calls").is_empty());
}

const ITEM: &str = "SELECT * FROM item WHERE id = ?";

#[test]
fn one_statement_for_each_item() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..20 {
        of.query(socket, n * 10, n * 10 + 8, ITEM);
    }
    let found = of.judged("n_plus_one_queries");
    assert_eq!((found[0].verdict, found[0].gain.as_ref().unwrap().wall), (Confirmed, ms(19 * 8)));
    assert!(of.judged("repeated_query").is_empty());
    assert!(of.judged("sequential_http_calls").is_empty());
}

#[test]
fn different_statements_and_transaction_bounds() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..8 {
        of.query(socket, n * 30, n * 30 + 5, "BEGIN");
        of.query(socket, n * 30 + 10, n * 30 + 15, &format!("SELECT a FROM t{n}"));
        of.query(socket, n * 30 + 20, n * 30 + 25, "COMMIT");
    }
    assert!(of.judged("n_plus_one_queries").is_empty());
}

#[test]
fn the_same_statement_with_the_same_parameters() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..5 {
        let trip = of.query(socket, n * 10, n * 10 + 8, ITEM);
        (trip.repeat, trip.answered.tokens) = (Some(9), vec![1]);
    }
    let found = of.judged("repeated_query");
    assert_eq!((found[0].verdict, found[0].gain.as_ref().unwrap().wall), (Confirmed, ms(4 * 8)));
    assert!(of.judged("n_plus_one_queries").is_empty());
}

#[test]
fn asked_again_because_it_changed() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..5 {
        let trip = of.get(socket, n * 20, n * 20 + 8);
        (trip.repeat, trip.answered.tokens) = (Some(9), vec![1]);
        of.get(socket, n * 20 + 9, n * 20 + 12).method = Some("POST".into());
    }
    assert_eq!(of.verdict("repeated_request"), Some(Dismissed));
}

#[test]
fn answers_that_differ_were_worth_asking_for() {
    let mut of = run();
    let socket = of.connection(0, 100);
    (0..5).for_each(|n| of.get(socket, n * 20, n * 20 + 8).repeat = Some(9));
    assert_eq!(of.verdict("repeated_request"), Some(Dismissed));
}

#[test]
fn one_entry_for_several_steps_and_no_hint_for_little() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..8 {
        of.get(socket, n * 100, n * 100 + 90);
    }
    let mut second = of.map.steps[0].clone();
    (second.id, second.wall) = ("2".into(), ms(100));
    second.calls.clear();
    of.map.steps.push(second);
    for n in 8..16 {
        let index = of.correlated.flows.round_trips.len() as u32;
        of.get(socket, n * 100, n * 100 + 1);
        of.map.steps[0].calls.pop();
        of.map.steps[1].calls.push(index);
    }
    let all = suspicions(&of.facts());
    let found: Vec<_> = all.iter().filter(|one| one.id == "sequential_http_calls").collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].affected_steps, ["1", "2"]);
    of.map.wall = ms(100_000);
    let all = suspicions(&of.facts());
    assert!(all.iter().all(|one| one.change.is_none()), "a gain below a hundredth is no hint");
    assert!(all.iter().any(|one| one.verdict == Confirmed));
}

#[test]
fn what_only_the_source_says() {
    let mut of = run();
    let finding = |function: &str, rule: &str| SourceFinding {
        rule: rule.into(),
        function: function.into(),
        file: "app/load.py".into(),
        line: 9,
        what: "requests.get() inside a loop".into(),
    };
    of.recording.source = Some(Source {
        findings: vec![
            finding("load", "connection_per_request"),
            finding("never", "connection_per_request"),
            finding("load", "no_such_rule"),
        ],
        ..Source::default()
    });
    let verdicts: Vec<_> = suspicions(&of.facts()).into_iter().map(|one| (one.subject, one.verdict)).collect();
    assert_eq!(verdicts, [("load".to_owned(), Dismissed), ("never".to_owned(), Verdict::Unverified)]);
}

#[test]
fn what_was_refused_is_asked_for_again() {
    let mut of = run();
    let socket = of.connection(0, 100);
    for n in 0..6 {
        let trip = of.get(socket, n * 20, n * 20 + 8);
        (trip.repeat, trip.answered.tokens, trip.status) = (Some(9), vec![1], Some(if n < 5 { 503 } else { 200 }));
    }
    assert!(of.judged("repeated_request").is_empty());
}
