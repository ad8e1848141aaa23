//! Stories of event loops: who owns the time of their polls.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use super::{
    testing::{Ended, Story, ms, show},
    tests::check,
};
use crate::{
    correlate::syscalls as call,
    recording::{Asked, Nanos, OnObject, TaskId, TurnKind},
};

const MAIN: u64 = 100;
const LOOP: &str = "asyncio.base_events._run_once";

fn poll(story: &mut Story, task: TaskId, from: u64, to: u64, result: i64) {
    story.block(task, from, to, &format!("main {LOOP}"), Ended::call(call::EPOLL_WAIT).result(result));
}

fn at(millis: u64, nanos: u64) -> Nanos {
    Nanos(ms(millis).0 + nanos)
}

/// The loop runs for a coroutine that waits at `stack`.
fn main_waits(story: &mut Story, task: TaskId, polled: u64, stack: &str) {
    story.turn(task, at(polled, 1), MAIN, &format!("main {LOOP} {stack}"), TurnKind::Main { of_tasks: false });
}

fn resumed(story: &mut Story, task: TaskId, polled: u64, round: u32, coroutine: u64, stack: &str, of_tasks: bool) {
    let kind = TurnKind::Resumed { round, of_tasks };
    story.turn(task, at(polled, 10 + u64::from(round)), coroutine, &format!("main {LOOP} {stack}"), kind);
}

#[test]
fn a_timer_belongs_to_the_coroutine_that_it_resumes_whoever_wakes_the_loop_meanwhile() {
    let (mut story, main) = Story::new("python main.py", 400);
    let nap = "client nap asyncio.tasks.sleep";
    for (from, to) in [(0, 100), (100, 200), (200, 300)] {
        poll(&mut story, main, from, to, 0);
        main_waits(&mut story, main, to, nap);
        resumed(&mut story, main, to, 0, 7, "tick asyncio.tasks.sleep", false);
    }
    poll(&mut story, main, 300, 400, 0);
    main_waits(&mut story, main, 400, nap);
    resumed(&mut story, main, 400, 0, MAIN, nap, false);
    check(
        &story.map(),
        "1 main FunctionCall wall 400 self 0 sleep 400
          1.1 client FunctionCall wall 400 self 0 sleep 400
            1.1.1 nap Sleep wall 400 self 400 sleep 400
        (outside) 0",
    );
}

#[test]
fn a_group_of_coroutines_is_nested_under_the_one_that_awaits_it() {
    let (mut story, main) = Story::new("python main.py", 500);
    let socket = story.socket(main);
    story.message(main, at(0, 5), socket, Some((8, &format!("main {LOOP} fetch"))));
    for (from, to) in [(1, 100), (100, 200)] {
        poll(&mut story, main, from, to, 0);
        main_waits(&mut story, main, to, "client");
        resumed(&mut story, main, to, 0, 7, "tick asyncio.tasks.sleep", false);
    }
    poll(&mut story, main, 200, 400, 1);
    main_waits(&mut story, main, 400, "client");
    story.message(main, at(400, 3), socket, None);
    resumed(&mut story, main, 400, 0, 8, "fetch lib.read", false);
    resumed(&mut story, main, 400, 0, 7, "tick asyncio.tasks.sleep", false);
    resumed(&mut story, main, 400, 2, MAIN, "client", true);
    // The ticker goes on.
    poll(&mut story, main, 401, 500, 0);
    main_waits(&mut story, main, 500, "client nap asyncio.tasks.sleep");
    resumed(&mut story, main, 500, 0, 7, "tick asyncio.tasks.sleep", false);
    resumed(&mut story, main, 500, 0, MAIN, "client nap asyncio.tasks.sleep", false);
    check(
        &story.map(),
        "1 main FunctionCall wall 500 self 0 cpu 2 network 399 sleep 99
          1.1 client FunctionCall wall 500 self 1 cpu 2 network 399 sleep 99
            1.1.1 fetch FunctionCall wall 400 self 400 cpu 1 network 399
            1.1.2 nap Sleep wall 99 self 99 sleep 99
        (outside) 0",
    );
}

#[test]
fn a_number_that_is_used_again_is_another_coroutine() {
    let (mut story, main) = Story::new("python main.py", 300);
    for (from, to, stack) in [(0, 100, "first"), (100, 300, "second")] {
        story.turn(main, at(from, 50), 8, &format!("main {LOOP} {stack}"), TurnKind::Started);
        poll(&mut story, main, from + 1, to, 1);
        main_waits(&mut story, main, to, "client");
        resumed(&mut story, main, to, 0, 8, &format!("{stack} lib.read"), false);
        resumed(&mut story, main, to, 2, MAIN, "client", true);
    }
    let shown = show(&story.map());
    assert!(shown.contains("first FunctionCall wall 99") && shown.contains("second FunctionCall wall 199"), "{shown}");
}

