//! Whole maps of small stories, through one printer.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use super::{
    Map, StepKind,
    testing::{Ended, Story, ms, show},
};
use crate::{
    correlate::{Protocol, syscalls as call},
    recording::{Nanos, OnObject, WaitClass},
};

pub(super) fn check(map: &Map, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(|line| line.strip_prefix("        ").unwrap_or(line)).collect();
    let shown = show(map);
    assert!(shown.trim() == expected.join("\n").trim(), "expected\n{}\nbut it is\n{shown}", expected.join("\n"));
    assert_eq!(map.closure_error, 0);
}

#[test]
fn cpu_and_sleep_of_one_thread() {
    let (mut story, main) = Story::new("python main.py", 1000);
    story.cpu(main, 0, 500, "<module> main work");
    story.block(main, 500, 900, "<module> main nap time.sleep", Ended::call(call::CLOCK_NANOSLEEP));
    story.cpu(main, 900, 1000, "lib.shutdown");
    check(
        &story.map(),
        "1 <module> FunctionCall wall 900 self 0 cpu 500 sleep 400
          1.1 main FunctionCall wall 900 self 0 cpu 500 sleep 400
            1.1.1 work FunctionCall wall 500 self 500 cpu 500
            1.1.2 nap Sleep wall 400 self 400 sleep 400
        (outside) 100 cpu 100",
    );
}

#[test]
fn a_tool_is_a_step_of_the_function_that_waited_for_it() {
    let (mut story, uv) = Story::new("uv run main.py", 1000);
    let main = story.process(Some(uv), 0, "python main.py");
    story.dies(main, 1000);
    let tool = story.process(Some(main), 100, "curl -s -L http://x");
    story.block(uv, 0, 1000, "lib.uv", Ended::call(call::WAIT4).by(main, call::EXIT_GROUP));
    story.cpu(main, 0, 100, "main start");
    story.block(main, 100, 600, "main fetch lib.run", Ended::call(call::WAIT4).by(tool, call::EXIT_GROUP));
    story.cpu(main, 600, 1000, "main finish");
    story.cpu(tool, 100, 300, "lib.curl");
    story.block(
        tool,
        300,
        580,
        "lib.curl",
        Ended::call(call::RECVFROM).on(OnObject::Socket(crate::recording::SocketId(0))),
    );
    story.dies(tool, 590);
    let map = story.map();
    assert_eq!(map.services, ["main"]);
    check(
        &map,
        "1 main FunctionCall wall 1000 self 0 cpu 500 child 500
          1.1 fetch FunctionCall wall 500 self 0 child 500
            1.1.1 curl Subprocess wall 500 self 500 cpu 210 network 280 other 10
          1.2 finish FunctionCall wall 400 self 400 cpu 400
          1.3 start FunctionCall wall 100 self 100 cpu 100
        (outside) 0",
    );
}

#[test]
fn a_command_without_own_functions_shows_its_tools() {
    let (mut story, sh) = Story::new("sh -c true", 100);
    let gzip = story.process(Some(sh), 0, "gzip big");
    story.dies(gzip, 80);
    story.block(sh, 0, 80, "lib.sh", Ended::call(call::WAIT4).by(gzip, call::EXIT_GROUP));
    story.cpu(gzip, 0, 80, "lib.deflate");
    story.cpu(sh, 80, 100, "lib.sh");
    check(
        &story.map(),
        "1 gzip Subprocess wall 80 self 80 cpu 80
        (outside) 20 cpu 20",
    );
}

