//! Programs' own profiles beside perfmap's own samples of the same processes: whether these have names themselves.

use std::collections::BTreeMap;

use crate::{
    recording::{Event, ProcessId, Recording},
    resolve::{Language, Resolved},
};

/// Of the process that a profile is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnSeen {
    pub samples: u64,
    /// No function of its own on the stack has a name.
    pub unnamed: u64,
}

/// One for each of the recording's profiles; of processes that are not known nothing was seen.
pub fn seen(recording: &Recording, resolved: &Resolved) -> Vec<OwnSeen> {
    let mut of: BTreeMap<ProcessId, OwnSeen> =
        recording.own_profiles.iter().filter_map(|own| Some((own.process?, OwnSeen::default()))).collect();
    if of.is_empty() {
        return vec![OwnSeen::default(); recording.own_profiles.len()];
    }
    for event in &recording.events {
        let Event::Sample(sample) = event else { continue };
        let Some(task) = recording.tasks.get(sample.task.0 as usize) else { continue };
        let Some(seen) = of.get_mut(&task.process) else { continue };
        let stack = resolved.stacks.get(sample.stack.0 as usize);
        let mut places = stack.into_iter().flatten().filter_map(|place| resolved.places.get(place.0 as usize));
        seen.samples += 1;
        seen.unnamed += u64::from(!places.any(|place| place.language != Language::Kernel && place.unnamed.is_none()));
    }
    recording
        .own_profiles
        .iter()
        .map(|own| own.process.and_then(|id| of.get(&id).copied()).unwrap_or_default())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::fixture::{recording, resolved},
        recording::OwnProfile,
    };

    #[test]
    fn samples_without_names_are_counted_for_the_process_alone() {
        let (mut recording, mut resolved) = (recording(), resolved());
        let sampled = |recording: &Recording, id: ProcessId| {
            let of =
                |event: &&Event| matches!(event, Event::Sample(sample) if recording.task(sample.task).process == id);
            recording.events.iter().filter(of).count() as u64
        };
        let id = (0..recording.processes.len() as u32)
            .map(ProcessId)
            .max_by_key(|id| sampled(&recording, *id))
            .expect("a process");
        let all = sampled(&recording, id);
        assert!(all > 0);
        recording.own_profiles = vec![OwnProfile { process: Some(id), ..OwnProfile::default() }, OwnProfile::default()];
        let named = seen(&recording, &resolved);
        assert_eq!((named[0].samples, named[1]), (all, OwnSeen::default()));
        assert!(named[0].unnamed < all);
        for place in &mut resolved.places {
            place.unnamed = Some(crate::recording::Unnamed::NotLookedUp);
        }
        assert_eq!(seen(&recording, &resolved)[0], OwnSeen { samples: all, unnamed: all });
    }
}