#[test]
fn a_server_works_for_the_connection_that_it_answers() {
    a_server_that_answers(400);
}

/// Whom the wake takes the CPU returns from its call much later.
#[test]
fn an_answer_whose_sender_returns_late_is_an_answer() {
    a_server_that_answers(420);
}

fn a_server_that_answers(returns: u64) {
    let (mut story, main) = Story::new("python main.py", 500);
    let server = story.process(Some(main), 0, "python server.py");
    story.calls_itself(server, "server");
    let (client_end, server_end) = (story.socket(main), story.socket(server));
    story.connect(client_end, server_end);
    let noise = story.socket(server);
    // The request is read at 100, after another callback has kept the loop busy; two timers follow.
    story.block(
        main,
        50,
        400,
        "main fetch lib.recv",
        Ended::call(call::RECVFROM).on(OnObject::Socket(client_end)).by(server, call::SENDTO),
    );
    story.cpu(main, 0, 50, "main");
    story.cpu(main, 400, 500, "main");
    story.cpu(server, 0, 100, &format!("main {LOOP} other"));
    story.message(server, at(100, 0), server_end, None);
    for (from, to, stack) in [(100, 200, "answer first asyncio.tasks.sleep"), (300, 400, "answer asyncio.tasks.sleep")]
    {
        poll(&mut story, server, from, to, 0);
        resumed(&mut story, server, to, 0, 8, stack, false);
    }
    story.cpu(server, 200, 300, &format!("main {LOOP} other"));
    story.message(server, at(300, 0), noise, Some((9, &format!("main {LOOP} other"))));
    story.message(server, at(returns, 50), server_end, Some((8, &format!("main {LOOP} answer"))));
    // Before its request was read, and between its turns, the loop was busy for another one: that delayed it.
    check(
        &story.map(),
        "1 main @main FunctionCall wall 500 self 150 cpu 150 network 350
          1.1 fetch @main FunctionCall wall 350 self 0 network 350
            1.1.1 main @server FunctionCall wall 350 self 0 cpu 150 sleep 200
              1.1.1.1 answer @server FunctionCall wall 200 self 100 sleep 200
                1.1.1.1.1 first @server Sleep wall 100 self 100 sleep 100
              1.1.1.2 other @server FunctionCall wall 150 self 150 cpu 150
        (outside) 0",
    );
}

/// The loop was awake for a timer when the result came, so nobody ended its poll.
#[test]
fn a_result_that_woke_nobody_is_of_the_thread_that_was_given_the_work() {
    let (mut story, main) = Story::new("python main.py", 210);
    story.turn(main, at(0, 50), MAIN, &format!("main {LOOP} client"), TurnKind::Started);
    story.cpu(main, 0, 10, &format!("main {LOOP} client"));
    let worker = story.thread(main, 5);
    let bystander = story.thread(main, 20);
    story.cpu(worker, 5, 203, "lib.worker job");
    story.cpu(bystander, 20, 210, "lib.worker other");
    for (from, to) in [(10, 100), (100, 200)] {
        poll(&mut story, main, from, to, 0);
        main_waits(&mut story, main, to, "client");
        resumed(&mut story, main, to, 0, 7, "tick asyncio.tasks.sleep", false);
    }
    resumed(&mut story, main, 204, 0, MAIN, "client lib.to_thread", false);
    story.cpu(main, 200, 210, &format!("main {LOOP} client"));
    check(
        &story.map(),
        "1 main FunctionCall wall 210 self 0 cpu 20 other 190
          1.1 client FunctionCall wall 210 self 20 cpu 20 other 190
            1.1.1 job FunctionCall wall 190 self 190 cpu 190
        2 other FunctionCall beside wall 190 self 0 cpu 190
        (outside) 0",
    );
}

