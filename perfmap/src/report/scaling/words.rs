//! A curve and a forecast → sentences.

use crate::{
    analyze::parallelism::Confidence,
    analyze::scaling::{Checkpoint, Curve, Estimate, Forecast, Left, Peak, Scaling, Unit, Usl, WhyNot},
    report::human::{bytes, duration, grouped},
};

/// (label, text) for the terminal.
pub(super) fn lines(scaling: &Scaling) -> Vec<(&'static str, String)> {
    let mut lines = vec![];
    if let Some(forecast) = &scaling.forecast {
        lines.push(("rate", self::forecast(forecast)));
    }
    if let Some(curve) = &scaling.curve {
        lines.push(("scaling", law(curve)));
        lines.extend(best(curve).map(|text| ("", text)));
        lines.extend(failed(curve).map(|text| ("", text)));
    }
    lines.extend(scaling.checkpoints.iter().map(|one| ("checkpoint", checkpoint(one))));
    lines
}

pub(super) fn unit(curve: &Curve) -> &'static str {
    match curve.unit {
        Unit::Items => "items/s",
        Unit::Runs => "runs/s",
    }
}

/// Three digits that count: "1 884", "90.0", "2.27", "0.0152".
pub(super) fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 999.5 => grouped(value.round().max(0.0) as u64),
        large if large >= 99.95 => format!("{value:.0}"),
        large if large >= 9.995 => format!("{value:.1}"),
        large if large >= 0.9995 => format!("{value:.2}"),
        large if large >= 0.1 => format!("{value:.3}"),
        large if large >= 0.001 => format!("{value:.4}"),
        0.0 => "0".into(),
        _ => format!("{value:.1e}"),
    }
}

/// "90.0 (51.2 to 129)".
pub(super) fn with_interval(estimate: &Estimate, shown: impl Fn(f64) -> String) -> String {
    match estimate.interval {
        Some((low, high)) => format!("{} ({} to {})", shown(estimate.value), shown(low), shown(high)),
        None => shown(estimate.value),
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{} %", figure(share * 100.0))
}

fn law(curve: &Curve) -> String {
    match &curve.law {
        Ok(usl) => format!(
            "one worker {} {}, contention {}, coherency {}{}",
            with_interval(&usl.lambda, figure),
            unit(curve),
            with_interval(&usl.sigma, percent),
            with_interval(&usl.kappa, figure),
            if usl.sigma.interval.is_some() { "; in brackets 95 %" } else { "" },
        ),
        Err(why) => why_not(*why),
    }
}

pub(super) fn why_not(why: WhyNot) -> String {
    match why {
        WhyNot::TooFew { counts } => format!(
            "no curve: {} gave a rate; three different numbers at least are needed, four for an interval",
            match counts {
                0 => "no number of workers".to_owned(),
                1 => "one number of workers".to_owned(),
                some => format!("{some} numbers of workers"),
            }
        ),
        WhyNot::NoRate => "no curve: a rate of nothing was measured".into(),
        WhyNot::NoFit => "no curve: these rates determine none".into(),
    }
}

/// Where more workers stop helping, and how far that can be trusted.
pub(super) fn best(curve: &Curve) -> Option<String> {
    let usl = curve.law.as_ref().ok()?;
    let unit = unit(curve);
    let text = match usl.peak() {
        Peak::At { workers, rate } if !is_sure(usl, workers) => format!(
            "no end is seen up to {} workers; the curve has its top at {} workers with {} {unit}, but these rates allow \
             none as well: measure beyond",
            count(usl.measured_to),
            count(workers),
            figure(rate),
        ),
        Peak::At { workers, rate } => {
            let enough = usl.enough().filter(|enough| *enough < workers);
            let enough = enough.map(|enough| format!("; {enough:.0} reach 90 % of that")).unwrap_or_default();
            format!("best with {} workers: {} {unit}{enough}{}", count(workers), figure(rate), beyond(usl, workers))
        }
        Peak::Never { limit } => {
            let enough = usl.enough();
            let reached = enough.map(|enough| format!(" {} workers reach 90 % of it.", count(enough)));
            format!(
                "no number of workers is too many, but all together never do more than {} {unit}.{}{}",
                figure(limit),
                reached.unwrap_or_default(),
                enough.map(|enough| beyond(usl, enough)).unwrap_or_default(),
            )
        }
        Peak::Linear => format!("linear up to {} workers: nothing shows where it ends", count(usl.measured_to)),
    };
    Some(text)
}

/// Within what was measured, or from a coherency that is more than chance.
fn is_sure(usl: &Usl, workers: f64) -> bool {
    workers <= usl.measured_to || usl.kappa.interval.is_some_and(|(low, _)| low > 0.0)
}

fn beyond(usl: &Usl, workers: f64) -> String {
    if workers > usl.measured_to {
        format!(" (beyond the {} that were measured: measure there before relying on it)", count(usl.measured_to))
    } else {
        String::new()
    }
}

fn count(workers: f64) -> String {
    grouped(workers.min(u64::MAX as f64).max(0.0) as u64)
}

pub(super) fn failed(curve: &Curve) -> Option<String> {
    let runs: u32 = curve.failed.iter().map(|(_, runs)| runs).sum();
    let counts: Vec<String> = curve.failed.iter().map(|(workers, _)| workers.to_string()).collect();
    let were = if runs == 1 { "1 run" } else { &format!("{runs} runs") };
    (runs > 0).then(|| format!("left out: {were} with {} workers that did not end with 0", counts.join(", ")))
}

pub(super) fn forecast(forecast: &Forecast) -> String {
    let Forecast { rate, counted, done, total, left } = forecast;
    let interval =
        rate.interval.map(|(low, high)| format!(" ({} to {})", figure(low), figure(high))).unwrap_or_default();
    let so_far = match (done, total) {
        (Some(done), Some(total)) => format!("; {} of {} done", grouped(*done), grouped(*total)),
        (Some(done), None) => format!("; {} done", grouped(*done)),
        (None, _) => String::new(),
    };
    let end = left.as_ref().map(|left| format!("; {}", to_go(left))).unwrap_or_default();
    let how = counted.map(|sure| format!(", {}", self::counted(sure))).unwrap_or_default();
    format!("{}{interval} items/s{how}{so_far}{end}", figure(rate.per_second))
}

pub(super) fn counted(sure: Confidence) -> &'static str {
    match sure {
        Confidence::High => "counted by what the workers repeat",
        Confidence::Medium => "counted by what the workers repeat, with medium confidence",
        Confidence::Low => "counted by what the workers repeat, with low confidence",
    }
}

