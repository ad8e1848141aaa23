//! What goes wrong in use: killed targets, killed perfmap, Ctrl-C, full disks, missing commands, missing rights.

use anyhow::{Context, Result, ensure};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use perfmap_tests::{Trace, places, trace::until, turn};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A target that says that it runs, then burns half the time and sleeps the other half.
const LONG: &str = "touch \"$STARTED\"; echo $$ > \"$STARTED.pid\"; i=0; while [ $i -lt 100 ]; do i=$((i+1)); \
                    n=0; while [ $n -lt 3000 ]; do n=$((n+1)); done; sleep 0.05; done; touch \"$STARTED.done\"";

struct Target {
    _dir: tempfile::TempDir,
    started: PathBuf,
}

impl Target {
    fn new() -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().context("make a scratch directory")?;
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).context("open it")?;
        let started = dir.path().join("started");
        Ok(Self { _dir: dir, started })
    }

    fn trace(&self) -> Trace {
        Trace::command(["sh", "-c", LONG]).env("STARTED", &self.started).option("--no-baseline")
    }

    fn beside(&self, end: &str) -> PathBuf {
        PathBuf::from(format!("{}{end}", self.started.display()))
    }

    fn pid(&self) -> Result<Pid> {
        let file = self.beside(".pid");
        until("the target wrote its pid", || std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')))?;
        let text = std::fs::read_to_string(&file).context("read the target's pid")?;
        Ok(Pid::from_raw(text.trim().parse().context("parse the target's pid")?))
    }
}

/// BPF programs and maps that some process or pin still holds, by id.
pub(crate) fn bpf_objects() -> Result<Vec<String>> {
    let mut all = Vec::new();
    for kind in ["prog", "map", "link"] {
        let bpftool = places::program("bpftool").context("no bpftool: run `cargo xtask setup`")?;
        let out = Command::new(bpftool).args([kind, "list"]).output().context("run bpftool")?;
        ensure!(out.status.success(), "bpftool {kind} list: {}", String::from_utf8_lossy(&out.stderr));
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        // An entry's first line begins with its id; the rest is indented.
        let entries = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
        all.extend(entries.map(|line| format!("{kind} {line}")));
    }
    Ok(all)
}

/// The kernel frees programs some milliseconds after the last holder has gone.
pub(crate) fn nothing_stays(before: &[String]) -> Result<()> {
    let mut after = Vec::new();
    until("perfmap's BPF objects are gone", || {
        after = bpf_objects().unwrap_or_else(|e| vec![format!("{e:#}")]);
        after.iter().all(|object| before.contains(object))
    })
    .with_context(|| format!("before: {before:#?}\nafter: {after:#?}"))
}

fn alive(pid: Pid) -> bool {
    kill(pid, None).is_ok()
}

#[test]
fn a_run_leaves_nothing_in_the_kernel() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let before = bpf_objects()?;
    Trace::command(["true"]).option("--no-baseline").passes()?;
    nothing_stays(&before)
}

#[test]
fn a_target_killed_midway_still_gives_its_map() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let target = Target::new()?;
    let running = target.trace().start()?;
    let pid = target.pid()?;
    std::thread::sleep(std::time::Duration::from_millis(700));
    kill(pid, Signal::SIGKILL).context("kill the target")?;
    let traced = running.finish()?;
    ensure!(traced.code() == Some(137), "{}:\n{}", traced.output.status, traced.words());
    ensure!(traced.stderr().contains("SIGKILL"), "the signal is not named:\n{}", traced.words());
    ensure!(traced.map()?.wall_ms()? >= 600.0, "the map does not hold what was seen");
    ensure!(traced.recording().is_file(), "no recording");
    Ok(())
}

#[test]
fn perfmap_killed_midway_leaves_the_target_and_nothing_else() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let before = bpf_objects()?;
    let target = Target::new()?;
    let mut running = target.trace().start()?;
    let pid = target.pid()?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    ensure!(
        !bpf_objects()?.iter().all(|object| before.contains(object)),
        "nothing was loaded: this test proves nothing"
    );
    running.signal(Signal::SIGKILL)?;
    running.child.wait().context("reap perfmap")?;
    ensure!(alive(pid), "the target died with perfmap");
    nothing_stays(&before)?;
    // Unharmed: it comes to its own end.
    until("the target finished", || target.beside(".done").exists())
}