/// pytest → api (event loop with a tick, work in a pool thread) → engine, over sockets.
fn services() -> Story {
    let (mut story, uv) = Story::new("uv run pytest tests", 1000);
    let test = story.process(Some(uv), 0, "python /v/bin/pytest tests");
    story.dies(test, 1000);
    let api = story.process(Some(test), 0, "python -m app.serve 80");
    story.calls_itself(api, "api");
    let worker = story.thread(api, 50);
    let engine = story.process(Some(test), 0, "python svc.py");
    story.calls_itself(engine, "engine");
    let (to_api, to_engine) = (story.socket(test), story.socket(worker));
    let engine_end = story.socket(engine);

    story.block(uv, 0, 1000, "lib.uv", Ended::call(call::WAIT4).by(test, call::EXIT_GROUP));
    story.cpu(test, 0, 100, "lib.collect");
    let answered = Ended::call(call::RECVFROM).on(OnObject::Socket(to_api)).by(api, call::SENDTO);
    story.block(test, 100, 900, "lib.runner test_job lib.post", answered);
    story.cpu(test, 900, 1000, "lib.report");

    // The loop hands the request to the pool at 120 and ticks meanwhile.
    story.block(api, 60, 110, "serve lib.loop", Ended::call(call::EPOLL_WAIT).by(test, call::SENDTO));
    story.cpu(api, 110, 120, "serve lib.loop");
    for tick in [120, 220, 320, 420, 520, 620, 720] {
        story.block(api, tick, tick + 100, "serve lib.loop", Ended::call(call::EPOLL_WAIT).result(0));
    }
    story.block(api, 820, 880, "serve lib.loop", Ended::call(call::EPOLL_WAIT).by(worker, call::SENDTO));
    story.cpu(api, 880, 900, "serve lib.loop");
    story.block(api, 900, 1000, "serve lib.loop", Ended::call(call::EPOLL_WAIT).result(0));

    story.block(worker, 51, 120, "lib.pool", Ended::call(call::FUTEX).by(api, call::FUTEX));
    story.cpu(worker, 120, 200, "lib.pool job prepare");
    for (from, to) in [(200, 500), (500, 870)] {
        let answered = Ended::call(call::RECVFROM).on(OnObject::Socket(to_engine)).by(engine, call::SENDTO);
        story.block(worker, from, to, "lib.pool job translate lib.post", answered);
    }
    story.cpu(worker, 870, 880, "lib.pool job");
    story.block(worker, 880, 1000, "lib.pool", Ended::call(call::FUTEX).result(-110));

    let request = Ended::call(call::RECVFROM).on(OnObject::Socket(engine_end)).by(worker, call::SENDTO);
    story.block(engine, 0, 201, "lib.serve", request);
    story.block(engine, 201, 500, "lib.serve handle time.sleep", Ended::call(call::CLOCK_NANOSLEEP));
    story.block(engine, 501, 870, "lib.serve handle time.sleep", Ended::call(call::CLOCK_NANOSLEEP));
    story.block(engine, 871, 1000, "lib.serve", request);

    let peer = story.peer("127.0.0.1:80", Some(api));
    story.trip(test, peer, 100, 900, "/jobs", "lib.runner test_job lib.post");
    let peer = story.peer("127.0.0.1:81", Some(engine));
    story.trip(worker, peer, 200, 500, "/translate", "lib.pool job translate lib.post");
    story.trip(worker, peer, 500, 870, "/translate", "lib.pool job translate lib.post");
    story
}

#[test]
fn a_request_is_followed_through_loop_and_pool_into_other_services() {
    let map = services().map();
    assert_eq!(map.services, ["pytest", "api", "engine"]);
    check(
        &map,
        "1 test_job @pytest HttpCall wall 800 self 0 network 800 → api POST /jobs ×1
          1.1 serve @api FunctionCall wall 800 self 40 cpu 30 network 10 other 760
            1.1.1 job @api FunctionCall wall 760 self 10 cpu 90 network 670
              1.1.1.1 translate @api HttpCall wall 670 self 1 network 670 → engine POST /translate ×2
                1.1.1.1.1 handle @engine Sleep wall 669 self 669 cpu 1 sleep 668
              1.1.1.2 prepare @api FunctionCall wall 80 self 80 cpu 80
        (outside) 200 cpu 200",
    );
    let translate = &map.steps[0].children[0].children[0].children[0];
    let call = translate.call.clone().unwrap();
    assert!(call.sequential);
    assert_eq!(call.latency.unwrap().median, ms(300));
    assert_eq!(map.peers[0].service.as_deref(), Some("engine"));
}

