//! One function opens descriptors over the run and does not close them. What is open at the very end says little: an
//! interpreter closes all that it still knows when it ends, and a pool stays open on purpose. So what counts is what was
//! open at the moment of the last opening: that it had come together over the whole time, not at once, and that most of what
//! was opened in the first half of it was still there.
//!
//! Numbers of descriptors are given lowest first; those below the watched ones are not in the recording, so counts are lower
//! bounds.

use crate::{
    analyze::suspicions::{
        Answer, Facts,
        calls::Place,
        draft::suspicion,
        sketch_resources::{self, Pattern},
        stacks::Stacks,
        types::{Category, Evidence, Suspicion, Value, Verdict},
    },
    map::Step,
    recording::{DescriptorKind, Descriptors, Nanos},
};

const RULE: (&str, Category) = ("leaked_descriptors", Category::ResourceLifecycle);
const OPEN: usize = 20;
/// In each quarter of the time from the first opening to the last one, of those open at its end.
const QUARTER_PCT: f64 = 10.0;
/// That time, of the process's life.
const LIFE_PCT: f64 = 25.0;
/// Of those opened in its first half: still open.
const KEPT_PCT: f64 = 50.0;

struct Growth {
    open: usize,
    least_quarter_pct: f64,
    of_life_pct: f64,
    kept_pct: f64,
    over: Nanos,
}

impl Growth {
    fn of(spans: &[(Nanos, Nanos)], life: Nanos) -> Option<Growth> {
        let first = spans.iter().map(|(from, _)| *from).min()?;
        let last = spans.iter().map(|(from, _)| *from).max()?;
        let over = last.since(first);
        let open: Vec<Nanos> = spans.iter().filter(|(_, to)| *to > last).map(|(from, _)| *from).collect();
        let part = |from: Nanos| (from.since(first).0 * 4 / over.0.max(1)).min(3) as usize;
        let mut quarters = [0_usize; 4];
        for from in &open {
            quarters[part(*from)] += 1;
        }
        let early = spans.iter().filter(|(from, _)| part(*from) < 2).count();
        let kept = quarters[0] + quarters[1];
        let least = quarters.iter().min().copied().unwrap_or(0);
        Some(Growth {
            open: open.len(),
            least_quarter_pct: least as f64 * 100.0 / open.len().max(1) as f64,
            of_life_pct: over.0 as f64 * 100.0 / life.0.max(1) as f64,
            kept_pct: kept as f64 * 100.0 / early.max(1) as f64,
            over,
        })
    }

    fn goes_on(&self) -> bool {
        self.least_quarter_pct >= QUARTER_PCT && self.of_life_pct >= LIFE_PCT && self.kept_pct >= KEPT_PCT
    }
}

pub(crate) fn judge(facts: &Facts<'_>) -> Answer {
    let stacks = Stacks::new(facts);
    let found: Vec<Suspicion> = facts
        .recording
        .files
        .descriptors
        .iter()
        .filter_map(|of| {
            let step = stacks.step(of.stack?)?;
            let process = facts.recording.processes.get(of.process.0 as usize)?;
            let life = process.died.unwrap_or(facts.recording.meta.wall).since(process.born);
            let growth = Growth::of(&of.spans, life).filter(|growth| growth.open >= OPEN)?;
            Some(of_site(of, step, &growth))
        })
        .collect();
    if found.is_empty() { Answer::Quiet } else { Answer::Found(found) }
}

fn of_site(of: &Descriptors, step: &Step, growth: &Growth) -> Suspicion {
    let what = match of.kind {
        DescriptorKind::File => "files",
        DescriptorKind::Socket => "sockets",
        DescriptorKind::Pipe => "pipes",
        DescriptorKind::Other => "descriptors",
    };
    let (verdict, note) = if growth.goes_on() {
        let over = growth.over.as_ms();
        (
            Verdict::Confirmed,
            format!(
                "{} of {} {what} were open when the last one was opened, all along {over:.0} ms; whether they are still needed, a measurement cannot say",
                growth.open, of.opened
            ),
        )
    } else if growth.kept_pct < KEPT_PCT {
        (Verdict::Dismissed, "most of those opened first were closed while others were opened".to_owned())
    } else {
        (Verdict::Dismissed, "they were opened together and kept: a pool".to_owned())
    };
    let evidence = vec![
        Evidence::held_against("open at the last opening", Value::Count(growth.open as u64), Value::Count(OPEN as u64)),
        Evidence::new("opened", Value::Count(of.opened)),
        Evidence::new("never closed", Value::Count(of.left)),
        Evidence::held_against(
            "opened in the poorest quarter of the time",
            Value::Percent(growth.least_quarter_pct),
            Value::Percent(QUARTER_PCT),
        ),
        Evidence::held_against(
            "of those opened in the first half, still open",
            Value::Percent(growth.kept_pct),
            Value::Percent(KEPT_PCT),
        ),
        Evidence::held_against(
            "time from the first opening to the last one, of the process's life",
            Value::Percent(growth.of_life_pct),
            Value::Percent(LIFE_PCT),
        ),
    ];
    let place = Place { step: Some(step), above: None };
    let description = format!("{} opens {what} and does not close them.", step.function);
    let subject = format!("{} of {}", what, step.function);
    let mut found = suspicion(RULE, subject, Some(&place), (verdict, note), description, evidence);
    if verdict == Verdict::Confirmed {
        found.change = Some(sketch_resources::change(Pattern::Close, found.location.as_ref(), &step.function));
    }
    found
}
