//! Processes that executed a program → where Go keeps their goroutines, told to both sides; or why that is not known.

use std::collections::{BTreeMap, HashMap};

use crossbeam_channel::Sender;

use super::{CollectError, TlsUse, item::Item, object::GoProcesses};
use crate::{
    recording::{Nanos, Recording},
    unwind::{
        go::{Discoverer, Discovery, Found},
        modules::open_plain,
    },
};

/// The program's own variables are in their places before `main` runs.
const SEARCH_NS: u64 = 300_000_000;
/// A program that lived no longer than this part of the run is no reason for a note.
const SHORT_LIVED: u64 = 5;

pub struct GoPrograms {
    map: GoProcesses,
    discoverer: Discoverer,
    /// Since when, by pid.
    searching: HashMap<u32, u64>,
    /// By pid.
    refused: BTreeMap<u32, String>,
    enabled: bool,
}

impl GoPrograms {
    pub fn new(map: GoProcesses, enabled: bool) -> GoPrograms {
        let discoverer = Discoverer::default();
        GoPrograms { map, discoverer, searching: HashMap::new(), refused: BTreeMap::new(), enabled }
    }

    /// Programs that an earlier run executed.
    pub fn know(&mut self, earlier: &[TlsUse]) {
        let paths = earlier.iter().filter(|_| self.enabled).filter_map(|used| used.path.to_str());
        paths.filter_map(open_plain).for_each(|file| self.discoverer.know(&file));
    }

    pub fn search(&mut self, pid: u32, now: u64) {
        if self.enabled {
            self.searching.insert(pid, now);
            self.refused.remove(&pid);
        }
    }

    pub fn ended(&mut self, pid: u32) {
        self.searching.remove(&pid);
    }

    /// True while something is looked for.
    pub fn tick(&mut self, now: u64, sender: &Sender<Item>) -> Result<bool, CollectError> {
        let mut found = Vec::new();
        let Self { map, discoverer, searching, refused, .. } = self;
        searching.retain(|pid, since| match discoverer.discover(*pid) {
            Discovery::Found(Found { layout, reasons }) => {
                found.push((*pid, layout, reasons));
                false
            }
            Discovery::NotGo => false,
            Discovery::Refused(why) => {
                refused.insert(*pid, why);
                false
            }
            Discovery::NotYet => now.saturating_sub(*since) < SEARCH_NS,
        });
        for (pid, layout, reasons) in found {
            // Told before the kernel side begins: what it then sends is a goroutine's.
            let item = Item::Go { pid, reasons };
            sender.send(item).map_err(|_| CollectError::Recorder("its thread is gone".into()))?;
            map.insert(pid, &layout);
        }
        Ok(!searching.is_empty())
    }

    /// One note for each program whose goroutines could not be told, and that was there for a while.
    pub fn notes(&self, recording: &Recording, wall: Nanos) -> Vec<String> {
        let mut notes: Vec<String> = Vec::new();
        for (index, process) in recording.processes.iter().enumerate() {
            let Some(why) = self.refused.get(&process.pid) else { continue };
            let lived = process.died.unwrap_or(wall).since(process.born);
            let outside = recording.is_outside(crate::recording::ProcessId(index as u32));
            let name = process.images.last().map_or("", |image| image.comm.as_str());
            let note = format!("what the goroutines of {name} wait for is not told: {why}");
            if !outside && lived.0 >= wall.0 / SHORT_LIVED && !notes.contains(&note) {
                notes.push(note);
            }
        }
        notes
    }
}
