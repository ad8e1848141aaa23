use std::sync::atomic::AtomicBool;

use super::*;
use crate::{collect::pyspy::served::answer_with, unwind::python::installed};

/// The test's own program, as one of the fixtures below.
fn fixture(name: &str) -> Program {
    let arguments = ["--exact", "--ignored", &format!("collect::pyspy::asked::tests::{name}")];
    Program {
        path: std::env::current_exe().expect("a path"),
        arguments: arguments.into_iter().map(str::to_owned).collect(),
    }
}

fn frames(pid: u32) -> Answer {
    let frame = super::super::PyFrame { function: "f".repeat(600), file: "a.py".into(), line: 1, first_line: 1 };
    let thread = ThreadFrames { tid: pid, is_idle: false, frames: vec![frame; 600] };
    Answer { at: u64::MAX, read: Ok(vec![thread]) }
}

#[test]
#[ignore = "a process of another test"]
fn reads() {
    super::super::serve();
}

/// Over process 1 it takes more and more memory, over process 2 it hangs, over process 3 it says what is no answer.
#[test]
#[ignore = "a process of another test"]
fn has_its_troubles() {
    let _ = answer_with(|question| match question {
        Question::Read(1) => {
            let mut all: Vec<Vec<u8>> = Vec::new();
            for _ in 0..64 {
                all.push(vec![0; 64 << 20]); // asked for, never touched
            }
            Some(frames(all.len() as u32))
        }
        Question::Read(2) => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        Question::Read(3) => {
            use std::io::Write;
            let stdin = std::io::stdin().as_fd().try_clone_to_owned().expect("a descriptor");
            UnixStream::from(stdin).write_all(&[255; 64]).expect("written");
            None
        }
        Question::Read(pid) => Some(frames(pid)),
        Question::Forget(_) => None,
    });
}

#[test]
fn what_happens_to_a_reader_is_said_and_the_next_one_reads_on() {
    let mut readers = Readers::by(fixture("has_its_troubles"));
    let go = AtomicBool::new(false);
    let good = |readers: &mut Readers| {
        let Sampled { at, threads } = readers.sample(7, &go).expect("a reading");
        assert!(at <= monotonic_ns(), "no moment that is still to come");
        let [thread] = &threads[..] else { panic!("{threads:?}") };
        assert_eq!((thread.tid, thread.frames.len()), (7, FRAMES));
        assert!(thread.frames.iter().all(|frame| frame.function.len() == super::super::NAME_CHARACTERS));
    };
    good(&mut readers);
    let lost = |readers: &mut Readers, pid| readers.sample(pid, &go).map(|sampled| sampled.at);
    assert_eq!(lost(&mut readers, 1), Err(Why::Lost("it was ended by signal 6".into())));
    good(&mut readers);
    assert_eq!(lost(&mut readers, 3), Err(Why::Lost("it gave an answer that is none".into())));
    good(&mut readers);
    // It has answered for 2 before, as far as is known here: the shorter patience.
    let Readers::Apart(apart) = &mut readers else { panic!("read apart") };
    apart.running.as_mut().expect("it runs").met.insert(2);
    let began = Instant::now();
    assert!(matches!(lost(&mut readers, 2), Err(Why::Lost(why)) if why.starts_with("it gave no answer for 2")));
    assert!(began.elapsed() >= PATIENCE);
    good(&mut readers);
    assert!(readers.finish() > Nanos::ZERO, "what they used is known");
}

#[test]
fn a_reader_that_cannot_start_is_a_reason() {
    let program = Program { path: "/nonexistent/reader".into(), arguments: Vec::new() };
    let why = Readers::by(program).sample(7, &AtomicBool::new(false)).expect_err("nothing starts");
    assert!(matches!(why, Why::Refused(why) if why.starts_with("no reader starts")));
}

/// Frames of a real interpreter, read by a process that has left nearly all behind.
#[test]
fn a_real_interpreter_is_read_by_a_process_with_two_capabilities_at_most() {
    let Some(python) = installed(crate::unwind::python::Version::V3_12) else {
        return eprintln!("not run: no CPython 3.12 here");
    };
    let script = "import time\ndef rests():\n    time.sleep(60)\nrests()\n";
    let mut python = Command::new(python).args(["-c", script]).spawn().expect("it starts");
    let mut readers = Readers::by(fixture("reads"));
    let (until, go) = (Instant::now() + Duration::from_secs(30), AtomicBool::new(false));
    let read = loop {
        let read = readers.sample(python.id(), &go);
        let rests = |thread: &ThreadFrames| thread.frames.first().is_some_and(|frame| frame.function == "rests");
        if read.as_ref().is_ok_and(|read| read.threads.iter().any(rests)) || Instant::now() > until {
            break read;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let Readers::Apart(apart) = &readers else { panic!("read apart") };
    let reader = apart.running.as_ref().expect("it runs").child.id();
    // Of a program with one thread alone the first one is the reader; a test has others, which are not the reader.
    let confined = std::fs::read_dir(format!("/proc/{reader}/task")).expect("its threads").flatten().any(|thread| {
        let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let held = u64::from_str_radix(of("CapPrm:"), 16).unwrap_or(u64::MAX);
        let reading = 1 << Capability::SysPtrace as u8 | 1 << Capability::DacReadSearch as u8;
        let is_nobody = of("Uid:").split_whitespace().all(|id| id == "65534");
        held & !reading == 0 && of("NoNewPrivs:") == "1" && (held == 0 || is_nobody)
    });
    let _ = (python.kill(), python.wait());
    assert!(read.is_ok(), "{read:?}");
    assert!(confined || !nix::unistd::geteuid().is_root(), "the reader has more than it needs");
    assert!(matches!(readers.sample(python.id(), &go), Err(Why::Gone)));
}