#[test]
fn threads_that_are_joined_own_the_wait_and_count_their_own_time() {
    let (mut story, main) = Story::new("python main.py", 1000);
    let workers: Vec<_> = (0..3).map(|_| story.thread(main, 0)).collect();
    for (index, worker) in workers.iter().enumerate() {
        let end = 700 + index as u64 * 100;
        story.cpu(*worker, 0, end, "lib.thread work");
        story.dies(*worker, end);
        let from = if index == 0 { 0 } else { end - 100 };
        story.block(main, from, end, "main join_all lib.join", Ended::call(call::FUTEX).by(*worker, call::EXIT));
    }
    story.cpu(main, 900, 1000, "main");
    let map = story.map();
    check(
        &map,
        "1 main FunctionCall wall 1000 self 100 cpu 100 lock 900
          1.1 join_all FunctionCall wall 900 self 0 lock 900
            1.1.1 work FunctionCall wall 900 self 900 cpu 900
        (outside) 0",
    );
    assert_eq!(map.steps[0].children[0].children[0].thread_time, ms(2400));
}

#[test]
fn a_lock_convoy_is_one_function_that_waits() {
    let (mut story, main) = Story::new("python main.py", 400);
    let workers: Vec<_> = (0..4).map(|_| story.thread(main, 0)).collect();
    for (index, worker) in workers.iter().enumerate() {
        let turn = index as u64 * 100;
        if let Some(before) = index.checked_sub(1).map(|before| workers[before]) {
            story.block(
                *worker,
                1,
                turn,
                "lib.thread work lib.acquire",
                Ended::call(call::FUTEX).by(before, call::FUTEX),
            );
        }
        story.cpu(*worker, turn, turn + 100, "lib.thread work");
        story.dies(*worker, turn + 100);
    }
    story.block(main, 0, 400, "main lib.join", Ended::call(call::FUTEX).by(workers[3], call::EXIT));
    check(
        &story.map(),
        "1 main FunctionCall wall 400 self 0 lock 400
          1.1 work LockWait wall 400 self 400 cpu 101 lock 299
        (outside) 0",
    );
}

#[test]
fn short_waits_are_shared_by_proportion() {
    let (mut story, main) = Story::new("python main.py", 1000);
    story.cpu(main, 0, 1000, "main chatter");
    story.short_waits(main, 0, 1000, &[(WaitClass::Socket, 250), (WaitClass::Futex, 100)], "main chatter");
    check(
        &story.map(),
        "1 main FunctionCall wall 1000 self 0 cpu 650 network 250 lock 100
          1.1 chatter FunctionCall wall 1000 self 1000 cpu 650 network 250 lock 100
        (outside) 0",
    );
}

#[test]
fn preemption_is_the_run_queue_of_the_function_that_ran() {
    let (mut story, main) = Story::new("python main.py", 100);
    story.cpu(main, 0, 40, "main");
    story.preempted(main, 40, 70);
    story.cpu(main, 70, 100, "main");
    check(
        &story.map(),
        "1 main FunctionCall wall 100 self 100 cpu 70 runqueue 30
        (outside) 0",
    );
}

#[test]
fn a_used_up_quota_is_no_run_queue() {
    let (mut story, main) = Story::new("python main.py", 100);
    story.cpu(main, 0, 40, "main");
    story.preempted(main, 40, 70);
    story.cpu(main, 70, 100, "main");
    story.throttled_while_off();
    check(
        &story.map(),
        "1 main FunctionCall wall 100 self 100 cpu 70 throttled 30
        (outside) 0",
    );
}

