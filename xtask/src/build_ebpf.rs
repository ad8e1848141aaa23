//! `perfmap-ebpf/src/*.bpf.c` → `perfmap-ebpf/perfmap.bpf.o`, the same bytes on every machine with the same clang. Linking needs
//! libbpf, which stands behind the feature `ebpf`: without it this command starts itself again with it.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Replace the committed object.
    Write,
    /// Prove that the committed object is what the sources give.
    Check,
}

#[cfg(not(feature = "ebpf"))]
pub fn run(mode: Mode) -> anyhow::Result<()> {
    crate::setup::setup(crate::setup::For::Ebpf)?;
    let mut again = crate::shell::cargo();
    again.args(["run", "-q", "-p", "xtask", "--features", "ebpf", "--", "build-ebpf"]);
    if mode == Mode::Check {
        again.arg("--check");
    }
    crate::shell::must(&mut again)
}

#[cfg(feature = "ebpf")]
pub use linked::run;

#[cfg(feature = "ebpf")]
mod linked {
    use super::Mode;
    use crate::shell::{must, output_of, root, target_dir};
    use anyhow::{Context, Result, bail};
    use std::{
        path::{Path, PathBuf},
        process::Command,
    };

    /// Defines `MAPS_ARE_HERE`.
    const MAPS_OWNER: &str = "task.bpf.c";
    const CLANG: &str = "clang-14";
    const STRIP: &str = "llvm-strip-14";

    pub fn run(mode: Mode) -> Result<()> {
        crate::setup::setup(crate::setup::For::Ebpf)?;
        let root = root();
        let committed = root.join("perfmap-ebpf/perfmap.bpf.o");
        let built = build(&root, &target_dir().join("ebpf"))?;
        let bytes = std::fs::read(&built).with_context(|| format!("read {}", built.display()))?;
        match mode {
            Mode::Write => {
                std::fs::write(&committed, &bytes).with_context(|| format!("write {}", committed.display()))?;
                eprintln!("wrote {} ({} bytes)", committed.display(), bytes.len());
                Ok(())
            }
            Mode::Check => {
                let there = std::fs::read(&committed).with_context(|| format!("read {}", committed.display()))?;
                if there == bytes {
                    eprintln!("{} is what the sources give ({} bytes)", committed.display(), bytes.len());
                    return Ok(());
                }
                let version = output_of(CLANG, &["--version"]).unwrap_or_default();
                let first = version.lines().next().unwrap_or("unknown version").to_owned();
                bail!(
                    "{} is not what the sources give (committed {} bytes, built {} with {first}); run `cargo xtask build-ebpf`",
                    committed.display(),
                    there.len(),
                    bytes.len()
                )
            }
        }
    }

    /// Compiles each file on its own, strips DWARF, links in the order of the names.
    fn build(root: &Path, out: &Path) -> Result<PathBuf> {
        let sources = sources(&root.join("perfmap-ebpf/src"))?;
        std::fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
        let linked = out.join("perfmap.bpf.o");
        let mut linker = libbpf_rs::Linker::new(&linked).context("start the BPF linker")?;
        for name in &sources {
            let object = out.join(name).with_extension("o");
            must(&mut compile(root, name, &object))?;
            must(Command::new(STRIP).arg("-g").arg(&object))?;
            linker.add_file(&object).with_context(|| format!("add {} to the link", object.display()))?;
        }
        linker.link().context("link the BPF objects")?;
        no_paths(root, &linked)?;
        Ok(linked)
    }

    fn sources(dir: &Path) -> Result<Vec<String>> {
        let listing = std::fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))?;
        let mut names = Vec::new();
        for entry in listing {
            let name = entry.context("list the BPF sources")?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".bpf.c") {
                names.push(name);
            }
        }
        // The order of a directory differs between file systems; the object must not.
        names.sort();
        // Its maps are the strong definitions of those that are weak elsewhere. They come first: where a weak copy
        // came before, relocations of static functions keep pointing at the copy, which libbpf refuses to load.
        names.sort_by_key(|name| name != MAPS_OWNER);
        anyhow::ensure!(!names.is_empty(), "no .bpf.c in {}", dir.display());
        Ok(names)
    }

    /// Relative source path and mapped prefix: BTF line info holds file names, and they must be the same everywhere.
    fn compile(root: &Path, name: &str, object: &Path) -> Command {
        let mut clang = Command::new(CLANG);
        clang.current_dir(root);
        clang.args(["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-D__TARGET_ARCH_x86", "-Wall", "-Werror"]);
        clang.arg(format!("-ffile-prefix-map={}=.", root.display()));
        clang.arg("-fdebug-compilation-dir=.");
        // asm/types.h lives here on Debian's multiarch layout, and clang does not look there for -target bpf.
        clang.args(["-idirafter", "/usr/include/x86_64-linux-gnu"]);
        clang.arg("-c").arg(format!("perfmap-ebpf/src/{name}")).arg("-o").arg(object);
        clang
    }

    fn no_paths(root: &Path, object: &Path) -> Result<()> {
        let bytes = std::fs::read(object).with_context(|| format!("read {}", object.display()))?;
        let needle = root.to_string_lossy().into_owned().into_bytes();
        anyhow::ensure!(
            !bytes.windows(needle.len()).any(|window| window == needle),
            "{} holds this machine's path {}",
            object.display(),
            root.display()
        );
        Ok(())
    }
}
