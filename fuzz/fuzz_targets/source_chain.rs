//! Any bytes as a source file of each language: read, entered at every line, and followed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perfmap::discover::{
    chain::{Index, LANGUAGES, Language, Wanted, read_source},
    topology::Topology,
};

fuzz_target!(|input: &[u8]| {
    let Some((first, text)) = input.split_first() else { return };
    let language = LANGUAGES[usize::from(*first) % LANGUAGES.len()];
    read_source(language, text);
    let file = match language {
        Language::Python => "a.py",
        Language::JavaScript => "a.js",
        Language::TypeScript => "a.ts",
        Language::Tsx => "a.tsx",
        Language::Go => "a.go",
        Language::Java => "a.java",
        Language::Rust => "a.rs",
        Language::CSharp => "a.cs",
    };
    let dir = std::env::temp_dir().join(format!("perfmap-fuzz-source-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory for the source");
    std::fs::write(dir.join(file), text).expect("the source is written");
    let index = Index::build(&dir, &Topology::default());
    for line in 1..=text.split(|byte| *byte == b'\n').count().min(40) as u32 {
        if let Ok(entry) = index.entry(&Wanted::Line { file: file.to_owned(), line }) {
            let followed = index.follow(&entry);
            assert!(followed.chain.len() <= 500 && followed.unresolved.len() <= 62 && followed.findings.len() <= 300);
        }
    }
    std::fs::remove_file(dir.join(file)).expect("the source is removed");
});
