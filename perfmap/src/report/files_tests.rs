//! Against a real file system, with links planted as a hostile target would.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink},
};

use super::*;

fn file(name: &str, text: &str) -> OutputFile {
    OutputFile { name: name.into(), bytes: text.as_bytes().to_vec() }
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn directories_are_made_and_files_replaced() {
    let root = tempfile::tempdir().expect("a directory");
    let out = root.path().join(".optimization/test_x");
    check_writable(&out).expect("writable");
    assert_eq!(names(root.path()), Vec::<String>::new(), "the check leaves nothing");
    write_all(&out, None, &[file("a.yaml", "one"), file("b.svg", "two")]).expect("written");
    let paths = write_all(&out, None, &[file("a.yaml", "three")]).expect("written again");
    assert_eq!(paths, [out.join("a.yaml")]);
    assert_eq!(fs::read_to_string(out.join("a.yaml")).expect("a.yaml"), "three");
    assert_eq!(names(&out), ["a.yaml", "b.svg"]);
    assert_eq!(fs::metadata(out.join("a.yaml")).expect("a.yaml").permissions().mode() & 0o777, 0o644);
}

#[test]
fn a_link_in_the_place_of_a_file_is_replaced_and_its_target_left_alone() {
    let root = tempfile::tempdir().expect("a directory");
    let precious = root.path().join("precious");
    fs::write(&precious, "keep").expect("written");
    let out = root.path().join("out");
    fs::create_dir(&out).expect("made");
    symlink(&precious, out.join("a.yaml")).expect("a link");
    write_all(&out, None, &[file("a.yaml", "new")]).expect("written");
    assert_eq!(fs::read_to_string(&precious).expect("precious"), "keep");
    assert!(fs::symlink_metadata(out.join("a.yaml")).expect("a.yaml").is_file());
}

#[test]
fn names_that_are_paths_are_refused() {
    let root = tempfile::tempdir().expect("a directory");
    for name in ["../x", "/x", "a/b", "", ".", "..", "a/"] {
        let refused = write_all(root.path(), None, &[file(name, "x")]);
        assert!(matches!(refused, Err(FilesError::BadName { .. })), "{name:?}");
    }
    assert_eq!(names(root.path()), Vec::<String>::new());
}

#[test]
fn a_set_is_written_whole_or_not_at_all() {
    let root = tempfile::tempdir().expect("a directory");
    fs::write(root.path().join("a"), "old").expect("written");
    // The second name is too long for the file system.
    let refused = write_all(root.path(), None, &[file("a", "new"), file(&"x".repeat(300), "y")]);
    assert!(refused.is_err());
    assert_eq!(fs::read_to_string(root.path().join("a")).expect("a"), "old");
    assert_eq!(names(root.path()), ["a"]);
}

#[test]
fn a_file_in_the_place_of_a_directory_is_named() {
    let root = tempfile::tempdir().expect("a directory");
    fs::write(root.path().join("out"), "").expect("written");
    let out = root.path().join("out/deeper");
    for refused in [check_writable(&out), write_all(&out, None, &[]).map(drop)] {
        let error = refused.expect_err("refused");
        assert!(matches!(&error, FilesError::NotADirectory { path } if *path == root.path().join("out")), "{error}");
    }
}

#[test]
fn our_own_links_are_followed() {
    let root = tempfile::tempdir().expect("a directory");
    fs::create_dir(root.path().join("real")).expect("made");
    symlink("real", root.path().join("link")).expect("a link");
    write_all(&root.path().join("link/out"), None, &[file("a", "x")]).expect("written");
    assert_eq!(names(&root.path().join("real/out")), ["a"]);
}

/// The ones that need root say so when they are left out.
fn is_root(test: &str) -> bool {
    let root = geteuid().is_root();
    if !root {
        eprintln!("SKIPPED {test}: needs root");
    }
    root
}

#[test]
fn as_root_a_link_of_another_user_is_not_followed() {
    if !is_root("as_root_a_link_of_another_user_is_not_followed") {
        return;
    }
    let root = tempfile::tempdir().expect("a directory");
    fs::create_dir(root.path().join("etc")).expect("made");
    let link = root.path().join(".optimization");
    symlink("etc", &link).expect("a link");
    lchown(&link, Some(1000), Some(1000)).expect("given away");
    for refused in [check_writable(&link.join("x")), write_all(&link.join("x"), None, &[file("a", "x")]).map(drop)] {
        let error = refused.expect_err("refused");
        assert!(matches!(&error, FilesError::Link { path } if *path == link), "{error}");
    }
    assert_eq!(names(&root.path().join("etc")), Vec::<String>::new());
}

#[test]
fn as_root_files_and_new_directories_are_given_to_the_user() {
    if !is_root("as_root_files_and_new_directories_are_given_to_the_user") {
        return;
    }
    let root = tempfile::tempdir().expect("a directory");
    let out = root.path().join("a/b");
    write_all(&out, Some(Owner { uid: 1234, gid: 2345 }), &[file("x", "y")]).expect("written");
    for path in [root.path().join("a"), out.clone(), out.join("x")] {
        let found = fs::metadata(&path).expect("there");
        assert_eq!((found.uid(), found.gid()), (1234, 2345), "{}", path.display());
    }
    assert_eq!(fs::metadata(root.path()).expect("there").uid(), 0, "what was there keeps its owner");
}

#[test]
fn a_full_disk_is_named() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("x");
    assert!(matches!(FilesError::of(&path, Errno::ENOSPC), FilesError::DiskFull { .. }));
    // /dev/full takes no byte.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    assert_eq!(fill(full.into(), b"x", None), Err(Errno::ENOSPC));
}
