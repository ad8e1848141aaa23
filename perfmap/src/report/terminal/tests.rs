//! Whole reports, looked at, and laws that hold for any names.

use proptest::prelude::*;

use super::{line::width, *};
use crate::{
    analyze::{
        analyze,
        fixture::{map, ms, recording, resolved, step},
    },
    map::Step,
};

fn shown(recording: &Recording, map: &Map, view: View) -> String {
    let files = ["performance_map.yaml", "wall.svg", "cpu.svg", "offcpu.svg", "profile.folded", "recording.perfmap"]
        .map(str::to_owned);
    let written = Written { directory: ".optimization/test_example", files: &files };
    render(recording, map, &analyze(recording, &resolved(), &Default::default(), map), view, Some(written))
}

fn of_width(width: usize) -> View {
    View { width, ..View::PLAIN }
}

#[test]
fn the_example_at_120_columns() {
    insta::assert_snapshot!(shown(&recording(), &map(), of_width(120)));
}

#[test]
fn the_example_at_80_columns() {
    insta::assert_snapshot!(shown(&recording(), &map(), of_width(80)));
}

#[test]
fn workers_side_by_side_in_a_few_lines() {
    let mut analysis = analyze(&recording(), &resolved(), &Default::default(), &map());
    let mut found = crate::analyze::parallelism::example::example();
    let shown = |found: &crate::analyze::parallelism::Parallelism| {
        let mut page = Page::new(of_width(100));
        parallel::lines(&mut page, found);
        page.finish()
    };
    insta::assert_snapshot!(shown(&found));
    found.severity = crate::analyze::parallelism::Severity::Good;
    assert_eq!(shown(&found).lines().filter(|line| line.contains("lock contention")).count(), 0);
    analysis.parallelism = Some(found);
    assert!(render(&recording(), &map(), &analysis, View::PLAIN, None).contains("parallel   64 threads"));
}

/// Names that try to steer the terminal, and widths of all kinds.
fn hostile() -> impl Strategy<Value = String> {
    let odd: Vec<char> =
        "\u{1b}[31m\u{7}\u{8}\n\r\t\u{0}\u{7f}\u{9b}\u{85}\u{202e}\u{2028}\u{200b}名é\u{301}👩ﷺab ".chars().collect();
    prop_oneof![any::<String>(), prop::collection::vec(prop::sample::select(odd), 0..40).prop_map(String::from_iter)]
}

/// The example with other people's names in every place.
fn renamed(names: &[String]) -> (Recording, Map) {
    let (mut recording, mut map) = (recording(), map());
    let name = |n: usize| names[n % names.len()].clone();
    recording.meta.command = vec![name(0), name(1)];
    recording.meta.backend = name(2);
    recording.meta.notes = vec![name(3)];
    map.services = vec![name(4), name(5), name(6)];
    map.outside.top[0].0 = name(0);
    map.peers[0].service = Some(name(1));
    map.peers[0].counted = crate::map::Counted::Inferred;
    let mut at = &mut map.steps[0];
    for n in 0.. {
        at.function = name(n);
        if let Some(call) = &mut at.call {
            call.peer = name(n + 1);
            call.endpoint = Some(name(n + 2));
        }
        match at.children.first_mut() {
            Some(child) => at = child,
            None => break,
        }
    }
    (recording, map)
}

proptest! {
    #[test]
    fn no_name_steers_the_terminal_or_breaks_a_line(
        names in prop::collection::vec(hostile(), 7), columns in 0..200usize, unicode in any::<bool>(),
    ) {
        let (recording, map) = renamed(&names);
        let view = View { width: columns, colour: false, unicode, all_steps: true };
        let text = shown(&recording, &map, view);
        for line in text.lines() {
            prop_assert!(width(line) <= columns.max(40), "{} of {}: {:?}", width(line), columns, line);
            prop_assert!(!line.ends_with(' '), "{:?}", line);
        }
        for character in text.chars().filter(|&c| c != '\n') {
            prop_assert!(!crate::report::text::is_hidden(character), "{:?}", character);
            prop_assert!(unicode || character.is_ascii(), "{:?}", character);
        }
        // Colours add nothing but themselves.
        let colour = shown(&recording, &map, View { colour: true, ..view });
        prop_assert_eq!(anstream::adapter::strip_str(&colour).to_string(), text);
        prop_assert!(colour.contains(char::from(0x1b)), "no colour");
    }
}

#[test]
fn ascii_terminals_get_ascii() {
    let text = shown(&recording(), &map(), View { unicode: false, ..of_width(80) });
    assert!(text.is_ascii());
    assert!(text.contains("  | ` handle_translate"), "{text}");
}

#[test]
fn long_trees_are_cut_with_a_count() {
    let mut map = map();
    map.steps.extend((2..=60).map(|n| Step { ..step(&n.to_string(), &format!("f{n}"), 2, 2) }));
    map.steps.extend((61..=80).map(|n| Step { ..step(&n.to_string(), &format!("f{n}"), 3, 3) }));
    let text = shown(&recording(), &map, of_width(80));
    assert!(text.contains("… 59 more steps below 0.1 %"), "{text}");
    assert!(text.contains("f61") && !text.contains("f60"), "{text}");
    let all = shown(&recording(), &map, View { all_steps: true, ..of_width(80) });
    assert!(all.contains("f60") && !all.contains("more steps"), "{all}");
}

#[test]
fn deep_trees_keep_room_for_names() {
    let mut inner = step("x", "innermost", 900, 900);
    for depth in 0..60 {
        inner = Step { children: vec![inner], ..step("x", &format!("level_{depth}"), 900, 0) };
    }
    let mut map = map();
    map.steps = vec![inner];
    let text = shown(&recording(), &map, View { all_steps: true, ..of_width(80) });
    assert!(text.contains("innermost") && text.contains("level_0"), "{text}");
}

#[test]
fn an_empty_recording_still_has_a_report() {
    let text = shown(&Recording::default(), &Map::default(), of_width(80));
    insta::assert_snapshot!(text);
}

#[test]
fn a_small_run_that_failed() {
    let mut recording = recording();
    recording.meta.ending = Some(crate::recording::Ending::Killed(11));
    recording.baseline = None;
    let mut map = Map { services: vec!["x".into()], ..map() };
    map.steps = vec![Step { own_cpu: ms(300), file_read: 5000, ..step("1", "parse", 300, 300) }];
    insta::assert_snapshot!(shown(&recording, &map, of_width(80)));
}
