//! `profile.pb.gz`: all threads' stacks for pprof, with their time on the CPU (sampled) and off it (measured).
//!
//! Sums over the run, as the format has it: nothing in it says when. Processes and threads are labels.

use std::{collections::BTreeMap, io::Write};

use flate2::{Compression, GzBuilder};
use indexmap::IndexSet;

use super::{
    stack_lines::{Leaf, Site, off_the_cpu, sampled, task_names},
    text::visible,
};
use crate::{
    pprof::{Function, Location, Profile, Sample, ValueType, write},
    recording::Recording,
    resolve::{Place, Resolved},
};

pub const NAME: &str = "profile.pb.gz";

/// Columns of a sample.
const SAMPLES: usize = 0;
const CPU: usize = 1;
const OFF_CPU: usize = 2;

pub fn render(recording: &Recording, resolved: &Resolved) -> Vec<u8> {
    let bytes = write(&profile(recording, resolved));
    // Without a time of its own: the same recording gives the same bytes. Writing to memory does not fail.
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    match gzip.write_all(&bytes).and_then(|()| gzip.finish()) {
        Ok(packed) => packed,
        Err(_) => bytes,
    }
}

pub fn profile(recording: &Recording, resolved: &Resolved) -> Profile {
    let period = (1e9 / f64::from(recording.meta.sample_hz.max(1))).round() as i64;
    let kind = |kind: &str, unit: &str| ValueType { kind: kind.into(), unit: unit.into() };
    let mut sites: BTreeMap<Site, [i64; 3]> = BTreeMap::new();
    for (site, ticks) in sampled(recording) {
        let ticks = i64::try_from(ticks).unwrap_or(i64::MAX);
        let values = sites.entry(site).or_default();
        values[SAMPLES] = ticks;
        values[CPU] = ticks.saturating_mul(period);
    }
    for (site, length) in off_the_cpu(recording) {
        sites.entry(site).or_default()[OFF_CPU] = i64::try_from(length).unwrap_or(i64::MAX);
    }
    let mut names = Names::default();
    let samples = sites.into_iter().map(|((task, stack, leaf), values)| {
        let mut locations: Vec<u32> = names.leaf(leaf).into_iter().collect();
        let places = stack.and_then(|stack| resolved.stacks.get(stack.0 as usize));
        for place in places.map_or(&[][..], |places| places) {
            locations.extend(resolved.places.get(place.0 as usize).map(|place| names.place(place)));
        }
        let (process, thread) = task_names(recording, task);
        let labels = vec![("process".into(), visible(&process)), ("thread".into(), visible(&thread))];
        Sample { locations, values: values.to_vec(), labels }
    });
    let samples: Vec<Sample> = samples.collect();
    Profile {
        types: vec![kind("samples", "count"), kind("cpu", "nanoseconds"), kind("off_cpu", "nanoseconds")],
        shown: "cpu".into(),
        samples,
        functions: names.functions.into_iter().collect(),
        locations: names.locations.into_iter().collect(),
        period: Some((kind("cpu", "nanoseconds"), period)),
        duration_ns: i64::try_from(recording.meta.wall.0).unwrap_or(i64::MAX),
        // The same recording gives the same bytes, and one file has many processes.
        time_ns: 0,
        program: String::new(),
    }
}

#[derive(Default)]
struct Names {
    functions: IndexSet<Function>,
    locations: IndexSet<Location>,
}

impl Names {
    fn leaf(&mut self, leaf: Leaf) -> Option<u32> {
        let name = leaf.text()?.to_owned();
        Some(self.location(Function { name, file: String::new(), first_line: 0 }, 0))
    }

    fn place(&mut self, place: &Place) -> u32 {
        let file = place.file.as_deref().or(place.module.as_deref()).unwrap_or_default();
        let function =
            Function { name: visible(&place.function), file: visible(file), first_line: place.first_line.unwrap_or(0) };
        self.location(function, place.line.unwrap_or(0))
    }

    fn location(&mut self, function: Function, line: u32) -> u32 {
        let function = self.functions.insert_full(function).0 as u32;
        let lines = vec![(function, line)];
        self.locations.insert_full(Location { lines }).0 as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::fixture::{recording, resolved},
        pprof::read,
    };

    #[test]
    fn the_example_is_read_again_with_all_its_time() {
        let (recording, resolved) = (recording(), resolved());
        let bytes = render(&recording, &resolved);
        assert_eq!(bytes, render(&recording, &resolved));
        let read = read(&bytes).expect("a profile");
        assert_eq!(read, profile(&recording, &resolved));
        let sum = |column: usize| read.samples.iter().map(|sample| sample.values[column]).sum::<i64>();
        let ticks: u64 = sampled(&recording).values().sum();
        let off: u64 = off_the_cpu(&recording).values().sum();
        assert!(ticks > 0 && off > 0);
        assert_eq!((sum(SAMPLES), sum(OFF_CPU)), (ticks as i64, off as i64));
        let named = |name: &str| read.functions.iter().any(|function| function.name == name);
        assert!(resolved.stacks.iter().flatten().all(|place| named(&resolved.places[place.0 as usize].function)));
    }
}
