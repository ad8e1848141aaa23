//! What holds for any source, however broken, and for the ways to name an entry point.

use super::{extract::Detail, facts::Facts, language::Language, parse::Parsers, *};
use crate::discover::topology::Topology;
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn sources() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/sources")
}

fn read(language: Language, text: &[u8], detail: Detail) -> Facts {
    Parsers::default().read(language, text, detail).unwrap_or_default()
}

/// One file of each language to break.
fn samples() -> Vec<(Language, Vec<u8>)> {
    let all = [
        (Language::Python, "python_fastapi/services/gateway/app/main.py"),
        (Language::JavaScript, "node_express/src/routes/jobs.js"),
        (Language::TypeScript, "node_nest/src/orders/orders.service.ts"),
        (Language::Tsx, "node_nest/src/orders/orders.controller.ts"),
        (Language::Go, "go_nethttp/cmd/server/main.go"),
        (Language::Java, "java_spring/src/main/java/com/shop/OrderController.java"),
        (Language::Rust, "rust_axum/src/jobs.rs"),
        (Language::CSharp, "csharp_aspnet/Services/OrderService.cs"),
    ];
    all.into_iter().map(|(language, path)| (language, std::fs::read(sources().join(path)).unwrap())).collect()
}

/// Both readings see the same functions: the chain goes from one to the other by position.
fn same_functions(language: Language, text: &[u8]) {
    let (outline, whole) = (read(language, text, Detail::Outline), read(language, text, Detail::Everything));
    let names = |facts: &Facts| -> Vec<(String, u32)> {
        facts.functions.iter().map(|function| (function.name.clone(), function.line)).collect()
    };
    assert_eq!(names(&outline), names(&whole));
    assert_eq!(outline.classes, whole.classes);
    let _ = routes::of(language, &whole);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_broken_source_is_read_to_its_end(
        which in 0usize..8, cut in 0usize..4000, from in 0usize..4000, length in 0usize..400, noise in ".{0,40}",
    ) {
        let (language, mut text) = samples().swap_remove(which);
        let cut = cut % (text.len() + 1);
        let from = from % (text.len() + 1);
        let piece: Vec<u8> = text.iter().copied().skip(from).take(length).collect();
        text.splice(cut..cut, piece.into_iter().chain(noise.bytes()));
        same_functions(language, &text);
        text.truncate(from);
        same_functions(language, &text);
    }

    #[test]
    fn any_bytes_are_read(which in 0usize..8, text in proptest::collection::vec(any::<u8>(), 0..400)) {
        same_functions(Language::ALL[which], &text);
    }
}

#[test]
fn code_deeper_than_any_stack_is_cut_and_said() {
    let deep = format!("def f():\n    return {}1{}\n", "(".repeat(60_000), ")".repeat(60_000));
    let facts = read(Language::Python, deep.as_bytes(), Detail::Everything);
    assert!(facts.cut && facts.functions.len() == 2);
    let chain = format!("def f():\n    return a{}\n", ".b()".repeat(40_000));
    assert_eq!(read(Language::Python, chain.as_bytes(), Detail::Everything).functions.len(), 2);
    let nested = format!("const a = {}1{};", "[".repeat(60_000), "]".repeat(60_000));
    assert!(read(Language::JavaScript, nested.as_bytes(), Detail::Everything).cut);
    let sum = format!("def f():\n    return {}\"x\"\n", "\"x\" + ".repeat(40_000));
    assert_eq!(read(Language::Python, sum.as_bytes(), Detail::Everything).functions.len(), 2);
}

#[test]
fn rusts_tests_are_not_code_of_the_program() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n#[test]\nfn c() {}\nfn d() {}\n";
    let facts = read(Language::Rust, text.as_bytes(), Detail::Outline);
    let names: Vec<&str> = facts.functions.iter().skip(1).map(|function| function.name.as_str()).collect();
    assert_eq!(names, ["a", "d"]);
}