#[test]
fn what_nobody_waited_for_stands_beside() {
    let (mut story, main) = Story::new("python main.py", 1000);
    let flusher = story.thread(main, 100);
    story.cpu(main, 0, 1000, "main");
    story.cpu(flusher, 100, 200, "lib.thread flush");
    story.block(flusher, 200, 900, "lib.thread flush", Ended::call(call::CLOCK_NANOSLEEP));
    story.cpu(flusher, 900, 1000, "lib.thread flush");
    story.reads(flusher, 150, 64, Some("lib.thread flush"));
    check(
        &story.map(),
        "1 main FunctionCall wall 1000 self 1000 cpu 1000
        2 flush FunctionCall beside wall 200 self 0 cpu 200 read 64
        (outside) 0",
    );
}

#[test]
fn small_steps_are_folded_unless_they_did_io() {
    let (mut story, main) = Story::new("python main.py", 10_000);
    // A sample stands for as much time as any other one.
    for from in (0..9_900).step_by(50) {
        story.cpu(main, from, from + 50, "main work");
    }
    story.cpu(main, 9_900, 9_950, "main small");
    story.cpu(main, 9_950, 10_000, "main reader");
    story.reads(main, 9_960, 512, Some("main reader"));
    story.reads(main, 9_970, 100, Some("main unseen"));
    check(
        &story.map(),
        "1 main FunctionCall wall 10000 self 50 cpu 10000
          1.1 work FunctionCall wall 9900 self 9900 cpu 9900
          1.2 reader FunctionCall wall 50 self 50 cpu 50 read 512
          1.3 unseen FunctionCall wall 0 self 0 read 100
        (outside) 0",
    );
}

#[test]
fn recursion_is_one_step() {
    let (mut story, main) = Story::new("python main.py", 100);
    story.cpu(main, 0, 50, "main walk walk walk leaf");
    story.cpu(main, 50, 100, "main walk visit walk");
    check(
        &story.map(),
        "1 main FunctionCall wall 100 self 0 cpu 100
          1.1 walk FunctionCall wall 100 self 0 cpu 100
            1.1.1 leaf FunctionCall wall 50 self 50 cpu 50
            1.1.2 visit FunctionCall wall 50 self 50 cpu 50
        (outside) 0",
    );
}

#[test]
fn a_wait_for_the_interpreter_lock_is_no_sleep() {
    let (mut story, main) = Story::new("python main.py", 100);
    story.cpu(main, 0, 20, "main");
    story.block(main, 20, 100, "main pthread_cond_timedwait", Ended::call(call::FUTEX).result(-110));
    let map = story.map();
    assert_eq!(map.steps[0].kind, StepKind::LockWait, "{}", show(&map));
}

/// Six samples of six hundred are one in a hundred, give or take: what may be that long is shown.
#[test]
fn a_step_that_may_be_as_long_as_the_limit_is_kept() {
    for (samples, kept) in [(1, false), (5, true)] {
        let (mut story, main) = Story::new("python main.py", 6_000);
        for at in (0..6_000).step_by(10) {
            story.cpu(main, at, at + 10, if at < samples * 10 { "main small" } else { "main work" });
        }
        let map = story.map();
        let shown = map.steps[0].children.iter().any(|step| step.function == "small");
        assert_eq!(shown, kept, "{}", show(&map));
    }
}

/// Where a thread was waited for shortly, no step stays; what it did there is still its function's.
#[test]
fn work_in_places_too_small_to_show_is_not_lost() {
    let (mut story, main) = Story::new("python main.py", 1000);
    let other = story.thread(main, 0);
    let sampled = |story: &mut Story, task, from: u64, to, stack| {
        (from..to).for_each(|at| story.cpu(task, at, at + 1, stack));
    };
    sampled(&mut story, main, 0, 500, "main crunch");
    story.block(main, 500, 503, "main crunch", Ended::call(call::FUTEX).held(other, true));
    sampled(&mut story, main, 503, 1000, "main crunch");
    sampled(&mut story, other, 0, 1000, "grind");
    let map = story.map();
    check(
        &map,
        "1 main FunctionCall wall 1000 self 0 cpu 997 lock 3
          1.1 crunch FunctionCall wall 1000 self 1000 cpu 997 lock 3
        2 grind FunctionCall beside wall 997 self 0 cpu 997
        (outside) 0",
    );
    assert_eq!(map.steps[1].thread_cpu, ms(1000));
}

