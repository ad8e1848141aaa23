//! Findings → one recommendation: is it worth while to go and change this code, on these figures?

use super::{
    ACTIONABLE_PCT, Bottleneck,
    suspicions::{Suspicion, Verdict},
    types::{Class, Warning},
    wrong_tool::Indicator,
};
use crate::analyze::baseline::Metric;

/// Fewer lost events than this share move no figure.
const LOST_PCT: f64 = 1.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recommendation {
    /// A cause is confirmed, or a step is large enough to be worth work, and the figures can be trusted.
    Proceed,
    /// The figures are in doubt, or nothing that could be acted on was found.
    Concerns,
    /// Changing this code cannot help.
    Block,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion {
    pub recommendation: Recommendation,
    /// Never empty.
    pub reasons: Vec<Reason>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    Confirmed {
        count: u64,
    },
    ActionableStep {
        function: String,
        share_pct: f64,
    },
    WrongTool(Indicator),
    Doubtful(Warning),
    /// No suspicion was confirmed, and no step owns enough.
    NothingFound,
    NothingMeasured,
}

pub(super) fn conclude(
    class: Class,
    top: &[Bottleneck],
    suspicions: &[Suspicion],
    wrong_tool: &[Indicator],
    warnings: &[Warning],
    events: u64,
) -> Conclusion {
    if !wrong_tool.is_empty() {
        let reasons = wrong_tool.iter().cloned().map(Reason::WrongTool).collect();
        return Conclusion { recommendation: Recommendation::Block, reasons };
    }
    let mut reasons: Vec<Reason> =
        warnings.iter().filter(|warning| is_doubt(warning, class, events)).cloned().map(Reason::Doubtful).collect();
    let count = suspicions.iter().filter(|one| one.verdict == Verdict::Confirmed).count() as u64;
    let step = top.iter().find(|one| one.step.is_some() && one.share_pct > ACTIONABLE_PCT);
    let mut found = vec![];
    if count > 0 {
        found.push(Reason::Confirmed { count });
    }
    if let Some(step) = step {
        found.push(Reason::ActionableStep { function: step.function.clone(), share_pct: step.share_pct });
    }
    if found.is_empty() {
        reasons.push(if top.is_empty() { Reason::NothingMeasured } else { Reason::NothingFound });
    }
    if reasons.is_empty() {
        Conclusion { recommendation: Recommendation::Proceed, reasons: found }
    } else {
        // What was found stands, but first of all it must be read with care.
        reasons.extend(found);
        Conclusion { recommendation: Recommendation::Concerns, reasons }
    }
}

/// Whether the shares may be wrong because of it; the others say what is missing beside them.
fn is_doubt(warning: &Warning, class: Class, events: u64) -> bool {
    match warning {
        Warning::Interrupted
        | Warning::CommandFailed { .. }
        | Warning::CommandKilled { .. }
        | Warning::Overhead { .. }
        | Warning::ProbeTime { .. }
        | Warning::NotClosed { .. } => true,
        Warning::Lost { count, .. } => *count as f64 > events as f64 * LOST_PCT / 100.0,
        Warning::UnstableBaseline { metric, .. } => *metric == Metric::Wall,
        // Waits are measured one by one; shares of CPU time are sampled.
        Warning::FewSamples { .. } => class == Class::Cpu,
        Warning::NoBaseline
        | Warning::Window { .. }
        | Warning::Thinned(_)
        | Warning::BaselineLost { .. }
        | Warning::TruncatedStacks { .. }
        | Warning::MissingSymbols { .. }
        | Warning::NamelessRequests { .. }
        | Warning::InferredCounts { .. }
        | Warning::LowCounts { .. }
        | Warning::Note(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        analyze::{
            Detail, Rank,
            suspicions::{Category, testing::suspicion},
        },
        recording::Nanos,
    };

    fn step(share_pct: f64) -> Bottleneck {
        Bottleneck {
            step: Some("1".into()),
            function: "f".into(),
            class: Class::Cpu,
            rank: Rank::Tertiary,
            share_pct,
            detail: Detail::OnCpu { time: Nanos(1) },
        }
    }

    fn of(top: &[Bottleneck], suspicions: &[Suspicion], warnings: &[Warning]) -> (Recommendation, usize) {
        let found = conclude(Class::Cpu, top, suspicions, &[], warnings, 1000);
        (found.recommendation, found.reasons.len())
    }

    #[test]
    fn proceed_concerns_block() {
        let confirmed = [suspicion("tiny_io", Category::DataFlow, Verdict::Confirmed)];
        let dismissed = [suspicion("tiny_io", Category::DataFlow, Verdict::Dismissed)];
        assert_eq!(of(&[step(9.0)], &confirmed, &[]), (Recommendation::Proceed, 1));
        assert_eq!(of(&[step(60.0)], &dismissed, &[Warning::NoBaseline]), (Recommendation::Proceed, 1));
        assert_eq!(of(&[step(60.0)], &confirmed, &[Warning::Interrupted]), (Recommendation::Concerns, 3));
        assert_eq!(of(&[step(60.0)], &confirmed, &[Warning::FewSamples { samples: 3 }]), (Recommendation::Concerns, 3));
        let lost = |count| [Warning::Lost { kind: crate::recording::Loss::RingFullMessage, count }];
        assert_eq!(of(&[step(60.0)], &confirmed, &lost(9)), (Recommendation::Proceed, 2));
        assert_eq!(of(&[step(60.0)], &confirmed, &lost(11)), (Recommendation::Concerns, 3));
        assert_eq!(of(&[step(9.0)], &dismissed, &[]), (Recommendation::Concerns, 1));
        assert_eq!(conclude(Class::Unknown, &[], &[], &[], &[], 0).reasons, [Reason::NothingMeasured]);
        let indicator = Indicator::AlreadyOptimized { dismissed: 1, largest_pct: 9.0 };
        let blocked = conclude(Class::Cpu, &[step(60.0)], &confirmed, std::slice::from_ref(&indicator), &[], 0);
        assert_eq!(
            blocked,
            Conclusion { recommendation: Recommendation::Block, reasons: vec![Reason::WrongTool(indicator)] }
        );
    }
}