/// "the other 800 take 2 min 40 s (2 min 31 s to 2 min 50 s)".
pub(super) fn to_go(left: &Left) -> String {
    if left.items == 0 {
        return "nothing is left".into();
    }
    let interval = left.interval.map(|(low, high)| format!(" ({} to {})", span(low), span(high)));
    let most = if left.at_most { "at most " } else { "" };
    format!("the other {most}{} take {}{}", grouped(left.items), span(left.seconds), interval.unwrap_or_default())
}

/// "/var/lib/state.json is written anew, at least 24 times (1.1 kB), by save: 340 ms of waits for the disk, 400 ms in all".
pub(super) fn checkpoint(one: &Checkpoint) -> String {
    let path = one.path.as_deref().unwrap_or("a file whose name was not seen");
    let by = one.function.as_ref().map(|by| format!(", by {}", by.function)).unwrap_or_default();
    format!(
        "{path} is written anew, at least {} times ({}){by}: {}",
        grouped(one.rewrites),
        bytes(one.size),
        checkpoint_cost(one)
    )
}

/// Over all threads.
pub(super) fn checkpoint_cost(one: &Checkpoint) -> String {
    let all = one.took.map(|took| format!(", {} in all", duration(took))).unwrap_or_default();
    format!("{} of waits for the disk{all}", duration(one.disk))
}

/// Seconds as a person says them.
pub(super) fn span(seconds: f64) -> String {
    let whole = seconds.max(0.0).min(u64::MAX as f64) as u64;
    let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86_400);
    if seconds < 60.0 {
        format!("{} s", figure(seconds))
    } else if hours == 0 {
        format!("{minutes} min {} s", whole % 60)
    } else if days == 0 {
        format!("{hours} h {} min", minutes % 60)
    } else {
        format!("{} days {} h", grouped(days), hours % 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_spans() {
        let shown: Vec<String> =
            [0.0, 1.2e-5, 0.00104, 0.152, 2.27, 89.995, 145.2, 1884.3].map(figure).into_iter().collect();
        assert_eq!(shown, ["0", "1.2e-5", "0.0010", "0.152", "2.27", "90.0", "145", "1 884"]);
        let spans: Vec<String> = [0.25, 59.0, 160.0, 10_920.0, 200_000.0].map(span).into();
        assert_eq!(spans, ["0.250 s", "59.0 s", "2 min 40 s", "3 h 2 min", "2 days 7 h"]);
    }
}
