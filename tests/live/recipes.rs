//! perfmap itself in a container, as docs/ci.md says to start it: Docker's own capabilities, filter of system calls, masked and
//! read-only paths under runc, and what the recipe adds.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, places, turn};
use serde_json::{Value, json};

/// Computes, sleeps, and asks a server of its own five times; writes down how long the first two took.
const SCRIPT: &str = r#"
import http.client, http.server, json, threading, time

def burn():
    begun = time.thread_time()
    while time.thread_time() - begun < 0.3:
        pass
    return (time.thread_time() - begun) * 1e3

def nap():
    begun = time.monotonic()
    time.sleep(0.25)
    return (time.monotonic() - begun) * 1e3

class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_):
        pass

def ask(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for _ in range(5):
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"ok"
    connection.close()

server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
threading.Thread(target=server.serve_forever, daemon=True).start()
truth = {"burn": burn(), "nap": nap()}
ask(server.server_address[1])
with open("truth.json", "w") as file:
    json.dump(truth, file)
"#;

/// What Docker gives without being asked.
const GIVEN: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// System calls that Docker's default filter refuses, as its manual lists them; for those of `OPENED` see there.
const REFUSED: [&str; 37] = [
    "acct",
    "add_key",
    "clock_adjtime",
    "clock_settime",
    "delete_module",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "get_mempolicy",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "mbind",
    "mount",
    "move_mount",
    "move_pages",
    "open_tree",
    "pivot_root",
    "quotactl",
    "reboot",
    "request_key",
    "set_mempolicy",
    "setns",
    "settimeofday",
    "swapoff",
    "swapon",
    "umount2",
    "unshare",
    "userfaultfd",
    "vhangup",
];

/// Those that it lets through with a capability.
const OPENED: [(&str, &str); 7] = [
    ("bpf", "BPF"),
    ("perf_event_open", "PERFMON"),
    ("syslog", "SYSLOG"),
    ("kcmp", "SYS_PTRACE"),
    ("pidfd_getfd", "SYS_PTRACE"),
    ("process_madvise", "SYS_PTRACE"),
    ("open_by_handle_at", "DAC_READ_SEARCH"),
];

// include/uapi/asm-generic/errno.h
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

fn filter(opened_for: &[&str]) -> Value {
    let shut = OPENED.iter().filter(|(_, capability)| !opened_for.contains(capability)).map(|(name, _)| *name);
    let names: Vec<&str> = REFUSED.into_iter().chain(shut).collect();
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
        ],
    })
}

/// How a container is started.
#[derive(Debug, Clone, Copy)]
struct Recipe {
    user: u32,
    added: &'static [&'static str],
    /// The capabilities that its filter goes by: podman's knew the older ones alone.
    opened_for: &'static [&'static str],
}

const BOTH: &[&str] = &["BPF", "PERFMON"];
const PLAIN: Recipe = Recipe { user: 0, added: &[], opened_for: &[] };
const WHOLE: Recipe = Recipe { user: 0, added: BOTH, opened_for: BOTH };
const FILTERED: Recipe = Recipe { user: 0, added: BOTH, opened_for: &[] };
const IMAGES_USER: Recipe = Recipe { user: 65534, ..WHOLE };

/// A directory that every container of a test has as /work, with perfmap and the program in it.
struct Inside {
    place: tempfile::TempDir,
}

struct Ran {
    output: Output,
    words: String,
}