fn function(file: Option<&str>, module: Option<&str>, name: &str) -> Wanted {
    Wanted::Function { file: file.map(str::to_owned), module: module.map(str::to_owned), name: name.to_owned() }
}

#[test]
fn an_entry_point_is_found_by_any_of_its_names() {
    let index = Index::build(&sources().join("python_fastapi"), &Topology::default());
    let at =
        |wanted: Wanted| index.entry(&wanted).map(|entry| format!("{}:{} {}", entry.file, entry.line, entry.function));
    let collect = Ok("services/gateway/app/report_service.py:9 ReportService.collect".to_owned());
    assert_eq!(at(function(None, None, "collect")), collect);
    assert_eq!(at(function(None, None, "ReportService.collect")), collect);
    assert_eq!(at(function(Some("app/report_service.py"), None, "collect")), collect);
    assert_eq!(at(function(None, Some("app.report_service"), "collect")), collect);
    assert_eq!(at(Wanted::Line { file: "report_service.py".to_owned(), line: 12 }), collect);
    let first = |wanted: Wanted| index.entry(&wanted).unwrap_err().nearest.first().cloned().unwrap_or_default();
    assert!(first(function(None, None, "colect")).ends_with("ReportService.collect"));
    assert!(first(function(Some("other.py"), None, "collect")).ends_with("ReportService.collect"));
    assert_eq!(
        first(Wanted::Line { file: "report_servise.py".to_owned(), line: 1 }),
        "services/gateway/app/report_service.py"
    );
    assert_eq!(first(Wanted::Route { method: None, path: "/api/v1/report/x".to_owned() }), "POST /api/v1/reports/{}");
}

#[test]
fn a_test_leads_to_the_handlers_that_it_asks() {
    for (root, name, handler) in
        [("python_fastapi", "test_health", "health"), ("java_spring", "finds", "OrderController.find")]
    {
        let index = Index::build(&sources().join(root), &Topology::default());
        let entry = index.entry(&function(None, None, name)).unwrap();
        assert_eq!(entry.kind, crate::recording::EntryKind::Test);
        let chain = index.follow(&entry).chain;
        let step = chain.iter().find(|step| step.function == handler);
        assert_eq!(step.map(|step| step.id.as_str()), Some("1.1.1"), "{root}: {chain:?}");
    }
}

#[test]
fn a_file_that_is_gone_or_changed_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.py");
    std::fs::write(&path, "def a():\n    b()\n\ndef b():\n    open('x')\n").unwrap();
    let index = Index::build(dir.path(), &Topology::default());
    let entry = index.entry(&function(None, None, "a")).unwrap();
    assert_eq!(index.follow(&entry).chain.len(), 3);
    std::fs::write(&path, "x = 1\n").unwrap();
    assert_eq!(index.follow(&entry).chain.len(), 1);
    std::fs::remove_file(Path::new(&path)).unwrap();
    assert_eq!(index.follow(&entry).chain.len(), 1);
}

#[test]
fn a_chain_without_end_is_bounded_in_every_direction() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::from("def start():\n");
    for n in 0..600 {
        text.push_str(&format!("    part_{n}()\n"));
    }
    for n in 0..600 {
        text.push_str(&format!("def part_{n}():\n    start()\n    unknown_{n}.run(url)\n"));
    }
    std::fs::write(dir.path().join("a.py"), text).unwrap();
    let index = Index::build(dir.path(), &Topology::default());
    let followed = index.follow(&index.entry(&function(None, None, "start")).unwrap());
    assert_eq!(followed.chain.len(), 500);
    assert!(followed.unresolved.len() <= 62, "{}", followed.unresolved.len());
    assert!(followed.unresolved.iter().any(|one| one.contains("recursion, cut here")));
    assert!(followed.unresolved.iter().any(|one| one == "the chain has over 500 steps; the rest is not listed"));
    assert!(followed.unresolved.last().unwrap().starts_with("and "));
}
