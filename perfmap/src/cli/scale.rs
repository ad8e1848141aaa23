//! `perfmap scale`: a trace with the question why so many workers are not so many times as fast, and the runs that
//! answer it beside the profiled one.

use super::{console::Console, errors::Failure, sample, scale_args::ScaleArgs, trace, work::scale_plan};

pub fn scale(typed: &ScaleArgs, console: &Console) -> Result<u8, Failure> {
    let plan = scale_plan(typed)?;
    match typed.sample {
        Some(length) => sample::sample(typed, &plan, length, console),
        None => trace::run(&typed.trace, Some(&plan), console),
    }
}
