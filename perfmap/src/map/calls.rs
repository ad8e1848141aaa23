//! Round trips → the project's function that made each call: the deepest one that both sent the request and read the
//! answer.
//!
//! A client often sends in one function and waits in its sibling (`post` calls `send` and `receive`); the call is then
//! their caller's, because there lies the time that it takes. Who reads is known where the sender itself waited on the
//! socket. An event loop and other threads read for many senders: what they wait for stays the sender's call.

use rustc_hash::FxHashMap;

use super::{known::Known, project::FunctionId};
use crate::{
    correlate::{RoundTrip, Wait},
    recording::TaskId,
};

/// The round trips that the tree made as a client (indices into `Flows::round_trips`), with the path of functions,
/// root first, whose last one made the call.
pub(super) fn callers<'a>(known: &Known<'a>) -> Vec<(u32, &'a [FunctionId])> {
    let waits = reading_waits(known);
    let mut found = Vec::new();
    // How deep the callers of one sender stand, for its calls whose answer was there without a wait.
    let mut depths: FxHashMap<&[FunctionId], Vec<(usize, u64)>> = FxHashMap::default();
    for (index, trip) in known.correlated.flows.round_trips.iter().enumerate().filter(|(_, trip)| !trip.inbound) {
        let sender = known.project.stack(known.loops.place(trip.task, trip.socket, trip.sent, trip.stack));
        let reader = waits.get(&trip.task).and_then(|of_task| reader(of_task, trip));
        let depth = reader.map(|wait| common(sender, known.project.stack(wait.stack))).filter(|depth| *depth > 0);
        if let Some(depth) = depth {
            let of_sender = depths.entry(sender).or_default();
            match of_sender.iter_mut().find(|(known, _)| *known == depth) {
                Some((_, count)) => *count += 1,
                None => of_sender.push((depth, 1)),
            }
        }
        found.push((index as u32, sender, depth));
    }
    found
        .into_iter()
        .map(|(index, sender, depth)| {
            let usual = || depths.get(sender)?.iter().max_by_key(|(depth, count)| (*count, *depth)).map(|most| most.0);
            (index, &sender[..depth.or_else(usual).unwrap_or(sender.len())])
        })
        .collect()
}

/// By task and in order of time: the waits that can be for an answer.
fn reading_waits<'a>(known: &Known<'a>) -> FxHashMap<TaskId, Vec<&'a Wait>> {
    let mut found: FxHashMap<TaskId, Vec<&Wait>> = FxHashMap::default();
    for wait in known.correlated.waits.iter().filter(|wait| wait.socket.is_some() || wait.polls_one) {
        found.entry(wait.task).or_default().push(wait);
    }
    for of_task in found.values_mut() {
        of_task.sort_by_key(|wait| wait.off);
    }
    found
}

/// The sender's last wait before it had the whole answer: on that socket, else on one that is not known.
fn reader<'a>(of_task: &[&'a Wait], trip: &RoundTrip) -> Option<&'a Wait> {
    let from = of_task.partition_point(|wait| wait.off < trip.sent);
    let until = of_task.partition_point(|wait| wait.off < trip.received);
    let during = of_task.get(from..until)?;
    let last = |fits: &dyn Fn(&Wait) -> bool| during.iter().rev().find(|wait| wait.stack.is_some() && fits(wait));
    last(&|wait| wait.socket == Some(trip.socket)).or_else(|| last(&|wait| wait.polls_one)).copied()
}