/// The thread that polls is another one than the one that asked and reads.
#[test]
fn a_poll_belongs_to_what_the_process_asked_for_whichever_thread_polls() {
    let (mut story, main) = Story::new("bin/client", 400);
    let driver = story.thread(main, 0);
    let server = story.process(Some(main), 0, "python server.py");
    story.calls_itself(server, "server");
    let (socket, other) = (story.client(main), story.socket(server));
    story.connect(socket, other);
    story.cpu(main, 0, 100, "main get");
    story.transfer(main, at(100, 0), socket, Some("main get"), 9);
    story.cpu(server, 0, 300, "server answer");
    story.block(server, 300, 400, "server", Ended::call(call::EPOLL_WAIT).result(1));
    story.transfer(server, at(300, 5), other, Some("server answer"), 9);
    story.block(driver, 50, 300, "lib.poll", Ended::call(call::EPOLL_WAIT).result(1).by(server, call::SENDTO));
    story.block(main, 100, 300, "main", Ended::call(call::FUTEX).by(driver, call::FUTEX));
    story.transfer(main, at(300, 50), socket, None, 9);
    story.cpu(main, 300, 400, "main");
    check(
        &story.map(),
        "1 main @client FunctionCall wall 400 self 100 cpu 200 lock 200
          1.1 get @client FunctionCall wall 300 self 100 cpu 100 network 200
            1.1.1 server @server FunctionCall wall 200 self 0 cpu 200
              1.1.1.1 answer @server FunctionCall wall 200 self 200 cpu 200
        (outside) 0",
    );
}

#[test]
fn the_end_of_a_connection_is_no_answer_to_what_was_asked_long_before() {
    let (mut story, main) = Story::new("bin/client", 300);
    let socket = story.client(main);
    story.transfer(main, at(0, 1), socket, Some("main get"), 9);
    story.block(main, 1, 100, "main lib.poll", Ended::call(call::EPOLL_WAIT).result(1));
    story.transfer(main, at(100, 1), socket, None, 9);
    story.block(main, 101, 250, "main lib.poll", Ended::call(call::EPOLL_WAIT).result(0));
    story.transfer(main, at(250, 1), socket, None, 0);
    story.cpu(main, 250, 300, "main");
    check(
        &story.map(),
        "1 main Sleep wall 300 self 201 cpu 52 network 99 sleep 149
          1.1 get FunctionCall wall 100 self 100 cpu 1 network 99
        (outside) 0",
    );
}

/// Where the loop's queue is not known, its main coroutine is, at each poll.
#[test]
fn a_poll_belongs_to_where_the_main_coroutine_waits_if_nothing_is_seen_to_resume_it() {
    let (mut story, main) = Story::new("python main.py", 200);
    for (from, to, stack) in [(0, 100, "client first"), (100, 200, "client second")] {
        story.block(main, from, to, "main", Ended::call(call::EPOLL_WAIT).result(1));
        story.turn(main, at(to, 1), MAIN, &format!("main {stack}"), TurnKind::Main { of_tasks: false });
    }
    story.turn(main, at(199, 0), MAIN, "main client second", TurnKind::Ran);
    check(
        &story.map(),
        "1 main FunctionCall wall 200 self 0 network 200
          1.1 client FunctionCall wall 200 self 0 network 200
            1.1.1 first FunctionCall wall 100 self 100 network 100
            1.1.2 second FunctionCall wall 100 self 100 network 100
        (outside) 0",
    );
}

fn wall_of(map: &super::Map, function: &str) -> u64 {
    fn walk(step: &super::Step, function: &str) -> u64 {
        match step.function == function {
            true => step.wall.0 / 1_000_000,
            false => step.children.iter().map(|child| walk(child, function)).sum(),
        }
    }
    map.steps.iter().map(|step| walk(step, function)).sum()
}

/// The loop sends in a later turn, from functions of its own.
#[test]
fn what_a_loop_sends_later_belongs_to_who_asked_for_the_connection() {
    let (mut story, main) = Story::new("node main.js", 400);
    let socket = story.client(main);
    story.cpu(main, 0, 10, "main get");
    story.asks(main, at(9, 0), "main get lib.connect", Asked::Send(socket));
    let opened = Ended::call(call::EPOLL_WAIT).result(1);
    story.block(main, 10, 50, "lib.poll", opened);
    story.transfer(main, at(50, 1), socket, Some("lib.send"), 9);
    story.block(main, 51, 200, "lib.poll", Ended::call(call::EPOLL_WAIT).result(1));
    story.transfer(main, at(200, 1), socket, None, 9);
    // Nobody is known to have asked for the next one.
    story.transfer(main, at(201, 0), socket, Some("lib.send"), 9);
    story.block(main, 202, 390, "lib.poll", Ended::call(call::EPOLL_WAIT).result(1));
    story.transfer(main, at(390, 1), socket, None, 9);
    let map = story.map();
    let got = wall_of(&map, "get");
    assert!((195..=203).contains(&got), "{got} ms: {}", show(&map));
}

