//! Methods that a Java machine names in its perf map → the source file in the project that their class is from. Reads the
//! project's directories while they are there; the map itself names classes alone.
//!
//! A class is in the file of its outermost class, in the directories of its package: what is found so, and nothing else, is
//! the project's. A file without a package is told by its head. Lines are not known.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use super::jit;
use crate::recording::{Frame, Recording, Symbol, SymbolFunction};

/// Of these languages a file is named as its class, as a rule.
const ENDINGS: [&str; 4] = ["java", "kt", "scala", "groovy"];
/// Directory entries that are looked at, in all roots together.
const MAX_ENTRIES: usize = 100_000;
const MAX_DEPTH: usize = 24;
/// Comments may stand before the package's name.
const HEAD: u64 = 16 << 10;

/// Fills the symbols of the methods that are the project's. `recording.symbols` has one for each frame.
pub(super) fn place(recording: &mut Recording) {
    let methods = |frame: &Frame| match frame {
        Frame::Jit { name, place: None } => jit::java(name).map(|method| (method.full.to_owned(), method.source())),
        Frame::Jit { .. } | Frame::Native { .. } | Frame::Kernel(_) | Frame::Unmapped { .. } => None,
    };
    let found: Vec<(usize, (String, String))> =
        recording.frames.iter().enumerate().filter_map(|(at, frame)| Some((at, methods(frame)?))).collect();
    if found.is_empty() {
        return;
    }
    let mut files = Sources::default();
    for root in &recording.meta.project_roots {
        files.look(root, 0);
    }
    for (at, (name, source)) in found {
        let function = files.find(&source).map(|file| SymbolFunction {
            name,
            file: Some(file.to_string_lossy().into_owned()),
            line: None,
            first_line: None,
        });
        if let (Some(function), Some(symbol)) = (function, recording.symbols.get_mut(at)) {
            *symbol = Symbol { functions: vec![function], unnamed: None };
        }
    }
}

/// By name without ending.
#[derive(Debug, Default)]
struct Sources {
    files: BTreeMap<String, Vec<PathBuf>>,
    entries: usize,
}

impl Sources {
    fn look(&mut self, directory: &Path, depth: usize) {
        let Ok(listing) = fs::read_dir(directory) else { return };
        let mut entries: Vec<_> = listing.flatten().take(MAX_ENTRIES.saturating_sub(self.entries)).collect();
        self.entries += entries.len();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            // Links are neither directories nor files here.
            let (Ok(kind), name) = (entry.file_type(), entry.file_name()) else { continue };
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
            if kind.is_dir() && depth < MAX_DEPTH && name != "node_modules" {
                self.look(&entry.path(), depth + 1);
            } else if kind.is_file()
                && let Some((stem, ending)) = name.rsplit_once('.')
                && ENDINGS.contains(&ending)
            {
                self.files.entry(stem.to_owned()).or_default().push(entry.path());
            }
        }
    }

    /// `source`: `com/x/Server`.
    fn find(&self, source: &str) -> Option<&Path> {
        let (package, stem) = source.rsplit_once('/').unwrap_or(("", source));
        let of_package = |path: &&PathBuf| match package {
            "" => !has_package(path),
            package => path.parent().is_some_and(|directory| directory.ends_with(package)),
        };
        self.files.get(stem)?.iter().find(of_package).map(PathBuf::as_path)
    }
}

fn has_package(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    let head = String::from_utf8_lossy(&head);
    read.is_err() || head.lines().any(|line| line.trim_start().starts_with("package "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use super::*;

    fn recording(root: &Path, names: &[&str]) -> Recording {
        let mut recording = Recording::default();
        recording.meta.project_roots = vec![root.to_path_buf()];
        recording.frames = names.iter().map(|name| Frame::Jit { name: (*name).into(), place: None }).collect();
        recording.symbols = vec![Symbol { functions: Vec::new(), unnamed: None }; names.len()];
        recording
    }

    #[test]
    fn the_files_of_the_project_s_classes() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("src/Main.java", "// the program\npublic class Main {}");
        write("src/com/x/Server.java", "package com.x;\nclass Server {}");
        write("src/com/x/Other.java", "package com.x;");
        std::os::unix::fs::symlink(root.path().join("src/Main.java"), root.path().join("Linked.java")).unwrap();
        let names = [
            "void Main.main(java.lang.String[])",
            "int com.x.Server$Inner.answer(int, long)",
            "void com.x.Server.<init>()",
            "void Other.run()",
            "void com.y.Server.answer()",
            "java.lang.String java.lang.String.trim()",
            "void Linked.run()",
            "Interpreter",
            "JS:*inner /a/b.js:1:2",
        ];
        let mut recording = recording(root.path(), &names);
        place(&mut recording);
        let function = |symbol: &Symbol| symbol.functions.first().cloned();
        let found: Vec<_> = recording.symbols.iter().filter_map(function).collect();
        let main = root.path().join("src/Main.java").to_string_lossy().into_owned();
        assert_eq!((found[0].name.as_str(), found[0].file.as_deref()), ("Main.main", Some(main.as_str())));
        let names: Vec<&str> = found.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(names, ["Main.main", "com.x.Server$Inner.answer", "com.x.Server.<init>"]);
    }

    #[test]
    fn a_recording_without_java_looks_at_no_file() {
        let mut recording = recording(Path::new("/proc"), &["JS:*a /a.js:1:1"]);
        place(&mut recording);
        assert!(recording.symbols[0].functions.is_empty());
    }
}