#[test]
fn error_comes_from_samples_only() {
    let (mut story, main) = Story::new("python main.py", 1000);
    story.cpu(main, 0, 250, "main a");
    story.cpu(main, 250, 500, "main b");
    story.block(main, 500, 1000, "main nap", Ended::call(call::NANOSLEEP));
    let map = story.map();
    let of = |name| map.steps[0].children.iter().find(|step| step.function == name).unwrap().error_pct;
    // 50 samples, half of them: 1.96 · sqrt(0.25 / 50) of half the wall time.
    assert!((of("a") - 6.93).abs() < 0.01, "{}", of("a"));
    assert!(of("nap") < 0.01);
    assert_eq!(map.steps[0].error_pct, 0.0);
}

#[test]
fn an_empty_recording_has_an_empty_map() {
    let (mut story, _) = Story::new("true", 0);
    let map = story.map();
    assert_eq!((map.wall, map.steps.len(), map.closure_error), (Nanos::ZERO, 0, 0));
}

/// Short waits and long ones are the database's; what it does for the caller lies below the call, as its own; an HTTP
/// call beside it keeps its own waits.
#[test]
fn statements_wait_for_their_database() {
    let (mut story, main) = Story::new("python main.py", 1000);
    let server = story.process(Some(main), 0, "postgres -D /data");
    story.dies(server, 1000);
    let (database, web) = (story.peer("127.0.0.1:5432", Some(server)), story.peer("127.0.0.1:80", None));
    let socket = OnObject::Socket(story.socket(main));
    story.cpu(main, 0, 100, "main start");
    for at in [100, 300] {
        story.block(
            main,
            at,
            at + 150,
            "main load lib.recv",
            Ended::call(call::RECVFROM).on(socket).by(server, call::SENDTO),
        );
        story.cpu(server, at, at + 149, "lib.plan");
        story.trip(main, database, at, at + 151, "select ?", "main load lib.send");
        story.was_query(Protocol::Postgres);
        story.cpu(main, at + 150, at + 200, "main load");
    }
    story.cpu(main, 500, 700, "main small");
    story.short_waits(main, 500, 700, &[(WaitClass::Socket, 120)], "main small");
    story.trip(main, database, 501, 699, "get", "main small lib.send");
    story.was_query(Protocol::Redis);
    story.block(main, 700, 900, "main fetch lib.recv", Ended::call(call::RECVFROM).on(socket));
    story.trip(main, web, 700, 901, "/x", "main fetch lib.send");
    story.cpu(main, 900, 1000, "main end");
    let map = story.map();
    check(
        &map,
        "1 main @main FunctionCall wall 1000 self 0 cpu 380 network 200 db 420
          1.1 load @main DbQuery wall 400 self 100 cpu 100 db 300 → postgres select ? ×2
            1.1.1 postgres @postgres FunctionCall wall 300 self 300 cpu 300
          1.2 fetch @main HttpCall wall 200 self 200 network 200 → 127.0.0.1:80 POST /x ×1
          1.3 small @main CacheOp wall 200 self 200 cpu 80 db 120 → postgres get ×1
          1.4 end @main FunctionCall wall 100 self 100 cpu 100
          1.5 start @main FunctionCall wall 100 self 100 cpu 100
        (outside) 0",
    );
    let counts =
        |step: usize| (map.steps[0].children[step].db_round_trips, map.steps[0].children[step].http_round_trips);
    assert_eq!([counts(0), counts(1), counts(2)], [(2, 0), (0, 1), (1, 0)]);
}
