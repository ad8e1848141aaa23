//! A repository's root → the list of its files, and their text on request.
//!
//! What lies there is somebody else's: links are never followed, neither in the walk nor when a file is opened (the kernel
//! resolves each path beneath the root, without links); numbers, depths and sizes are bounded. `.gitignore` files are read
//! here, bounded, and not by the walker of the `ignore` crate, which would follow a link to `/dev/zero`.

use std::{
    cell::Cell,
    fs::File,
    io::Read,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};
use nix::{
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::{Mode, SFlag, fstat},
};

const MOST_FILES: usize = 60_000;
const MOST_DIRECTORIES: usize = 20_000;
const DEEPEST: usize = 32;
const LONGEST_PATH: usize = 1024;
/// A source file or manifest that is larger was not written by hand.
const LARGEST_FILE: u64 = 1 << 20;
const LARGEST_IGNORE_FILE: u64 = 64 << 10;
/// Of all files together: reading goes on for no longer than this.
const MOST_BYTES: u64 = 512 << 20;

/// Never the project's own, also where nothing tells git to ignore them.
const SKIPPED: [&str; 17] = [
    ".git",
    ".hg",
    ".jj",
    ".svn",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    "node_modules",
    "bower_components",
    "vendor",
    ".gradle",
    ".idea",
    ".optimization",
];

/// Cannot be walked at all.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be read: {reason}")]
pub struct TreeError {
    pub path: PathBuf,
    pub reason: std::io::Error,
}

#[derive(Debug)]
pub struct Tree {
    directory: OwnedFd,
    /// Relative to the root, with `/`; sorted.
    files: Vec<String>,
    truncated: bool,
    bytes_left: Cell<u64>,
}

impl Tree {
    pub fn open(root: &Path) -> Result<Tree, TreeError> {
        let failed = |reason: std::io::Error| TreeError { path: root.to_owned(), reason };
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let directory = nix::fcntl::open(root, flags, Mode::empty()).map_err(|errno| failed(errno.into()))?;
        let mut walk = Walk { root, directory: &directory, files: Vec::new(), directories: 0, truncated: false };
        walk.directory_at("", 0, &mut Vec::new()).map_err(failed)?;
        let Walk { mut files, truncated, .. } = walk;
        files.sort();
        Ok(Tree { directory, files, truncated, bytes_left: Cell::new(MOST_BYTES) })
    }

    /// Sorted.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// Some files were left out: there are too many, or they lie too deep.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    pub fn has(&self, path: &str) -> bool {
        self.files.binary_search_by(|file| file.as_str().cmp(path)).is_ok()
    }

    /// Is there a file below this directory? The root, `""`, always counts.
    pub fn has_directory(&self, path: &str) -> bool {
        if path.is_empty() {
            return true;
        }
        let prefix = format!("{path}/");
        let at = self.files.partition_point(|file| file.as_str() < prefix.as_str());
        self.files.get(at).is_some_and(|file| file.starts_with(&prefix))
    }

    /// The files below a directory.
    pub fn below<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = &'a str> {
        self.files().filter(move |file| is_below(file, directory))
    }

    /// The text of a file that was found. None where it is no text, too large, or gone.
    pub fn read(&self, path: &str) -> Option<String> {
        if !self.has(path) {
            return None;
        }
        let left = self.bytes_left.get();
        let bytes = read_beneath(&self.directory, path, LARGEST_FILE.min(left))?;
        self.bytes_left.set(left.saturating_sub(bytes.len() as u64));
        String::from_utf8(bytes).ok()
    }

    /// Is this regular file there, though git ignores it? For what tools leave behind, as a virtual environment.
    pub fn has_ignored(&self, path: &str) -> bool {
        open_beneath(&self.directory, path).is_some()
    }
}