impl Inside {
    fn new() -> Result<Inside> {
        let place = tempfile::Builder::new().prefix("perfmap-live-").tempdir().context("make a directory")?;
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o777))?;
        for part in ["work", "rootfs"] {
            fs::create_dir(place.path().join(part))?;
        }
        let made = Inside { place };
        fs::set_permissions(made.work(), fs::Permissions::from_mode(0o777))?;
        fs::write(made.work().join("script.py"), SCRIPT)?;
        fs::copy(places::perfmap()?, made.work().join("perfmap")).context("copy perfmap")?;
        Ok(made)
    }

    fn work(&self) -> PathBuf {
        self.place.path().join("work")
    }

    fn config(&self, recipe: Recipe, arguments: &[&str]) -> Value {
        let Recipe { user, added, opened_for } = recipe;
        let held: Vec<String> = GIVEN.iter().chain(added).map(|name| format!("CAP_{name}")).collect();
        // Capabilities are root's; others get those of the program's file, within the bounding set.
        let own: &[String] = if user == 0 { &held } else { &[] };
        let bound = |from: &Path, to: &str, mode: &str| json!({"destination": to, "type": "bind", "source": from, "options": ["rbind", mode]});
        let fresh = |to: &str, kind: &str, options: &[&str]| json!({"destination": to, "type": kind, "source": kind, "options": options});
        let mut mounts = vec![
            fresh("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            fresh("/dev", "tmpfs", &["nosuid", "mode=755"]),
            fresh("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            fresh("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"]),
            fresh("/tmp", "tmpfs", &["nosuid", "mode=1777"]),
            bound(&self.work(), "/work", "rw"),
        ];
        let programs = ["/usr", "/lib", "/lib64", "/bin", "/etc"].map(Path::new);
        mounts.extend(
            programs.iter().filter(|path| path.is_dir()).map(|path| bound(path, &path.to_string_lossy(), "ro")),
        );
        let namespaces = ["pid", "mount", "uts", "ipc", "network"].map(|kind| json!({"type": kind}));
        json!({
            "ociVersion": "1.0.2",
            "hostname": "box",
            "root": {"path": "rootfs", "readonly": true},
            "mounts": mounts,
            "process": {
                "terminal": false,
                "user": {"uid": user, "gid": user},
                "cwd": "/work",
                "args": arguments,
                "env": ["PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/tmp", "NO_COLOR=1"],
                "capabilities": {"bounding": held, "effective": own, "permitted": own},
                "noNewPrivileges": false,
            },
            "linux": {
                "namespaces": namespaces,
                "seccomp": filter(opened_for),
                "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
            },
        })
    }

    /// perfmap is the container's first process, as `docker run IMAGE perfmap …` has it.
    fn perfmap(&self, recipe: Recipe, words: &[&str]) -> Result<Ran> {
        let arguments: Vec<&str> = ["/work/perfmap"].iter().chain(words).copied().collect();
        let config = self.config(recipe, &arguments);
        fs::write(self.place.path().join("config.json"), serde_json::to_vec(&config)?)?;
        let runc = places::program("runc").context("no runc on this machine")?;
        let name = format!("perfmap-live-{}", std::process::id());
        let run = Command::new(&runc)
            .args(["run", "--bundle"])
            .arg(self.place.path())
            .arg(&name)
            .stdin(Stdio::null())
            .output();
        // Gone by itself, unless runc was killed.
        let _ = Command::new(&runc).args(["delete", "--force", &name]).output();
        let output = run.context("start runc")?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(Ran { output, words })
    }

    fn trace(&self, recipe: Recipe, options: &[&str]) -> Result<Ran> {
        // Another user's, of a run before.
        let _ = fs::remove_dir_all(self.work().join("out"));
        let _ = fs::remove_file(self.work().join("truth.json"));
        let before = ["trace", "--no-baseline", "--no-escalate", "--freq", "999", "--out", "out"];
        let words: Vec<&str> =
            before.iter().chain(options).chain(&["--", "/usr/bin/python3", "script.py"]).copied().collect();
        let ran = self.perfmap(recipe, &words)?;
        ensure!(ran.output.status.success(), "{recipe:?}: {}\n{}", ran.output.status, ran.words);
        Ok(ran)
    }

    fn map(&self) -> Result<Map> {
        Map::read(&self.work().join("out/performance_map.yaml"))
    }

    /// Both functions of the last run under eBPF, against what the program measured itself meanwhile.
    fn functions_are_true(&self) -> Result<Map> {
        let truth: Value = serde_json::from_slice(&fs::read(self.work().join("truth.json"))?)?;
        let truth = |name: &str| truth[name].as_f64().with_context(|| format!("truth without {name}"));
        let map = self.map()?;
        let (burnt, want) = (map.cpu_ms("burn"), truth("burn")?);
        ensure!((burnt - want).abs() <= want * 0.2 + 10.0, "burn: {burnt:.1} ms of CPU, truth {want:.1} ms");
        let slept = map.of("nap").find_map(|step| step.wait_ms.get("sleep").copied()).unwrap_or(0.0);
        // It cannot have slept longer than it took, nor shorter than the kernel lets it.
        ensure!(slept >= 0.9 * 250.0 && slept <= truth("nap")? + 10.0, "nap slept {slept:.1} ms");
        Ok(map)
    }
}

fn one_line(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn in_a_container_with_the_two_capabilities() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let inside = Inside::new()?;
    inside.trace(WHOLE, &["--backend", "ebpf"])?;
    let map = inside.functions_are_true()?;
    ensure!(map.round_trips("ask") == 5, "{} round trips", map.round_trips("ask"));

    // The image's user, with the capabilities of the program's file: permitted alone, so that it starts without them too.
    let given = Command::new("setcap").arg("cap_bpf,cap_perfmon=p").arg(inside.work().join("perfmap")).status();
    ensure!(given.context("start setcap")?.success(), "setcap failed");
    let ran = inside.trace(IMAGES_USER, &["--backend", "ebpf"])?;
    let map = inside.functions_are_true()?;
    ensure!(map.round_trips("ask") == 5, "{} round trips", map.round_trips("ask"));
    // Such a program's /proc/self/mem is root's; the vdso has its names all the same.
    ensure!(!ran.words.contains("[vdso]"), "{}", ran.words);
    let ran = inside.perfmap(Recipe { user: 65534, ..PLAIN }, &["--version"])?;
    ensure!(ran.output.status.success(), "without them it does not start: {}", ran.words);
    Ok(())
}

#[test]
fn in_a_container_without_them_it_says_which_flags_give_more() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let inside = Inside::new()?;
    let ran = inside.trace(PLAIN, &[])?;
    let map = inside.map()?;
    ensure!(map.has("burn") && map.has("nap"), "without eBPF it has no functions:\n{}", ran.words);
    ensure!(one_line(&ran.words).contains("--cap-add BPF --cap-add PERFMON"), "{}", ran.words);

    let refused = inside.perfmap(FILTERED, &["trace", "--backend", "ebpf", "--", "true"])?;
    ensure!(refused.output.status.code() == Some(4), "{}: {}", refused.output.status, refused.words);
    let hint = refused.words.lines().find(|line| line.starts_with("hint")).unwrap_or_default();
    ensure!(hint.contains("seccomp=unconfined"), "no hint is given: {}", refused.words);
    let doctor = inside.perfmap(FILTERED, &["doctor"])?;
    let table = String::from_utf8_lossy(&doctor.output.stdout).into_owned();
    ensure!(table.contains("bpf and perf_event_open refused by a seccomp filter"), "{table}");
    Ok(())
}
