//! One run of `perfmap trace` on a command → its exit code, its words, its files.

use crate::{Map, Truth, places, recorded, workload};
use anyhow::{Context, Result, bail, ensure};
use std::{
    ffi::OsString,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// Larger recordings (of storms) are not audited: these tests are built without optimisation.
const AUDITED_BYTES: u64 = 8 << 20;

/// What perfmap shall do; `run` does it.
#[derive(Debug, Default)]
pub struct Trace {
    options: Vec<OsString>,
    command: Vec<OsString>,
    dir: Option<PathBuf>,
    env: Vec<(OsString, OsString)>,
    out: Option<PathBuf>,
    elsewhere: bool,
    escalates: bool,
    unprivileged: bool,
}

/// Its own network namespace, whose loopback hands every packet to another CPU: wakes then come in interrupts, inside
/// whatever runs there, as they do for packets from other machines and on a busy one.
const ELSEWHERE: &str = r#"mount -t sysfs sysfs /sys; ip link set lo up
printf %x $(((1 << $(nproc)) - 1)) > /sys/class/net/lo/queues/rx-0/rps_cpus; exec "$@""#;

/// What it did. The directories live as long as this value.
#[derive(Debug)]
pub struct Traced {
    pub output: Output,
    pub out: PathBuf,
    pub truth_dir: PathBuf,
    _scratch: tempfile::TempDir,
}

/// One that runs yet.
#[derive(Debug)]
pub struct Running {
    pub child: Child,
    pub out: PathBuf,
    truth_dir: PathBuf,
    scratch: tempfile::TempDir,
}

impl Trace {
    /// A workload's `run` with its variant; no baseline unless asked for, so that the live tests stay short.
    pub fn workload(name: &str, words: &[&str]) -> Result<Self> {
        let dir = workload::ready(name)?;
        let mut trace = Self::command(["./run"]).dir(dir).option("--no-baseline");
        trace.command.extend(words.iter().map(OsString::from));
        Ok(trace)
    }

    pub fn command<S: Into<OsString>>(words: impl IntoIterator<Item = S>) -> Self {
        Self { command: words.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    pub fn option(mut self, word: impl Into<OsString>) -> Self {
        self.options.push(word.into());
        self
    }

    pub fn options(mut self, words: &[&str]) -> Self {
        self.options.extend(words.iter().map(OsString::from));
        self
    }

    /// With its three counted runs and one warm-up.
    pub fn with_baseline(mut self) -> Self {
        self.options.retain(|word| word != "--no-baseline");
        self
    }

    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With a second run where samples are too few: elsewhere it would overwrite the truth of the one that is looked at.
    pub fn escalates(mut self) -> Self {
        self.escalates = true;
        self
    }

    /// Packets are received on another CPU than they are sent on.
    pub fn elsewhere(mut self) -> Self {
        self.elsewhere = true;
        self
    }

    /// perfmap has not a single capability.
    pub fn without_privilege(mut self) -> Self {
        self.unprivileged = true;
        self
    }

    /// A given output directory instead of a fresh one.
    pub fn out(mut self, dir: impl Into<PathBuf>) -> Self {
        self.out = Some(dir.into());
        self
    }

    pub fn start(self) -> Result<Running> {
        let scratch = tempfile::Builder::new().prefix("perfmap-live-").tempdir().context("make a scratch directory")?;
        // The traced program may run as another user than root.
        let open = |dir: &Path, mode| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode));
        open(scratch.path(), 0o755).context("open the scratch directory")?;
        let truth_dir = scratch.path().join("truth");
        std::fs::create_dir(&truth_dir).context("make the truth directory")?;
        open(&truth_dir, 0o777).context("open the truth directory")?;
        let out = self.out.unwrap_or_else(|| scratch.path().join("out"));
        let mut perfmap = match self.unprivileged {
            false => Command::new(places::perfmap()?),
            true => {
                let mut setpriv = Command::new("setpriv");
                setpriv.args(["--bounding-set=-all", "--inh-caps=-all", "--"]).arg(places::perfmap()?);
                // It could not become another user.
                setpriv.env_remove("SUDO_UID").env_remove("SUDO_GID").env_remove("SUDO_USER");
                setpriv
            }
        };
        perfmap.arg("trace").arg("--out").arg(&out).args(&self.options);
        if !self.escalates {
            perfmap.arg("--no-escalate");
        }
        perfmap.arg("--");
        if self.elsewhere {
            perfmap.args(["unshare", "--net", "--mount", "sh", "-ec", ELSEWHERE, "sh"]);
        }
        perfmap.args(&self.command);
        perfmap
            .env("PATH", places::path()?)
            .env("TRUTH_DIR", &truth_dir)
            .envs(self.env)
            .env_remove("CARGO")
            .env("NO_COLOR", "1");
        perfmap.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(dir) = &self.dir {
            perfmap.current_dir(dir);
        }
        let child = perfmap.spawn().with_context(|| format!("start {:?}", perfmap.get_program()))?;
        Ok(Running { child, out, truth_dir, scratch })
    }

    /// Runs to the end, whatever the end is.
    pub fn run(self) -> Result<Traced> {
        self.start()?.finish()
    }

    /// Runs to the end, which must be exit code 0; what was recorded breaks no law of the map.
    pub fn passes(self) -> Result<Traced> {
        let traced = self.run()?;
        ensure!(traced.code() == Some(0), "perfmap ended with {}:\n{}", traced.output.status, traced.words());
        let recording = traced.recording();
        if std::fs::metadata(&recording).is_ok_and(|file| file.len() <= AUDITED_BYTES) {
            let broken = recorded::broken(&recorded::read(&recording)?);
            ensure!(broken.is_empty(), "{} laws are broken: {:?}", broken.len(), broken.get(..broken.len().min(20)));
        }
        Ok(traced)
    }
}

impl Running {
    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) -> Result<()> {
        nix::sys::signal::kill(self.pid(), signal).with_context(|| format!("send {signal} to perfmap"))
    }

    pub fn finish(self) -> Result<Traced> {
        let output = self.child.wait_with_output().context("wait for perfmap")?;
        Ok(Traced { output, out: self.out, truth_dir: self.truth_dir, _scratch: self.scratch })
    }

    /// Waits for a file that the target makes.
    pub fn until_exists(&self, path: &Path) -> Result<()> {
        until(&format!("{} exists", path.display()), || path.exists())
    }

    pub fn truth_dir(&self) -> &Path {
        &self.truth_dir
    }
}