/// First Ctrl-C: the target is stopped, the map of what was seen is written, exit 130.
#[test]
fn ctrl_c_writes_the_map() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let before = bpf_objects()?;
    let target = Target::new()?;
    let running = target.trace().start()?;
    let pid = target.pid()?;
    std::thread::sleep(std::time::Duration::from_millis(700));
    running.signal(Signal::SIGINT)?;
    let traced = running.finish()?;
    ensure!(traced.code() == Some(130), "{}:\n{}", traced.output.status, traced.words());
    ensure!(traced.map()?.wall_ms()? >= 600.0, "the map does not hold what was seen");
    until("the target is stopped", || !alive(pid))?;
    ensure!(!target.beside(".done").exists(), "the target ran on to its end");
    nothing_stays(&before)
}

/// A file system that the test made; unmounted when it ends, however it ends.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn tmpfs(size: &str) -> Result<Self> {
        let dir = tempfile::tempdir().context("make a mount point")?;
        let options = format!("size={size},mode=0777");
        mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some(options.as_str()))
            .context("mount tmpfs")?;
        Ok(Self(dir))
    }

    fn read_only(&self) -> Result<()> {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, self.path(), None::<&str>, flags, None::<&str>).context("remount read-only")
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(e) = umount2(self.0.path(), MntFlags::MNT_DETACH) {
            eprintln!("{} stays mounted: {e}", self.0.path().display());
        }
    }
}

/// Said before the target starts, as far as it can be known then.
#[test]
fn a_full_disk_is_said_before_the_start() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let disk = Mounted::tmpfs("16k")?;
    let target = Target::new()?;
    let traced = target.trace().out(disk.path().join("out")).run()?;
    ensure!(traced.code() == Some(5), "{}:\n{}", traced.output.status, traced.words());
    let words = traced.words();
    ensure!(words.contains("no space left"), "the cause is not said:\n{words}");
    ensure!(words.contains(&disk.path().display().to_string()), "the directory is not named:\n{words}");
    ensure!(!target.started.exists(), "the target was started all the same");
    Ok(())
}

/// The target itself fills the disk: the report still appears, and no half-written file passes for a whole one.
#[test]
fn a_disk_that_fills_up_keeps_the_terminal_report() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let disk = Mounted::tmpfs("1600k")?;
    let eat = "head -c 4000000 /dev/zero > \"$DISK/ballast\" 2>/dev/null; exec ./run all";
    let traced = Trace::command(["sh", "-c", eat])
        .dir(perfmap_tests::workload::ready("w27_http")?)
        .env("DISK", disk.path())
        .option("--no-baseline")
        .out(disk.path().join("out"))
        .run()?;
    ensure!(disk.path().join("ballast").is_file(), "the disk was not filled: this test proves nothing");
    ensure!(traced.code() == Some(5), "{}:\n{}", traced.output.status, traced.words());
    let words = traced.words();
    ensure!(words.contains("no space left"), "the cause is not said:\n{words}");
    ensure!(words.contains("pipelined_calls"), "no report on the terminal:\n{words}");
    if traced.map_path().exists() {
        traced.map().context("a half-written map passes for a whole one")?;
    }
    Ok(())
}

/// Said before the target starts: a long run must not end in it.
#[test]
fn a_read_only_output_directory_is_said_before_the_start() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let disk = Mounted::tmpfs("1m")?;
    disk.read_only()?;
    let target = Target::new()?;
    let traced = target.trace().out(disk.path().join("out")).run()?;
    ensure!(traced.code() == Some(5), "{}:\n{}", traced.output.status, traced.words());
    ensure!(
        traced.stderr().contains(&disk.path().display().to_string()),
        "the directory is not named:\n{}",
        traced.words()
    );
    ensure!(!target.started.exists(), "the target was started all the same");
    Ok(())
}

/// Ends with this code, names the command, and gives a hint.
fn refused(trace: Trace, code: i32, word: &str) -> Result<()> {
    let traced = trace.run()?;
    ensure!(traced.code() == Some(code), "{}:\n{}", traced.output.status, traced.words());
    ensure!(traced.stderr().contains(word), "{word:?} is not said:\n{}", traced.words());
    ensure!(!traced.stderr().contains("panicked"), "{}", traced.words());
    Ok(())
}

#[test]
fn command_not_found_is_127() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    refused(Trace::command(["no-such-command-anywhere"]), 127, "no-such-command-anywhere")?;
    refused(Trace::command(["./no/such/file"]).option("--no-baseline"), 127, "no/such/file")
}

#[test]
fn command_not_executable_is_126() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let dir = tempfile::tempdir().context("make a scratch directory")?;
    let file = dir.path().join("plain-file");
    std::fs::write(&file, "hello\n").context("write a plain file")?;
    refused(Trace::command([&file]), 126, "plain-file")?;
    refused(Trace::command([dir.path()]).option("--no-baseline"), 126, &dir.path().display().to_string())
}

