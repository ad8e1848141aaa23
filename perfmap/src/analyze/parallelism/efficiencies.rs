//! The same run seen from other sides: load balance, serialization and transfer as the POP metrics have them, and Little's
//! law. Where two sides say something else, the figures are not to be trusted, and that is said.

use super::{
    breakdown,
    look::Look,
    types::{Disagreement, Efficiencies, Items},
};

/// More than so much, as a share of the larger one, is a disagreement.
const DISAGREE: f64 = 0.2;

pub(super) fn efficiencies(look: &Look, rate: f64, item_ms: f64) -> Efficiencies {
    let worked = breakdown::worked(look);
    let duration = look.duration().0.max(1) as f64;
    let count = worked.len().max(1) as f64;
    let mean = worked.iter().map(|(work, _)| work.0 as f64).sum::<f64>() / count;
    let (most, machine) = worked.iter().max().map_or((0.0, 0.0), |(work, machine)| (work.0 as f64, machine.0 as f64));
    let load_balance = if most > 0.0 { mean / most } else { 1.0 };
    // The busiest worker's time, had the machine given it all that it asked for.
    let transfer = ((duration - machine) / duration).clamp(0.0, 1.0);
    let serialization = if transfer > 0.0 { (most / (duration * transfer)).min(1.0) } else { 0.0 };
    let in_items = look.in_steps().0 as f64 / duration;
    Efficiencies {
        load_balance,
        serialization,
        transfer,
        parallel: load_balance * serialization * transfer,
        in_items,
        little: rate * item_ms / 1e3,
    }
}

pub(super) fn disagreements(found: &Efficiencies, efficiency: f64, capped: bool, items: &[Items]) -> Vec<Disagreement> {
    let mut all = Vec::new();
    let mut compare = |what: &str, one: f64, other: f64| {
        if (one - other).abs() > one.abs().max(other.abs()) * DISAGREE {
            all.push(Disagreement { what: what.into(), one, other });
        }
    };
    compare("workers at an item: counted, and by Little's law", found.in_items, found.little);
    if !capped {
        compare("efficiency: by rates, and by the workers' time", efficiency, found.parallel);
    }
    if let [chosen, others @ ..] = items {
        for other in others {
            compare(
                &format!("items: by {}, and by {}", chosen.what, other.what),
                chosen.count as f64,
                other.count as f64,
            );
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::parallelism::types::{Confidence, ItemSource};

    fn items(count: u64, source: ItemSource) -> Items {
        Items { count, source, confidence: Confidence::High, what: format!("{source:?}") }
    }

    #[test]
    fn what_differs_by_more_than_a_fifth_is_said() {
        let found = Efficiencies {
            load_balance: 1.0,
            serialization: 0.5,
            transfer: 1.0,
            parallel: 0.5,
            in_items: 60.0,
            little: 59.0,
        };
        let same = [items(450, ItemSource::Told), items(440, ItemSource::Repetition)];
        assert_eq!(disagreements(&found, 0.48, false, &same), []);
        let other = [items(450, ItemSource::Told), items(900, ItemSource::Repetition)];
        let said = disagreements(&Efficiencies { little: 30.0, ..found }, 0.3, false, &other);
        assert_eq!(said.len(), 3, "{said:?}");
        assert_eq!(disagreements(&found, 0.3, true, &same), [], "the cores cap the rates, not the workers' time");
    }
}
