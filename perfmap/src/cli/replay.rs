//! `perfmap report FILE`: a recording → the same outputs as when it was made, without root and without the program.

use std::path::Path;

use super::{
    args::ReportArgs,
    console::Console,
    errors::Failure,
    fail_on,
    norms::norms,
    pipeline::{self, Destination},
    plan::output_plan,
    read::read_bounded,
};
use crate::{
    recording::file,
    report::files::{self, Owner},
    target::Invocation,
};

/// Ten minutes of a busy tree are below 100 MiB compressed.
const RECORDING_LIMIT: u64 = 2 << 30;

pub fn replay(typed: &ReportArgs, console: &Console) -> Result<u8, Failure> {
    let conditions = fail_on::conditions(&typed.fail_on)?;
    let plan = output_plan(typed.format, typed.print.as_deref(), typed.min_share)?;
    let owner = Invocation::of_this_process(false)?.owner.map(|(uid, gid)| Owner { uid, gid });
    let bytes = read_bounded(&typed.file, owner, RECORDING_LIMIT)?;
    let mut recording = file::decode(&bytes).map_err(|error| Failure::Recording { path: typed.file.clone(), error })?;
    drop(bytes);
    recording.meta.norms.extend(norms(typed.norms.as_deref(), None, owner)?);
    let beside = typed.file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = typed.out.as_deref().unwrap_or(beside);
    files::check_writable(directory)?;
    let products = pipeline::products(&recording, &plan);
    let holding = products.holding(&conditions, &recording);
    pipeline::deliver(&recording, products, Vec::new(), &plan, Destination { directory, owner }, console)?;
    Ok(pipeline::fail(&holding, console).unwrap_or(0))
}
