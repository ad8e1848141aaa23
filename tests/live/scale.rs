//! `perfmap scale`: the curve of a program whose serial share is known, progress from its output, a sample of a long run.

use anyhow::{Context, Result, ensure};
use perfmap_tests::{places, recorded, turn, workload};
use serde_json::Value;
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

struct Scaled {
    output: Output,
    out: PathBuf,
    truth: PathBuf,
    _scratch: tempfile::TempDir,
}

/// `perfmap scale` on `w80_scale`.
fn scale(options: &[&str], words: &[&str], env: &[(&str, &str)]) -> Result<Scaled> {
    let scratch = tempfile::tempdir().context("make a scratch directory")?;
    let open = |dir: &Path, mode| std::fs::set_permissions(dir, std::fs::Permissions::from_mode(mode));
    open(scratch.path(), 0o755).context("open the scratch directory")?;
    let (out, truth) = (scratch.path().join("out"), scratch.path().join("truth"));
    std::fs::create_dir(&truth).context("make the truth directory")?;
    open(&truth, 0o777).context("open the truth directory")?;
    let mut perfmap = Command::new(places::perfmap()?);
    perfmap.arg("scale").arg("--out").arg(&out).arg("--no-escalate").args(options).arg("--").arg("./run").args(words);
    perfmap.current_dir(workload::ready("w80_scale")?).stdin(Stdio::null());
    perfmap.env("PATH", places::path()?).env("NO_COLOR", "1").env("TRUTH_DIR", &truth).env("OUT", &out);
    let output = perfmap.envs(env.iter().copied()).output().context("run perfmap")?;
    Ok(Scaled { output, out, truth, _scratch: scratch })
}

impl Scaled {
    fn words(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn ends_with(&self, code: i32) -> Result<()> {
        ensure!(self.output.status.code() == Some(code), "{}, not {code}:\n{}", self.output.status, self.words());
        Ok(())
    }

    /// `parallelism.scaling` of the result.
    fn scaling(&self) -> Result<Value> {
        let text = std::fs::read_to_string(self.out.join("profile_result.yaml")).context("read the result")?;
        let result: Value = serde_yaml::from_str(&text).context("parse the result")?;
        Ok(result["profile_result"]["parallelism"]["scaling"].clone())
    }

    /// What each run measured of itself, in their order.
    fn runs(&self) -> Result<Vec<Value>> {
        let text = std::fs::read_to_string(self.truth.join("runs.jsonl")).context("read the truth")?;
        text.lines().map(|line| serde_json::from_str(line).context("parse the truth")).collect()
    }

    fn file(&self, name: &str) -> Result<String> {
        std::fs::read_to_string(self.out.join(name)).with_context(|| format!("read {name}"))
    }
}

fn number(value: &Value, key: &str) -> Result<f64> {
    value[key].as_f64().with_context(|| format!("no number {key} in {value}"))
}

fn near(what: &str, got: f64, want: f64, by: f64) -> Result<()> {
    ensure!((got - want).abs() <= by, "{what} is {got}, not {want} ± {by}");
    Ok(())
}

/// The share of a run with one worker in which no other could have helped.
fn serial_share(runs: &[Value]) -> Result<f64> {
    let single = runs.iter().filter(|run| run["workers"] == 1);
    let shares: Result<Vec<f64>> =
        single.map(|run| Ok(1.0 - number(run, "shared_s")? / number(run, "wall_s")?)).collect();
    let shares = shares?;
    ensure!(!shares.is_empty(), "no run with one worker");
    Ok(shares.iter().sum::<f64>() / shares.len() as f64)
}

/// It lies in the interval. A little beside it too: what threads cost to start is no contention, but grows with them.
fn is_contention(curve: &Value, share: f64) -> Result<()> {
    let sigma = &curve["law"]["sigma"];
    let (low, high) = (number(sigma, "low")? - 0.05, number(sigma, "high")? + 0.05);
    ensure!((low..high).contains(&share), "the serial share is {share}, contention {sigma}");
    Ok(())
}

fn sweep(serial: &str) -> Result<(Scaled, Value)> {
    let options =
        ["--no-baseline", "--sweep", "1,2,4,8", "--workers-env", "WL_WORKERS", "--progress", r"done (\d+) of (\d+)"];
    let scaled = scale(&options, &["phases", serial, "8"], &[])?;
    scaled.ends_with(0)?;
    let curve = scaled.scaling()?["curve"].clone();
    Ok((scaled, curve))
}

#[test]
fn contention_is_the_serial_share() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let (scaled, curve) = sweep("0.4")?;
    let runs = scaled.runs()?;
    ensure!(curve["unit"] == "items" && curve["points"].as_array().is_some_and(|points| points.len() == 4), "{curve}");
    for point in curve["points"].as_array().context("points")? {
        let swept = runs.iter().skip(1).filter(|run| run["workers"] == point["workers"]);
        let mut walls: Vec<f64> = swept.map(|run| number(run, "wall_s")).collect::<Result<_>>()?;
        walls.sort_by(f64::total_cmp);
        ensure!(walls.len() == 3, "{} runs with {} workers", walls.len(), point["workers"]);
        // perfmap sees the interpreter's end too.
        near("a rate", number(point, "per_second")?, 40.0 / walls[1], 40.0 / walls[1] * 0.15)?;
    }
    let sigma = number(&curve["law"]["sigma"], "value")?;
    is_contention(&curve, serial_share(&runs)?)?;
    ensure!((0.25..0.6).contains(&sigma), "contention {sigma}");
    ensure!(scaled.file("scaling.svg")?.contains("contention σ"), "the picture lacks the law");
    ensure!(scaled.file("parallelism.md")?.contains("| 8 |"), "the page lacks the curve");
    ensure!(scaled.words().contains("items/s by number of workers"), "no plot:\n{}", scaled.words());
    // The recording alone gives the same again.
    let again = tempfile::tempdir().context("make a directory")?;
    let mut report = Command::new(places::perfmap()?);
    report.arg("report").arg(scaled.out.join("recording.perfmap")).arg("--out").arg(again.path());
    ensure!(report.output().context("run perfmap report")?.status.success(), "report failed");
    for name in ["profile_result.yaml", "parallelism.md", "scaling.svg"] {
        let anew = std::fs::read_to_string(again.path().join(name)).with_context(|| format!("read {name}"))?;
        ensure!(anew == scaled.file(name)?, "{name} differs when made again");
    }
    Ok(())
}

