//! The part of `parallelism.md` on the curve and the forecast.

use std::fmt::Write;

use super::{plain_plot, svg::FILE_NAME, words};
use crate::{
    analyze::scaling::{Curve, Scaling},
    report::{
        human::{bytes, grouped},
        markdown::{code, fence},
    },
};

/// Empty where there is nothing to tell. Writing to a String does not fail.
pub fn section(scaling: &Scaling) -> String {
    let mut page = String::new();
    if let Some(forecast) = &scaling.forecast {
        let _ = writeln!(page, "## Time to completion\n\n| | |\n|---|---|");
        let interval = forecast.rate.interval;
        let sure = interval.map(|(low, high)| format!(" (95 %: {} to {})", words::figure(low), words::figure(high)));
        let _ = writeln!(
            page,
            "| Rate | {} items/s{} |",
            words::figure(forecast.rate.per_second),
            sure.unwrap_or_default()
        );
        let over = words::span(forecast.rate.over.0 as f64 / 1e9);
        let _ = writeln!(page, "| Measured over | {over}, {} items |", grouped(forecast.rate.items));
        if let Some(sure) = forecast.counted {
            let _ = writeln!(page, "| Items | {} |", words::counted(sure));
        }
        if let Some(done) = forecast.done {
            let _ = writeln!(page, "| Done | {} |", grouped(done));
        }
        if let Some(total) = forecast.total {
            let _ = writeln!(page, "| Total | {} |", grouped(total));
        }
        if let Some(left) = &forecast.left {
            let _ = writeln!(page, "| Left | {} |", words::to_go(left));
        }
        page.push('\n');
    }
    checkpoints(&mut page, scaling);
    if let Some(curve) = &scaling.curve {
        table(&mut page, curve);
        if let Some(plot) = plain_plot(scaling) {
            let _ = writeln!(page, "{}\nAs a picture: [{FILE_NAME}]({FILE_NAME}).\n", fence("text", &plot));
        }
    }
    page
}

fn checkpoints(page: &mut String, scaling: &Scaling) {
    if scaling.checkpoints.is_empty() {
        return;
    }
    let _ = writeln!(page, "## Checkpoint writes\n\n| file | written anew | size | by | cost |\n|---|---|---|---|---|");
    for one in &scaling.checkpoints {
        let path = one.path.as_deref().map_or("not seen".to_owned(), code);
        let by = one.function.as_ref().map_or(String::new(), |by| code(&by.function));
        let _ = writeln!(
            page,
            "| {path} | at least {} times | {} | {by} | {} |",
            grouped(one.rewrites),
            bytes(one.size),
            words::checkpoint_cost(one)
        );
    }
    page.push('\n');
}

fn table(page: &mut String, curve: &Curve) {
    let unit = words::unit(curve);
    let _ = writeln!(page, "## Scaling curve\n");
    let fitted = curve.law.as_ref().ok();
    let _ = writeln!(
        page,
        "| workers | {unit} | lowest to highest | runs | fitted | efficiency |\n|---|---|---|---|---|---|"
    );
    for point in &curve.points {
        let workers = f64::from(point.workers);
        let rate = fitted.map_or("-".to_owned(), |usl| words::figure(usl.rate(workers)));
        let share = fitted.map_or("-".to_owned(), |usl| words::percent(point.rate / workers / usl.lambda.value));
        let spread = format!("{} to {}", words::figure(point.lowest), words::figure(point.highest));
        let measured = words::figure(point.rate);
        let _ = writeln!(page, "| {workers} | {measured} | {spread} | {} | {rate} | {share} |", point.runs);
    }
    page.push('\n');
    match &curve.law {
        Ok(usl) => {
            let _ = writeln!(page, "| Universal Scalability Law | value (95 % interval) | meaning |\n|---|---|---|");
            let lambda = words::with_interval(&usl.lambda, words::figure);
            let _ = writeln!(page, "| λ | {lambda} {unit} | rate of one worker |");
            let sigma = words::with_interval(&usl.sigma, words::percent);
            let _ =
                writeln!(page, "| σ | {sigma} | contention: the share of the work that one worker at a time can do |");
            let kappa = words::with_interval(&usl.kappa, words::figure);
            let _ = writeln!(page, "| κ | {kappa} | coherency: what each pair of workers costs to keep in step |\n");
            let _ = writeln!(page, "{}\n", capital(&words::best(curve).unwrap_or_default()));
        }
        Err(why) => {
            let _ = writeln!(page, "{}\n", capital(&words::why_not(*why)));
        }
    }
    if let Some(failed) = words::failed(curve) {
        let _ = writeln!(page, "{}\n", capital(&failed));
    }
}

fn capital(sentence: &str) -> String {
    let mut characters = sentence.chars();
    let first: String = characters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    let end = if sentence.ends_with(['.', ')']) { "" } else { "." };
    format!("{first}{}{end}", characters.as_str())
}