/// Does a file lie in a directory, at any depth? All lie in `""`.
pub fn is_below(file: &str, directory: &str) -> bool {
    directory.is_empty() || file.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// `a/b` of `a/b/c.py`, `""` of `c.py`.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// `c.py` of `a/b/c.py`.
pub fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// `c` of `a/b/c.py`.
pub fn stem(path: &str) -> &str {
    let name = name(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| if stem.is_empty() { name } else { stem })
}

/// `py` of `a/b/c.py`.
pub fn extension(path: &str) -> &str {
    name(path).rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// `a/b`, without the leading `/` that joining to the root would give.
pub fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

fn open_beneath(directory: &OwnedFd, path: &str) -> Option<File> {
    let how = OpenHow::new()
        // A named pipe would wait forever for a writer.
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = openat2(directory.as_fd(), path, how).ok()?;
    let kind = fstat(&file).ok()?.st_mode & SFlag::S_IFMT.bits();
    (kind == SFlag::S_IFREG.bits()).then(|| File::from(file))
}

fn read_beneath(directory: &OwnedFd, path: &str, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    open_beneath(directory, path)?.take(limit + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then_some(bytes)
}

struct Walk<'a> {
    root: &'a Path,
    directory: &'a OwnedFd,
    files: Vec<String>,
    directories: usize,
    truncated: bool,
}

impl Walk<'_> {
    /// `ignored`: the rules of the directories above, the nearest last.
    fn directory_at(&mut self, path: &str, depth: usize, ignored: &mut Vec<Gitignore>) -> std::io::Result<()> {
        self.directories += 1;
        if depth > DEEPEST || self.directories > MOST_DIRECTORIES {
            self.truncated = true;
            return Ok(());
        }
        let rules = self.rules(path);
        let added = rules.is_some();
        ignored.extend(rules);
        let mut below = Vec::new();
        for entry in std::fs::read_dir(self.root.join(path))? {
            if self.files.len() >= MOST_FILES {
                self.truncated = true;
                break;
            }
            let Ok(entry) = entry else { continue };
            // Not following links: what is none of the two kinds below is left out.
            let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else { continue };
            let inside = join(path, &name);
            if inside.len() > LONGEST_PATH
                || name.chars().any(char::is_control)
                || SKIPPED.contains(&name.as_str())
                || is_ignored(ignored, &inside, kind.is_dir())
            {
                continue;
            }
            if kind.is_dir() {
                below.push(inside);
            } else if kind.is_file() {
                self.files.push(inside);
            }
        }
        below.sort();
        for inside in below {
            // A directory that may not be read is as one that is empty; the root's own failure is told.
            let _ = self.directory_at(&inside, depth + 1, ignored);
        }
        if added {
            ignored.pop();
        }
        Ok(())
    }

    fn rules(&self, path: &str) -> Option<Gitignore> {
        let bytes = read_beneath(self.directory, &join(path, ".gitignore"), LARGEST_IGNORE_FILE)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut builder = GitignoreBuilder::new(format!("/{path}"));
        for line in text.lines() {
            // A line that is no pattern ignores nothing, as in git.
            let _ = builder.add_line(None, line);
        }
        builder.build().ok()
    }
}

fn is_ignored(rules: &[Gitignore], path: &str, directory: bool) -> bool {
    let path = format!("/{path}");
    for rules in rules.iter().rev() {
        match rules.matched(&path, directory) {
            Match::Ignore(_) => return true,
            Match::Whitelist(_) => return false,
            Match::None => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
        let root = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            std::fs::write(path, text).expect("a file");
        }
        let tree = Tree::open(root.path()).expect("a tree");
        (root, tree)
    }

    #[test]
    fn ignored_files_are_left_out() {
        let (_root, tree) = tree(&[
            (".gitignore", "/out\n*.log\n!keep.log\n"),
            ("out/x.py", ""),
            ("a/out/y.py", ""),
            ("a/z.log", ""),
            ("a/keep.log", ""),
            ("a/.gitignore", "z.py\n"),
            ("a/z.py", ""),
            ("z.py", "print()"),
            ("node_modules/x/index.js", ""),
            (".github/workflows/ci.yml", ""),
        ]);
        let files: Vec<&str> = tree.files().collect();
        assert_eq!(
            files,
            [".github/workflows/ci.yml", ".gitignore", "a/.gitignore", "a/keep.log", "a/out/y.py", "z.py"]
        );
        assert_eq!(tree.read("z.py").as_deref(), Some("print()"));
        assert_eq!(tree.read("a/z.py"), None, "only what was found is read");
        assert!(tree.has_ignored("out/x.py") && !tree.has_ignored("out/y.py"));
        assert!(tree.has_directory("a/out") && tree.has_directory("") && !tree.has_directory("a/o"));
    }

    #[test]
    fn links_lead_nowhere() {
        let outside = tempfile::tempdir().expect("a directory");
        std::fs::write(outside.path().join("secret.py"), "x").expect("a file");
        let root = tempfile::tempdir().expect("a directory");
        symlink(outside.path(), root.path().join("d")).expect("a link");
        symlink(outside.path().join("secret.py"), root.path().join("s.py")).expect("a link");
        symlink("/dev/zero", root.path().join(".gitignore")).expect("a link");
        std::fs::write(root.path().join("a.py"), "a").expect("a file");
        let tree = Tree::open(root.path()).expect("a tree");
        assert_eq!(tree.files().collect::<Vec<_>>(), ["a.py"]);
        assert!(!tree.has_ignored("d/secret.py") && !tree.has_ignored("s.py") && !tree.has_ignored("../x"));
        // A file that became a link after the walk.
        std::fs::remove_file(root.path().join("a.py")).expect("removed");
        symlink(outside.path().join("secret.py"), root.path().join("a.py")).expect("a link");
        assert_eq!(tree.read("a.py"), None);
    }

    #[test]
    fn large_files_and_no_text_are_not_read() {
        let large = "x".repeat((LARGEST_FILE + 1) as usize);
        let (root, _) = tree(&[("large.py", &large), ("fits.py", &large[1..])]);
        std::fs::write(root.path().join("bytes.py"), [0xff, 0xfe]).expect("a file");
        nix::unistd::mkfifo(&root.path().join("pipe.py"), Mode::S_IRWXU).expect("a pipe");
        let tree = Tree::open(root.path()).expect("a tree");
        assert_eq!((tree.read("large.py"), tree.read("bytes.py"), tree.read("pipe.py")), (None, None, None));
        assert_eq!(tree.read("fits.py").map(|text| text.len() as u64), Some(LARGEST_FILE));
    }

    #[test]
    fn parts_of_paths() {
        assert_eq!(
            (parent("a/b/c.py"), name("a/b/c.py"), stem("a/b/c.py"), extension("a/b/c.py")),
            ("a/b", "c.py", "c", "py")
        );
        assert_eq!((parent("c"), name("c"), stem(".env"), extension("c")), ("", "c", ".env", ""));
        assert!(is_below("a/b", "a") && !is_below("ab", "a") && is_below("x", ""));
    }
}
