//! perfmap as an ordinary user with capabilities: all that it has a use for, each one taken away that has an effect, and the
//! two that it cannot do without. The command asks the kernel what it may do itself, and what perfmap may do meanwhile.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Map, places, turn};

/// A process that may do more than perfmap (set-user-id root), and one function that sleeps. Then the sets of capabilities of
/// this process, and of each thread of the one that started it.
const SCRIPT: &str = r#"
import json, os, subprocess, time

def nap():
    time.sleep(0.25)

subprocess.run(["./as_root", "0.4"], check=True)
nap()

def sets(path):
    with open(path) as status:
        lines = dict(line.split(":", 1) for line in status)
    return {name: int(lines[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")}

parent = f"/proc/{os.getppid()}/task"
watcher = {}
for thread in os.listdir(parent):
    with open(f"{parent}/{thread}/comm") as comm:
        watcher[comm.read().strip()] = sets(f"{parent}/{thread}/status")
with open("said.json", "w") as said:
    json.dump({"own": sets("/proc/self/status"), "watcher": watcher}, said)
"#;

const USEFUL: [&str; 10] = [
    "bpf",
    "perfmon",
    "syslog",
    "sys_ptrace",
    "dac_read_search",
    "checkpoint_restore",
    "sys_admin",
    "net_admin",
    "ipc_lock",
    "kill",
];
const BPF: u64 = 1 << 39;
const SYS_ADMIN: u64 = 1 << 21;
const SYS_PTRACE: u64 = 1 << 19;
const NET_RAW: u64 = 1 << 13;

struct Run {
    map: Map,
    said: serde_json::Value,
    words: String,
}

impl Run {
    /// As `nobody`, with these capabilities and no others ever.
    fn with(place: &Path, capabilities: &[&str]) -> Result<Run> {
        let set = capabilities.iter().fold("-all".to_owned(), |set, one| format!("{set},+{one}"));
        let output = Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .args([format!("--inh-caps={set}"), format!("--ambient-caps={set}"), format!("--bounding-set={set}")])
            .arg(place.join("perfmap"))
            .args(["trace", "--no-baseline", "--no-escalate", "--out", "out", "--", "/usr/bin/python3", "script.py"])
            .current_dir(place)
            .env_remove("SUDO_UID")
            .stdin(Stdio::null())
            .output()
            .context("start setpriv")?;
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{capabilities:?}: {words}");
        let said = fs::read(place.join("said.json")).context("what the command said")?;
        let map = Map::read(&place.join("out/performance_map.yaml"))?;
        Ok(Run { map, said: serde_json::from_slice(&said)?, words })
    }

    fn bits(&self, whose: &str, set: &str) -> u64 {
        self.said.pointer(&format!("/{whose}/{set}")).and_then(serde_json::Value::as_u64).unwrap_or(u64::MAX)
    }

    /// The map of a run under eBPF: the function is there, with its wait and its cause.
    fn is_whole(&self) -> Result<()> {
        let slept = self.map.of("nap").find_map(|step| step.wait_ms.get("sleep").copied()).unwrap_or(0.0);
        ensure!(slept >= 0.9 * 250.0, "nap slept {slept} ms:\n{}", self.words);
        Ok(())
    }

    fn says(&self, text: &str) -> bool {
        let one_line = self.words.split_whitespace().collect::<Vec<_>>().join(" ");
        one_line.contains(text)
    }
}

fn place() -> Result<tempfile::TempDir> {
    let place = tempfile::Builder::new().prefix("perfmap-live-").tempdir().context("make a scratch directory")?;
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    open(place.path(), 0o777)?;
    // The binary of the build may lie where only root goes.
    for (from, to, mode) in
        [(places::perfmap()?.as_path(), "perfmap", 0o755), (Path::new("/bin/sleep"), "as_root", 0o4755)]
    {
        let to = place.path().join(to);
        fs::copy(from, &to).with_context(|| format!("copy {}", from.display()))?;
        open(&to, mode)?;
    }
    fs::write(place.path().join("script.py"), SCRIPT)?;
    Ok(place)
}

#[test]
fn an_ordinary_user_with_each_capability_taken_away() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let place = place()?;
    let without = |gone: &[&str]| {
        let left: Vec<&str> = USEFUL.into_iter().filter(|one| !gone.contains(one)).collect();
        Run::with(place.path(), &left).with_context(|| format!("without {gone:?}"))
    };

    let whole = without(&[])?;
    whole.is_whole()?;
    ensure!(!whole.says("without CAP_"), "nothing lacks:\n{}", whole.words);
    // Given to perfmap, not to the command.
    ensure!(whole.bits("own", "CapPrm") == 0 && whole.bits("own", "CapAmb") == 0, "the command had {}", whole.said);
    // While it watches, nothing of the machine's can be changed, and its second thread has given that up for good.
    let effective = whole.bits("watcher/perfmap", "CapEff");
    ensure!(effective & (BPF | SYS_ADMIN) == 0 && effective & SYS_PTRACE != 0, "in effect: {effective:x}");
    let reader = whole.bits("watcher/recorder", "CapPrm");
    ensure!(reader & (BPF | SYS_ADMIN) == 0 && reader & SYS_PTRACE != 0, "the reader's: {reader:x}");

    let without_ptrace = without(&["sys_ptrace"])?;
    without_ptrace.is_whole()?;
    ensure!(without_ptrace.says("without CAP_SYS_PTRACE 1 process could not be read"), "{}", without_ptrace.words);

    // All that it can do without, at once.
    let least = Run::with(place.path(), &["bpf", "perfmon", "net_raw"])?;
    least.is_whole()?;
    ensure!(least.says("without CAP_SYS_ADMIN the cost of perfmap's own probes is not known"), "{}", least.words);
    // What perfmap has no use for was given to the command.
    ensure!(least.bits("own", "CapPrm") == NET_RAW, "the command had {}", least.said);

    for (gone, name) in [("bpf", "CAP_BPF"), ("perfmon", "CAP_PERFMON")] {
        // The one stands for both.
        let run = without(&[gone, "sys_admin"])?;
        ensure!(run.says(&format!("{name} not held")), "without {name}:\n{}", run.words);
        ensure!(run.map.wall_ms()? >= 650.0, "the command took {} ms", run.map.wall_ms()?);
    }
    Ok(())
}
