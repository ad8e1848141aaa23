//! A recording → all outputs: the rooms on the right side, in order. The same for `trace` and `report`, so that both
//! give the same bytes.

use std::path::Path;

use super::{
    args::Format,
    completions::print,
    console::Console,
    errors::Failure,
    fail_on::{self, Condition},
    plan::OutputPlan,
};
use crate::{
    analyze::{self, Analysis},
    correlate,
    map::{self, Map, MapOptions},
    recording::Recording,
    report::{
        self, MapFormat, OutputFile, RenderError, Settings,
        files::{self, Owner},
        result::ResultDocument,
        terminal::{self, Written},
    },
    resolve,
};

/// Where the files go, and whose they are.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    pub directory: &'a Path,
    pub owner: Option<Owner>,
}

/// Everything concluded from one recording, and its files.
#[derive(Debug)]
pub struct Products {
    map: Map,
    analysis: Analysis,
    files: Result<Vec<OutputFile>, RenderError>,
    format: MapFormat,
}

pub fn products(recording: &Recording, plan: &OutputPlan) -> Products {
    let resolved = resolve::resolve(recording);
    let correlated = correlate::correlate(recording);
    let map = map::build(recording, &resolved, &correlated, &MapOptions { min_share: plan.min_share });
    let analysis = analyze::analyze(recording, &resolved, &correlated, &map);
    let format = match plan.format {
        Format::Yaml => MapFormat::Yaml,
        Format::Json => MapFormat::Json,
    };
    let files = report::render(recording, &resolved, &map, &analysis, &Settings { format });
    Products { map, analysis, files, format }
}

impl Products {
    /// What of `--fail-on` holds.
    pub fn holding(&self, conditions: &[Condition], recording: &Recording) -> Vec<String> {
        fail_on::holding(conditions, recording, &self.map, &self.analysis)
    }
}

/// The result alone, to be compared.
pub fn result_of(recording: &Recording, min_share: f64) -> ResultDocument {
    let resolved = resolve::resolve(recording);
    let correlated = correlate::correlate(recording);
    let map = map::build(recording, &resolved, &correlated, &MapOptions { min_share });
    let analysis = analyze::analyze(recording, &resolved, &correlated, &map);
    report::result_document(recording, &map, &analysis)
}

/// Says what holds; the exit code for it.
pub fn fail(holding: &[String], console: &Console) -> Option<u8> {
    for what in holding {
        console.warning(&format!("--fail-on: {what}"));
    }
    (!holding.is_empty()).then_some(fail_on::EXIT_CODE)
}

/// `more`: files that are no conclusions (the recording, the baseline). The terminal report comes also when nothing
/// can be written; the failure is told after it.
pub fn deliver(
    recording: &Recording,
    products: Products,
    more: Vec<OutputFile>,
    plan: &OutputPlan,
    to: Destination<'_>,
    console: &Console,
) -> Result<(), Failure> {
    let Products { map, analysis, files: rendered, format } = products;
    let (rendered, unrendered) = match rendered {
        Ok(files) => (files, None),
        Err(error) => (Vec::new(), Some(Failure::Internal { what: error.to_string() })),
    };
    let text = rendered.iter().find(|file| file.name == format.file_name()).map(|file| file.bytes.clone());
    let all: Vec<OutputFile> = rendered.into_iter().chain(more).collect();
    let written = files::write_all(to.directory, to.owner, &all);
    let names: Vec<String> = all.into_iter().map(|file| file.name).collect();
    let directory = as_typed(to.directory);
    let shown = written.is_ok().then_some(Written { directory: &directory, files: &names });
    console.report(&terminal::render(recording, &map, &analysis, console.view(), shown));
    if let (true, Some(text)) = (plan.print, text) {
        print(&text)?;
    }
    written?;
    unrendered.map_or(Ok(()), Err)
}

/// Relative where it lies below the working directory.
fn as_typed(directory: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.as_deref().and_then(|here| directory.strip_prefix(here).ok());
    match relative {
        Some(inside) if inside.as_os_str().is_empty() => ".".to_owned(),
        Some(inside) => inside.display().to_string(),
        None => directory.display().to_string(),
    }
}
