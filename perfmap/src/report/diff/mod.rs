//! Two results → what became faster, slower, new or gone, and how sure that is. Works on what the files say, so that an
//! old result can be compared long after its run; nothing is measured again.

mod load;
mod markdown;
mod spread;
mod steps;
mod suspicions;
mod table;
#[cfg(test)]
mod tests;
mod words;

pub use load::{LoadError, Side};
pub use markdown::render as markdown;
pub use table::render as terminal;

use serde::Serialize;

use super::{
    RenderError, json,
    number::rounded,
    output::{BaselineOut, SpreadOut},
};
use spread::{Measured, judge};

/// The whole comparison; also what `--format json` writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    pub schema_version: u32,
    /// The commands; two where they are not the same.
    pub test_commands: Vec<String>,
    pub metrics: Vec<MetricRow>,
    /// Largest change first.
    pub steps: Vec<StepRow>,
    /// Null where one side is a map, which has none.
    pub suspicions: Option<Suspicions>,
    /// What the reader must know.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Better,
    Worse,
    /// Within what runs of the same program differ by.
    Noise,
    /// The spread between runs is not known on both sides.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricRow {
    pub metric: &'static str,
    pub unit: Unit,
    pub before: f64,
    pub after: f64,
    pub change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Ms,
    Mb,
    Bytes,
    Count,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepRow {
    /// Functions from the root down.
    pub path: Vec<String>,
    /// Of the step itself, where its side has several.
    pub service: Option<String>,
    pub location: Option<String>,
    /// Null: the step is new.
    pub before: Option<StepSide>,
    /// Null: the step is gone.
    pub after: Option<StepSide>,
    pub change: Change,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct StepSide {
    pub wall_time_ms: f64,
    pub self_ms: f64,
    pub cpu_time_ms: f64,
    pub round_trips: u64,
    #[serde(skip)]
    error_ms: f64,
}

impl StepRow {
    /// In milliseconds; what is not there took no time.
    pub fn difference(&self) -> f64 {
        let wall = |side: &Option<StepSide>| side.map_or(0.0, |side| side.wall_time_ms);
        wall(&self.after) - wall(&self.before)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Suspicions {
    /// Confirmed before, and not any more.
    pub resolved: Vec<SuspicionRow>,
    /// Confirmed now, and not before.
    pub new: Vec<SuspicionRow>,
    /// Confirmed on both sides.
    pub remaining: Vec<SuspicionRow>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SuspicionRow {
    pub id: String,
    pub subject: String,
    /// Of the side on which it is confirmed, the later one first.
    pub note: String,
}

impl Diff {
    /// The wall time of the whole, as far as the spread lets that be said.
    pub fn wall(&self) -> Option<&MetricRow> {
        self.metrics.first()
    }
}

pub fn to_json(diff: &Diff) -> Result<String, RenderError> {
    #[derive(Serialize)]
    struct Document<'d> {
        performance_diff: &'d Diff,
    }
    Ok(json::to_string(&Document { performance_diff: diff })?)
}

pub fn compare(before: &Side, after: &Side) -> Diff {
    let mut test_commands = vec![before.map.test_command.clone()];
    let mut notes = vec![];
    if before.map.test_command != after.map.test_command {
        test_commands.push(after.map.test_command.clone());
        notes.push("the two sides ran different commands".to_owned());
    }
    let metrics = metrics(before, after);
    if metrics.first().is_some_and(|wall| wall.change == Change::Unknown) {
        notes.push("no baseline of two runs or more on both sides: what is noise between runs is not known".to_owned());
    }
    for (name, side) in [("before", before), ("after", after)] {
        if side.map.profiled_run.exit_code.is_some() || side.map.profiled_run.signal.is_some() {
            notes.push(format!("{name}: the command failed in the profiled run"));
        }
    }
    let steps = steps::compare(before, after);
    let suspicions = suspicions::compare(before, after);
    Diff { schema_version: super::output::SCHEMA_VERSION, test_commands, metrics, steps, suspicions, notes }
}

/// A count and its spread.
type Count = fn(&BaselineOut) -> (Option<u64>, Option<SpreadOut>);

fn metrics(before: &Side, after: &Side) -> Vec<MetricRow> {
    let wall = |side: &Side| match &side.map.baseline {
        Some(baseline) => of(baseline, baseline.wall_time_ms, baseline.spread.wall_time_ms),
        None => Measured { value: side.map.profiled_run.wall_time_ms, cv_pct: 0.0, runs: 1 },
    };
    let (first, second) = (wall(before), wall(after));
    let row = |metric, unit, before: Measured, after: Measured| MetricRow {
        metric,
        unit,
        before: rounded(before.value, 3),
        after: rounded(after.value, 3),
        change: judge(before, after),
    };
    let mut rows = vec![row("wall time", Unit::Ms, first, second)];
    let (Some(a), Some(b)) = (&before.map.baseline, &after.map.baseline) else { return rows };
    let both = |of_side: &dyn Fn(&BaselineOut) -> (f64, SpreadOut)| {
        let measured = |side: &BaselineOut| {
            let (median, spread) = of_side(side);
            of(side, median, spread)
        };
        (measured(a), measured(b))
    };
    let (cpu_a, cpu_b) = both(&|side| (side.cpu_time_ms, side.spread.cpu_time_ms));
    rows.push(row("CPU time", Unit::Ms, cpu_a, cpu_b));
    let (peak_a, peak_b) = both(&|side| (side.memory_peak_mb, side.spread.memory_peak_mb));
    rows.push(row("peak memory", Unit::Mb, peak_a, peak_b));
    let counts: [(&'static str, Unit, Count); 6] = [
        ("read from files", Unit::Bytes, |side| (side.io_read_bytes, side.spread.io_read_bytes)),
        ("written to files", Unit::Bytes, |side| (side.io_write_bytes, side.spread.io_write_bytes)),
        ("received", Unit::Bytes, |side| (side.net_read_bytes, side.spread.net_read_bytes)),
        ("sent", Unit::Bytes, |side| (side.net_write_bytes, side.spread.net_write_bytes)),
        ("HTTP round trips", Unit::Count, |side| (side.http_round_trips, side.spread.http_round_trips)),
        ("database round trips", Unit::Count, |side| (side.db_round_trips, side.spread.db_round_trips)),
    ];
    for (metric, unit, read) in counts {
        if let ((Some(before), spread_before), (Some(after), spread_after)) = (read(a), read(b))
            && before.max(after) > 0
        {
            let measured = |side: &BaselineOut, count: u64, spread: Option<SpreadOut>| Measured {
                value: count as f64,
                cv_pct: spread.map_or(0.0, |spread| spread.cv_pct),
                runs: side.runs,
            };
            rows.push(row(metric, unit, measured(a, before, spread_before), measured(b, after, spread_after)));
        }
    }
    rows
}

fn of(baseline: &BaselineOut, median: f64, spread: SpreadOut) -> Measured {
    Measured { value: median, cv_pct: spread.cv_pct, runs: baseline.runs }
}
