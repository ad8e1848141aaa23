//! `profile.speedscope.json`: all threads' stacks for speedscope, one profile of the time on the CPU (sampled) and one
//! of the time off it (measured). Sums over the run: speedscope's view by time is not meant ("left heavy" is).

use indexmap::IndexSet;
use serde::Serialize;

use super::{
    stack_lines::{Sites, off_the_cpu, sampled, task_names},
    text::{command_line, visible},
};
use crate::{
    recording::Recording,
    resolve::{Place, Resolved},
};

pub const NAME: &str = "profile.speedscope.json";
const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: String,
    name: String,
    active_profile_index: usize,
    shared: Shared,
    profiles: Vec<Profile>,
}

#[derive(Serialize)]
struct Shared {
    frames: Vec<Frame>,
}

#[derive(Serialize, Clone, PartialEq, Eq, Hash)]
struct Frame {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    /// Outermost first.
    samples: Vec<Vec<u32>>,
    weights: Vec<u64>,
}

pub fn render(recording: &Recording, resolved: &Resolved) -> Result<Vec<u8>, serde_json::Error> {
    let mut frames = IndexSet::new();
    let period = (1e9 / f64::from(recording.meta.sample_hz.max(1))).round() as u64;
    let mut cpu = sampled(recording);
    cpu.values_mut().for_each(|ticks| *ticks = ticks.saturating_mul(period));
    let profiles = vec![
        profile("on-CPU (sampled)", cpu, recording, resolved, &mut frames),
        profile("off-CPU (measured)", off_the_cpu(recording), recording, resolved, &mut frames),
    ];
    serde_json::to_vec(&File {
        schema: SCHEMA,
        exporter: format!("perfmap {}", env!("CARGO_PKG_VERSION")),
        name: visible(&command_line(&recording.meta.command)),
        active_profile_index: 0,
        shared: Shared { frames: frames.into_iter().collect() },
        profiles,
    })
}

fn profile(
    name: &'static str,
    sites: Sites,
    recording: &Recording,
    resolved: &Resolved,
    frames: &mut IndexSet<Frame>,
) -> Profile {
    let (mut samples, mut weights) = (Vec::new(), Vec::new());
    for ((task, stack, leaf), weight) in sites {
        let mut index = |frame: Frame| frames.insert_full(frame).0 as u32;
        let plain = |name: String| Frame { name, file: None, line: None };
        let (process, thread) = task_names(recording, task);
        let mut sample = vec![index(plain(visible(&process))), index(plain(visible(&thread)))];
        let places = stack.and_then(|stack| resolved.stacks.get(stack.0 as usize));
        let places = places.map_or(&[][..], |places| places).iter().rev();
        sample.extend(places.filter_map(|place| resolved.places.get(place.0 as usize)).map(|place| index(of(place))));
        sample.extend(leaf.text().map(|text| index(plain(text.to_owned()))));
        samples.push(sample);
        weights.push(weight);
    }
    let end_value = weights.iter().fold(0_u64, |sum, weight| sum.saturating_add(*weight));
    Profile { kind: "sampled", name, unit: "nanoseconds", start_value: 0, end_value, samples, weights }
}

/// One frame a function: its line is where it begins.
fn of(place: &Place) -> Frame {
    let file = place.file.as_deref().or(place.module.as_deref()).map(visible);
    Frame { name: visible(&place.function), file, line: place.first_line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::fixture::{recording, resolved};
    use serde::Deserialize;

    /// What speedscope's schema asks for, and nothing beside it.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct SchemaFile {
        #[serde(rename = "$schema")]
        schema: String,
        exporter: String,
        name: String,
        active_profile_index: usize,
        shared: SchemaShared,
        profiles: Vec<SchemaProfile>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct SchemaShared {
        frames: Vec<SchemaFrame>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct SchemaFrame {
        name: String,
        #[serde(default, rename = "file")]
        _file: Option<String>,
        #[serde(default)]
        line: Option<u32>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct SchemaProfile {
        #[serde(rename = "type")]
        kind: String,
        name: String,
        unit: String,
        start_value: u64,
        end_value: u64,
        samples: Vec<Vec<usize>>,
        weights: Vec<u64>,
    }

    #[test]
    fn the_example_holds_to_the_schema_and_has_all_its_time() {
        let (recording, resolved) = (recording(), resolved());
        let bytes = render(&recording, &resolved).expect("JSON");
        assert_eq!(bytes, render(&recording, &resolved).expect("JSON"));
        let file: SchemaFile = serde_json::from_slice(&bytes).expect("the schema's shape");
        assert_eq!(file.schema, SCHEMA);
        assert!(!file.exporter.is_empty() && !file.name.is_empty() && file.active_profile_index < file.profiles.len());
        assert!(file.shared.frames.iter().all(|frame| !frame.name.is_empty() && frame.line != Some(0)));
        for profile in &file.profiles {
            assert_eq!((profile.kind.as_str(), profile.unit.as_str()), ("sampled", "nanoseconds"));
            assert!(!profile.name.is_empty() && !profile.samples.is_empty());
            assert_eq!(profile.samples.len(), profile.weights.len());
            assert_eq!(profile.start_value + profile.weights.iter().sum::<u64>(), profile.end_value);
            assert!(profile.samples.iter().flatten().all(|index| *index < file.shared.frames.len()));
        }
        assert_eq!(file.profiles[1].end_value, off_the_cpu(&recording).values().sum::<u64>());
    }
}
