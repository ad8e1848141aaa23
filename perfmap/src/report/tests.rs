//! Whole output sets of the example, and laws for all of them.

use proptest::prelude::*;

use super::*;
use crate::{
    analyze::{
        analyze,
        fixture::{map, recording, resolved},
    },
    recording::Nanos,
    resolve::Place,
};

fn files(recording: &Recording, resolved: &Resolved, map: &Map, format: MapFormat) -> Vec<OutputFile> {
    let analysis = analyze(recording, resolved, &Default::default(), map);
    render(recording, resolved, map, &analysis, &Settings { format }).expect("rendered")
}

fn text<'f>(files: &'f [OutputFile], name: &str) -> &'f str {
    let file = files.iter().find(|file| file.name == name).expect(name);
    std::str::from_utf8(&file.bytes).expect("UTF-8")
}

#[test]
fn the_example_as_yaml() {
    let files = files(&recording(), &resolved(), &map(), MapFormat::Yaml);
    insta::assert_snapshot!(text(&files, "performance_map.yaml"));
}

#[test]
fn the_example_as_a_result() {
    let files = files(&recording(), &resolved(), &map(), MapFormat::Yaml);
    let text = text(&files, "profile_result.yaml");
    // The map inside has a snapshot of its own.
    let at = |key: &str| text.find(&format!("\n  {key}:")).expect(key);
    let (map, after) = (at("performance_map"), at("bottleneck_classification"));
    insta::assert_snapshot!(format!("{}{}", &text[..map], &text[after..]));
}

#[test]
fn the_example_as_context() {
    let files = files(&recording(), &resolved(), &map(), MapFormat::Yaml);
    insta::assert_snapshot!(text(&files, "context.md"));
}

#[test]
fn the_example_of_parallelism_as_a_page_and_in_the_result() {
    let mut analysis = analyze(&recording(), &resolved(), &Default::default(), &map());
    analysis.parallelism = Some(crate::analyze::parallelism::example::example());
    let files = |format| render(&recording(), &resolved(), &map(), &analysis, &Settings { format }).expect("rendered");
    let (yaml, json) = (files(MapFormat::Yaml), files(MapFormat::Json));
    insta::assert_snapshot!(text(&yaml, "parallelism.md"));
    let result = text(&yaml, "profile_result.yaml");
    let (from, to) = (result.find("\n  parallelism:").expect("it"), result.find("\n  e2e_test:").expect("the next"));
    insta::assert_snapshot!("parallelism_in_the_result", &result[from..to]);
    let from_yaml: result::ResultDocument = serde_yaml::from_str(result).expect("YAML");
    let from_json: result::ResultDocument = serde_json::from_str(text(&json, "profile_result.json")).expect("JSON");
    assert_eq!(from_yaml, from_json);
}

#[test]
fn the_map_inside_the_result_is_the_map() {
    let files = files(&recording(), &resolved(), &map(), MapFormat::Json);
    let result: result::ResultDocument = serde_json::from_str(text(&files, "profile_result.json")).expect("JSON");
    let map: output::Document = serde_json::from_str(text(&files, "performance_map.json")).expect("JSON");
    assert_eq!(result.profile_result.performance_map, map.performance_map);
    let yaml = self::files(&recording(), &resolved(), &self::map(), MapFormat::Yaml);
    let from_yaml: result::ResultDocument = serde_yaml::from_str(text(&yaml, "profile_result.yaml")).expect("YAML");
    assert_eq!(from_yaml, result);
}

#[test]
fn the_example_as_folded_stacks() {
    let files = files(&recording(), &resolved(), &map(), MapFormat::Yaml);
    insta::assert_snapshot!(text(&files, "profile.folded"));
}

#[test]
fn json_and_yaml_say_the_same() {
    let yaml = files(&recording(), &resolved(), &map(), MapFormat::Yaml);
    let json = files(&recording(), &resolved(), &map(), MapFormat::Json);
    let from_json: output::Document = serde_json::from_str(text(&json, "performance_map.json")).expect("JSON");
    let from_yaml: output::Document = serde_yaml::from_str(text(&yaml, "performance_map.yaml")).expect("YAML");
    assert_eq!(from_json, from_yaml);
    assert_eq!(
        from_yaml,
        document(&recording(), &map(), &analyze(&recording(), &resolved(), &Default::default(), &map()))
    );
}

#[test]
fn owners_add_up_to_the_wall_time() {
    fn own(step: &output::StepOut) -> f64 {
        step.self_ms + step.children.iter().map(own).sum::<f64>()
    }
    let found = document(&recording(), &map(), &analyze(&recording(), &resolved(), &Default::default(), &map()))
        .performance_map;
    let sum: f64 = found.steps.iter().map(own).sum();
    assert!((sum - found.profiled_run.wall_time_ms).abs() < 0.01, "{sum}");
    assert_eq!(found.steps.last().map(|step| step.function.as_str()), Some(sentence::OUTSIDE));
}

#[test]
fn one_service_needs_no_name() {
    let mut map = map();
    map.services.truncate(1);
    let found =
        document(&recording(), &map, &analyze(&recording(), &resolved(), &Default::default(), &map)).performance_map;
    assert_eq!(found.steps[0].service, None);
}

#[test]
fn the_same_recording_gives_the_same_bytes() {
    for format in [MapFormat::Yaml, MapFormat::Json] {
        assert_eq!(files(&recording(), &resolved(), &map(), format), files(&recording(), &resolved(), &map(), format));
    }
}

