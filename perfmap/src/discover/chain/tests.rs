//! Small repositories, one a framework, under `tests/sources`: what is found in them, whole.

use super::*;
use crate::discover::topology::{ServiceCode, Topology};
use crate::recording::EntryPoint;
use std::{fmt::Write as _, path::PathBuf};

fn root(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/sources").join(name)
}

fn services(all: &[(&str, &str, u16)]) -> Topology {
    let one = |(name, path, port): &(&str, &str, u16)| ServiceCode {
        name: (*name).to_owned(),
        path: PathBuf::from(path),
        ports: vec![*port],
        evidence: "docker-compose.yml".to_owned(),
    };
    Topology { services: all.iter().map(one).collect() }
}

fn route(index: &Index, route: &str) -> EntryPoint {
    let (method, path) = route.split_once(' ').unwrap();
    index.entry(&Wanted::Route { method: Some(method.to_owned()), path: path.to_owned() }).unwrap()
}

/// All that was found, a line for each thing.
fn shown(index: &Index, entry: &EntryPoint) -> String {
    let followed = index.follow(entry);
    let mut out = String::new();
    let name = entry.route.as_deref().unwrap_or("-");
    writeln!(out, "{:?} {name} {} {}:{}", entry.kind, entry.function, entry.file, entry.line).unwrap();
    for step in &followed.chain {
        let target = step.target.as_deref().map(|target| format!(" <{target}>")).unwrap_or_default();
        let service = step.service.as_deref().map(|service| format!(" @{service}")).unwrap_or_default();
        let marks = format!("{}{}", if step.in_loop { " loop" } else { "" }, if step.awaited { " await" } else { "" });
        let file = step.file.rsplit('/').next().unwrap();
        writeln!(out, "{} {:?} {}{target} {file}:{}{service}{marks}", step.id, step.kind, step.function, step.line)
            .unwrap();
    }
    for one in &followed.findings {
        let file = one.file.rsplit('/').next().unwrap();
        writeln!(out, "! {} {file}:{} {}: {}", one.rule, one.line, one.function, one.what).unwrap();
    }
    for one in &followed.unresolved {
        writeln!(out, "? {one}").unwrap();
    }
    out
}

fn all(name: &str, topology: &Topology, entries: &[&str]) -> String {
    let index = Index::build(&root(name), topology);
    entries.iter().map(|entry| shown(&index, &route(&index, entry))).collect::<Vec<_>>().join("\n")
}

macro_rules! framework {
    ($name:ident, $services:expr, $entries:expr) => {
        #[test]
        fn $name() {
            insta::assert_snapshot!(all(stringify!($name), &services(&$services), &$entries));
        }
    };
}

framework!(
    python_fastapi,
    [("gateway", "services/gateway", 8000), ("jobs", "services/jobs", 8001)],
    ["GET /jobs/7/full", "POST /api/v1/reports/daily", "GET /jobs/all"]
);
framework!(python_flask, [], ["POST /convert", "GET /tree", "GET /shop/items/3"]);
framework!(python_django, [], ["GET /api/orders/3/", "GET /api/orders", "GET /api/old/2024/"]);
framework!(
    node_express,
    [("api", "src", 3000), ("mailer", "mailer", 4000)],
    ["GET /api/jobs/7", "POST /api/jobs", "GET /health"]
);
framework!(node_nest, [], ["GET /orders/7", "POST /orders"]);
framework!(go_nethttp, [], ["GET /items/7", "POST /sync", "GET /health"]);
framework!(go_gin, [], ["GET /api/v1/users/7", "POST /api/v1/users"]);
framework!(java_spring, [], ["GET /api/orders/7", "POST /api/orders/import"]);
framework!(rust_axum, [], ["GET /health", "GET /api/jobs/7", "DELETE /api/jobs/7", "POST /api/jobs"]);
framework!(rust_actix, [], ["GET /v1/items/7", "POST /items", "PUT /things/1"]);
framework!(csharp_aspnet, [], ["GET /api/orders/7", "GET /items/3", "POST /ping"]);
