//! Map and analysis → the files and the terminal report. The only room that knows output formats and writes sentences.
//!
//! Everything here is a plain function: the same recording gives the same bytes, whenever and wherever. Only
//! [`files`] touches the world.

mod allocations;
mod context;
pub mod diff;
pub mod files;
mod finding;
mod flame;
mod folded;
mod from_analysis;
mod from_map;
mod human;
mod json;
mod markdown;
mod number;
pub mod output;
mod own_profiles;
pub mod parallelism;
mod parallelism_page;
mod pprof;
pub mod result;
mod scaling;
mod sentence;
mod slug;
mod speedscope;
mod stack_lines;
pub mod terminal;
mod text;
mod yaml;

pub use from_analysis::result as result_document;
pub use from_map::document;
pub use sentence::{class_name, warning as warning_text};
pub use slug::{name_of, slug};
pub use text::{command_line, visible};

use crate::{analyze::Analysis, map::Map, recording::Recording, resolve::Resolved};

/// One file of the output directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// A plain file name.
    pub name: String,
    pub bytes: Vec<u8>,
}

/// How the map is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MapFormat {
    #[default]
    Yaml,
    Json,
}

impl MapFormat {
    pub fn file_name(self) -> &'static str {
        match self {
            MapFormat::Yaml => "performance_map.yaml",
            MapFormat::Json => "performance_map.json",
        }
    }

    pub fn result_name(self) -> &'static str {
        match self {
            MapFormat::Yaml => "profile_result.yaml",
            MapFormat::Json => "profile_result.json",
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    pub format: MapFormat,
}

#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("the results could not be written as YAML: {0}")]
    Yaml(#[from] yaml::YamlError),
    #[error("the results could not be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// All files of a run but the recording itself.
pub fn render(
    recording: &Recording,
    resolved: &Resolved,
    map: &Map,
    analysis: &Analysis,
    settings: &Settings,
) -> Result<Vec<OutputFile>, RenderError> {
    let result = from_analysis::result(recording, map, analysis);
    let mut files = vec![
        OutputFile {
            name: settings.format.file_name().into(),
            bytes: map_text(recording, map, analysis, settings.format)?.into_bytes(),
        },
        OutputFile {
            name: settings.format.result_name().into(),
            bytes: written(&result, settings.format)?.into_bytes(),
        },
        OutputFile { name: "context.md".into(), bytes: context::render(recording, map, analysis).into_bytes() },
    ];
    files.extend(
        flame::Graph::ALL.map(|graph| OutputFile {
            name: graph.file_name().into(),
            bytes: flame::render(graph, recording, resolved),
        }),
    );
    files.extend(parallelism_files(recording, analysis));
    files.push(OutputFile { name: "profile.folded".into(), bytes: folded::render(recording, resolved).into_bytes() });
    files.push(OutputFile { name: pprof::NAME.into(), bytes: pprof::render(recording, resolved) });
    files.push(OutputFile { name: speedscope::NAME.into(), bytes: speedscope::render(recording, resolved)? });
    Ok(files)
}

fn parallelism_files(recording: &Recording, analysis: &Analysis) -> impl Iterator<Item = OutputFile> {
    let (workers, scaling) = (analysis.parallelism.as_ref(), analysis.scaling.as_ref());
    let curve = scaling.and_then(|scaling| scaling.curve.as_ref());
    let picture = curve.and_then(|curve| scaling::svg(curve, &command_line(&recording.meta.command)));
    let page = parallelism_page::render(recording, workers, scaling);
    [
        picture.map(|bytes| OutputFile { name: scaling::FILE_NAME.into(), bytes }),
        page.map(|page| OutputFile { name: parallelism_page::NAME.into(), bytes: page.into_bytes() }),
    ]
    .into_iter()
    .flatten()
}

/// The map alone, as it stands in its file (`-o -`).
pub fn map_text(
    recording: &Recording,
    map: &Map,
    analysis: &Analysis,
    format: MapFormat,
) -> Result<String, RenderError> {
    written(&document(recording, map, analysis), format)
}

fn written(document: &impl serde::Serialize, format: MapFormat) -> Result<String, RenderError> {
    Ok(match format {
        MapFormat::Yaml => yaml::to_string(document)?,
        MapFormat::Json => json::to_string(document)?,
    })
}

#[cfg(test)]
mod tests;