#[test]
fn what_shares_nothing_has_no_contention() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let (scaled, curve) = sweep("0")?;
    let sigma = number(&curve["law"]["sigma"], "value")?;
    // What is left is the interpreter's start.
    is_contention(&curve, serial_share(&scaled.runs()?)?)?;
    ensure!(sigma < 0.25, "contention {sigma}");
    Ok(())
}

#[test]
fn a_failing_number_of_workers_is_left_out_and_named() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let options =
        ["--no-baseline", "--sweep", "1,2,4", "--workers-env", "WL_WORKERS", "--workers", "2", "--items", "30"];
    let scaled = scale(&options, &["phases", "0.2", "6"], &[("WL_FAIL", "4")])?;
    scaled.ends_with(0)?;
    let curve = scaled.scaling()?["curve"].clone();
    ensure!(curve["failed"] == serde_json::json!([{ "workers": 4, "runs": 1 }]), "{curve}");
    ensure!(
        curve["law"].is_null() && curve["why_no_law"].as_str().is_some_and(|why| why.contains("2 numbers")),
        "{curve}"
    );
    ensure!(scaled.words().contains("exit code 3: left out"), "{}", scaled.words());
    // The program was told the number in the profiled run as well.
    let recording = recorded::read(&scaled.out.join("recording.perfmap"))?;
    ensure!(recording.work.workers == Some(2) && scaled.runs()?[0]["workers"] == 2, "{:?}", recording.work);
    Ok(())
}

#[test]
fn the_output_passes_unchanged_and_tells_the_rate() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let options = ["--no-baseline", "--total", "160", "--progress", r"done (\d+)"];
    let scaled = scale(&options, &["phases", "0.5", "16"], &[])?;
    scaled.ends_with(0)?;
    let wanted: String = (1..=16).map(|done| format!("done {} of 80\n", done * 5)).collect();
    ensure!(scaled.output.stdout == wanted.as_bytes(), "{}", String::from_utf8_lossy(&scaled.output.stdout));
    let forecast = scaled.scaling()?["forecast"].clone();
    ensure!(forecast["done"] == 80 && forecast["left"] == 80, "{forecast}");
    let run = scaled.runs()?.remove(0);
    let working = number(&run, "wall_s")? - number(&run, "begins_s")?;
    let rate = number(&forecast, "per_second")?;
    near("the rate", rate, 80.0 / working, 80.0 / working * 0.15)?;
    near("the time to the end", number(&forecast, "left_s")?, 80.0 / rate, 0.01)
}

