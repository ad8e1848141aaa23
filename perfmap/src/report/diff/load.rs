//! A file's text → one side of a comparison: a result or a map, as YAML or JSON. The files may come from anywhere: what is
//! too deep, too long or no number is refused or made harmless here.

use serde::Deserialize;

use crate::report::{
    number::rounded,
    output::{PerformanceMap, SCHEMA_VERSION, StepOut},
    result::{ProfileResult, ResultDocument, SuspicionOut},
};

/// More steps than any map has, and few enough to compare at once.
const MOST_STEPS: usize = 200_000;
/// So many suspicions are compared.
const MOST_SUSPICIONS: usize = 10_000;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("it is no text (UTF-8)")]
    NotText,
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Yaml(#[from] serde_yaml::Error),
    #[error("it has neither profile_result nor performance_map at its top")]
    Neither,
    #[error("it has schema version {found}; this perfmap reads {SCHEMA_VERSION}")]
    OtherVersion { found: u32 },
    #[error("it has more than {MOST_STEPS} steps")]
    TooManySteps,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Side {
    pub map: PerformanceMap,
    /// None: a map alone.
    pub suspicions: Option<Vec<SuspicionOut>>,
}

#[derive(Deserialize)]
struct Any {
    profile_result: Option<ProfileResult>,
    performance_map: Option<PerformanceMap>,
}

impl Side {
    pub fn of_result(document: ResultDocument) -> Side {
        let ProfileResult { performance_map, suspicion_stack, .. } = document.profile_result;
        Side { map: performance_map, suspicions: Some(suspicion_stack) }
    }

    /// Both readers stop at a depth of 128, and YAML's at too many aliases.
    pub fn parse(bytes: &[u8]) -> Result<Side, LoadError> {
        let text = std::str::from_utf8(bytes).map_err(|_| LoadError::NotText)?;
        let any: Any =
            if text.trim_start().starts_with('{') { serde_json::from_str(text)? } else { serde_yaml::from_str(text)? };
        let mut side = match (any.profile_result, any.performance_map) {
            (Some(profile_result), _) => Side::of_result(ResultDocument { profile_result }),
            (None, Some(map)) => Side { map, suspicions: None },
            (None, None) => return Err(LoadError::Neither),
        };
        if side.map.schema_version != SCHEMA_VERSION {
            return Err(LoadError::OtherVersion { found: side.map.schema_version });
        }
        let mut left = MOST_STEPS;
        for step in &mut side.map.steps {
            tame(step, &mut left)?;
        }
        if let Some(suspicions) = &mut side.suspicions {
            suspicions.truncate(MOST_SUSPICIONS);
        }
        if let Some(baseline) = &mut side.map.baseline {
            for value in [&mut baseline.wall_time_ms, &mut baseline.cpu_time_ms, &mut baseline.memory_peak_mb] {
                *value = number(*value);
            }
            let spread = &mut baseline.spread;
            for spread in [&mut spread.wall_time_ms, &mut spread.cpu_time_ms, &mut spread.memory_peak_mb] {
                spread.cv_pct = number(spread.cv_pct);
            }
        }
        side.map.profiled_run.wall_time_ms = number(side.map.profiled_run.wall_time_ms);
        Ok(side)
    }
}

fn tame(step: &mut StepOut, left: &mut usize) -> Result<(), LoadError> {
    *left = left.checked_sub(1).ok_or(LoadError::TooManySteps)?;
    for value in [&mut step.wall_time_ms, &mut step.self_ms, &mut step.cpu_time_ms, &mut step.error_pct] {
        *value = number(*value);
    }
    step.children.iter_mut().try_for_each(|child| tame(child, left))
}

/// Finite, not negative, and not larger than what can be added up.
fn number(value: f64) -> f64 {
    rounded(value.clamp(0.0, 1e15), 6)
}
