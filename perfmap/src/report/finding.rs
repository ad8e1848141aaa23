//! Suspicions, indicators, levels and the verdict → one plain sentence each, the same in every output.

use crate::{
    analyze::{
        Again, Escalation, HIGHER_HZ, Indicator, Level, Operation, Reason, Recommendation, Stalls,
        suspicions::{Category, Evidence, Suspicion, Value, Verdict},
    },
    map::Location,
    recording::Nanos,
};

use super::{
    allocations,
    human::{bytes, duration, grouped, memory, percent},
    sentence,
};

pub fn verdict_name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Confirmed => "confirmed",
        Verdict::Dismissed => "dismissed",
        Verdict::Unverified => "unverified",
    }
}

pub fn category_name(category: Category) -> &'static str {
    match category {
        Category::ConnectionManagement => "connection management",
        Category::DataFlow => "data flow",
        Category::AsyncPatterns => "async patterns",
        Category::ResourceLifecycle => "resource lifecycle",
        Category::Configuration => "configuration",
        Category::RedundantWork => "redundant work",
        Category::Architecture => "architecture",
        Category::Concurrency => "concurrency",
        Category::Environment => "environment",
        Category::HotCode => "hot code",
    }
}

pub fn recommendation_name(recommendation: Recommendation) -> &'static str {
    match recommendation {
        Recommendation::Proceed => "proceed",
        Recommendation::Concerns => "concerns",
        Recommendation::Block => "block",
    }
}

pub fn indicator_name(indicator: &Indicator) -> &'static str {
    match indicator {
        Indicator::ExternalServiceNoAlternative { .. } => "external_service_no_alternative",
        Indicator::WithinIndustryNorm { .. } => "within_industry_norm",
        Indicator::InfrastructureBound { .. } => "infrastructure_bound",
        Indicator::AlreadyOptimized { .. } => "already_optimized",
    }
}

pub fn value(value: &Value) -> String {
    match value {
        Value::Count(count) => grouped(*count),
        Value::Percent(pct) => percent(*pct),
        Value::Ratio(ratio) => format!("{ratio:.2}"),
        Value::Time(length) => duration(*length),
        Value::Bytes(count) => bytes(*count),
        Value::Text(text) => text.clone(),
    }
}

/// "connects per request 1.00 (limit 0.50)".
pub fn evidence(one: &Evidence) -> String {
    match &one.limit {
        Some(limit) => format!("{} {} (limit {})", one.what, value(&one.value), value(limit)),
        None => format!("{} {}", one.what, value(&one.value)),
    }
}

pub fn place(location: &Location) -> String {
    format!("{}:{}", location.file, location.line)
}

/// "−3.2 s (7.3 → 4.1 s)"; None where no gain was computed.
pub fn gain(suspicion: &Suspicion, wall: Nanos) -> Option<String> {
    let gain = suspicion.gain.as_ref()?;
    Some(format!("−{} ({} → {})", duration(gain.wall), duration(wall), duration(wall.since(gain.wall))))
}

pub fn indicator(indicator: &Indicator) -> String {
    match indicator {
        Indicator::ExternalServiceNoAlternative { share_pct } => format!(
            "{} of the wall time waits for services out of reach, and no way was found to ask them less or at the same time",
            percent(*share_pct)
        ),
        Indicator::WithinIndustryNorm { calls } => {
            let calls: Vec<String> = calls
                .iter()
                .map(|call| {
                    format!(
                        "{} takes {} ({}: up to {} ms)",
                        call.function,
                        duration(call.median),
                        operation(call.operation),
                        call.to_ms
                    )
                })
                .collect();
            format!("what is slow takes as long as such operations take: {}", calls.join("; "))
        }
        Indicator::InfrastructureBound { share_pct, stalls } => {
            let Stalls { run_queue, throttled, faults, disk } = *stalls;
            let parts = [
                (run_queue, "without a CPU"),
                (throttled, "without quota"),
                (faults, "for pages that came from a device"),
                (disk, "for a disk that did all it could"),
            ];
            let parts = parts.iter().filter(|(length, _)| *length > Nanos::ZERO);
            let parts: Vec<String> = parts.map(|(length, what)| format!("{} {what}", duration(*length))).collect();
            format!(
                "{} of the wall time the machine did not let the program go on: {}",
                percent(*share_pct),
                parts.join(", ")
            )
        }
        Indicator::AlreadyOptimized { dismissed, largest_pct } => format!(
            "all {dismissed} suspicions were dismissed by measurement, and the largest step owns {}",
            percent(*largest_pct)
        ),
    }
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::HttpHost => "HTTP on the host",
        Operation::HttpDatacentre => "HTTP in a datacentre",
        Operation::HttpExternal => "HTTP to an external service",
        Operation::Grpc => "gRPC",
        Operation::Dns => "DNS",
        Operation::TlsHandshake => "a TLS handshake",
        Operation::QueryIndexed => "a query with an index",
        Operation::QueryScan => "a large scan",
        Operation::WriteSingle => "a write of one row",
        Operation::WriteBatch => "a batch write",
        Operation::Commit => "a commit",
        Operation::PoolAcquire => "a pool's acquire",
        Operation::FileReadSmall => "a small file read",
        Operation::FileReadLarge => "a large file read",
        Operation::FileWriteSync => "a write with sync",
        Operation::Cache => "a cache",
        Operation::QueuePublish => "a queue's publish",
    }
}

