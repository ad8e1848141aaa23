//! `parallelism.scaling` of the result: keys and units.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    analyze::scaling::{Curve, Estimate, Forecast, Peak, Scaling, Unit, Usl},
    report::{
        number::{ms, rounded},
        parallelism::ConfidenceOut,
        text::visible,
    },
};

use super::words;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScalingOut {
    /// Present where runs with several numbers of workers were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub curve: Option<CurveOut>,
    /// Present where the command told its progress; of a sample, and where the size of the whole job was told, also where the
    /// workers' items could be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<ForecastOut>,
    /// Files that are written anew again and again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checkpoints: Vec<CheckpointOut>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckpointOut {
    /// As the program called it; null where that was not seen.
    pub file: Option<String>,
    /// At least.
    pub rewrites: u64,
    pub bytes_written: u64,
    /// The largest that it was.
    pub size_bytes: u64,
    /// The project's function that writes it.
    pub function: Option<String>,
    /// Waits for the disk in it, over all threads.
    pub disk_wait_ms: f64,
    /// Time in it, over all threads; null where it is no step.
    pub took_ms: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurveOut {
    /// What the rates count: items, or runs where nothing told the items.
    pub unit: UnitOut,
    /// By number of workers.
    pub points: Vec<PointOut>,
    /// Runs that did not end with 0; they count for nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedOut>,
    /// The Universal Scalability Law through the points; null where they determine none.
    pub law: Option<LawOut>,
    /// Why there is no law.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_no_law: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnitOut {
    Items,
    Runs,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PointOut {
    pub workers: u32,
    /// Median of the runs.
    pub per_second: f64,
    pub lowest_per_second: f64,
    pub highest_per_second: f64,
    pub runs: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedOut {
    pub workers: u32,
    pub runs: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LawOut {
    /// Contention: the share of the work that only one worker at a time can do.
    pub sigma: EstimateOut,
    /// Coherency: what each pair of workers costs to keep in step.
    pub kappa: EstimateOut,
    /// Rate of one worker, per second.
    pub lambda: EstimateOut,
    /// Workers at the top of the curve; null where it has none.
    pub knee: Option<f64>,
    /// The best whole number of workers, and its rate; null where each further one adds something.
    pub best_workers: Option<u64>,
    pub best_per_second: Option<f64>,
    /// What all workers together never exceed, where there is no top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_per_second: Option<f64>,
    /// Fewest workers that reach 90 % of the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers_for_90_pct: Option<u64>,
    /// The best lies beyond the numbers of workers that were measured.
    pub is_extrapolated: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EstimateOut {
    pub value: f64,
    /// 95 %; null where there are not more points than unknowns.
    pub low: Option<f64>,
    pub high: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForecastOut {
    /// Present where the items were counted by what the workers do again and again, and not told by the command: how sure
    /// it is what an item is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_with_confidence: Option<ConfidenceOut>,
    /// Items.
    pub per_second: f64,
    /// 95 %; null where there is too little progress to tell.
    pub per_second_low: Option<f64>,
    pub per_second_high: Option<f64>,
    /// What the rate was measured over.
    pub measured_items: u64,
    pub measured_s: f64,
    pub done: Option<u64>,
    pub total: Option<u64>,
    pub left: Option<u64>,
    /// What was done before the sample is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_at_most: bool,
    /// From the end of what was recorded, at this rate.
    pub left_s: Option<f64>,
    pub left_s_low: Option<f64>,
    pub left_s_high: Option<f64>,
}

pub fn out(scaling: &Scaling) -> ScalingOut {
    let checkpoints = scaling.checkpoints.iter().map(|one| CheckpointOut {
        file: one.path.as_deref().map(visible),
        rewrites: one.rewrites,
        bytes_written: one.bytes,
        size_bytes: one.size,
        function: one.function.as_ref().map(|function| function.function.clone()),
        disk_wait_ms: ms(one.disk),
        took_ms: one.took.map(ms),
    });
    ScalingOut {
        curve: scaling.curve.as_ref().map(curve_out),
        forecast: scaling.forecast.as_ref().map(forecast_out),
        checkpoints: checkpoints.collect(),
    }
}

fn curve_out(curve: &Curve) -> CurveOut {
    let Curve { unit, points, failed, law } = curve;
    CurveOut {
        unit: match unit {
            Unit::Items => UnitOut::Items,
            Unit::Runs => UnitOut::Runs,
        },
        points: points
            .iter()
            .map(|point| PointOut {
                workers: point.workers,
                per_second: digits(point.rate),
                lowest_per_second: digits(point.lowest),
                highest_per_second: digits(point.highest),
                runs: point.runs,
            })
            .collect(),
        failed: failed.iter().map(|(workers, runs)| FailedOut { workers: *workers, runs: *runs }).collect(),
        law: law.as_ref().ok().map(law_out),
        why_no_law: law.as_ref().err().map(|why| words::why_not(*why)),
    }
}

fn law_out(usl: &Usl) -> LawOut {
    let (best, limit) = match usl.peak() {
        Peak::At { workers, rate } => (Some((workers, rate)), None),
        Peak::Never { limit } => (None, Some(limit)),
        Peak::Linear => (None, None),
    };
    LawOut {
        sigma: estimate(&usl.sigma),
        kappa: estimate(&usl.kappa),
        lambda: estimate(&usl.lambda),
        knee: usl.knee().map(digits),
        best_workers: best.map(|(workers, _)| workers as u64),
        best_per_second: best.map(|(_, rate)| digits(rate)),
        limit_per_second: limit.map(digits),
        workers_for_90_pct: usl.enough().map(|workers| workers as u64),
        is_extrapolated: best.is_none_or(|(workers, _)| workers > usl.measured_to),
    }
}

fn estimate(estimate: &Estimate) -> EstimateOut {
    let (low, high) = (estimate.interval.map(|it| digits(it.0)), estimate.interval.map(|it| digits(it.1)));
    EstimateOut { value: digits(estimate.value), low, high }
}

fn forecast_out(forecast: &Forecast) -> ForecastOut {
    let Forecast { rate, counted, done, total, left } = forecast;
    ForecastOut {
        counted_with_confidence: counted.map(ConfidenceOut::from),
        per_second: digits(rate.per_second),
        per_second_low: rate.interval.map(|it| digits(it.0)),
        per_second_high: rate.interval.map(|it| digits(it.1)),
        measured_items: rate.items,
        measured_s: rounded(rate.over.0 as f64 / 1e9, 3),
        done: *done,
        total: *total,
        left: left.map(|left| left.items),
        left_at_most: left.is_some_and(|left| left.at_most),
        left_s: left.map(|left| rounded(left.seconds, 3)),
        left_s_low: left.and_then(|left| left.interval).map(|it| rounded(it.0, 3)),
        left_s_high: left.and_then(|left| left.interval).map(|it| rounded(it.1, 3)),
    }
}

/// Six digits that count: more than any measurement has.
fn digits(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let power = 5 - value.abs().log10().floor() as i32;
    rounded(value, power.clamp(-300, 300))
}
