//! PHP: detected, not analysed.

use super::{
    manifest::{mention, mentioned},
    tool,
};
use crate::discover::{
    found::{Evidence, Language, Stack},
    tree::{Tree, parent},
};

pub fn detect(tree: &Tree, manifest: &str) -> Stack {
    let own = [manifest.to_owned()];
    let phpunit = mention(tree, &own, "phpunit").unwrap_or(Evidence::file(manifest));
    Stack {
        language: Language::Php,
        directory: parent(manifest).to_owned(),
        manifest: Evidence::file(manifest),
        name: super::node::Package::read(tree, manifest).and_then(|package| package.name),
        manager: tool("composer", Evidence::file(manifest)),
        test_tools: vec![tool("phpunit", phpunit)],
        frameworks: mentioned(tree, &own, &["laravel", "symfony", "slim"]),
    }
}
