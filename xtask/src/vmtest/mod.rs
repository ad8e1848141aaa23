//! perfmap on Debian's kernels, in machines that QEMU emulates (KVM is not there everywhere): every program is loaded, and
//! workloads give answers that are checked. A guest that does not say DONE is started once more; then it has failed.

mod answers;
mod image;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::shell;
use answers::{DONE, Said};

/// Series of Debian 12. The older one lacks what later ones have: tracepoints of sends and receives (6.3), links of many
/// probes in programs (6.6).
const SERIES: [&str; 2] = ["6.1", "6.12"];
/// Several times what a guest takes alone: beside builds it took over five minutes.
const LIMIT: Duration = Duration::from_secs(900);

/// `only`: series; none: all. `binary`: the perfmap that is tested.
pub fn vmtest(only: &[&str], binary: Option<&str>) -> Result<()> {
    if let Some(unknown) = only.iter().find(|series| !SERIES.contains(series)) {
        bail!("vmtest knows the series 6.1 and 6.12, not {unknown:?}");
    }
    let perfmap = binary.map_or_else(shell::release_binary, PathBuf::from);
    ensure!(perfmap.is_file(), "no {}: cargo build --release -p perfmap", perfmap.display());
    let into = shell::target_dir().join("vmtest");
    fs::create_dir_all(&into)?;
    let disk = image::ram_disk(&perfmap, &into)?;
    for series in SERIES.into_iter().filter(|series| only.is_empty() || only.contains(series)) {
        let (package, kernel) = image::of_series(series, &into)?;
        let began = Instant::now();
        let mut console = guest(&kernel, &disk)?;
        if !console.contains(DONE) {
            let log = into.join(format!("{series}.first.log"));
            fs::write(&log, &console)?;
            eprintln!("{package}: the guest did not say it was done (its console is in {}); once more", log.display());
            console = guest(&kernel, &disk)?;
        }
        let log = into.join(format!("{series}.log"));
        fs::write(&log, &console)?;
        ensure!(console.contains(DONE), "{package}: not done; its console is in {}", log.display());
        let said = Said::read(&console);
        answers::check(&said).with_context(|| format!("{package}; its console is in {}", log.display()))?;
        eprintln!("{package}: all answers are right, {:.0} s", began.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Boots, and gives what it printed until it was off or its time was over.
fn guest(kernel: &Path, disk: &Path) -> Result<String> {
    let mut command = Command::new("timeout");
    command.arg(LIMIT.as_secs().to_string()).arg("qemu-system-x86_64");
    // Two CPUs: wakes and samples of another one than the reader's.
    command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536", "-nographic", "-no-reboot"]);
    command.args(["-net", "none", "-append", "console=ttyS0 quiet panic=-1"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(disk);
    eprintln!("+ {}", shell::words(&command));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.context("start qemu-system-x86_64: apt-get install qemu-system-x86")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
