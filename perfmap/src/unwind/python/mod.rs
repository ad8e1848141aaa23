//! Python's interpreter: where its structures lie, whether a process is one, and what its code objects and frames say.

pub mod code;
pub mod discover;
pub mod layout;
pub mod lines;
mod outside_reader;
pub mod table;

pub use discover::{Discoverer, Discovery, worth_a_look};
pub use layout::{Refusal, Version};
pub use outside_reader::may_be_given;
pub use table::{CodeTable, ImageId};

/// A CPython of this version on the machine that runs the tests.
#[cfg(test)]
pub(crate) fn installed(version: layout::Version) -> Option<std::path::PathBuf> {
    let versions = std::path::PathBuf::from(std::env::var_os("HOME")?).join(".pyenv/versions");
    let mut found: Vec<_> = std::fs::read_dir(versions)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&format!("{version}.")))
        })
        .map(|path| path.join("bin").join(format!("python{version}")))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().or_else(|| {
        let path = std::path::PathBuf::from(format!("/usr/bin/python{version}"));
        path.exists().then_some(path)
    })
}