#[test]
fn a_test_that_fails_before_profiling_is_3() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let words = ["sh", "-c", "echo the last words of the test >&2; exit 9"];
    let traced = Trace::command(words).run()?;
    ensure!(traced.code() == Some(3), "{}:\n{}", traced.output.status, traced.words());
    ensure!(traced.stderr().contains("test fails before profiling"), "{}", traced.words());
    ensure!(traced.stderr().contains("the last words of the test"), "its output is not shown:\n{}", traced.words());
    ensure!(!traced.map_path().exists(), "a map was written");
    Ok(())
}

/// The baseline passed, the profiled run fails: map written and marked, its own code passed on.
#[test]
fn a_profiled_run_that_fails_passes_its_code_on() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::command(["sh", "-c", "sleep 0.2; exit 9"]).option("--no-baseline").run()?;
    ensure!(traced.code() == Some(9), "{}:\n{}", traced.output.status, traced.words());
    traced.map().map(drop)
}

#[test]
fn a_target_that_kills_itself_passes_the_signal_on() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::command(["sh", "-c", "sleep 0.2; kill -SEGV $$"]).option("--no-baseline").run()?;
    ensure!(traced.code() == Some(139), "{}:\n{}", traced.output.status, traced.words());
    ensure!(traced.stderr().contains("SIGSEGV"), "the signal is not named:\n{}", traced.words());
    traced.map().map(drop)
}

/// Standard input, output and error are the user's own.
#[test]
fn output_of_the_target_is_passed_on_unmixed() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::command(["sh", "-c", "printf 'one\\ntwo\\n'"]).option("--no-baseline").passes()?;
    let out = String::from_utf8_lossy(&traced.output.stdout).into_owned();
    ensure!(out == "one\ntwo\n", "standard output is {out:?}");
    Ok(())
}

fn as_nobody(words: &[&str], out: &Path) -> Result<std::process::Output> {
    use std::os::unix::fs::PermissionsExt;
    let scratch = tempfile::tempdir().context("make a scratch directory")?;
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755)).context("open it")?;
    let perfmap = scratch.path().join("perfmap");
    std::fs::copy(places::perfmap()?, &perfmap).context("copy perfmap")?;
    std::fs::set_permissions(&perfmap, std::fs::Permissions::from_mode(0o755)).context("open perfmap")?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all", "--"]);
    command.arg(&perfmap).arg("trace").arg("--out").arg(out).args(words);
    for name in ["SUDO_UID", "SUDO_GID", "SUDO_USER"] {
        command.env_remove(name);
    }
    command.env("HOME", "/nonexistent").current_dir("/").output().context("run perfmap as nobody")
}

#[test]
fn no_privilege_with_ebpf_asked_for_is_4() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let disk = Mounted::tmpfs("4m")?;
    let out = as_nobody(&["--backend", "ebpf", "--no-baseline", "--", "true"], &disk.path().join("out"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(4), "{}: {said}", out.status);
    ensure!(said.contains("hint"), "no hint:\n{said}");
    Ok(())
}

/// What nothing was allowed to count is null, not nought.
#[test]
fn no_privilege_falls_back_and_says_so() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let Some(_turn) = turn()? else { return Ok(()) };
    let scratch = tempfile::tempdir().context("make a scratch directory")?;
    for dir in [scratch.path(), &scratch.path().join("out")] {
        std::fs::create_dir_all(dir).context("make it")?;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777)).context("open it")?;
    }
    let out = as_nobody(&["--runs", "1", "--warmup", "0", "--", "sleep", "0.2"], &scratch.path().join("out"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.code() == Some(0), "{}: {said}", out.status);
    let map = std::fs::read_to_string(scratch.path().join("out/performance_map.yaml")).context("read the map")?;
    // What an ordinary user may have: perf's events, where the kernel's setting allows them.
    let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    let perf = paranoid.trim().parse::<i32>().is_ok_and(|level| level <= 2);
    let backend = format!("    backend: {}", if perf { "perf" } else { "procfs" });
    for line in ["    io_read_bytes: null", "    http_round_trips: null", &backend] {
        ensure!(map.lines().any(|found| found == line), "no {line:?} in\n{map}\n{said}");
    }
    Ok(())
}

/// `perfmap doctor` works for everyone and says what is missing.
#[test]
fn doctor_answers_root_and_nobody() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let perfmap = places::perfmap()?;
    let root = Command::new(&perfmap).arg("doctor").output().context("run perfmap doctor")?;
    let said = format!("{}{}", String::from_utf8_lossy(&root.stdout), String::from_utf8_lossy(&root.stderr));
    // 0: a full profile can be made; 1: something is missing, and said.
    ensure!(matches!(root.status.code(), Some(0 | 1)), "{}: {said}", root.status);
    ensure!(said.contains("BTF"), "no word on BTF:\n{said}");
    Ok(())
}
