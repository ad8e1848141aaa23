//! Imports go one way, along the picture in `ARCHITECTURE.md`: the table here is that picture, and this test is its guard.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Room → the rooms it may name. A room that is in no row does not exist.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("recording", &[]),
    ("pprof", &[]),
    ("target", &["recording"]),
    ("protocol", &["recording"]),
    ("unwind", &["recording"]),
    ("collect", &["target", "protocol", "unwind", "recording"]),
    // `resolve::native` names frames before the recording is saved, from the files that `unwind` keeps open.
    ("resolve", &["recording", "unwind"]),
    ("discover", &["recording"]),
    ("baseline", &["recording", "target", "collect"]),
    ("correlate", &["recording", "resolve"]),
    ("map", &["recording", "resolve", "correlate"]),
    ("analyze", &["recording", "resolve", "correlate", "map"]),
    ("report", &["recording", "pprof", "resolve", "correlate", "map", "analyze"]),
    (
        "cli",
        &[
            "recording",
            "pprof",
            "target",
            "protocol",
            "unwind",
            "collect",
            "resolve",
            "baseline",
            "discover",
            "correlate",
            "map",
            "analyze",
            "report",
        ],
    ),
];

fn sources(dir: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let listing: std::io::Result<Vec<_>> = std::fs::read_dir(dir)?.collect();
    let mut entries: Vec<PathBuf> = listing?.into_iter().map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, into)?;
        } else if path.extension().is_some_and(|end| end == "rs") && !is_test(&path) {
            into.push(path);
        }
    }
    Ok(())
}

/// Tests may build their input with the rooms before their own, and look at it with those behind.
fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    ["tests.rs", "testing.rs", "laws.rs"].iter().any(|end| name.ends_with(end))
        || path.parent().is_some_and(|dir| dir.ends_with("tests"))
}

/// Rooms that a source text names by `crate::room` or in `use crate::{room, …}`. Comments do not count.
fn named(text: &str) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `my_crate::x` is another crate.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => rooms.extend(first_word(rest)),
            Some(list) => {
                let (mut depth, mut begins) = (0, true);
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        c if begins && !c.is_whitespace() => {
                            rooms.extend(first_word(&list[i..]));
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    rooms
}

fn first_word(text: &str) -> Option<String> {
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!word.is_empty()).then_some(word)
}

fn perfmap_src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../perfmap/src")
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for (room, may) in MAY_IMPORT {
        let mut files = Vec::new();
        sources(&perfmap_src().join(room), &mut files).unwrap();
        assert!(!files.is_empty(), "no room {room}");
        for file in files {
            for other in named(&std::fs::read_to_string(&file).unwrap()) {
                let is_room = MAY_IMPORT.iter().any(|(name, _)| *name == other);
                if is_room && other != *room && !may.contains(&other.as_str()) {
                    wrong.push(format!("{} names {other}; {room} may name {may:?}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_room_is_in_the_table_and_the_table_has_no_circle() {
    let rooms: BTreeSet<String> = std::fs::read_dir(perfmap_src())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let table: BTreeSet<String> = MAY_IMPORT.iter().map(|(room, _)| (*room).to_owned()).collect();
    assert_eq!(rooms, table);
    // A room comes after all that it names: an order without a circle.
    for (i, (room, may)) in MAY_IMPORT.iter().enumerate() {
        for other in *may {
            let at = MAY_IMPORT.iter().position(|(name, _)| name == other);
            assert!(at.is_some_and(|at| at < i), "{room} names {other}, which does not come before it");
        }
    }
}

#[test]
fn the_guard_sees_every_way_to_name_a_room() {
    let text = "use crate::map::Map;\nuse crate::{\n    recording::{Nanos, Task},\n    report,\n};\n\
                // crate::baseline\nfn f(x: crate::resolve::Place) {}\nuse other_crate::cli;\nuse super::x;\n\
                #[cfg(test)]\nmod tests {\n    use crate::unwind::X;\n}\n";
    let want: BTreeSet<String> = ["map", "recording", "report", "resolve"].map(str::to_owned).into();
    assert_eq!(named(text), want);
}
