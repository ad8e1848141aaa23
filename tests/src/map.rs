//! `performance_map.yaml` (or JSON) → steps that tests can ask. Reads only what the specification promises.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

#[derive(Debug, Clone)]
pub struct Map {
    pub json: Value,
    /// Depth first, in the order of the file.
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub id: String,
    pub function: String,
    pub location: Option<String>,
    pub service: Option<String>,
    pub kind: Option<String>,
    pub wall_ms: f64,
    pub share_pct: f64,
    pub self_ms: f64,
    pub cpu_ms: f64,
    pub wait_ms: BTreeMap<String, f64>,
    pub http_round_trips: u64,
    pub db_round_trips: u64,
    pub io_read_bytes: u64,
    pub io_write_bytes: u64,
    pub memory_delta_mb: f64,
    /// Functions of the steps above, outermost first.
    pub above: Vec<String>,
}

impl Map {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("parse {}", path.display()))
    }

    /// JSON is YAML, so one reader does for both formats.
    pub fn parse(text: &str) -> Result<Self> {
        let json: Value = serde_yaml::from_str(text)?;
        let json = json.get("performance_map").cloned().context("no performance_map at the top")?;
        let mut steps = Vec::new();
        let top = json.get("steps").and_then(Value::as_array).context("no list of steps")?;
        collect(top, &mut Vec::new(), &mut steps)?;
        Ok(Self { json, steps })
    }

    pub fn wall_ms(&self) -> Result<f64> {
        self.json["profiled_run"]["wall_time_ms"].as_f64().context("no profiled_run.wall_time_ms")
    }

    pub fn baseline(&self, key: &str) -> Result<f64> {
        self.json["baseline"][key].as_f64().with_context(|| format!("no baseline.{key}"))
    }

    pub fn warnings(&self) -> String {
        self.json.get("warnings").map(Value::to_string).unwrap_or_default()
    }

    /// Every step of the function, however its language qualifies it.
    pub fn of<'a>(&'a self, function: &'a str) -> impl Iterator<Item = &'a Step> + 'a {
        self.steps.iter().filter(move |step| named(&step.function, function))
    }

    /// Steps of the function that do not lie under another of it: their times may be added.
    pub fn outermost<'a>(&'a self, function: &'a str) -> impl Iterator<Item = &'a Step> + 'a {
        self.of(function).filter(move |step| !step.above.iter().any(|above| named(above, function)))
    }

    pub fn has(&self, function: &str) -> bool {
        self.of(function).next().is_some()
    }

    /// Share of the wall time in percent; 0 where there is no such step.
    pub fn share(&self, function: &str) -> f64 {
        self.outermost(function).fold(0.0, |sum, step| sum + step.share_pct)
    }

    pub fn cpu_ms(&self, function: &str) -> f64 {
        // Folded from 0: the sum of no floats is -0.
        self.outermost(function).fold(0.0, |sum, step| sum + step.cpu_ms)
    }

    pub fn wall_of(&self, function: &str) -> f64 {
        self.outermost(function).fold(0.0, |sum, step| sum + step.wall_ms)
    }

    pub fn round_trips(&self, function: &str) -> u64 {
        self.outermost(function).map(|step| step.http_round_trips).sum()
    }

    /// A step of `inner` lies somewhere under a step of `outer`.
    pub fn nested(&self, outer: &str, inner: &str) -> bool {
        self.of(inner).any(|step| step.above.iter().any(|above| named(above, outer)))
    }

    /// Sum of what all steps and the remainder own.
    pub fn owned_ms(&self) -> Result<f64> {
        let steps: f64 = self.steps.iter().map(|step| step.self_ms).sum();
        let outside = ["outside", "outside_the_project", "(outside the project)"];
        let outside = outside.iter().find_map(|key| self.json.get(key)?.get("self_ms")?.as_f64());
        let total = steps + outside.unwrap_or(0.0);
        ensure!(total.is_finite(), "self_ms adds up to {total}");
        Ok(total)
    }

    /// As written: children within their parents, a step as long as its own time and its children, no sum over threads
    /// below the union. Times are rounded to a microsecond each.
    pub fn is_consistent(&self) -> Result<()> {
        fn look(step: &Value, above: f64) -> Result<()> {
            let number = |key: &str| step[key].as_f64();
            let (wall, own) = (number("wall_time_ms").unwrap_or(0.0), number("self_ms").unwrap_or(0.0));
            let id = &step["id"];
            let empty = Vec::new();
            let children = step["children"].as_array().unwrap_or(&empty);
            let rounding = 0.001 * (children.len() + 2) as f64;
            ensure!(wall <= above + rounding, "step {id} is {wall} ms long in one of {above} ms");
            let concurrent = step["concurrent"] == true;
            let below: f64 = children.iter().filter_map(|child| child["wall_time_ms"].as_f64()).sum();
            ensure!(
                concurrent || (own + below - wall).abs() <= rounding,
                "step {id}: {own} ms of its own and {below} ms below are not {wall} ms"
            );
            let threads = number("thread_time_ms").unwrap_or(wall);
            ensure!(threads >= wall - rounding, "step {id}: {threads} ms of threads in {wall} ms");
            children.iter().try_for_each(|child| look(child, wall))
        }
        let wall = self.wall_ms()?;
        self.json["steps"].as_array().into_iter().flatten().try_for_each(|step| look(step, wall))
    }

    /// The peer of one port: `(round_trips, connections, failed, counted)`.
    pub fn peer(&self, port: u64) -> Result<(u64, u64, u64, String)> {
        let end = format!(":{port}");
        let peers = self.json.get("peers").and_then(Value::as_array).context("no list of peers")?;
        let peer = peers
            .iter()
            .find(|peer| peer["address"].as_str().is_some_and(|address| address.ends_with(&end)))
            .with_context(|| format!("no peer at port {port} among {}", peers.len()))?;
        let number = |key: &str| peer[key].as_u64().unwrap_or(0);
        let counted = peer["counted"].as_str().unwrap_or("").to_owned();
        Ok((number("round_trips"), number("connections"), number("failed"), counted))
    }
}

