//! Both readers, on strings chosen to be misread and on random ones.

use std::{
    collections::BTreeMap,
    io::Write as _,
    process::{Command, Stdio},
};

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde::{Deserialize, Serialize};

use super::*;

/// Names that one YAML version or the other reads as something else, or that break a careless emitter.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "  x",
    "x  ",
    "no",
    "No",
    "NO",
    "yes",
    "y",
    "n",
    "on",
    "off",
    "On",
    "true",
    "True",
    "false",
    "null",
    "Null",
    "~",
    "nan",
    ".nan",
    ".NaN",
    "inf",
    ".inf",
    "-.inf",
    "+.INF",
    "0",
    "00",
    "0o17",
    "017",
    "0x1f",
    "0b11",
    "1_000",
    "1_000.5",
    "1e3",
    "1.5e+3",
    "12e03",
    "-1",
    "+1",
    "1.",
    ".5",
    "._5",
    "_1",
    "__",
    "12:30:45",
    "190:20:30",
    "1:2",
    "2026-11-22",
    "2026-11-22T10:20:30Z",
    "2026-11-22 10:20:30.5 +1",
    "<<",
    "=",
    "-",
    "--",
    "---",
    "...",
    "- x",
    "-x",
    "? x",
    "?",
    ":",
    ": ",
    "a: b",
    "a:b",
    "a:",
    "#",
    "# x",
    "a #b",
    "a#b",
    "&a",
    "*a",
    "!a",
    "!!str x",
    "%TAG",
    "@x",
    "`x`",
    "|",
    ">",
    "|-",
    "'",
    "''",
    "\"",
    "\"x\"",
    "'x'",
    "\\",
    "\\n",
    "\\u0041",
    "[",
    "]",
    "{",
    "}",
    "[x]",
    "{x: y}",
    ",",
    "a, b",
    "\t",
    "\tx",
    "a\tb",
    "\n",
    "a\nb",
    "a\n",
    "\na",
    "a\n\nb",
    "a \n b",
    "\r",
    "a\rb",
    "\r\n",
    "\0",
    "\u{1}",
    "\u{7}",
    "\u{8}",
    "\u{b}",
    "\u{c}",
    "\u{1b}[31m",
    "\u{7f}",
    "\u{80}",
    "\u{85}",
    "a\u{85}b",
    "\u{9b}2J",
    "\u{a0}",
    "\u{a0}x\u{a0}",
    "\u{ad}",
    "\u{2028}",
    "a\u{2028}b",
    "\u{2029}",
    "\u{feff}",
    "\u{feff}x",
    "x\u{feff}",
    "\u{fffd}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{fdd0}",
    "\u{e000}",
    "\u{d7ff}",
    "\u{10000}",
    "\u{1f600}",
    "a\u{1f600}b",
    "\u{10ffff}",
    "\u{202e}abc",
    "\u{200b}",
    "\u{301}",
    "größe",
    "名前",
    "<module>",
    "<lambda>",
    "Foo::bar<T>",
    "operator<<",
    "operator=",
    "a.b.<locals>.c",
    "test_x[no-1]",
    "test_x[12:30:45]",
    "GET /items/{id}",
    "/",
    "./x",
    "x/y.py:12",
    "C:\\x",
    "%s",
    "$HOME",
    "`id`",
    "a  b",
    "NaN",
    "Infinity",
    "-Infinity",
    "undefined",
    "None",
    "0.1.2",
    "1,000",
    "1e",
    "e1",
    "0e0",
    "0x",
    "1__0",
    "+",
    "+.",
    "-.",
    ".",
    "..",
    "= ",
    "<< ",
    "<<:",
    "!!binary",
    "? ",
    "%",
    "\\",
    "x\\",
];

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Names {
    list: Vec<String>,
    nested: Vec<Vec<String>>,
    keys: BTreeMap<String, BTreeMap<String, String>>,
}

impl Names {
    fn of(strings: &[String]) -> Names {
        let pairs = |name: &String| (name.clone(), BTreeMap::from([(name.clone(), name.clone())]));
        Names {
            list: strings.to_vec(),
            nested: strings.chunks(3).map(<[String]>::to_vec).collect(),
            keys: strings.iter().map(pairs).collect(),
        }
    }
}