/// `script` gives perfmap a terminal.
#[test]
fn a_terminal_stays_a_terminal() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let scratch = tempfile::tempdir().context("make a scratch directory")?;
    let perfmap = places::perfmap()?;
    let line = format!(
        "stty cols 91; {} scale --quiet --no-baseline --no-escalate --out {} --progress 'done (.)' -- ./run terminal",
        perfmap.display(),
        scratch.path().join("out").display()
    );
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).current_dir(workload::ready("w80_scale")?).stdin(Stdio::null());
    let output = script.env("PATH", places::path()?).env("TRUTH_DIR", scratch.path()).output().context("run script")?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{}: {shown}", output.status);
    // The bytes of a terminal without perfmap: one carriage return before each line feed.
    ensure!(shown.contains("terminal True True 91\r\ndone 1\r\ndone 2\r\n"), "{shown:?}");
    let recording = recorded::read(&scratch.path().join("out/recording.perfmap"))?;
    ensure!(recording.work.progress.len() == 2, "{:?}", recording.work.progress);
    Ok(())
}

#[test]
fn a_sample_of_a_long_run_foretells_its_end() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let options = ["--sample", "3s", "--after", "500ms", "--progress", r"item (\d+)/(\d+)"];
    let scaled = scale(&options, &["backfill"], &[])?;
    // The command's own, which went on after the sample.
    scaled.ends_with(7)?;
    let forecast = scaled.scaling()?["forecast"].clone();
    // The program says when it finished each item: the rate within the sample is its own there.
    let text = String::from_utf8_lossy(&scaled.output.stdout).into_owned();
    let at = |wanted: u64| {
        let line = text.lines().find(|line| line.ends_with(&format!("item {wanted}/100000")))?;
        line.split(' ').next()?.parse::<f64>().ok()
    };
    let (last, items) = (number(&forecast, "done")? as u64, number(&forecast, "measured_items")? as u64);
    let (from, to) = (at(last - items).context("the first item")?, at(last).context("the last item")?);
    near("the rate", number(&forecast, "per_second")?, items as f64 / (to - from), 2.0)?;
    near("the sample's length", number(&forecast, "measured_s")?, 3.0, 0.6)?;
    ensure!(forecast["total"] == 100_000 && forecast["left"] == 100_000 - last, "{forecast}");
    let recording = recorded::read(&scaled.out.join("recording.perfmap"))?;
    let sampled = recording.work.sampled.context("no sample in the recording")?;
    ensure!(sampled.ran_before.is_some_and(|before| before.0 >= 500_000_000), "{sampled:?}");
    ensure!(sampled.done_before.is_some_and(|before| before < last), "{sampled:?}");
    let checkpoint = scaled.scaling()?["checkpoints"][0].clone();
    ensure!(checkpoint["function"] == "save" && number(&checkpoint, "rewrites")? >= 10.0, "{checkpoint}");
    let file = checkpoint["file"].as_str().context("a name")?;
    ensure!(file.ends_with("checkpoint.json") && number(&checkpoint, "size_bytes")? < 4096.0, "{checkpoint}");
    let items_in_all = number(&scaled.runs()?[0], "items")?;
    ensure!(items_in_all as u64 > last, "it ended with the sample: {items_in_all}");
    Ok(())
}

#[test]
fn what_cannot_work_is_refused_before_it_runs() -> Result<()> {
    let Some(_turn) = turn()? else { return Ok(()) };
    let refused = [
        (&["--sweep", "1,2"][..], "--workers-env"),
        (&["--progress", "done"], "brackets"),
        (&["--sweep", "1,2", "--workers-arg", "--jobs"], "{}"),
    ];
    for (options, hint) in refused {
        let scaled = scale(options, &["phases", "0", "1"], &[])?;
        scaled.ends_with(2)?;
        ensure!(scaled.words().contains("hint:") && scaled.words().contains(hint), "{}", scaled.words());
        ensure!(!scaled.truth.join("runs.jsonl").exists(), "the command ran");
    }
    let early = scale(&["--sample", "5s", "--after", "30s"], &["phases", "0", "1"], &[])?;
    early.ends_with(2)?;
    ensure!(early.words().contains("before its sample could begin"), "{}", early.words());
    Ok(())
}
