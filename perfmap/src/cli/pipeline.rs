//! A recording → all outputs: the rooms on the right side, in order. The same for `trace` and `report`, so that both
//! give the same bytes.

use super::{args::Format, completions::print, console::Console, errors::Failure, plan::OutputPlan, write::Directory};
use crate::{
    analyze, correlate,
    map::{self, MapOptions},
    recording::Recording,
    report::{self, terminal::View},
    resolve,
};

/// Everything that is shown or written.
#[derive(Debug)]
pub struct Products {
    pub files: Vec<report::OutputFile>,
    pub terminal: String,
}

pub fn products(recording: &Recording, plan: &OutputPlan, console: &Console) -> Result<Products, Failure> {
    let resolved = resolve::resolve(recording);
    let correlated = correlate::correlate(recording);
    let map = map::build(recording, &resolved, &correlated, &MapOptions { min_share: plan.min_share });
    let analysis = analyze::analyze(recording, &resolved, &map);
    let format = match plan.format {
        Format::Yaml => report::MapFormat::Yaml,
        Format::Json => report::MapFormat::Json,
    };
    let view = View {
        width: console.width(),
        colour: console.colour(),
        unicode: console.unicode(),
        all_steps: console.verbose(),
    };
    let files = report::render(recording, &resolved, &map, &analysis, &report::Settings { format })
        .map_err(|error| Failure::Internal { what: error.to_string() })?;
    let terminal = report::terminal::render(recording, &map, &analysis, view, None);
    Ok(Products { files, terminal })
}

/// The terminal report comes also when the disk is full; the failure is told after it.
pub fn deliver(
    products: &Products,
    plan: &OutputPlan,
    directory: &Directory,
    console: &Console,
) -> Result<(), Failure> {
    let written = products.files.iter().try_for_each(|file| directory.write(&file.name, &file.bytes));
    console.report(&products.terminal);
    if plan.print {
        let map = products.files.iter().find(|file| file.name.starts_with("performance_map."));
        print(map.map(|file| file.bytes.as_slice()).unwrap_or_default())?;
    }
    written?;
    let names: Vec<&str> = products.files.iter().map(|file| file.name.as_str()).collect();
    console.line(&format!("wrote  {}/   {}", directory.path().display(), names.join("  ")));
    Ok(())
}