/// What PyYAML reads, as JSON; None where Python or PyYAML is missing.
fn read_by_pyyaml(text: &str) -> Option<serde_json::Value> {
    let ready = Command::new("python3").args(["-c", "import yaml"]).stderr(Stdio::null()).status();
    if !ready.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: python3 with PyYAML is not installed; nothing was checked against YAML 1.1");
        return None;
    }
    let script = "import sys, json, yaml\n\
        text = sys.stdin.buffer.read().decode('utf-8')\n\
        sys.stdout.write(json.dumps(yaml.load(text, Loader=yaml.SafeLoader)))";
    let mut python = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut input = python.stdin.take().expect("a pipe");
    let bytes = text.as_bytes().to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let output = python.wait_with_output().expect("python3 ends");
    writer.join().expect("the writer ends").expect("python3 reads all");
    assert!(output.status.success(), "PyYAML refused it: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("JSON from Python"))
}

fn assert_same_for_both(strings: &[String]) {
    let names = Names::of(strings);
    let text = to_string(&names).expect("YAML");
    assert_eq!(serde_yaml::from_str::<Names>(&text).expect("YAML 1.2 reads it"), names);
    if let Some(read) = read_by_pyyaml(&text) {
        let read: Names = serde_json::from_value(read).expect("every name is still a string");
        assert_eq!(read, names);
    }
}

#[test]
fn hostile_names_read_the_same_under_both_versions() {
    let mut strings: Vec<String> = HOSTILE.iter().map(|&name| name.to_owned()).collect();
    strings.extend((0..=0x9fu32).filter_map(char::from_u32).map(|c| format!("a{c}b")));
    strings.extend(["x".repeat(5000), " ".repeat(300), "é ".repeat(2000), "word ".repeat(500)]);
    assert_same_for_both(&strings);
}

#[test]
fn random_names_read_the_same_under_both_versions() {
    let mut runner = TestRunner::deterministic();
    let odd = prop::sample::select(
        "-?:,[]{}#&*!|>'\"%@`=<~ \t\n0123456789_.eExXoOnNyY+\u{85}\u{2028}\u{feff}é😀".chars().collect::<Vec<_>>(),
    );
    let short = prop::collection::vec(odd, 0..8).prop_map(String::from_iter);
    let any = prop_oneof![short, any::<String>()];
    let strings: Vec<String> = (0..3000).map(|_| any.new_tree(&mut runner).expect("a string").current()).collect();
    assert_same_for_both(&strings);
}

#[test]
fn numbers_and_empty_values_read_the_same_under_both_versions() {
    let numbers = serde_json::json!({
        "reals": [0.0, 0.1, -2.5, 1e-9, 1e21, 1.5e300, 7280.0],
        "whole": [0, -1, u64::MAX, i64::MIN],
        "rest": [null, true, false, [], {}, [[]], [{}], [[1, [2, []]]], {"a": []}, {"a": {}},
                 {"a": {"b": 1, "c": 2.5}}, {"a": {"no": 1}}, {"a": {"12:30:45": 1}}, {"a": {"b": {"c": -1}}}],
    });
    let text = to_string(&numbers).expect("YAML");
    let exact = |value: &serde_json::Value| value.as_f64();
    let again: serde_json::Value = serde_yaml::from_str(&text).expect("YAML 1.2 reads it");
    let mut readers = vec![again];
    readers.extend(read_by_pyyaml(&text));
    for read in readers {
        for list in ["reals", "whole"] {
            let (want, got) = (numbers[list].as_array().expect("a list"), read[list].as_array().expect("a list"));
            assert_eq!(got.iter().map(exact).collect::<Vec<_>>(), want.iter().map(exact).collect::<Vec<_>>(), "{text}");
        }
        assert_eq!(read["rest"], numbers["rest"], "{text}");
    }
}

#[test]
fn plain_words_stay_plain_and_the_layout_is_the_usual_one() {
    let document = serde_json::json!({
        "a": [{"id": "1.1", "function": "mt_translate", "children": [{"id": "x"}]}, [1, "no"]],
        "b": {},
    });
    insta::assert_snapshot!(to_string(&document).expect("YAML"), @r#"
    a:
      - children:
          - id: x
        function: mt_translate
        id: "1.1"
      -
        - 1
        - "no"
    b: {}
    "#);
}
