//! Processes in containers → the directories and programs there that are the user's own code: a container is made for
//! one program, and its working directory is where that lies. By text alone, as the processes saw their files: when this
//! is asked, they may be gone.

use std::path::{Path, PathBuf};

use crate::recording::{Image, Recording};

/// Where distributions and runtimes put other people's programs, in images too.
const SYSTEM: [&str; 12] =
    ["/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/nix", "/proc", "/run", "/sbin", "/sys", "/var/lib/dpkg"];
/// Below /usr, images keep applications here alone.
const BELOW_USR: [&str; 2] = ["/usr/src", "/usr/app"];

/// Adds to the recording's project roots and patterns.
pub fn add(recording: &mut Recording) {
    let found: Vec<Own> = {
        let recording = &*recording;
        let images = recording.processes.iter().filter_map(|process| process.images.last());
        images.filter(|image| is_contained(recording, image)).filter_map(own).collect()
    };
    for own in found {
        match own {
            Own::Directory(root) => add_root(&mut recording.meta.project_roots, root),
            Own::Program(path) if !recording.meta.app_globs.contains(&path) => recording.meta.app_globs.push(path),
            Own::Program(_) => {}
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Own {
    Directory(PathBuf),
    /// A program that lies in the root directory.
    Program(String),
}

/// In a container, or in process and mount namespaces that are not ours: other files than ours have the same names.
fn is_contained(recording: &Recording, image: &Image) -> bool {
    let of = |id: crate::recording::SurroundingsId| recording.surroundings.get(id.0 as usize);
    let (Some(here), Some(own)) = (image.surroundings.and_then(of), recording.meta.own_surroundings.and_then(of))
    else {
        return false;
    };
    let (inner, outer) = (here.namespaces, own.namespaces);
    inner.mount != outer.mount
        && ((here.container.is_some() && here.container != own.container) || inner.pid != outer.pid)
}

fn own(image: &Image) -> Option<Own> {
    let working = Path::new(&image.working_directory);
    if is_own(working) {
        return Some(Own::Directory(working.to_owned()));
    }
    // From the root directory, or a system one: the script, else the program.
    let scripts = image.arguments.iter().skip(1).take(8).map(String::as_str);
    let script = scripts.filter(|word| word.starts_with('/') && has_source_ending(word)).map(Path::new).next();
    let program = Path::new(&image.executable);
    [script, Some(program)].into_iter().flatten().find_map(|path| {
        let directory = path.parent()?;
        if is_own(directory) {
            return Some(Own::Directory(directory.to_owned()));
        }
        let on_top = directory == Path::new("/") && path.file_name().is_some();
        on_top.then(|| Own::Program(path.to_string_lossy().into_owned()))
    })
}

fn has_source_ending(word: &str) -> bool {
    let ending = Path::new(word).extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| matches!(ending, "py" | "js" | "mjs" | "cjs" | "ts" | "rb" | "php" | "pl" | "sh"))
}

fn is_own(directory: &Path) -> bool {
    let system = SYSTEM.iter().any(|system| directory.starts_with(system))
        || (directory.starts_with("/usr") && !BELOW_USR.iter().any(|below| directory.starts_with(below)));
    let depth = directory.components().count() - usize::from(directory.is_absolute());
    let home = directory == Path::new("/root") || (directory.starts_with("/home") && depth <= 2);
    directory.is_absolute() && depth > 0 && !system && !home
}

/// Roots are sorted, and none lies inside another.
fn add_root(roots: &mut Vec<PathBuf>, root: PathBuf) {
    if !roots.iter().any(|known| root.starts_with(known)) {
        roots.retain(|known| !known.starts_with(&root));
        roots.push(root);
        roots.sort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Meta, Namespaces, Nanos, Process, Surroundings, SurroundingsId};

    fn image(working_directory: &str, line: &str, surroundings: u32) -> Image {
        Image {
            at: Nanos::ZERO,
            comm: "c".into(),
            executable: line.split(' ').next().unwrap_or_default().into(),
            arguments: line.split(' ').map(Into::into).collect(),
            working_directory: working_directory.into(),
            service_name: None,
            surroundings: Some(SurroundingsId(surroundings)),
        }
    }

    #[test]
    fn where_a_containers_program_lies() {
        let directory = |path: &str| Some(Own::Directory(path.into()));
        for (working, line, expected) in [
            ("/srv/shop", "/usr/bin/python3 shop.py", directory("/srv/shop")),
            ("/usr/src/app", "/usr/local/bin/node server.js", directory("/usr/src/app")),
            ("/", "/usr/bin/python3 -u /code/main.py", directory("/code")),
            ("/", "/app/server --port 1", directory("/app")),
            ("/", "/server", Some(Own::Program("/server".into()))),
            ("/", "/usr/sbin/nginx -g x", None),
            ("/root", "/usr/bin/redis-server", None),
            ("/home/u", "/usr/bin/redis-server", None),
            ("/home/u/app", "/usr/bin/python3 x.py", directory("/home/u/app")),
            ("", "", None),
        ] {
            assert_eq!(own(&image(working, line, 0)), expected, "{working} {line}");
        }
    }

    #[test]
    fn only_other_files_than_ours_are_asked_about() {
        let inside =
            |pid, mount| Surroundings { namespaces: Namespaces { pid, mount, network: 1 }, ..Surroundings::default() };
        let process = |image| Process {
            pid: 1,
            parent: None,
            born: Nanos::ZERO,
            died: None,
            ending: None,
            images: vec![image],
            own_name: None,
            cpu: Nanos::ZERO,
        };
        let mut recording = Recording {
            meta: Meta {
                own_surroundings: Some(SurroundingsId(0)),
                project_roots: vec!["/home/u/p".into(), "/srv/shop/api".into()],
                ..Meta::default()
            },
            surroundings: vec![inside(1, 1), inside(2, 2), inside(1, 2)],
            processes: vec![
                process(image("/opt/ours", "/bin/sh", 0)),
                process(image("/srv/shop", "/bin/sh", 1)),
                process(image("/", "/server", 1)),
                process(image("/", "/server", 1)),
                process(image("/opt/netns", "/bin/sh", 2)),
            ],
            ..Recording::default()
        };
        add(&mut recording);
        assert_eq!(recording.meta.project_roots, [PathBuf::from("/home/u/p"), "/srv/shop".into()]);
        assert_eq!(recording.meta.app_globs, ["/server"]);
    }
}