#[test]
fn a_poll_that_times_out_belongs_to_who_set_the_timer_that_was_due() {
    let (mut story, main) = Story::new("node main.js", 400);
    story.asks(main, at(5, 0), "main nap lib.set_timer", Asked::Timer { due: ms(150) });
    story.asks(main, at(6, 0), "lib.set_timer", Asked::Timer { due: ms(300) });
    story.cpu(main, 0, 10, "main nap");
    for (from, to) in [(10, 150), (151, 300)] {
        story.block(main, from, to, "lib.poll", Ended::call(call::EPOLL_WAIT).result(0));
    }
    let map = story.map();
    let got = wall_of(&map, "nap");
    assert!((149..=152).contains(&got), "{got} ms: {}", show(&map));
}

/// Nor is the queue known, but who asked for what is answered next.
#[test]
fn a_group_is_told_by_its_requests_where_the_queue_is_not_known() {
    for (of_tasks, expected) in [(true, 98..=101), (false, 0..=2)] {
        let (mut story, main) = Story::new("python main.py", 200);
        let socket = story.client(main);
        story.message(main, at(0, 5), socket, Some((8, "main fetch")));
        story.block(main, 1, 100, "main", Ended::call(call::EPOLL_WAIT).result(1));
        story.turn(main, at(100, 1), MAIN, "main client", TurnKind::Main { of_tasks });
        story.transfer(main, at(100, 3), socket, None, 9);
        story.cpu(main, 101, 200, "main");
        let map = story.map();
        let got = wall_of(&map, "fetch");
        assert!(expected.contains(&got), "{got} ms: {}", show(&map));
    }
}

/// A first thread that never comes back from its join, as Java's.
#[test]
fn a_thread_that_is_joined_when_the_process_ends_is_waited_for() {
    let (mut story, main) = Story::new("bin/java", 300);
    let worker = story.thread(main, 0);
    let other = story.thread(main, 0);
    let ended = Ended::call(call::FUTEX).result(-4).by(other, call::EXIT_GROUP);
    let tid = u64::from(story.tid(worker));
    story.block_with(main, [5, 300], "lib.join", ended, [0x1000, 0x109, tid]);
    story.cpu(worker, 0, 300, "work");
    let map = story.map();
    let got = wall_of(&map, "work");
    assert!((290..=300).contains(&got), "{got} ms: {}", show(&map));
}

/// A library's coroutines have no function of the project: their requests are those of who went to wait for others last
/// before they began, not of who called the loop, nor of another one that waits for longer.
#[test]
fn requests_of_gathered_library_coroutines_are_those_of_who_awaits_them() {
    let (mut story, main) = Story::new("python main.py", 500);
    let peer = story.peer("127.0.0.1:81", None);
    poll(&mut story, main, 1, 400, 1);
    let stack = |of: &str| format!("main {LOOP} {of}");
    story.turn(main, ms(0), MAIN, &stack("client"), TurnKind::Started);
    story.turn(main, ms(100), 8, &stack("handle"), TurnKind::Started);
    for (number, sent) in [(20, 102), (21, 103)] {
        story.turn(main, ms(101), number, &stack("httpx.get"), TurnKind::Started);
        story.turn(main, ms(sent), number, &stack("httpx.get"), TurnKind::Ran);
        story.trip(main, peer, sent, 290, "/part", &stack("httpx.get"));
    }
    let gathered = |round| TurnKind::Resumed { round, of_tasks: true };
    story.turn(main, ms(300), 8, &stack("handle"), gathered(2));
    // The handler is gone: what begins now was made by the one that it answered to.
    story.turn(main, ms(310), 22, &stack("httpx.get"), TurnKind::Started);
    story.turn(main, ms(311), 22, &stack("httpx.get"), TurnKind::Ran);
    story.trip(main, peer, 311, 350, "/last", &stack("httpx.get"));
    story.turn(main, ms(400), MAIN, &stack("client"), gathered(2));
    let map = story.map();
    let of = |wanted: &str| -> u64 {
        let steps = map.steps.iter().flat_map(|step| step.children.iter().chain([step]));
        steps.filter(|step| step.function == wanted).map(|step| step.calls.len() as u64).sum()
    };
    assert_eq!((of("handle"), of("client"), of("main")), (2, 1, 0), "{}", show(&map));
}
