//! Programs as the installed Go builds them. What the functions are in them is asked of Go's own tools.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

const PROGRAM: &str = r#"package main

var sink = 7

func inlined(number int) int {
	return number*sink + 1
}

//go:noinline
func outer(number int) int {
	sum := 0
	for at := 0; at < number; at++ {
		sum ^= inlined(at)
	}
	return sum
}

func main() {
	println(outer(100))
}
"#;

fn go(directory: &Path, arguments: &[&str]) -> Option<String> {
    let go = std::env::var_os("GO").unwrap_or_else(|| "go".into());
    let done = Command::new(go)
        .args(arguments)
        .current_dir(directory)
        .envs([("GO111MODULE", "off"), ("CGO_ENABLED", "0")])
        .output()
        .ok()?;
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(String::from_utf8(done.stdout).unwrap())
}

/// The program whole and stripped.
fn built(directory: &Path, mode: &str) -> Option<[PathBuf; 2]> {
    std::fs::write(directory.join("program.go"), PROGRAM).unwrap();
    let mode = format!("-buildmode={mode}");
    go(directory, &["build", &mode, "-o", "whole", "program.go"])?;
    go(directory, &["build", &mode, "-ldflags=-s -w", "-o", "stripped", "program.go"])?;
    Some(["whole", "stripped"].map(|name| directory.join(name)))
}

/// Address and size of a function, from the symbols.
fn symbol(look: &Look, name: &str) -> (u64, u64) {
    let found = look.symbols([name]).unwrap()[0].unwrap();
    (found.address, found.size)
}

fn check(mode: &str) {
    let directory = tempfile::tempdir().unwrap();
    let Some([whole, stripped]) = built(directory.path(), mode) else {
        eprintln!("skipped: no go");
        return;
    };
    let look = Look::new(&File::open(&whole).unwrap()).unwrap();
    let (start, size) = symbol(&look, "main.outer");
    let source = directory.path().join("program.go");
    let mut seen = [Vec::new(), Vec::new()];
    for (seen, path) in seen.iter_mut().zip([whole, stripped]) {
        // Code lies alike in both.
        let functions = Functions::of(&File::open(path).unwrap()).unwrap();
        for at in start..start + size {
            let found = functions.at(at);
            let outer = found.last().unwrap();
            assert_eq!((outer.function.as_str(), outer.file.as_deref()), ("main.outer", source.to_str()));
            assert!((10..=16).contains(&outer.line.unwrap()), "{found:?}");
            if let [inner, _] = &found[..] {
                assert_eq!((inner.function.as_str(), inner.line), ("main.inlined", Some(6)));
                assert_eq!(outer.line, Some(13));
            }
            seen.push(found);
        }
        let runtime = functions.at(symbol(&look, "runtime.mallocgc").0);
        assert_eq!(runtime[0].function, "runtime.mallocgc");
        assert!(functions.at(0).is_empty() && functions.at(u64::MAX).is_empty());
    }
    assert!(seen[0].iter().any(|found| found.len() == 2), "nothing was inlined");
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn a_stripped_program_has_functions_lines_and_inlined_ones() {
    check("exe");
}

#[test]
fn a_stripped_program_that_lies_anywhere() {
    check("pie");
}

#[test]
fn we_are_not_go() {
    assert!(Functions::of(&File::open("/proc/self/exe").unwrap()).is_none());
    assert!(Functions::of(&File::open("/etc/passwd").unwrap()).is_none());
}
