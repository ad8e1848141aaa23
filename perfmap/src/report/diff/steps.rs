//! Steps of two maps → pairs. A step is its function's path from the root, with the service of each on the way; several of
//! one path are one. What a single step varies by between runs is not measured: it is taken to vary as the whole does,
//! in share, and by what sampling leaves.

use std::collections::BTreeMap;

use super::{Change, Side, StepRow, StepSide, spread};
use crate::report::{
    number::rounded,
    output::{PerformanceMap, StepOut},
};

/// Less than this between two single runs is no news, however quiet the baseline was.
const LEAST_CV_PCT: f64 = 2.0;
const LEAST_MS: f64 = 1.0;

type Path = Vec<(String, String)>;

#[derive(Debug, Default)]
struct Found {
    location: Option<String>,
    service: Option<String>,
    side: StepSide,
}

pub fn compare(before: &Side, after: &Side) -> Vec<StepRow> {
    let (mut old, new) = (paths(&before.map), paths(&after.map));
    let margin = Margin::of(&before.map, &after.map);
    let mut rows: Vec<StepRow> = vec![];
    for (path, now) in new {
        let then = old.remove(&path);
        let (before, change) = match then {
            Some(then) => (Some(then.side), margin.judge(then.side, now.side)),
            None => (None, margin.judge(StepSide::default(), now.side)),
        };
        rows.push(row(path, now.location, now.service, before, Some(now.side), change));
    }
    for (path, then) in old {
        let change = margin.judge(then.side, StepSide::default());
        rows.push(row(path, then.location, then.service, Some(then.side), None, change));
    }
    rows.sort_by(|a, b| b.difference().abs().total_cmp(&a.difference().abs()).then_with(|| a.path.cmp(&b.path)));
    rows
}

fn row(
    path: Path,
    location: Option<String>,
    service: Option<String>,
    before: Option<StepSide>,
    after: Option<StepSide>,
    change: Change,
) -> StepRow {
    let path = path.into_iter().map(|(_, function)| function).collect();
    StepRow { path, service, location, before, after, change }
}

fn paths(map: &PerformanceMap) -> BTreeMap<Path, Found> {
    let mut found = BTreeMap::new();
    for step in &map.steps {
        collect(map, step, &mut vec![], &mut found);
    }
    found
}

/// Depth is bounded by the readers, and by the map's own.
fn collect(map: &PerformanceMap, step: &StepOut, above: &mut Path, found: &mut BTreeMap<Path, Found>) {
    above.push((step.service.clone().unwrap_or_default(), step.function.clone()));
    let at: &mut Found = found.entry(above.clone()).or_default();
    at.location = at.location.take().or_else(|| step.location.clone());
    at.service = at.service.take().or_else(|| step.service.clone());
    let side = &mut at.side;
    side.wall_time_ms = rounded(side.wall_time_ms + step.wall_time_ms, 3);
    side.self_ms = rounded(side.self_ms + step.self_ms, 3);
    side.cpu_time_ms = rounded(side.cpu_time_ms + step.cpu_time_ms, 3);
    side.round_trips = side.round_trips.saturating_add(step.http_round_trips).saturating_add(step.db_round_trips);
    side.error_ms += step.error_pct / 100.0 * map.profiled_run.wall_time_ms;
    for child in &step.children {
        collect(map, child, above, found);
    }
    above.pop();
}

/// What two measurements of one step may differ by.
struct Margin {
    cv: [f64; 2],
    /// None: not known.
    t: Option<f64>,
}

impl Margin {
    fn of(before: &PerformanceMap, after: &PerformanceMap) -> Margin {
        let runs = |map: &PerformanceMap| map.baseline.as_ref().map_or(0, |baseline| baseline.runs);
        let cv = |map: &PerformanceMap| {
            let cv = map.baseline.as_ref().map_or(0.0, |baseline| baseline.spread.wall_time_ms.cv_pct);
            cv.max(LEAST_CV_PCT) / 100.0
        };
        let (a, b) = (runs(before), runs(after));
        let known = a >= 2 && b >= 2;
        let freedom = a.saturating_add(b).saturating_sub(2) as f64;
        Margin { cv: [cv(before), cv(after)], t: known.then(|| spread::t_95(freedom)) }
    }

    fn judge(&self, before: StepSide, after: StepSide) -> Change {
        let Some(t) = self.t else { return Change::Unknown };
        let variance = |side: StepSide, cv: f64| {
            // The interval's half width is 1.96 standard deviations.
            (side.wall_time_ms * cv).powi(2) + (side.error_ms / 1.96).powi(2)
        };
        let margin = t * (variance(before, self.cv[0]) + variance(after, self.cv[1])).sqrt();
        spread::of(after.wall_time_ms - before.wall_time_ms, margin.max(LEAST_MS))
    }
}