/// Looks every 10 ms for 30 s.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        if Instant::now() > end {
            bail!("30 s passed and not yet: {what}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

impl Traced {
    pub fn code(&self) -> Option<i32> {
        self.output.status.code()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// All that it said, for a failure's message.
    pub fn words(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", String::from_utf8_lossy(&self.output.stdout), self.stderr())
    }

    pub fn map(&self) -> Result<Map> {
        Map::read(&self.map_path()).with_context(|| self.words())
    }

    pub fn map_path(&self) -> PathBuf {
        self.out.join("performance_map.yaml")
    }

    pub fn recording(&self) -> PathBuf {
        self.out.join("recording.perfmap")
    }

    pub fn truth(&self) -> Result<Truth> {
        Truth::in_dir(&self.truth_dir)
    }

    /// `check.py` on the map and the truth; its FAIL lines are the error.
    pub fn check(&self, items: &str) -> Result<()> {
        self.check_file(&self.map_path(), items)
    }

    /// The same of what was concluded.
    pub fn check_result(&self, items: &str) -> Result<()> {
        self.check_file(&self.result_path(), items)
    }

    pub fn result_path(&self) -> PathBuf {
        self.out.join("profile_result.yaml")
    }

    fn check_file(&self, file: &Path, items: &str) -> Result<()> {
        let truth = self.truth()?;
        let out = Command::new(places::python_with_yaml()?)
            .arg(places::workloads().join("check.py"))
            .arg(file)
            .arg(&truth.path)
            .arg(format!("--items={items}"))
            .output()
            .context("run check.py")?;
        let said = String::from_utf8_lossy(&out.stdout);
        let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("FAIL")).collect();
        let complaint = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "check.py, {}:\n{}{complaint}", out.status, failed.join("\n"));
        Ok(())
    }

    /// At least 99 % of the wall time owned, and never more than it; and as written, steps lie within one another.
    pub fn owns_its_time(&self) -> Result<()> {
        let map = self.map()?;
        let (owned, wall) = (map.owned_ms()?, map.wall_ms()?);
        ensure!((owned - wall).abs() <= wall * 0.01, "steps and remainder own {owned:.1} ms of {wall:.1} ms");
        map.is_consistent()
    }
}
