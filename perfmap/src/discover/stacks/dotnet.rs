//! .NET: detected, not analysed.

use super::{manifest::mention, tool};
use crate::discover::{
    found::{Evidence, Language, Stack},
    tree::{Tree, parent, stem},
};

pub fn detect(tree: &Tree, manifest: &str) -> Stack {
    let own = [manifest.to_owned()];
    let runners = ["xunit", "NUnit", "MSTest"];
    let runner = runners.iter().find_map(|name| mention(tree, &own, name)).unwrap_or(Evidence::file(manifest));
    let web = mention(tree, &own, "Microsoft.NET.Sdk.Web").map(|evidence| tool("asp.net", evidence));
    Stack {
        language: Language::DotNet,
        directory: parent(manifest).to_owned(),
        manifest: Evidence::file(manifest),
        name: Some(stem(manifest).to_owned()),
        manager: tool("dotnet", Evidence::file(manifest)),
        test_tools: vec![tool("dotnet test", runner)],
        frameworks: web.into_iter().collect(),
    }
}
