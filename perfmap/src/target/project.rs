//! The working directory and the command's own files → the directories whose functions are the user's code.
//!
//! A version control root wins over a manifest below it: in a repository with several packages the neighbour package
//! is the user's code too. Without version control the nearest manifest counts. The search ends below the home
//! directory and `/`: a repository of dot files must not make every program's files "the project".

use std::{
    ffi::OsString,
    path::{Component, Path, PathBuf},
};

const VERSION_CONTROL: [&str; 6] = [".git", ".hg", ".jj", ".svn", ".fossil", "_darcs"];

const MANIFESTS: [&str; 26] = [
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "requirements.txt",
    "Pipfile",
    "Cargo.toml",
    "package.json",
    "deno.json",
    "go.mod",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "build.sbt",
    "project.clj",
    "Gemfile",
    "composer.json",
    "mix.exs",
    "Package.swift",
    "pubspec.yaml",
    "stack.yaml",
    "dune-project",
    "build.zig",
    "CMakeLists.txt",
    "meson.build",
    "MODULE.bazel",
    "Makefile",
];

/// Endings of files that a command names as its program.
const SOURCES: [&str; 14] = ["py", "pyw", "js", "mjs", "cjs", "ts", "tsx", "rb", "php", "pl", "sh", "lua", "jl", "ex"];

/// Where packages of the system put programs: never the user's project.
const SYSTEM: [&str; 9] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/etc", "/nix", "/snap"];

const DEPTH_LIMIT: usize = 128;

/// What counts as the user's own code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Project {
    /// Absolute, sorted, none inside another. The first one given is in `main`.
    pub roots: Vec<PathBuf>,
    /// Patterns from `--app`: absolute, or beginning with a wildcard.
    pub app_globs: Vec<String>,
    /// The root that belongs to the working directory.
    pub main: Option<PathBuf>,
}

/// `apps`: as typed with `--app`; a path that exists is a root, anything else a pattern.
pub fn discover(working_directory: &Path, home: Option<&Path>, argv: &[OsString], apps: &[String]) -> Project {
    let exists = |path: &Path| path.symlink_metadata().is_ok();
    let main = root_of(working_directory, home, &exists).or_else(|| plain_directory(working_directory));
    let mut roots: Vec<PathBuf> = main.iter().cloned().collect();
    for word in argv {
        roots.extend(root_of_argument(working_directory, home, word, &exists));
    }
    let mut app_globs = Vec::new();
    for app in apps {
        let path = normal(&working_directory.join(app));
        match path.canonicalize() {
            Ok(real) => roots.push(real),
            // A pattern that begins with a wildcard is meant for any directory.
            Err(_) if app.starts_with('*') => app_globs.push(app.clone()),
            Err(_) => app_globs.push(path.to_string_lossy().into_owned()),
        }
    }
    roots.sort();
    roots.dedup();
    let all = roots.clone();
    roots.retain(|root| !all.iter().any(|other| other != root && root.starts_with(other)));
    app_globs.sort();
    app_globs.dedup();
    Project { roots, app_globs, main }
}

/// The project of a service that runs already: that of its working directory, as it sees its files. None where that is
/// the system's or somebody's home.
pub fn of_process(pid: u32, working_directory: &Path) -> Option<PathBuf> {
    let text = working_directory.to_str()?;
    if !working_directory.is_absolute() || SYSTEM.iter().any(|system| working_directory.starts_with(system)) {
        return None;
    }
    let home = match text.strip_prefix("/home/") {
        Some(rest) => Path::new("/home").join(rest.split('/').next().unwrap_or_default()),
        None => PathBuf::from("/root"),
    };
    let exists = |path: &Path| {
        let inside = path.strip_prefix("/").unwrap_or(path);
        Path::new(&format!("/proc/{pid}/root")).join(inside).symlink_metadata().is_ok()
    };
    let plain = || plain_directory(working_directory).filter(|directory| *directory != home);
    root_of(working_directory, Some(&home), &exists).or_else(plain)
}

/// Adds a root to sorted ones, none of which lies inside another.
pub fn add_root(roots: &mut Vec<PathBuf>, root: PathBuf) {
    if !roots.iter().any(|known| root.starts_with(known)) {
        roots.retain(|known| !known.starts_with(&root));
        roots.push(root);
        roots.sort();
    }
}

/// The project that a directory lies in, or None. `exists` makes it testable without files.
fn root_of(start: &Path, home: Option<&Path>, exists: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let mut manifest = None;
    for directory in start.ancestors().take(DEPTH_LIMIT) {
        let border = directory.parent().is_none() || home == Some(directory);
        if border {
            break;
        }
        if VERSION_CONTROL.iter().any(|name| exists(&directory.join(name))) {
            return Some(directory.to_owned());
        }
        if manifest.is_none() && MANIFESTS.iter().any(|name| exists(&directory.join(name))) {
            manifest = Some(directory.to_owned());
        }
    }
    manifest
}

