//! Real processes: launching, refusing, dying.

use std::{
    ffi::OsString,
    os::{fd::FromRawFd, unix::fs::PermissionsExt},
    path::PathBuf,
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{
    environment::{parse_environment, parse_status, rebuild},
    identity::claim,
    program::closest,
    *,
};
use crate::recording::{Ending, Nanos};

fn command(argv: &[&str]) -> Command {
    Command {
        argv: argv.iter().map(OsString::from).collect(),
        working_directory: std::env::current_dir().expect("a working directory"),
        identity: None,
        environment: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())],
        stdout_to_stderr: false,
        output: None,
    }
}

fn run(argv: &[&str]) -> Result<Ending, LaunchError> {
    let mut running = Held::spawn(&command(argv)).expect("fork").release()?;
    Ok(running.wait().expect("waitid"))
}

#[test]
fn exit_codes_and_signals_come_back() {
    assert_eq!(run(&["true"]).expect("runs"), Ending::Exited(0));
    assert_eq!(run(&["sh", "-c", "exit 7"]).expect("runs"), Ending::Exited(7));
    assert_eq!(run(&["sh", "-c", "kill -9 $$"]).expect("runs"), Ending::Killed(9));
}

#[test]
fn a_missing_command_is_named_with_its_neighbours() {
    match run(&["slep"]).expect_err("no such program") {
        error @ LaunchError::NotFound { .. } => {
            assert_eq!(error.exit_code(), 127);
            let LaunchError::NotFound { program, nearest } = error else { unreachable!() };
            assert_eq!(program, "slep");
            assert!(nearest.contains(&"sleep".to_owned()), "{nearest:?}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn what_cannot_be_executed_is_126() {
    let directory = tempfile::tempdir().expect("directory");
    let plain = directory.path().join("plain.txt");
    std::fs::write(&plain, "text").expect("file");
    for path in [plain.clone(), directory.path().to_owned()] {
        let error = run(&[path.to_str().expect("UTF-8")]).expect_err("not executable");
        assert!(matches!(error, LaunchError::NotExecutable { .. }), "{error}");
        assert_eq!(error.exit_code(), 126);
    }
    let lost = directory.path().join("lost");
    std::fs::write(&lost, "#!/no/such/interpreter\n").expect("file");
    std::fs::set_permissions(&lost, std::fs::Permissions::from_mode(0o755)).expect("mode");
    let error = run(&[lost.to_str().expect("UTF-8")]).expect_err("no interpreter");
    assert!(error.to_string().contains("interpreter"), "{error}");
}

#[test]
fn a_script_without_a_first_line_runs_in_the_shell() {
    let directory = tempfile::tempdir().expect("directory");
    let script = directory.path().join("script");
    std::fs::write(&script, "exit \"$1\"\n").expect("file");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("mode");
    assert_eq!(run(&[script.to_str().expect("UTF-8"), "9"]).expect("runs"), Ending::Exited(9));
}

#[test]
fn environment_and_directory_are_exactly_what_was_ordered() {
    let directory = tempfile::tempdir().expect("directory");
    let mut order = command(&["sh", "-c", "env | sort > out; pwd >> out; ps -o pgid= -p $$ >> out; echo $$ >> out"]);
    order.working_directory = directory.path().canonicalize().expect("it exists");
    order.environment.push(("ONLY".into(), "this one".into()));
    let mut running = Held::spawn(&order).expect("fork").release().expect("runs");
    assert_eq!(running.wait().expect("waitid"), Ending::Exited(0));
    let out = std::fs::read_to_string(directory.path().join("out")).expect("written");
    assert!(out.contains("ONLY=this one"), "{out}");
    assert!(!out.contains("CARGO"), "{out}");
    let lines: Vec<&str> = out.lines().map(str::trim).collect();
    let [.., pwd, group, pid] = lines.as_slice() else { panic!("{out}") };
    assert_eq!(PathBuf::from(pwd), order.working_directory);
    assert_eq!(group, pid, "leads its own process group");
}

#[test]
fn dropped_while_held_it_never_runs() {
    let directory = tempfile::tempdir().expect("directory");
    let mark = directory.path().join("ran");
    let held = Held::spawn(&command(&["touch", mark.to_str().expect("UTF-8")])).expect("fork");
    let remote = held.remote();
    drop(held);
    assert_eq!(remote.ended(), Some(Ending::Exited(0)));
    assert!(!mark.exists());
}

#[test]
fn killed_while_held_is_told_as_its_ending() {
    let held = Held::spawn(&command(&["true"])).expect("fork");
    assert!(held.remote().signal(libc::SIGKILL));
    let mut running = held.release().expect("its ending is not a launch error");
    assert_eq!(running.wait().expect("waitid"), Ending::Killed(libc::SIGKILL));
}

#[test]
fn signals_reach_the_group_and_never_a_reused_pid() {
    let mut running = Held::spawn(&command(&["sh", "-c", "sleep 60 & wait"])).expect("fork").release().expect("runs");
    assert_eq!(running.try_wait().expect("waitid"), None);
    assert!(running.signal(libc::SIGTERM));
    let end = Instant::now() + Duration::from_secs(10);
    let ending = loop {
        if let Some(ending) = running.try_wait().expect("waitid") {
            break ending;
        }
        assert!(Instant::now() < end, "it did not die");
        std::thread::sleep(Duration::from_millis(2));
    };
    assert_eq!(ending, Ending::Killed(libc::SIGTERM));
    assert!(!running.signal(libc::SIGTERM), "nothing is sent once it is reaped");
    assert!(!running.remote().signal(0));
}

/// The kernel closes a dead parent's descriptors: a forked copy of this process holds a child and kills itself.
#[test]
fn parent_death_ends_a_held_child() {
    use std::io::Read;
    let directory = tempfile::tempdir().expect("directory");
    let mark = directory.path().join("ran");
    // The child inherits this pipe's write end: end of file tells that it is gone, and a byte that it ran.
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    let order = command(&["sh", "-c", &format!("touch {}; echo ran >&{}", mark.display(), ends[1])]);
    // SAFETY: the child only spawns and kills itself. It may allocate: glibc keeps its allocator usable over fork.
    let parent = unsafe { libc::fork() };
    if parent == 0 {
        let held = Held::spawn(&order);
        if held.is_ok() {
            // SAFETY: numbers only.
            unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        }
        // SAFETY: ends this copy without running the test harness's exit handlers.
        unsafe { libc::_exit(1) };
    }
    let mut status = 0;
    // SAFETY: `status` is ours; the descriptors were made above and are owned from here on.
    let mut read = unsafe {
        libc::waitpid(parent, &mut status, 0);
        drop(std::fs::File::from(std::os::fd::OwnedFd::from_raw_fd(ends[1])));
        std::fs::File::from(std::os::fd::OwnedFd::from_raw_fd(ends[0]))
    };
    assert!(libc::WIFSIGNALED(status), "the parent died by its own signal");
    let mut said = String::new();
    read.read_to_string(&mut said).expect("the child is gone");
    assert_eq!(said, "");
    assert!(!mark.exists());
}

#[test]
fn runs_as_another_user_where_we_may() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let directory = tempfile::tempdir().expect("directory");
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).expect("mode");
    let mut order = command(&["sh", "-c", "{ id -u; id -g; id -G; } > out"]);
    order.working_directory = directory.path().to_owned();
    order.identity = Some(Identity {
        uid: 65534,
        gid: 65534,
        groups: vec![65534, 12],
        name: "nobody".into(),
        home: "/".into(),
        shell: "/bin/sh".into(),
    });
    let mut running = Held::spawn(&order).expect("fork").release().expect("runs");
    assert_eq!(running.wait().expect("waitid"), Ending::Exited(0));
    let out = std::fs::read_to_string(directory.path().join("out")).expect("written");
    assert_eq!(out, "65534\n65534\n65534 12\n");
}

fn pairs(all: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    all.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

#[test]
fn sudo_variables_are_checked() {
    assert_eq!(claim(&pairs(&[])), Ok(None));
    assert_eq!(claim(&pairs(&[("SUDO_UID", "0")])), Ok(None));
    let good = claim(&pairs(&[("SUDO_UID", "1000"), ("SUDO_GID", "100"), ("SUDO_USER", "ann")])).expect("valid");
    let good = good.expect("a claim");
    assert_eq!((good.uid, good.gid, good.name.as_deref()), (1000, Some(100), Some("ann")));
    for bad in ["", "-1", "+5", "1000 ", "4294967295", "4294967296", "root", "0x10"] {
        let result = claim(&pairs(&[("SUDO_UID", bad)]));
        assert!(matches!(result, Err(IdentityError::NotANumber { .. })), "{bad:?}: {result:?}");
    }
}

fn ann() -> Identity {
    Identity {
        uid: 1000,
        gid: 1000,
        groups: vec![1000],
        name: "ann".into(),
        home: "/home/ann".into(),
        shell: "/bin/zsh".into(),
    }
}

fn value<'a>(all: &'a [(OsString, OsString)], name: &str) -> Option<&'a str> {
    all.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.to_str())
}

