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
    render(recording, map, &analyze(recording, &resolved(), map), view, Some(written))
}

fn of_width(width: usize) -> View {
    View { width, ..View::PLAIN }
}

#[test]
fn the_example_at_120_columns() {
    insta::assert_snapshot!(shown(&recording(), &map(), of_width(120)), @"");
}

#[test]
fn the_example_at_80_columns() {
    insta::assert_snapshot!(shown(&recording(), &map(), of_width(80)), @"");
}
