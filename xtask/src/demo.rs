//! Builds perfmap and runs its main job on the example that it carries itself; nothing else is installed.

use crate::shell::{as_root, cargo, is_root, must, release_binary, root};
use anyhow::Result;

pub fn demo() -> Result<()> {
    eprintln!("builds perfmap, then traces an example of three services on this machine");
    must(cargo().args(["build", "--release", "--locked", "-p", "perfmap"]))?;
    if !is_root() {
        eprintln!("eBPF needs root: sudo may ask for your password; the example itself runs as you");
    }
    let perfmap = release_binary();
    let out = root().join(".optimization/demo");
    let mut trace = as_root(&perfmap);
    trace.current_dir(root()).arg("trace").arg("--out").arg(&out).arg("--").arg(&perfmap).args(["play", "example"]);
    must(&mut trace)?;
    eprintln!();
    eprintln!("look at   {}", out.join("performance_map.yaml").display());
    eprintln!("open      {} (also cpu.svg, offcpu.svg)", out.join("wall.svg").display());
    eprintln!("again     {} report {}", perfmap.display(), out.join("recording.perfmap").display());
    eprintln!("your own  sudo {} trace -- COMMAND…", perfmap.display());
    Ok(())
}