#[test]
fn the_users_environment_comes_back() {
    let own = pairs(&[
        ("PATH", "/usr/sbin:/usr/bin"),
        ("HOME", "/root"),
        ("USER", "root"),
        ("SUDO_UID", "1000"),
        ("SUDO_COMMAND", "perfmap"),
        ("EXTRA", "typed after sudo"),
        ("LANG", "C"),
    ]);
    let recovered = pairs(&[
        ("PATH", "/home/ann/venv/bin:/usr/bin"),
        ("VIRTUAL_ENV", "/home/ann/venv"),
        ("HOME", "/home/ann"),
        ("USER", "ann"),
        ("LANG", "de_DE.UTF-8"),
        ("SUDO_ASKPASS", "/x"),
    ]);
    let result = rebuild(&own, Some(&recovered), &ann());
    assert_eq!(value(&result, "PATH"), Some("/home/ann/venv/bin:/usr/bin"));
    assert_eq!(value(&result, "VIRTUAL_ENV"), Some("/home/ann/venv"));
    assert_eq!(value(&result, "HOME"), Some("/home/ann"));
    assert_eq!(value(&result, "EXTRA"), Some("typed after sudo"));
    assert_eq!(value(&result, "LANG"), Some("C"), "what was given to perfmap on top wins");
    assert_eq!(value(&result, "SHELL"), Some("/bin/zsh"), "missing entries come from the account");
    assert!(result.iter().all(|(name, _)| !name.to_string_lossy().starts_with("SUDO_")));
}

