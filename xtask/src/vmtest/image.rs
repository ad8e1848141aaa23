//! A kernel's package → its image; perfmap, busybox and Python with their libraries → an initial RAM disk.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::shell;

const INIT: &str = include_str!("init.sh");
const WORK: &str = include_str!("work.py");
const BUSYBOX: &str = "/bin/busybox";
/// Of Python's own modules what the workload never imports: two thirds of it.
const LEFT_OUT: [&str; 10] = [
    "test",
    "idlelib",
    "ensurepip",
    "lib2to3",
    "tkinter",
    "turtledemo",
    "pydoc_data",
    "dist-packages",
    "distutils",
    "config-3",
];

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output();
    let output = output.with_context(|| format!("start {program}"))?;
    ensure!(output.status.success(), "{program} {} failed", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The image of the newest kernel of a series. What apt has in its lists may be gone from the archive, or not there yet.
pub fn of_series(series: &str, into: &Path) -> Result<(String, PathBuf)> {
    let get = || {
        let package = newest(series)?;
        let image = kernel(&package, into)?;
        Ok::<_, anyhow::Error>((package, image))
    };
    get().or_else(|error| {
        eprintln!("{error:#}; once more with new lists");
        shell::must(shell::as_root(Path::new("apt-get")).args(["update", "-q"]))?;
        get()
    })
}

/// The newest of Debian's packages of a series like `6.12`.
fn newest(series: &str) -> Result<String> {
    let pattern = format!("^linux-image-{}[.0-9+a-z-]*-amd64$", series.replace('.', "\\."));
    let listed = output("apt-cache", &["search", "--names-only", &pattern])?;
    // `linux-image-6.1` is no beginning of 6.12, and the plain name of a series is a package without a kernel.
    let of_series = |name: &&str| {
        let rest = name.strip_prefix("linux-image-").and_then(|rest| rest.strip_prefix(series)).unwrap_or_default();
        rest.starts_with('.') && !["cloud", "rt", "unsigned"].iter().any(|kind| name.contains(kind))
    };
    let names = listed.lines().filter_map(|line| line.split(' ').next()).filter(of_series);
    let newest = names.max_by_key(|name| numbers(name));
    newest.map(str::to_owned).with_context(|| format!("apt knows no kernel of the series {series}"))
}

fn numbers(name: &str) -> Vec<u32> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

/// Downloaded and unpacked, never installed; once.
fn kernel(package: &str, into: &Path) -> Result<PathBuf> {
    let place = into.join(package);
    let found = |place: &Path| {
        let files = fs::read_dir(place.join("boot")).into_iter().flatten().flatten();
        files
            .map(|file| file.path())
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")))
    };
    if let Some(image) = found(&place) {
        return Ok(image);
    }
    fs::create_dir_all(&place)?;
    shell::must(Command::new("apt-get").args(["-q", "download", package]).current_dir(&place))?;
    let unpack = "dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards './boot/vmlinuz*' && rm ./*.deb";
    shell::must(Command::new("sh").args(["-ec", unpack]).current_dir(&place))?;
    found(&place).with_context(|| format!("{package} has no kernel image"))
}

/// A file and the libraries that the dynamic linker loads with it.
fn with_libraries(file: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    files.insert(file.to_owned());
    // A static program has none, and ldd fails on it.
    let listed = output("ldd", &[&file.to_string_lossy()]).unwrap_or_default();
    files.extend(listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
    Ok(())
}

/// What the guest has for a root directory, as one file.
pub fn ram_disk(perfmap: &Path, into: &Path) -> Result<PathBuf> {
    ensure!(Path::new(BUSYBOX).is_file(), "no {BUSYBOX}: apt-get install busybox-static");
    // One that needs libraries would not start.
    ensure!(output("ldd", &[BUSYBOX]).is_err(), "{BUSYBOX} is not static: apt-get install busybox-static");
    let root = into.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).context("remove the last guest's files")?;
    }
    for directory in ["bin", "dev", "proc", "sys", "tmp", "work", "usr/bin"] {
        fs::create_dir_all(root.join(directory))?;
    }
    let python = fs::canonicalize("/usr/bin/python3").context("no /usr/bin/python3")?;
    let version = python.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let library = PathBuf::from("/usr/lib").join(&version);
    let mut files = BTreeSet::from([PathBuf::from(BUSYBOX)]);
    with_libraries(&python, &mut files)?;
    let mut of_perfmap = BTreeSet::new();
    with_libraries(perfmap, &mut of_perfmap)?;
    files.extend(of_perfmap.into_iter().filter(|file| file != perfmap));
    walk(&library, &mut files)?;
    for file in &files {
        let to = root.join(file.strip_prefix("/").unwrap_or(file));
        fs::create_dir_all(to.parent().context("a file without a directory")?)?;
        fs::copy(file, &to).with_context(|| format!("copy {}", file.display()))?;
    }
    std::os::unix::fs::symlink(&version, root.join("usr/bin/python3"))?;
    shell::must(Command::new("strip").arg("-o").arg(root.join("usr/bin/perfmap")).arg(perfmap))?;
    fs::write(root.join("init"), INIT)?;
    fs::write(root.join("work/work.py"), WORK)?;
    shell::must(Command::new("chmod").arg("755").args([root.join("init"), root.join("usr/bin/perfmap")]))?;
    let image = into.join("root.cpio.gz");
    let pack = r#"find . | busybox cpio -o -H newc 2>/dev/null | gzip -1 > "$0""#;
    shell::must(Command::new("sh").args(["-ec", pack]).arg(&image).current_dir(&root))?;
    Ok(image)
}

fn walk(directory: &Path, into: &mut BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if LEFT_OUT.iter().any(|out| name.starts_with(out)) || name == "__pycache__" {
            continue;
        }
        if path.is_dir() {
            walk(&path, into)?;
        } else if path.is_file() {
            into.insert(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        let names = ["linux-image-6.1.0-9-amd64", "linux-image-6.1.0-56-amd64", "linux-image-6.1.0-48-amd64"];
        assert_eq!(names.into_iter().max_by_key(|name| numbers(name)), Some("linux-image-6.1.0-56-amd64"));
    }
}