/// No project found: the directory itself, unless that is the whole machine.
fn plain_directory(directory: &Path) -> Option<PathBuf> {
    (directory.parent().is_some()).then(|| directory.to_owned())
}

/// `python /srv/app/main.py` typed elsewhere measures /srv/app.
fn root_of_argument(
    working_directory: &Path,
    home: Option<&Path>,
    word: &OsString,
    exists: &dyn Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let text = word.to_str()?;
    // pytest's `file.py::test_name`.
    let path = Path::new(text.split("::").next()?);
    let source = path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| SOURCES.contains(&ending));
    if !source {
        return None;
    }
    let path = working_directory.join(path).canonicalize().ok().filter(|path| path.is_file())?;
    if SYSTEM.iter().any(|system| path.starts_with(system)) {
        return None;
    }
    let directory = path.parent()?;
    root_of(directory, home, exists).or_else(|| plain_directory(directory))
}

/// Takes `.` and `..` out of a path without asking the disk: a pattern names nothing that could be asked for.
fn normal(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                result.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => result.push(part),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[&str], start: &str, home: Option<&str>) -> Option<PathBuf> {
        let exists = |path: &Path| files.iter().any(|file| Path::new(file) == path);
        root_of(Path::new(start), home.map(Path::new), &exists)
    }

    #[test]
    fn version_control_wins_over_a_nearer_manifest() {
        let files = ["/srv/mono/.git", "/srv/mono/api/pyproject.toml"];
        assert_eq!(root(&files, "/srv/mono/api/tests", None), Some("/srv/mono".into()));
    }

    #[test]
    fn nearest_manifest_without_version_control() {
        let files = ["/srv/Makefile", "/srv/app/package.json"];
        assert_eq!(root(&files, "/srv/app/src", None), Some("/srv/app".into()));
    }

    #[test]
    fn home_and_the_top_are_never_a_project() {
        let files = ["/home/u/.git", "/home/u/package.json", "/Makefile"];
        assert_eq!(root(&files, "/home/u/notes", Some("/home/u")), None);
        assert_eq!(root(&files, "/home/u", Some("/home/u")), None);
        assert_eq!(root(&files, "/", None), None);
    }

    #[test]
    fn a_script_elsewhere_brings_its_own_project() {
        let here = tempfile::tempdir().expect("directory");
        let there = tempfile::tempdir().expect("directory");
        let src = there.path().join("app/src");
        std::fs::create_dir_all(&src).expect("directories");
        std::fs::write(there.path().join("app/pyproject.toml"), "").expect("file");
        std::fs::write(src.join("main.py"), "").expect("file");
        let argv: Vec<OsString> = vec!["python3".into(), src.join("main.py").into_os_string(), "missing.py".into()];
        let project = discover(
            here.path(),
            None,
            &argv,
            &["lib/*.py".to_owned(), "**/ours/*".to_owned(), src.display().to_string()],
        );
        let mut expected = vec![here.path().to_owned(), there.path().join("app").canonicalize().expect("it exists")];
        expected.sort();
        assert_eq!(project.roots, expected, "--app inside a root adds nothing");
        assert_eq!(project.main.as_deref(), Some(here.path()));
        assert_eq!(project.app_globs, vec!["**/ours/*".to_owned(), format!("{}/lib/*.py", here.path().display())]);
    }

    #[test]
    fn the_whole_machine_is_never_a_root() {
        assert_eq!(discover(Path::new("/"), None, &[], &[]).roots, Vec::<PathBuf>::new());
    }

    #[test]
    fn a_service_has_the_project_of_its_own_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let nested = dir.path().join("app/inner");
        std::fs::create_dir_all(&nested).expect("made");
        std::fs::write(dir.path().join("app/pyproject.toml"), "").expect("written");
        let me = std::process::id();
        assert_eq!(of_process(me, &nested), Some(dir.path().join("app")));
        assert_eq!(of_process(me, dir.path()), Some(dir.path().to_owned()));
        for system in ["/", "/usr/lib/x", "/etc", "/root", "/home/u", "relative"] {
            assert_eq!(of_process(me, Path::new(system)), None, "{system}");
        }
    }

    #[test]
    fn roots_stay_apart() {
        let mut roots = vec![PathBuf::from("/srv/app"), PathBuf::from("/w/x")];
        add_root(&mut roots, "/srv/app/part".into());
        assert_eq!(roots.len(), 2);
        add_root(&mut roots, "/srv".into());
        assert_eq!(roots, [PathBuf::from("/srv"), PathBuf::from("/w/x")]);
    }
}
