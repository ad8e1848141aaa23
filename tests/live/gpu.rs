//! Waits for a GPU, and the use of one, with stand-ins for NVIDIA's libraries: no device is needed.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use perfmap_tests::{Trace, turn, workload};

/// A file that the target holds open as it would a device's node; gone with its owner.
struct Node(std::path::PathBuf);

impl Node {
    fn make() -> Result<Self> {
        let path = Path::new("/dev").join(format!("nvidia-stand-in-{}", std::process::id()));
        fs::File::create_new(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Node(path))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn waits_for_the_device_and_its_use() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let node = Node::make()?;
    let libraries = workload::ready("w73_gpu")?.join("bin");
    let traced = Trace::workload("w73_gpu", &[])?
        .with_baseline()
        .env("W73_NODE", &node.0)
        .env("LD_LIBRARY_PATH", libraries)
        .passes()?;
    let (map, truth) = (traced.map()?, traced.truth()?);
    let waited = |function: &str, cause: &str| -> f64 {
        map.outermost(function).filter_map(|step| step.wait_ms.get(cause)).sum()
    };
    for function in ["wait_asleep", "wait_awake"] {
        let wall = truth.function(function)?.wall_ms;
        let gpu = waited(function, "gpu");
        ensure!((gpu - wall).abs() < 0.1 * wall + 10.0, "{function}: {gpu:.0} ms for the GPU, truth {wall:.0} ms");
    }
    for function in ["launch", "nap"] {
        ensure!(waited(function, "gpu") < 10.0, "{function} waits {:.0} ms for the GPU", waited(function, "gpu"));
    }
    ensure!(map.json["bottleneck_classification"] == "Infrastructure", "{}", map.json["bottleneck_classification"]);
    let bytes = truth.json["gpu_bytes"].as_f64().context("truth without gpu_bytes")?;
    for place in ["baseline", "profiled_run"] {
        let gpu = &map.json[place]["gpu"];
        ensure!(gpu["device"] == "Stand-in B", "{place}: {gpu}");
        ensure!(gpu["utilization_pct"].as_f64() == Some(60.0), "{place}: {gpu}");
        ensure!(gpu["memory_peak_mb"].as_f64() == Some(bytes / f64::from(1 << 20)), "{place}: {gpu}");
    }
    traced.owns_its_time()
}

#[test]
fn no_device_no_word() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let traced = Trace::workload("w73_gpu", &[])?.with_baseline().passes()?;
    let map = traced.map()?;
    ensure!(map.json["baseline"]["gpu"].is_null(), "{}", map.json["baseline"]["gpu"]);
    ensure!(map.json["profiled_run"].get("gpu").is_none(), "{}", map.json["profiled_run"]);
    Ok(())
}
