//! What is written about a port → its number.

use serde_yaml::Value;

use crate::discover::tree::{Tree, join};

/// `8001:80`, `127.0.0.1:8001:80/tcp`, `{published: 8001, target: 80}`: where it listens, outside first.
pub fn of_compose(value: &Value) -> Vec<u16> {
    match value {
        Value::Number(number) => number.as_u64().and_then(|port| u16::try_from(port).ok()).into_iter().collect(),
        Value::String(text) => {
            let text = text.split('/').next().unwrap_or_default();
            let mut found: Vec<u16> = text.split(':').filter_map(|part| part.parse().ok()).collect();
            found.dedup();
            found
        }
        Value::Mapping(table) => {
            ["published", "target"].iter().filter_map(|key| table.get(*key)).flat_map(of_compose).collect()
        }
        Value::Null | Value::Bool(_) | Value::Sequence(_) | Value::Tagged(_) => Vec::new(),
    }
}

/// `--port 8000`, `--port=8000`, `-p 8000`, `--bind 0.0.0.0:8000`, `0.0.0.0:8000`.
pub fn of_command(words: &[String]) -> Vec<u16> {
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).map_or("", String::as_str);
        let value = match word.split_once('=') {
            Some(("--port" | "-p" | "--bind" | "-b" | "--listen" | "PORT", value)) => value,
            Some(_) | None if matches!(word.as_str(), "--port" | "-p" | "--bind" | "-b" | "--listen") => next,
            Some(_) | None if word.contains(':') && word.starts_with(|c: char| c.is_ascii_digit()) => word,
            Some(_) | None => continue,
        };
        found.extend(value.rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).filter(|port| *port > 0));
    }
    found.dedup();
    found
}

/// What the service's Dockerfile says.
pub fn exposed(tree: &Tree, directory: &str) -> Vec<u16> {
    let text = tree.read(&join(directory, "Dockerfile")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("EXPOSE "));
    lines.flat_map(str::split_whitespace).filter_map(|port| port.split('/').next()?.parse().ok()).collect()
}