#[test]
fn flame_graphs_have_their_frames_and_units() {
    let files = files(&recording(), &resolved(), &map(), MapFormat::Yaml);
    let (wall, cpu, off) = (text(&files, "wall.svg"), text(&files, "cpu.svg"), text(&files, "offcpu.svg"));
    // 200 samples at 99 Hz; one wait of 120 ms and 1 ms for a CPU; 7 ms and 4 ms of short waits.
    assert!(cpu.contains("mt_translate (job_processor.py:2) (1,979,798 µs, 98.00%)"), "{cpu}");
    assert!(off.contains("tcp_recvmsg (121,000 µs"), "{off}");
    assert!(off.contains("[waits for a CPU] (1,000 µs") && off.contains("[waits for a CPU] (4,000 µs"), "{off}");
    assert!(off.contains("[short waits] (7,000 µs"), "{off}");
    assert!(wall.contains("all (2,152,202 µs, 100%)"), "{wall}");
}

#[test]
fn a_recording_without_events_still_has_pictures_and_a_map() {
    let files = files(&Recording::default(), &Resolved::default(), &Map::default(), MapFormat::Yaml);
    for name in ["wall.svg", "cpu.svg", "offcpu.svg"] {
        assert!(text(&files, name).contains("nothing was recorded"), "{name}");
    }
    assert_eq!(text(&files, "profile.folded"), "");
    insta::assert_snapshot!(text(&files, "performance_map.yaml"));
}

#[test]
fn ids_out_of_range_are_named_and_not_followed() {
    // A recording that was tampered with: its tables are gone, its events remain.
    let mut broken = recording();
    (broken.tasks, broken.processes, broken.stacks, broken.calls) = (vec![], vec![], vec![], vec![]);
    let files = files(&broken, &Resolved::default(), &map(), MapFormat::Yaml);
    assert_eq!(text(&files, "profile.folded"), "[unknown process];[unknown thread];[no stack] 200\n");
}

fn named(name: &str) -> (Recording, Resolved, Map) {
    let (mut recording, mut resolved, mut map) = (recording(), resolved(), map());
    recording.meta.command = vec![name.into()];
    recording.tasks[0].comm = name.into();
    recording.processes[0].own_name = Some(name.into());
    recording.meta.notes = vec![name.into()];
    for place in &mut resolved.places {
        *place = Place { function: name.into(), file: Some(name.into()), ..place.clone() };
    }
    map.services[0] = name.into();
    map.steps[0].function = name.into();
    map.peers[0].address = name.into();
    // Rules put names into subjects and evidence.
    let lock = &mut map.locks[0];
    lock.held = Nanos(2_000_000_000);
    for side in [&mut lock.waiter, &mut lock.holder].into_iter().flatten() {
        side.function = name.into();
        side.stack = vec![name.into()];
    }
    map.steps[0].own_cpu = Nanos(2_000_000_000);
    (recording, resolved, map)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// No output carries a byte that a terminal would obey; the map's readers still get the name as it was.
    #[test]
    fn no_output_carries_control_characters(name in any::<String>(), odd in "[\u{0}-\u{1f}\u{7f}-\u{9f};<>&\"' 0-9]{0,20}") {
        for name in [name, odd] {
            let (recording, resolved, map) = named(&name);
            let mut all = files(&recording, &resolved, &map, MapFormat::Yaml);
            all.extend(files(&recording, &resolved, &map, MapFormat::Json));
            for file in &all {
                if file.name == pprof::NAME {
                    let profile = crate::pprof::read(&file.bytes).expect("a profile");
                    let functions = profile.functions.iter().flat_map(|function| [&function.name, &function.file]);
                    let labels = profile.samples.iter().flat_map(|sample| sample.labels.iter().map(|(_, value)| value));
                    prop_assert!(functions.chain(labels).all(|text| !text.chars().any(text::is_hidden)));
                    continue;
                }
                let text = std::str::from_utf8(&file.bytes).expect("UTF-8");
                // inferno's own script in the picture is indented by tabs.
                let allowed = |c: char| c == '\n' || (c == '\t' && file.name.ends_with(".svg"));
                let bad = text.chars().find(|&c| text::is_hidden(c) && !allowed(c));
                prop_assert_eq!(bad, None, "{}", file.name);
            }
            let json: output::Document = serde_json::from_str(text(&all, "performance_map.json")).expect("JSON");
            let yaml: output::Document = serde_yaml::from_str(text(&all, "performance_map.yaml")).expect("YAML");
            prop_assert_eq!(&json.performance_map.steps[0].function, &name);
            prop_assert_eq!(json, yaml);
        }
    }
}

/// For looking at: `PERFMAP_SHOW=DIR cargo test -p perfmap show_the_example`.
#[test]
fn show_the_example() {
    let Some(directory) = std::env::var_os("PERFMAP_SHOW") else { return };
    let all = files(&recording(), &resolved(), &map(), MapFormat::Yaml);
    files::write_all(std::path::Path::new(&directory), None, &all).expect("written");
    let analysis = analyze(&recording(), &resolved(), &Default::default(), &map());
    let view = terminal::View { colour: true, ..terminal::View::PLAIN };
    println!("{}", terminal::render(&recording(), &map(), &analysis, view, None));
}