pub fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Confirmed { count: 1 } => "1 suspicion confirmed".into(),
        Reason::Confirmed { count } => format!("{count} suspicions confirmed"),
        Reason::ActionableStep { function, share_pct } => {
            format!("{function} owns {} of the wall time", percent(*share_pct))
        }
        Reason::WrongTool(found) => format!("{}: {}", indicator_name(found), indicator(found)),
        Reason::Doubtful(warning) => sentence::warning(warning),
        Reason::NothingFound => "no suspicion is confirmed and no step owns more than 20 % of the wall time".into(),
        Reason::NothingMeasured => "nothing was measured".into(),
    }
}

/// What looked, why, and what it gave.
pub fn escalation(step: &Escalation) -> [String; 3] {
    let Escalation { level, backend, sample_hz } = step;
    let profiler = format!("{backend}, {sample_hz} Hz");
    match level {
        Level::Functions { samples, events } => {
            [profiler, "always".into(), format!("{samples} samples, {events} events")]
        }
        Level::Lines { function, share_pct, lines, .. } => {
            let reason =
                format!("{function} owns {} of the wall time, and its callees do not explain it", percent(*share_pct));
            let rate = lines.again.map_or(*sample_hz, |again| again.sample_hz);
            let result = match lines.lines.first() {
                None if lines.samples > 0 => "frames of this runtime carry no lines".to_owned(),
                None => format!("no sample fell into it; {}", higher(rate)),
                Some(line) => {
                    let most = format!(
                        "line {} has {} ± {:.0} of {} samples",
                        line.line,
                        percent(line.share_pct),
                        line.error_pct.ceil(),
                        lines.samples
                    );
                    if lines.are_enough() { most } else { format!("{most}: too few for shares; {}", higher(rate)) }
                }
            };
            match lines.again {
                None => [format!("{profiler}, lines of the same samples"), reason, result],
                Some(Again { sample_hz, wall, before }) => [
                    format!("{backend}, {sample_hz} Hz, lines of a second run"),
                    format!("{reason}; the profiled run has {before} samples in it, too few for its lines"),
                    format!("{result}, in a run of its own that took {}", duration(wall)),
                ],
            }
        }
        Level::TimedLines { function, profiler, wall, before, lines, .. } => {
            let reason =
                format!("{function} is hot, and --allow-instrumentation allows to time its lines in the program");
            let first = lines.first().map_or_else(String::new, |line| {
                format!(
                    "line {} has {} of its time, in {} executions; ",
                    line.line,
                    percent(line.share_pct),
                    grouped(line.executions)
                )
            });
            let slower = format!("a run of its own, that took {} instead of {}", duration(*wall), duration(*before));
            [profiler.clone(), reason, format!("{first}{slower}")]
        }
        Level::Hindered { level: _, profiler, option, hindrance } => {
            [(*profiler).to_owned(), format!("{option} was given"), hindrance.clone()]
        }
        Level::Allocated { live, peak, wall, before, functions } => {
            let named = functions.iter().map(|(function, bytes, blocks)| {
                format!("{function} {} in {} blocks", memory(*bytes as f64), grouped(*blocks))
            });
            let named: Vec<String> = named.collect();
            let by = if named.is_empty() { "none by the project".to_owned() } else { named.join(", ") };
            let result = format!(
                "{} alive at the end, {} at the most: {by}; a run of its own, that took {} instead of {}",
                memory(*live as f64),
                memory(*peak as f64),
                duration(*wall),
                duration(*before)
            );
            ["tracemalloc".into(), "--tracemalloc was given".into(), result]
        }
        Level::Native(native) => allocations::native(native),
        Level::Memory { delta, peak, functions } => {
            let reason = format!("memory grew by {} over a run, to {}", memory(*delta as f64), memory(*peak as f64));
            let named: Vec<String> =
                functions.iter().map(|(function, bytes)| format!("{function} +{}", memory(*bytes as f64))).collect();
            let result = if named.is_empty() { "no function of the project grew".to_owned() } else { named.join(", ") };
            [format!("{backend}, page counts of the kernel"), reason, result]
        }
    }
}

fn higher(sample_hz: u32) -> String {
    if sample_hz < HIGHER_HZ {
        format!("perfmap trace --freq {HIGHER_HZ} gives more")
    } else {
        "profile a longer run".into()
    }
}