#[test]
fn without_a_record_the_account_counts() {
    let own = pairs(&[("PATH", "/usr/sbin"), ("HOME", "/root"), ("USER", "root"), ("TERM", "xterm")]);
    let result = rebuild(&own, None, &ann());
    assert_eq!(value(&result, "HOME"), Some("/home/ann"));
    assert_eq!(value(&result, "USER"), Some("ann"));
    assert_eq!(value(&result, "LOGNAME"), Some("ann"));
    assert_eq!(value(&result, "TERM"), Some("xterm"));
    assert_eq!(value(&result, "PATH"), Some("/usr/local/bin:/usr/bin:/bin"));
}

#[test]
fn status_is_read_strictly() {
    let text = "Name:\tsudo\nPPid:\t41\nTracerPid:\t0\nUid:\t1000\t0\t0\t0\n";
    let status = parse_status(text).expect("complete");
    assert_eq!((status.parent, status.uids), (41, [1000, 0, 0, 0]));
    assert!(parse_status("PPid:\t1\nUid:\t1\t2\t3\n").is_none());
    assert!(parse_status("").is_none());
}

#[test]
fn nearest_names() {
    let names: Vec<String> = ["python3", "pytest", "perl", "pyhton", "sh"].map(str::to_owned).into();
    assert_eq!(closest("pytets", &names), vec!["pytest"]);
    assert_eq!(closest("pyton3", &names), vec!["python3", "pyhton"]);
    assert_eq!(closest("zzzzzz", &names), Vec::<String>::new());
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn one_interrupt_hardens_step_by_step() {
    let mut state = Escalation::default();
    assert_eq!(state.on_tick(Nanos(0)), None);
    assert_eq!(state.on_signal(libc::SIGINT, Nanos(SECOND)), Some(Step::Send(libc::SIGINT)));
    assert_eq!(state.on_tick(Nanos(2 * SECOND)), None);
    assert_eq!(state.on_tick(Nanos(4 * SECOND)), Some(Step::Send(libc::SIGTERM)));
    assert_eq!(state.on_tick(Nanos(5 * SECOND)), None);
    assert_eq!(state.on_tick(Nanos(7 * SECOND)), Some(Step::Send(libc::SIGKILL)));
    assert_eq!(state.on_tick(Nanos(99 * SECOND)), None);
    assert!(state.interrupted() && !state.at_once());
}

#[test]
fn a_second_interrupt_stops_at_once_but_an_echo_does_not() {
    let mut state = Escalation::default();
    state.on_signal(libc::SIGINT, Nanos(0));
    assert_eq!(state.on_signal(libc::SIGINT, Nanos(50_000_000)), None);
    assert!(!state.at_once());
    assert_eq!(state.on_signal(libc::SIGINT, Nanos(500_000_000)), Some(Step::StopAtOnce));
    assert!(state.at_once());
}

#[test]
fn other_signals_are_passed_on_unchanged() {
    let mut state = Escalation::default();
    assert_eq!(state.on_signal(libc::SIGUSR1, Nanos(0)), Some(Step::Send(libc::SIGUSR1)));
    assert_eq!(state.on_signal(libc::SIGTSTP, Nanos(0)), Some(Step::Suspend));
    assert_eq!(state.stop_signal(), None);
    assert_eq!(state.on_signal(libc::SIGTERM, Nanos(0)), Some(Step::Send(libc::SIGTERM)));
    assert_eq!(state.stop_signal(), Some(libc::SIGTERM));
    assert_eq!(state.on_tick(Nanos(100 * SECOND)), None, "only Ctrl-C hardens");
}

proptest! {
    #[test]
    fn environment_records_are_read_totally(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let all = parse_environment(&bytes);
        for (name, _) in &all {
            prop_assert!(!name.is_empty());
        }
        let mut names: Vec<_> = all.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), all.len());
    }

    #[test]
    fn status_never_panics(text in "\\PC{0,200}") {
        let _ = parse_status(&text);
    }
}
