//! One tool on one variant, once → what it cost: the program's own wall and CPU time, time until all files are on disk, and
//! the tool's own peak memory.

use super::Work;
use crate::shell::{in_path, release_binary, root, tools_venv};
use anyhow::{Context, Result, bail};
use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant, SystemTime},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Nothing,
    Perfmap99,
    Perfmap999,
    PerfDwarf,
    PySpy,
    Strace,
}

#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Measured inside the program.
    pub wall_ms: f64,
    pub cpu_ms: f64,
    /// From the program's last act, writing its truth, to the tool's own end.
    pub to_disk_ms: f64,
    /// Highest resident set of the tool's process itself, from its `VmHWM`; `None` where it ended between two looks.
    pub peak_mib: Option<f64>,
    /// What the kernel spent in perfmap's programs.
    pub bpf_ms: Option<f64>,
}

impl Tool {
    pub const ALL: [Self; 6] =
        [Self::Nothing, Self::Perfmap99, Self::Perfmap999, Self::PerfDwarf, Self::PySpy, Self::Strace];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Perfmap99 => "perfmap, 99 Hz",
            Self::Perfmap999 => "perfmap, 999 Hz",
            Self::PerfDwarf => "perf record --call-graph dwarf -F 999, perf script",
            Self::PySpy => "py-spy record -s -r 999",
            Self::Strace => "strace -c -f",
        }
    }

    pub fn installed(self) -> bool {
        match self {
            Self::Nothing | Self::Perfmap99 | Self::Perfmap999 => true,
            Self::PerfDwarf => in_path("perf"),
            Self::PySpy => in_path("py-spy") || tools_venv().join("bin/py-spy").is_file(),
            Self::Strace => in_path("strace"),
        }
    }

    /// strace makes these two 20 to 50 times slower: three runs say enough.
    pub fn most_pairs(self, work: Work) -> usize {
        match (self, work.variant) {
            (Self::Strace, "pysys" | "pyswitch") => 3,
            // It reads Python's frames alone.
            (Self::PySpy, "c") => 0,
            _ => usize::MAX,
        }
    }

    fn command(self, out: &Path, work: &Path, variant: &str) -> Command {
        let perfmap = |freq: &str| {
            let mut perfmap = Command::new(release_binary());
            perfmap.args(["trace", "--no-baseline", "--no-escalate", "--quiet", "--as-root", "--freq", freq, "--out"]);
            perfmap.arg(out.join("map")).arg("--");
            perfmap
        };
        let mut command = match self {
            Self::Nothing => return with_work(Command::new(work), variant),
            Self::Perfmap99 => perfmap("99"),
            Self::Perfmap999 => perfmap("999"),
            Self::PerfDwarf => {
                let mut perf = Command::new("perf");
                perf.args(["record", "-q", "--call-graph", "dwarf", "-e", "cpu-clock", "-F", "999", "-o"]);
                perf.arg(out.join("perf.data")).arg("--");
                perf
            }
            Self::PySpy => {
                let venv = tools_venv().join("bin/py-spy");
                let mut spy = Command::new(if venv.is_file() { venv.as_os_str() } else { "py-spy".as_ref() });
                spy.args(["record", "-s", "-r", "999", "-f", "raw", "-o"]).arg(out.join("py-spy.txt")).arg("--");
                spy
            }
            Self::Strace => {
                let mut strace = Command::new("strace");
                strace.args(["-c", "-f", "-o"]).arg(out.join("strace.txt"));
                strace
            }
        };
        command.arg(work);
        with_work(command, variant)
    }

    pub fn run(self, work: Work, scratch: &Path) -> Result<Run> {
        let Work { workload, variant } = work;
        let out = scratch.join("out");
        // A stale file would pass for a fresh one.
        let _ = std::fs::remove_dir_all(&out);
        std::fs::create_dir_all(&out).with_context(|| format!("make {}", out.display()))?;
        let program = root().join("tests/workloads").join(workload).join("run");
        let mut command = self.command(&out, &program, variant);
        command
            // A group of its own, so that a tool that hangs can be ended with all that it started.
            .process_group(0)
            .env("TRUTH_DIR", &out)
            .env("PATH", path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().with_context(|| format!("start {}", self.name()))?;
        let (mut peak_mib, mut ended) = watch(child).with_context(|| format!("run {}", self.name()))?;
        if self == Self::PerfDwarf {
            // Its file of raw stacks is no result yet: unwinding and names come with perf script.
            let text = std::fs::File::create(out.join("perf.txt")).context("make perf.txt")?;
            let mut script = Command::new("perf");
            script
                .args(["script", "-i"])
                .arg(out.join("perf.data"))
                .stdin(Stdio::null())
                .stdout(text)
                .stderr(Stdio::null());
            let (peak, end) = watch(script.spawn().context("start perf script")?).context("run perf script")?;
            (peak_mib, ended) = (peak_mib.into_iter().chain(peak).reduce(f64::max), end);
        }
        let truth = out.join(format!("{workload}.{variant}.json"));
        let text = std::fs::read(&truth).with_context(|| format!("read {}", truth.display()))?;
        let json: serde_json::Value = serde_json::from_slice(&text).context("read the truth")?;
        let number = |key: &str| json["process"][key].as_f64().with_context(|| format!("no process.{key}"));
        let last_act = std::fs::metadata(&truth).and_then(|meta| meta.modified()).context("time of the truth")?;
        Ok(Run {
            wall_ms: number("wall_ms")?,
            cpu_ms: number("cpu_ms")?,
            to_disk_ms: ended.duration_since(last_act).unwrap_or_default().as_secs_f64() * 1e3,
            peak_mib: (self != Self::Nothing).then_some(peak_mib).flatten(),
            bpf_ms: bpf_ms(&out.join("map/performance_map.yaml")),
        })
    }
}

