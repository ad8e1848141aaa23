//! The map as a person sees it first: verdict, tree, warnings, files. A plain function of its input: width, colour and
//! character set come from the caller, which knows the terminal.

mod findings;
mod head;
pub(super) mod line;
mod parallel;
mod served;
mod tree;

use crate::{
    analyze::Analysis,
    map::{DiskWaits, Lock, Map, Rival},
    recording::{Nanos, Recording},
};

use super::{own_profiles, scaling, sentence};
use line::{Line, Page, Style};

/// So many locks are shown, and so many who had the CPU, and disks.
const LOCKS: usize = 3;
/// Waits for a CPU or a disk are shown from this share of the wall time on: some waiting is every program's.
const SCARCE: f64 = 0.05;

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Columns; taken as 40 where it is less.
    pub width: usize,
    /// With ANSI colours. The text is the same without.
    pub colour: bool,
    /// Without: plain ASCII, for a locale that is not UTF-8.
    pub unicode: bool,
    /// All steps, however many.
    pub all_steps: bool,
}

impl View {
    /// What a pipe or a log gets.
    pub const PLAIN: View = View { width: 120, colour: false, unicode: true, all_steps: false };
}

/// The files that the run left.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// As the user would type it.
    pub directory: &'a str,
    pub files: &'a [String],
}

pub fn render(
    recording: &Recording,
    map: &Map,
    analysis: &Analysis,
    view: View,
    written: Option<Written<'_>>,
) -> String {
    let mut page = Page::new(view);
    head::title(&mut page, recording);
    page.gap();
    head::baseline(&mut page, recording);
    head::profiled(&mut page, recording, map);
    page.gap();
    head::verdict(&mut page, map, analysis);
    findings::conclusion(&mut page, analysis);
    page.gap();
    if served::table(&mut page, map) {
        page.gap();
    }
    if tree::table(&mut page, map) {
        page.gap();
    }
    if analysis.scaling.as_ref().is_some_and(|found| scaling::show(&mut page, found)) {
        page.gap();
    }
    if findings::suspicions(&mut page, map, analysis) {
        page.gap();
    }
    if let Some(found) = &analysis.parallelism {
        parallel::lines(&mut page, found);
        page.gap();
    }
    // Waits that stand out; the map has all.
    let long = |lock: &&Lock| lock.waited.0 as f64 >= map.wall.0 as f64 / 100.0;
    let locks: Vec<&Lock> = map.locks.iter().filter(long).take(LOCKS).collect();
    for lock in &locks {
        page.paragraph("lock", Style::Plain, &sentence::lock(lock));
    }
    if !locks.is_empty() {
        page.gap();
    }
    let much = |waited: Nanos| waited.0 as f64 >= map.wall.0 as f64 * SCARCE;
    let rivals: Vec<&Rival> = map.rivals.iter().filter(|rival| much(rival.waited)).take(LOCKS).collect();
    let disks: Vec<&DiskWaits> = map.disks.iter().filter(|disk| much(disk.waited)).take(LOCKS).collect();
    for rival in &rivals {
        page.paragraph("cpu", Style::Plain, &sentence::rival(rival));
    }
    for disk in &disks {
        page.paragraph("disk", Style::Plain, &sentence::disk(disk));
    }
    if !rivals.is_empty() || !disks.is_empty() {
        page.gap();
    }
    let own = own_profiles::lines(recording, analysis);
    for line in &own {
        page.paragraph("own", Style::Plain, line);
    }
    if !own.is_empty() {
        page.gap();
    }
    for warning in &analysis.warnings {
        let text = sentence::warning(warning);
        if head::means(recording) != Some(text.as_str()) {
            page.paragraph("warning", Style::Warning, &text);
        }
    }
    if !analysis.warnings.is_empty() {
        page.gap();
    }
    if let Some(written) = written {
        files(&mut page, written);
    }
    page.finish()
}

fn files(page: &mut Page, written: Written<'_>) {
    let directory = format!("{}/", written.directory.trim_end_matches('/'));
    let mut items = vec![Line::of(Style::Plain, &directory)];
    items.extend(written.files.iter().map(|name| Line::of(Style::Plain, name)));
    page.items("wrote", &items);
    let picture =
        ["wall.svg", "cpu.svg", "offcpu.svg"].into_iter().find(|name| written.files.iter().any(|f| f == name));
    if let Some(picture) = picture {
        let text =
            format!("open {directory}{picture} in a browser to see all stacks; after a change: perfmap diff OLD NEW");
        page.paragraph("hint", Style::Dim, &text);
    }
}

#[cfg(test)]
mod tests;
