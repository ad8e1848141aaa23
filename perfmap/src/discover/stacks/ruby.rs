//! Ruby: detected, not analysed.

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
    let rspec = mention(tree, &own, "rspec").or_else(|| mention(tree, &own, "rspec-rails"));
    let runner = rspec.map_or_else(|| tool("rake test", Evidence::file(manifest)), |evidence| tool("rspec", evidence));
    Stack {
        language: Language::Ruby,
        directory: parent(manifest).to_owned(),
        manifest: Evidence::file(manifest),
        name: None,
        manager: tool("bundler", Evidence::file(manifest)),
        test_tools: vec![runner],
        frameworks: mentioned(tree, &own, &["rails", "sinatra", "sidekiq"]),
    }
}