/// With the tools that `setup` put beside the build.
pub fn path() -> String {
    format!("{}:{}", tools_venv().join("bin").display(), std::env::var("PATH").unwrap_or_default())
}

fn with_work(mut command: Command, variant: &str) -> Command {
    command.arg(variant);
    command
}

/// strace makes 20 s of the half second of `pysys`, and more on a busy machine.
const LONGEST: Duration = Duration::from_secs(240);

/// Looks at the tool's high-water mark every 5 ms until it ends. `wait4` would not do: its figure is the largest of the tool
/// and of the program that the tool waited for.
fn watch(mut child: Child) -> Result<(Option<f64>, SystemTime)> {
    let status_file = format!("/proc/{}/status", child.id());
    let mut peak = None;
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("ended with {status}");
            }
            return Ok((peak, SystemTime::now()));
        }
        peak = high_water(&status_file).or(peak);
        if began.elapsed() > LONGEST {
            // py-spy's blocking mode has left a stopped server behind and waited for it for ever.
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            let _ = child.wait();
            bail!("had not ended after {} s", LONGEST.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn high_water(status_file: &str) -> Option<f64> {
    let text = std::fs::read_to_string(status_file).ok()?;
    let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kib.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

/// The first key with `bpf` in its name and a number behind it, wherever the map has it.
fn bpf_ms(map: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(map).ok()?;
    find_bpf(&text)
}

fn find_bpf(text: &str) -> Option<f64> {
    text.split([',', '{', '\n']).find_map(|part| {
        let (key, value) = part.split_once(':')?;
        let value = value.trim().trim_end_matches('}');
        key.contains("bpf").then(|| value.parse::<f64>().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bpf_time_is_found_in_block_and_in_flow_style() {
        assert_eq!(find_bpf("profiled_run:\n  backend: ebpf\n  bpf_run_time_ms: 12.5\n"), Some(12.5));
        assert_eq!(find_bpf("profiled_run: {wall_time_ms: 7, bpf_time_ms: 3}\n"), Some(3.0));
        assert_eq!(find_bpf("backend: ebpf\n"), None);
    }
}
