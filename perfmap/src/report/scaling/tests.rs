//! The plots and texts of known data, looked at, and laws for any curve.

use proptest::prelude::*;

use super::*;
use crate::{
    analyze::scaling::{Checkpoint, Curve, curve::curve, from_progress},
    map::Innermost,
    recording::{Nanos, Progress, SweepRun, Work},
    report::terminal::line::width,
};

fn sweep(rates: &[(u32, f64)]) -> Vec<SweepRun> {
    let run =
        |workers, rate: f64| SweepRun { workers, items: Some(1000), wall: Nanos((1e12 / rate) as u64), failed: false };
    rates.iter().flat_map(|(workers, rate)| [0.97, 1.0, 1.02].map(|by| run(*workers, rate * by))).collect()
}

/// Rises, then falls: the measurements of the SPARCcenter (see `analyze::scaling::fit`).
fn with_a_top() -> Curve {
    let rates = [(1, 64.9), (18, 995.9), (36, 1652.4), (72, 1853.2), (108, 1828.9), (144, 1775.0), (216, 1702.2)];
    curve(&Work { sweep: sweep(&rates), ..Work::default() }).expect("a sweep")
}

fn without_a_top() -> Curve {
    let mut sweep = sweep(&[(1, 10.0), (2, 16.7), (4, 25.0), (8, 33.3)]);
    sweep.push(SweepRun { workers: 16, items: None, wall: Nanos(5), failed: true });
    curve(&Work { sweep, ..Work::default() }).expect("a sweep")
}

fn scaling(curve: Curve) -> Scaling {
    let progress =
        (0..30).map(|n| Progress { at: Nanos(n * 1_000_000_000), done: n * 4 + n * n % 7, total: Some(1000) });
    let work = Work { progress: progress.collect(), ..Work::default() };
    let checkpoint = Checkpoint {
        path: Some("/var/lib/state|1.json".into()),
        rewrites: 24,
        bytes: 26_400,
        size: 1100,
        function: Some(Innermost { function: "save".into(), file: "job.py".into(), line: Some(7), importing: false }),
        disk: Nanos(340_000_000),
        took: Some(Nanos(400_000_000)),
    };
    Scaling { curve: Some(curve), forecast: from_progress(&work), checkpoints: vec![checkpoint] }
}

fn shown(scaling: &Scaling, view: View) -> String {
    let mut page = Page::new(view);
    assert!(show(&mut page, scaling));
    page.finish()
}

#[test]
fn on_a_terminal() {
    insta::assert_snapshot!("terminal_with_a_top", shown(&scaling(with_a_top()), View::PLAIN));
    let narrow = View { width: 64, unicode: false, ..View::PLAIN };
    insta::assert_snapshot!("terminal_without_a_top", shown(&scaling(without_a_top()), narrow));
}

#[test]
fn as_a_picture() {
    let text = |curve: &Curve| String::from_utf8(svg(curve, "app.py --all '<x>'").expect("points")).expect("UTF-8");
    insta::assert_snapshot!("svg_with_a_top", text(&with_a_top()));
    assert!(text(&without_a_top()).contains("app.py --all '&lt;x&gt;'"));
    let nothing = Curve { points: vec![], ..without_a_top() };
    assert_eq!(svg(&nothing, ""), None);
}

#[test]
fn as_a_section() {
    insta::assert_snapshot!("section_with_a_top", section(&scaling(with_a_top())));
    insta::assert_snapshot!("section_without_a_top", section(&scaling(without_a_top())));
    assert_eq!(section(&Scaling::default()), "");
}

#[test]
fn as_keys() {
    insta::assert_snapshot!(serde_yaml::to_string(&out(&scaling(without_a_top()))).expect("YAML"));
    let two = curve(&Work { sweep: sweep(&[(1, 5.0), (2, 9.0)]), ..Work::default() }).expect("a sweep");
    let out = out(&Scaling { curve: Some(two), ..Scaling::default() });
    let why = out.curve.expect("a curve").why_no_law.expect("a reason");
    assert!(why.contains("2 numbers of workers"), "{why}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever was measured: no panic, nothing wider than the terminal, no number that is none.
    #[test]
    fn any_rates_are_drawn(rates in proptest::collection::vec((1_u32..5000, 1e-6_f64..1e9), 1..12), columns in 0_usize..200) {
        let curve = curve(&Work { sweep: sweep(&rates), ..Work::default() }).expect("a sweep");
        let picture = String::from_utf8(svg(&curve, "c").expect("points")).expect("UTF-8");
        prop_assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
        let text = shown(&Scaling { curve: Some(curve), ..Scaling::default() }, View { width: columns, ..View::PLAIN });
        for line in text.lines() {
            prop_assert!(width(line) <= columns.max(40), "{line}");
        }
    }
}
