//! Compose files → services that are built from code in the repository.

use std::path::PathBuf;

use serde::Deserialize;
use serde_yaml::{Mapping, Value};

use super::{beside, ports};
use crate::discover::{
    stacks::is_sample,
    topology::ServiceCode,
    tree::{Tree, name, parent},
};

pub fn files(tree: &Tree) -> Vec<String> {
    let is_compose = |file: &&str| {
        let name = name(file);
        let known = name.starts_with("docker-compose") || name.starts_with("compose.") || name == "compose.yaml";
        known && (name.ends_with(".yml") || name.ends_with(".yaml")) && !is_sample(parent(file))
    };
    tree.files().filter(is_compose).map(str::to_owned).collect()
}

/// A compose file, as far as it is needed. Each service is read by itself, so that one that is unusual hides no other.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Compose {
    services: Mapping,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Service {
    build: Option<Build>,
    ports: Vec<Value>,
    expose: Vec<Value>,
    command: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Build {
    Path(String),
    Table { context: Option<String> },
}

pub fn services(tree: &Tree) -> Vec<ServiceCode> {
    files(tree).iter().flat_map(|file| of_file(file, &tree.read(file).unwrap_or_default())).collect()
}

fn of_file(file: &str, text: &str) -> Vec<ServiceCode> {
    let Ok(mut value) = serde_yaml::from_str::<Value>(text) else { return Vec::new() };
    // `<<: *base`: without it a service would lose what it shares. One that cannot be merged is taken as it stands.
    let _ = value.apply_merge();
    let Compose { services } = serde_yaml::from_value(value).unwrap_or_default();
    let named = services.into_iter().filter_map(|(name, value)| Some((name.as_str()?.to_owned(), value)));
    named.filter_map(|(name, value)| of_service(file, &name, serde_yaml::from_value(value).ok()?)).collect()
}

fn of_service(file: &str, name: &str, service: Service) -> Option<ServiceCode> {
    let Service { build, ports, expose, command } = service;
    let context = match build? {
        Build::Path(path) => path,
        Build::Table { context } => context.unwrap_or_else(|| ".".to_owned()),
    };
    if name.chars().any(char::is_control) || context.contains("://") {
        return None;
    }
    let mut found: Vec<u16> = ports.iter().chain(&expose).flat_map(ports::of_compose).collect();
    found.extend(command.iter().flat_map(|command| ports::of_command(&words(command))));
    Some(ServiceCode {
        name: name.to_owned(),
        path: PathBuf::from(beside(file, &context)?),
        ports: found,
        evidence: format!("{file}: services.{name}"),
    })
}

fn words(command: &Value) -> Vec<String> {
    match command {
        Value::String(line) => line.split_whitespace().map(str::to_owned).collect(),
        Value::Sequence(words) => words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn services_that_are_built_here() {
        let text = "\
x-base: &base
  expose: ['9000']
services:
  db:
    image: postgres:16
  api:
    <<: *base
    build: ./services/api
    ports: ['8001:80', '127.0.0.1:9:9/udp', {target: 81, published: '8002'}]
    command: uvicorn app:app --port 8080
  odd: 3
  out:
    build: ../elsewhere
  web:
    build: {context: web, args: {A: 1}}
";
        let found = of_file("deploy/compose.yml", text);
        let shown: Vec<_> = found.iter().map(|s| format!("{} {} {:?}", s.name, s.path.display(), s.ports)).collect();
        assert_eq!(shown, ["api deploy/services/api [8001, 80, 9, 8002, 81, 9000, 8080]", "web deploy/web []"]);
        assert_eq!(found[0].evidence, "deploy/compose.yml: services.api");
    }

    #[test]
    fn aliases_do_not_multiply() {
        let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
        for (name, of) in ["a", "b", "c", "d", "e", "f", "g", "h"].windows(2).map(|pair| (pair[1], pair[0])) {
            text +=
                &format!("{name}: &{name} [*{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}, *{of}]\n");
        }
        assert_eq!(of_file("compose.yml", &text), []);
    }

    proptest! {
        #[test]
        fn total(text in any::<String>(), yaml in "(services|build|ports|[a-z: \n\\[\\]{}&*<-])*") {
            of_file("compose.yml", &text);
            of_file("compose.yml", &yaml);
        }
    }
}
