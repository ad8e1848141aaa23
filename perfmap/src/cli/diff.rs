//! `perfmap diff BEFORE AFTER`: two results, maps or recordings → what changed, on the terminal, as Markdown or JSON.

use std::path::Path;

use super::{
    args::{DiffArgs, DiffFormat},
    completions::print,
    console::Console,
    errors::Failure,
    fail_on,
    pipeline::result_of,
    read::read_bounded,
};
use crate::{
    recording::file,
    report::{
        diff::{self, Side},
        files::Owner,
    },
    target::Invocation,
};

/// As for `report`.
const RECORDING_LIMIT: u64 = 2 << 30;
/// A result of some ten thousand steps; its reader needs several times as much memory.
const TEXT_LIMIT: u64 = 64 << 20;

pub fn diff(typed: &DiffArgs, console: &Console) -> Result<u8, Failure> {
    let conditions = fail_on::diff_conditions(&typed.fail_on)?;
    let owner = Invocation::of_this_process(false)?.owner.map(|(uid, gid)| Owner { uid, gid });
    let (before, after) = (side(&typed.before, owner, typed)?, side(&typed.after, owner, typed)?);
    let found = diff::compare(&before, &after);
    match typed.format {
        DiffFormat::Terminal => print(diff::terminal(&found, console.output_view()).as_bytes())?,
        DiffFormat::Markdown => print(diff::markdown(&found).as_bytes())?,
        DiffFormat::Json => {
            let text = diff::to_json(&found).map_err(|error| Failure::Internal { what: error.to_string() })?;
            print(text.as_bytes())?
        }
    };
    let holding = fail_on::holding_of_diff(&conditions, &found);
    for what in &holding {
        console.warning(&format!("--fail-on: {what}"));
    }
    Ok(if holding.is_empty() { 0 } else { fail_on::EXIT_CODE })
}

fn side(path: &Path, owner: Option<Owner>, typed: &DiffArgs) -> Result<Side, Failure> {
    let bytes = read_bounded(path, owner, RECORDING_LIMIT)?;
    if file::is_recording(&bytes) {
        let recording = file::decode(&bytes).map_err(|error| Failure::Recording { path: path.to_owned(), error })?;
        return Ok(Side::of_result(result_of(&recording, typed.min_share / 100.0)));
    }
    if bytes.len() as u64 > TEXT_LIMIT {
        let error = std::io::Error::other(format!("larger than {} MiB", TEXT_LIMIT >> 20));
        return Err(Failure::Input { path: path.to_owned(), error });
    }
    Side::parse(&bytes).map_err(|error| Failure::Side { path: path.to_owned(), error })
}
