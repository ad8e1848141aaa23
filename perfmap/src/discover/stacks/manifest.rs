//! What all manifests have in common: a name in a line is evidence.

use crate::discover::{
    found::{Evidence, Tool},
    source::word_positions,
    tree::{Tree, join, parent},
};

/// The first of the files that names a word outside of a comment, and the line.
pub fn mention(tree: &Tree, files: &[String], word: &str) -> Option<Evidence> {
    files.iter().find_map(|file| {
        let text = tree.read(file)?;
        let named = |line: &str| {
            let code = line.trim_start();
            !code.starts_with(['#', ';']) && !code.starts_with("//") && word_positions(code, word).next().is_some()
        };
        let at = text.lines().position(named)?;
        Some(Evidence::at(file.clone(), u32::try_from(at).unwrap_or(u32::MAX - 1) + 1))
    })
}

/// Those of a list that the files name.
pub fn mentioned(tree: &Tree, files: &[String], names: &[&'static str]) -> Vec<Tool> {
    names.iter().filter_map(|name| Some(Tool { name, evidence: mention(tree, files, name)? })).collect()
}

/// The nearest directory, from this one up to the root, that has a file of one of these names.
pub fn upwards(tree: &Tree, directory: &str, names: &[&str]) -> Option<String> {
    let mut here = directory;
    loop {
        if let Some(found) = names.iter().map(|name| join(here, name)).find(|file| tree.has(file)) {
            return Some(found);
        }
        if here.is_empty() {
            return None;
        }
        here = parent(here);
    }
}

/// Simple patterns of workspaces: `packages/*`, `services/**`, `!x`; each against the directories of these files.
pub fn directories(tree: &Tree, base: &str, patterns: &[String], manifest: &str) -> Vec<String> {
    let all = tree.files().filter(|file| crate::discover::tree::name(file) == manifest).map(parent);
    let fits = |directory: &str, pattern: &str| {
        let pattern = join(base, pattern.trim_start_matches("./").trim_end_matches('/'));
        match pattern.strip_suffix("/**") {
            Some(front) => crate::discover::tree::is_below(directory, front),
            None => {
                let (own, wanted): (Vec<&str>, Vec<&str>) =
                    (directory.split('/').collect(), pattern.split('/').collect());
                own.len() == wanted.len()
                    && own.iter().zip(&wanted).all(|(own, wanted)| own == wanted || part_fits(own, wanted))
            }
        }
    };
    let (out, taken): (Vec<&String>, Vec<&String>) = patterns.iter().partition(|pattern| pattern.starts_with('!'));
    all.filter(|directory| {
        taken.iter().any(|pattern| fits(directory, pattern))
            && !out.iter().any(|pattern| fits(directory, pattern.trim_start_matches('!')))
    })
    .map(str::to_owned)
    .collect()
}

/// One `*` in one part of a path.
fn part_fits(own: &str, pattern: &str) -> bool {
    pattern.split_once('*').is_some_and(|(front, back)| {
        own.len() >= front.len() + back.len() && own.starts_with(front) && own.ends_with(back)
    })
}
