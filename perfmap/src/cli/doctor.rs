//! `perfmap doctor`: the machine's facts → what works, what does not, what that costs, and what mends it.

mod capabilities;
mod checks;
mod facts;
mod kernel;

use super::{console::Console, errors::Failure};
use crate::collect;
use checks::{Check, State};

pub fn doctor(console: &Console) -> Result<u8, Failure> {
    let facts = facts::Facts::of_this_machine();
    let mut checks = checks::checks(&facts);
    checks.extend(collect::probe().into_iter().map(|probe| {
        let collect::ProbeResult { name, gives, required, loaded } = probe;
        checks::of_probe(name, gives, required, &loaded)
    }));
    // The table is what was asked for: data, on standard output.
    super::completions::print(table(&checks, console.verbose()).as_bytes())?;
    Ok(u8::from(checks.iter().any(|check| check.state == State::Missing)))
}

fn table(checks: &[Check], verbose: bool) -> String {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let Check { name, state, finding, cost, mend } = check;
        let mark = match state {
            State::Good => "ok",
            State::Limited => "less",
            State::Missing => "NO",
        };
        text += &format!("{mark:<4}  {name:<width$}  {finding}\n");
        if *state != State::Good || verbose {
            let indent = " ".repeat(width + 8);
            for (word, line) in [("costs", cost), ("mend", mend)] {
                if let Some(line) = line {
                    text += &format!("{indent}{word:<5}  {line}\n");
                }
            }
        }
    }
    let missing = checks.iter().filter(|check| check.state == State::Missing).count();
    text += &match missing {
        0 => "\na full profile can be made here\n".to_owned(),
        1 => "\n1 thing is missing for a full profile\n".to_owned(),
        count => format!("\n{count} things are missing for a full profile\n"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_and_with_advice_where_needed() {
        let check = |name: &str, state, cost: Option<&str>| Check {
            name: name.into(),
            state,
            finding: "found".into(),
            cost: cost.map(str::to_owned),
            mend: cost.map(|_| "sudo x".into()),
        };
        let checks = [check("kernel", State::Good, None), check("BTF", State::Missing, Some("all of it"))];
        let expected = "ok    kernel  found\n\
                        NO    BTF     found\n              costs  all of it\n              mend   sudo x\n\
                        \n1 thing is missing for a full profile\n";
        assert_eq!(table(&checks, false), expected);
        assert!(table(&checks[..1], false).ends_with("a full profile can be made here\n"));
    }
}
