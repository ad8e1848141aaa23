//! Analysis and map → the public [`ResultDocument`]: units, rounding, sentences.

use super::{
    allocations, finding,
    from_map::document,
    number::{ms, rounded},
    output::Document,
    parallelism,
    result::*,
    scaling, sentence,
};
use crate::{
    analyze::{
        Analysis, Escalation, Indicator, Level, Line, Native, Recommendation, TimedLine,
        suspicions::{Category, Evidence, Suspicion, Value, Verdict, Why},
    },
    map::Map,
    recording::{E2eTest, EntryKind, EntryPoint, Recording, TestSource},
};

pub fn result(recording: &Recording, map: &Map, analysis: &Analysis) -> ResultDocument {
    let Document { performance_map } = document(recording, map, analysis);
    let source = recording.source.as_ref();
    ResultDocument {
        profile_result: ProfileResult {
            entry_point_info: source.and_then(|source| source.entry.as_ref()).map(entry_out),
            bottleneck_classification: sentence::class_out(analysis.class),
            bottleneck_detail: performance_map.bottleneck_detail.clone(),
            top_bottlenecks: performance_map.top_bottlenecks.clone(),
            root_cause: analysis.root_cause.iter().map(why_out).collect(),
            optimization_hints: analysis.suspicions.iter().filter_map(hint_out).collect(),
            suspicion_stack: analysis.suspicions.iter().map(suspicion_out).collect(),
            parallelism: side_by_side(analysis),
            e2e_test: source.and_then(|source| source.e2e_test.as_ref()).map(e2e_out),
            escalation: analysis.escalation.iter().map(escalation_out).collect(),
            instrumented_files: vec![],
            wrong_tool_indicators: analysis.wrong_tool.iter().map(indicator_out).collect(),
            verdict: match analysis.conclusion.recommendation {
                Recommendation::Proceed => VerdictOut::Proceed,
                Recommendation::Concerns => VerdictOut::Concerns,
                Recommendation::Block => VerdictOut::Block,
            },
            verdict_reasons: analysis.conclusion.reasons.iter().map(finding::reason).collect(),
            warnings: performance_map.warnings.clone(),
            performance_map,
        },
    }
}

fn entry_out(entry: &EntryPoint) -> EntryPointOut {
    let EntryPoint { kind, file, line, route, function } = entry;
    EntryPointOut {
        kind: match kind {
            EntryKind::ApiEndpoint => EntryKindOut::ApiEndpoint,
            EntryKind::Function => EntryKindOut::Function,
            EntryKind::Pipeline => EntryKindOut::Pipeline,
            EntryKind::Test => EntryKindOut::Test,
        },
        location: format!("{file}:{line}"),
        route: route.clone(),
        function: function.clone(),
    }
}

fn e2e_out(test: &E2eTest) -> E2eTestOut {
    E2eTestOut {
        command: test.command.clone(),
        source: match test.source {
            TestSource::User => TestSourceOut::User,
            TestSource::Route => TestSourceOut::Route,
            TestSource::Function => TestSourceOut::Function,
            TestSource::Module => TestSourceOut::Module,
            TestSource::None => TestSourceOut::None,
        },
    }
}

fn all(evidence: &[Evidence]) -> String {
    evidence.iter().map(finding::evidence).collect::<Vec<_>>().join("; ")
}

fn why_out(why: &Why) -> WhyOut {
    WhyOut { why: why.why.clone(), because: why.because.clone(), evidence: all(&why.evidence) }
}

fn hint_out(suspicion: &Suspicion) -> Option<HintOut> {
    if suspicion.verdict != Verdict::Confirmed {
        return None;
    }
    let change = suspicion.change.as_ref()?;
    Some(HintOut {
        hint: change.hint.clone(),
        suspicion: suspicion.id.to_owned(),
        subject: suspicion.subject.clone(),
        location: suspicion.location.as_ref().map(finding::place),
        evidence: match (&suspicion.gain, &change.ungained) {
            (Some(gain), _) => gain.basis.clone(),
            (None, Some(why)) => format!("{}; no gain is computed: {why}", all(&suspicion.evidence)),
            (None, None) => all(&suspicion.evidence),
        },
        expected_gain_ms: suspicion.gain.as_ref().map(|gain| ms(gain.wall)),
        how: if change.before.is_empty() && change.after.is_empty() {
            String::new()
        } else {
            format!("before:\n{}\n\nafter:\n{}\n", change.before.trim_end(), change.after.trim_end())
        },
    })
}

fn suspicion_out(suspicion: &Suspicion) -> SuspicionOut {
    let Suspicion {
        id,
        category,
        subject,
        location,
        affected_steps,
        description,
        verdict,
        evidence,
        note,
        gain,
        change: _,
    } = suspicion;
    SuspicionOut {
        id: (*id).to_owned(),
        category: category_out(*category),
        subject: subject.clone(),
        location: location.as_ref().map(finding::place),
        affected_steps: affected_steps.clone(),
        description: description.clone(),
        verdict: match verdict {
            Verdict::Confirmed => SuspicionVerdictOut::Confirmed,
            Verdict::Dismissed => SuspicionVerdictOut::Dismissed,
            Verdict::Unverified => SuspicionVerdictOut::Unverified,
        },
        evidence: evidence.iter().map(evidence_out).collect(),
        verification_note: note.clone(),
        expected_gain_ms: gain.as_ref().map(|gain| ms(gain.wall)),
    }
}

