//! `perfmap report FILE`: a recording → the same outputs as when it was made, without root and without the program.

use std::path::Path;

use super::{
    args::ReportArgs,
    console::Console,
    errors::Failure,
    pipeline,
    plan::output_plan,
    write::{Directory, read_bounded},
};
use crate::{recording::file, target::Invocation};

/// Ten minutes of a busy tree are below 100 MiB compressed.
const RECORDING_LIMIT: u64 = 2 << 30;

pub fn replay(typed: &ReportArgs, console: &Console) -> Result<u8, Failure> {
    let plan = output_plan(typed.format, typed.print.as_deref(), typed.min_share)?;
    let owner = Invocation::of_this_process(false)?.owner;
    let bytes = read_bounded(&typed.file, owner, RECORDING_LIMIT)?;
    let recording = file::decode(&bytes).map_err(|error| Failure::Recording { path: typed.file.clone(), error })?;
    drop(bytes);
    let beside = typed.file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = Directory::prepare(typed.out.as_deref().unwrap_or(beside), owner)?;
    let products = pipeline::products(&recording, &plan, console)?;
    pipeline::deliver(&products, &plan, &directory, console)?;
    Ok(0)
}