/// So many functions are the same, from the root.
fn common(a: &[FunctionId], b: &[FunctionId]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use crate::{
        correlate::syscalls as call,
        map::{
            Map,
            testing::{Ended, Story, show},
        },
        recording::{OnObject, SocketId, TaskId},
    };

    /// `main` makes a call from 0 to 100 and another from 100 to 200; `wait` says where it waits for each.
    fn calls(sender: &str, wait: impl Fn(&mut Story, TaskId, SocketId, u64)) -> Map {
        let (mut story, main) = Story::new("python main.py", 300);
        let engine = story.process(Some(main), 0, "python svc.py");
        let socket = story.socket(main);
        let peer = story.peer("127.0.0.1:81", Some(engine));
        for turn in [0, 100] {
            story.cpu(main, turn, turn + 2, sender);
            wait(&mut story, main, socket, turn);
            story.trip(main, peer, turn + 1, turn + 99, "/x", sender);
        }
        story.cpu(main, 200, 300, "main other");
        story.map()
    }

    fn read(story: &mut Story, task: TaskId, socket: SocketId, turn: u64, stack: &str) {
        story.block(task, turn + 2, turn + 99, stack, Ended::call(call::RECVFROM).on(OnObject::Socket(socket)));
    }

    fn callers(map: &Map) -> Vec<(String, u64)> {
        fn walk(step: &crate::map::Step, found: &mut Vec<(String, u64)>) {
            if step.http_round_trips > 0 {
                found.push((step.function.clone(), step.http_round_trips));
            }
            step.children.iter().for_each(|child| walk(child, found));
        }
        let mut found = Vec::new();
        map.steps.iter().for_each(|step| walk(step, &mut found));
        found
    }

    #[track_caller]
    fn made_by(map: &Map, expected: &[(&str, u64)]) {
        let expected: Vec<_> = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        assert_eq!(callers(map), expected, "{}", show(map));
    }

    #[test]
    fn a_call_is_its_function_s_that_sends_and_reads_in_others() {
        let map = calls("main ask post send lib.write", |story, main, socket, turn| {
            read(story, main, socket, turn, "main ask post receive lib.read");
        });
        made_by(&map, &[("post", 2)]);
        assert_eq!(map.steps[0].children[0].children[0].function, "post", "{}", show(&map));
    }

    #[test]
    fn a_call_that_is_sent_and_read_in_one_function_is_that_one_s() {
        let map = calls("main ask post lib.write", |story, main, socket, turn| {
            read(story, main, socket, turn, "main ask post lib.read");
        });
        made_by(&map, &[("post", 2)]);
    }

    #[test]
    fn a_receive_with_a_time_out_waits_in_a_poll() {
        let map = calls("main ask post send lib.write", |story, main, _, turn| {
            let stack = "main ask post receive lib.poll";
            story.block_with(main, [turn + 2, turn + 99], stack, Ended::call(call::POLL), [0, 1, 0]);
        });
        made_by(&map, &[("post", 2)]);
    }

    #[test]
    fn an_answer_without_a_wait_goes_where_its_sender_s_others_do() {
        let map = calls("main ask post send lib.write", |story, main, socket, turn| {
            if turn == 0 {
                read(story, main, socket, turn, "main ask post receive lib.read");
            } else {
                story.cpu(main, turn + 2, turn + 99, "main ask post receive");
            }
        });
        made_by(&map, &[("post", 2)]);
    }

    /// The wait on another socket, and the next call's, belong to others.
    #[test]
    fn only_the_wait_for_the_answer_counts() {
        let map = calls("main ask post lib.write", |story, main, socket, turn| {
            let other = story.socket(main);
            if turn == 0 {
                read(story, main, other, turn, "main receive lib.read");
            } else {
                read(story, main, socket, turn + 100, "main receive lib.read");
            }
        });
        made_by(&map, &[("post", 2)]);
    }

    #[test]
    fn an_event_loop_reads_for_its_senders() {
        let map = calls("main task fetch lib.write", |story, main, _, turn| {
            let ready = Ended::call(call::EPOLL_WAIT);
            story.block(main, turn + 2, turn + 99, "main run_loop lib.select", ready);
        });
        made_by(&map, &[("fetch", 2)]);
    }

    #[test]
    fn functions_without_a_common_caller_leave_the_call_with_its_sender() {
        let map = calls("send lib.write", |story, main, socket, turn| {
            read(story, main, socket, turn, "receive lib.read");
        });
        made_by(&map, &[("send", 2)]);
    }
}