fn category_out(category: Category) -> CategoryOut {
    match category {
        Category::ConnectionManagement => CategoryOut::ConnectionManagement,
        Category::DataFlow => CategoryOut::DataFlow,
        Category::AsyncPatterns => CategoryOut::AsyncPatterns,
        Category::ResourceLifecycle => CategoryOut::ResourceLifecycle,
        Category::Configuration => CategoryOut::Configuration,
        Category::RedundantWork => CategoryOut::RedundantWork,
        Category::Architecture => CategoryOut::Architecture,
        Category::Concurrency => CategoryOut::Concurrency,
        Category::Environment => CategoryOut::Environment,
        Category::HotCode => CategoryOut::HotCode,
    }
}

pub(super) fn evidence_out(evidence: &Evidence) -> EvidenceOut {
    let (value, unit) = value_out(&evidence.value);
    let limit = evidence.limit.as_ref().map(|limit| value_out(limit).0);
    EvidenceOut { what: evidence.what.clone(), value, unit, limit }
}

fn value_out(value: &Value) -> (ValueOut, UnitOut) {
    match value {
        Value::Count(count) => (ValueOut::Number(*count as f64), UnitOut::Count),
        Value::Percent(pct) => (ValueOut::Number(rounded(*pct, 2)), UnitOut::Percent),
        Value::Ratio(ratio) => (ValueOut::Number(rounded(*ratio, 3)), UnitOut::Ratio),
        Value::Time(length) => (ValueOut::Number(ms(*length)), UnitOut::Ms),
        Value::Bytes(count) => (ValueOut::Number(*count as f64), UnitOut::Bytes),
        Value::Text(text) => (ValueOut::Text(text.clone()), UnitOut::Text),
    }
}

fn escalation_out(step: &Escalation) -> EscalationOut {
    let [profiler, reason, result] = finding::escalation(step);
    let out = |function: Option<String>, location: Option<String>, lines, run| EscalationOut {
        level: step.level.number(),
        profiler,
        reason,
        result,
        function,
        location,
        lines,
        allocations: Vec::new(),
        run,
    };
    match &step.level {
        Level::Functions { .. } | Level::Memory { .. } | Level::Hindered { .. } => out(None, None, vec![], None),
        Level::Native(Native { wall, functions, .. }) => {
            let run = RunOut { sample_hz: None, wall_time_ms: ms(*wall) };
            EscalationOut { allocations: allocations::out(functions), ..out(None, None, vec![], Some(run)) }
        }
        Level::Allocated { wall, .. } => {
            out(None, None, vec![], Some(RunOut { sample_hz: None, wall_time_ms: ms(*wall) }))
        }
        Level::TimedLines { function, location, wall, lines, .. } => {
            let line = |line: &TimedLine| LineOut {
                line: line.line,
                share_pct: rounded(line.share_pct, 1),
                error_pct: None,
                samples: None,
                executions: Some(line.executions),
                time_ms: Some(ms(line.time)),
            };
            let run = RunOut { sample_hz: None, wall_time_ms: ms(*wall) };
            let place = location.as_ref().map(finding::place);
            out(Some(function.clone()), place, lines.iter().map(line).collect(), Some(run))
        }
        Level::Lines { function, location, lines, share_pct: _ } => {
            let line = |line: &Line| LineOut {
                line: line.line,
                share_pct: rounded(line.share_pct, 1),
                error_pct: Some(rounded(line.error_pct, 1)),
                samples: Some(line.samples),
                executions: None,
                time_ms: None,
            };
            let run =
                lines.again.map(|again| RunOut { sample_hz: Some(again.sample_hz), wall_time_ms: ms(again.wall) });
            let place = location.as_ref().map(finding::place);
            out(Some(function.clone()), place, lines.lines.iter().map(line).collect(), run)
        }
    }
}

fn indicator_out(indicator: &Indicator) -> IndicatorOut {
    IndicatorOut {
        id: match indicator {
            Indicator::ExternalServiceNoAlternative { .. } => IndicatorIdOut::ExternalServiceNoAlternative,
            Indicator::WithinIndustryNorm { .. } => IndicatorIdOut::WithinIndustryNorm,
            Indicator::InfrastructureBound { .. } => IndicatorIdOut::InfrastructureBound,
            Indicator::AlreadyOptimized { .. } => IndicatorIdOut::AlreadyOptimized,
        },
        evidence: finding::indicator(indicator),
    }
}

fn side_by_side(analysis: &Analysis) -> Option<SideBySideOut> {
    let workers = analysis.parallelism.as_ref().map(parallelism::parallelism);
    let scaling = analysis.scaling.as_ref().map(scaling::out);
    (workers.is_some() || scaling.is_some()).then_some(SideBySideOut { workers, scaling })
}
