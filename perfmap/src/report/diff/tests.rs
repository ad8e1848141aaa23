//! The example before and after a change, and files that were made to hurt.

use proptest::prelude::*;

use super::*;
use crate::{
    analyze::{
        analyze,
        fixture::{map, ms, recording, resolved, step},
    },
    map::{Map, Step},
    recording::Recording,
    report::{result_document, terminal::View},
};

fn side(recording: &Recording, map: &Map) -> Side {
    let analysis = analyze(recording, &resolved(), &Default::default(), map);
    Side::of_result(result_document(recording, map, &analysis))
}

/// The 13 calls overlap now; one function is new.
fn improved() -> (Recording, Map) {
    let (mut recording, mut map) = (recording(), map());
    let saved = ms(1460);
    for run in recording.baseline.iter_mut().flat_map(|baseline| &mut baseline.runs) {
        run.wall = run.wall.since(saved);
    }
    recording.meta.wall = recording.meta.wall.since(saved);
    map.wall = map.wall.since(saved);
    let job = &mut map.steps[0];
    job.wall = job.wall.since(saved);
    let binary = &mut job.children[0];
    binary.wall = binary.wall.since(saved);
    let translate = &mut binary.children[0];
    translate.wall = translate.wall.since(saved);
    translate.children[0].wall = translate.children[0].wall.since(saved);
    translate.children[0].self_time = translate.children[0].self_time.since(saved);
    binary.children.push(Step { own_cpu: ms(30), ..step("1.1.3", "gather", 30, 30) });
    (recording, map)
}

fn compared() -> Diff {
    let (after, new_map) = improved();
    compare(&side(&recording(), &map()), &side(&after, &new_map))
}

#[test]
fn the_example_at_100_columns() {
    insta::assert_snapshot!(terminal(&compared(), View { width: 100, ..View::PLAIN }));
}

#[test]
fn the_example_as_markdown() {
    insta::assert_snapshot!(markdown(&compared()));
}

#[test]
fn what_changed_is_told_and_what_did_not_is_noise() {
    let diff = compared();
    assert_eq!(diff.wall().map(|wall| wall.change), Some(Change::Better));
    let row =
        |name: &str| diff.steps.iter().find(|row| row.path.last().is_some_and(|last| last == name)).expect("a row");
    assert_eq!(row("mt_translate").change, Change::Better);
    assert_eq!(row("tikal_extract").change, Change::Noise);
    assert_eq!((row("gather").before, row("gather").change), (None, Change::Worse));
}

#[test]
fn the_same_is_no_change() {
    let one = side(&recording(), &map());
    let diff = compare(&one, &one);
    assert!(diff.metrics.iter().all(|row| row.change == Change::Noise), "{:?}", diff.metrics);
    assert!(diff.steps.iter().all(|row| row.change == Change::Noise));
    assert_eq!(diff.suspicions.map(|all| (all.new.len(), all.resolved.len())), Some((0, 0)));
}

#[test]
fn without_a_baseline_nothing_is_called_noise() {
    let mut alone = recording();
    alone.baseline = None;
    let (after, new_map) = improved();
    let diff = compare(&side(&alone, &map()), &side(&after, &new_map));
    assert_eq!(diff.wall().map(|wall| wall.change), Some(Change::Unknown));
    assert!(diff.notes[0].contains("not known"), "{:?}", diff.notes);
}

#[test]
fn suspicions_resolved_and_new() {
    let (before, mut after) = (side(&recording(), &map()), side(&recording(), &map()));
    let all = after.suspicions.as_mut().expect("suspicions");
    let at = all.iter().position(|one| one.id == "cpu_bound_hot_function").expect("the hot function");
    all[at].subject = "another".into();
    let found = compare(&before, &after).suspicions.expect("both have some");
    assert_eq!((found.new[0].subject.as_str(), found.resolved[0].subject.as_str()), ("another", "extract_text"));
    after.suspicions = None;
    assert_eq!(compare(&before, &after).suspicions, None);
}

#[test]
fn files_are_read_back() {
    let analysis = analyze(&recording(), &resolved(), &Default::default(), &map());
    let files =
        crate::report::render(&recording(), &resolved(), &map(), &analysis, &Default::default()).expect("files");
    let of = |name: &str| Side::parse(&files.iter().find(|file| file.name == name).expect(name).bytes).expect(name);
    let (result, map_alone) = (of("profile_result.yaml"), of("performance_map.yaml"));
    assert_eq!(result.map, map_alone.map);
    assert!(result.suspicions.is_some() && map_alone.suspicions.is_none());
}

#[test]
fn files_that_were_made_to_hurt() {
    let deep = format!("{{\"performance_map\": {}", "[".repeat(100_000));
    let laughs = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
                  d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n";
    for hostile in [deep.as_str(), laughs, "", "[]", "{}", "performance_map: 3", "\u{0}", "!!binary x"] {
        assert!(Side::parse(hostile.as_bytes()).is_err(), "{:.40}", hostile);
    }
    assert!(matches!(Side::parse(b"\xff"), Err(LoadError::NotText)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Numbers and names of a file steer nothing and break nothing.
    #[test]
    fn any_figures_can_be_compared(wall in any::<f64>(), error in any::<f64>(), name in any::<String>()) {
        let mut before = side(&recording(), &map());
        before.map.steps[0].wall_time_ms = wall;
        before.map.steps[0].error_pct = error;
        before.map.steps[0].function = name;
        let text = serde_yaml::to_string(&serde_json::json!({"performance_map": before.map}));
        let Ok(Ok(read)) = text.map(|text| Side::parse(text.as_bytes())) else { return Ok(()) };
        let diff = compare(&read, &side(&recording(), &map()));
        let (page, mark) = (terminal(&diff, View::PLAIN), markdown(&diff));
        for text in [&page, &mark] {
            let bad = text.chars().find(|&c| c != '\n' && crate::report::text::is_hidden(c));
            prop_assert_eq!(bad, None);
        }
        prop_assert!(to_json(&diff).is_ok());
    }
}
