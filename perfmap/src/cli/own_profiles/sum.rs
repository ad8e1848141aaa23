//! Profiles of one source → per kind of value and function: what it has itself, and what all stacks have that it is in.

use indexmap::{IndexMap, IndexSet};
use rustc_hash::FxBuildHasher;

use crate::{
    pprof::{Function, Profile, ValueType},
    recording::{OwnFunction, OwnKind},
};

/// Functions on all stacks of one profile together: a few bytes can name one location a million times.
const VISITS: usize = 32 << 20;
/// Of each kind: with the largest own values, and as many of the others with the largest sums.
const FUNCTIONS: usize = 100;
/// Distinct functions of all profiles.
const KNOWN: usize = 1 << 18;
const NAME_BYTES: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it has more functions and stacks than perfmap reads")]
pub struct TooMuch;

#[derive(Debug, Default)]
pub struct Sums {
    functions: IndexSet<Function, FxBuildHasher>,
    kinds: IndexMap<ValueType, Kind>,
}

#[derive(Debug, Default)]
struct Kind {
    total: i64,
    /// By function: own, all.
    of: IndexMap<usize, (i64, i64), FxBuildHasher>,
}

impl Sums {
    pub fn add(&mut self, profile: &Profile) -> Result<(), TooMuch> {
        let known: Vec<usize> =
            profile.functions.iter().map(|function| self.functions.insert_full(function.clone()).0).collect();
        if self.functions.len() > KNOWN {
            return Err(TooMuch);
        }
        let columns: Vec<usize> =
            profile.types.iter().map(|kind| self.kinds.entry(kind.clone()).or_default_at()).collect();
        let mut left = VISITS;
        let (mut on_stack, mut values): (IndexSet<usize, FxBuildHasher>, Vec<i64>) = Default::default();
        for sample in &profile.samples {
            on_stack.clear();
            values.clear();
            values.extend(&sample.values);
            let mut leaf = None;
            for location in sample.locations.iter().filter_map(|at| profile.locations.get(*at as usize)) {
                left = left.checked_sub(location.lines.len().max(1)).ok_or(TooMuch)?;
                for function in location.lines.iter().filter_map(|(function, _)| known.get(*function as usize)) {
                    leaf.get_or_insert(*function);
                    on_stack.insert(*function);
                }
            }
            for (column, value) in columns.iter().zip(&values).filter(|(_, value)| **value != 0) {
                let Some((_, kind)) = self.kinds.get_index_mut(*column) else { continue };
                kind.total = kind.total.saturating_add(*value);
                if let Some(leaf) = leaf {
                    let own = &mut kind.of.entry(leaf).or_default().0;
                    *own = own.saturating_add(*value);
                }
                for function in &on_stack {
                    let all = &mut kind.of.entry(*function).or_default().1;
                    *all = all.saturating_add(*value);
                }
            }
        }
        Ok(())
    }

    pub fn finish(self) -> Vec<OwnKind> {
        let Sums { functions, kinds } = self;
        kinds.into_iter().map(|(ValueType { kind, unit }, sums)| told(&functions, cut(kind), cut(unit), sums)).collect()
    }
}

trait OrDefaultAt {
    fn or_default_at(self) -> usize;
}

impl OrDefaultAt for indexmap::map::Entry<'_, ValueType, Kind> {
    fn or_default_at(self) -> usize {
        let at = self.index();
        self.or_default();
        at
    }
}

fn told(functions: &IndexSet<Function, FxBuildHasher>, kind: String, unit: String, sums: Kind) -> OwnKind {
    let Kind { total, of } = sums;
    let mut all: Vec<OwnFunction> = of
        .into_iter()
        .filter_map(|(at, (own, all))| {
            let Function { name, file, first_line } = functions.get_index(at)?.clone();
            Some(OwnFunction { name: cut(name), file: cut(file), first_line, own, all })
        })
        .collect();
    let name = |one: &OwnFunction| (one.name.clone(), one.file.clone(), one.first_line);
    all.sort_by(|a, b| b.own.unsigned_abs().cmp(&a.own.unsigned_abs()).then_with(|| name(a).cmp(&name(b))));
    let mut others = all.split_off(FUNCTIONS.min(all.len()));
    others.sort_by(|a, b| b.all.unsigned_abs().cmp(&a.all.unsigned_abs()).then_with(|| name(a).cmp(&name(b))));
    let left_out = u32::try_from(others.len().saturating_sub(FUNCTIONS)).unwrap_or(u32::MAX);
    others.truncate(FUNCTIONS);
    all.append(&mut others);
    OwnKind { kind, unit, total, functions: all, left_out }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(NAME_BYTES));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pprof::{Location, Sample};

    fn kind() -> ValueType {
        ValueType { kind: "cpu".into(), unit: "nanoseconds".into() }
    }

    fn profile(samples: Vec<Sample>) -> Profile {
        let function = |name: &str| Function { name: name.into(), file: "m.go".into(), first_line: 3 };
        Profile {
            types: vec![kind()],
            functions: vec![function("main"), function("work"), function("inlined")],
            // The second location is `inlined` in `work`.
            locations: vec![Location { lines: vec![(0, 5)] }, Location { lines: vec![(2, 9), (1, 8)] }],
            samples,
            ..Profile::default()
        }
    }

    fn sample(locations: &[u32], value: i64) -> Sample {
        Sample { locations: locations.to_vec(), values: vec![value], labels: vec![] }
    }

    #[test]
    fn own_and_all_are_summed_over_readings_and_recursion_counts_once() {
        let mut sums = Sums::default();
        sums.add(&profile(vec![sample(&[1, 0], 30), sample(&[0, 0, 0], 10)])).expect("small");
        sums.add(&profile(vec![sample(&[1, 1, 0], 5)])).expect("small");
        let [told] = &sums.finish()[..] else { panic!("one kind") };
        assert_eq!((told.total, told.left_out), (45, 0));
        let of = |name: &str| told.functions.iter().find(|one| one.name == name).map(|one| (one.own, one.all));
        assert_eq!(of("inlined"), Some((35, 35)));
        assert_eq!(of("work"), Some((0, 35)));
        assert_eq!(of("main"), Some((10, 45)));
        assert_eq!(told.functions[0].name, "inlined");
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let mut many = profile(vec![sample(&[1; 1024], 1); 40_000]);
        assert_eq!(Sums::default().add(&many), Err(TooMuch));
        many.samples.truncate(10);
        assert_eq!(Sums::default().add(&many), Ok(()));
        let mut largest = profile(vec![sample(&[0], i64::MAX), sample(&[0], i64::MAX)]);
        largest.samples.push(Sample { locations: vec![], values: vec![-1], labels: vec![] });
        let mut sums = Sums::default();
        sums.add(&largest).expect("small");
        assert_eq!(sums.finish()[0].total, i64::MAX - 1);
    }
}