/// `app.jobs.run`, `crate::jobs::run`, `f.<locals>.run`, `run<T>`, `run(int)` and `run` are all `run`.
fn named(full: &str, wanted: &str) -> bool {
    let inner = full.rsplit_once(".<locals>.").map_or(full, |(_, inner)| inner);
    let bare = inner.split(['<', '(', ' ']).next().unwrap_or(inner);
    full == wanted || bare.rsplit(['.', ':', '/']).next() == Some(wanted)
}

fn collect(list: &[Value], above: &mut Vec<String>, into: &mut Vec<Step>) -> Result<()> {
    for step in list {
        let text = |key: &str| step.get(key).and_then(Value::as_str).map(str::to_owned);
        let float = |key: &str| step.get(key).and_then(Value::as_f64).unwrap_or(0.0);
        let count = |key: &str| step.get(key).and_then(Value::as_u64).unwrap_or(0);
        let waits = step.get("wait_ms").and_then(Value::as_object);
        let function = text("function").context("a step without a function")?;
        into.push(Step {
            id: text("id").with_context(|| format!("step {function} without an id (a string)"))?,
            function: function.clone(),
            location: text("location"),
            service: text("service"),
            kind: text("type"),
            wall_ms: float("wall_time_ms"),
            share_pct: float("time_share_pct"),
            self_ms: float("self_ms"),
            cpu_ms: float("cpu_time_ms"),
            wait_ms: waits
                .map(|waits| waits.iter().filter_map(|(k, v)| Some((k.clone(), v.as_f64()?))).collect())
                .unwrap_or_default(),
            http_round_trips: count("http_round_trips"),
            db_round_trips: count("db_round_trips"),
            io_read_bytes: count("io_read_bytes"),
            io_write_bytes: count("io_write_bytes"),
            memory_delta_mb: float("memory_delta_mb"),
            above: above.clone(),
        });
        if let Some(children) = step.get("children").and_then(Value::as_array) {
            above.push(function);
            collect(children, above, into)?;
            above.pop();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
performance_map:
  schema_version: 1
  baseline: {runs: 3, wall_time_ms: 1000}
  peers:
    - {service: mt, address: "127.0.0.1:8002", round_trips: 13, failed: 0, connections: 1, counted: exact}
  profiled_run: {wall_time_ms: 1000.0, backend: ebpf}
  steps:
    - id: "1"
      function: app.jobs.process_job
      wall_time_ms: 900
      time_share_pct: 90
      self_ms: 100
      cpu_time_ms: 50
      wait_ms: {network: 800}
      children:
        - {id: "1.1", function: "native::walk<u8>", wall_time_ms: 800, time_share_pct: 80, self_ms: 300, http_round_trips: 13}
        - id: "1.2"
          function: walk
          time_share_pct: 5
          self_ms: 50
          children:
            - {id: "1.2.1", function: "ns::walk(int)", time_share_pct: 5, self_ms: 450}
    - {id: "2", function: "(outside the project)", self_ms: 100}
"#;

    #[test]
    fn steps_are_found_however_they_are_qualified_and_recursion_counts_once() {
        let map = Map::parse(TEXT).unwrap();
        assert_eq!(map.of("walk").count(), 3);
        assert_eq!(map.outermost("walk").count(), 2);
        assert_eq!(map.share("walk"), 85.0);
        assert_eq!(map.round_trips("walk"), 13);
        assert!(map.nested("process_job", "walk") && !map.nested("walk", "process_job"));
        assert!(!map.has("wal"));
    }

    #[test]
    fn ownership_and_peers_are_read() {
        let map = Map::parse(TEXT).unwrap();
        assert_eq!(map.owned_ms().unwrap(), 1000.0);
        assert_eq!(map.peer(8002).unwrap(), (13, 1, 0, "exact".to_owned()));
        assert!(map.peer(2).is_err());
        assert_eq!(map.steps[0].wait_ms["network"], 800.0);
    }

    #[test]
    fn text_without_a_map_is_an_error() {
        assert!(Map::parse("a: 1").is_err());
        assert!(Map::parse("performance_map: {steps: 3}").is_err());
        assert!(Map::parse("\u{0}").is_err());
    }
}
