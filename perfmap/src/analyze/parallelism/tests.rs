//! Nothing is made of recordings without workers.

use super::*;
use crate::{
    analyze::fixture::{map, recording, resolved},
    correlate::Correlated,
};

#[test]
fn one_task_is_no_crowd() {
    let (recording, resolved, correlated, map) = (recording(), resolved(), Correlated::default(), map());
    let facts = Facts { recording: &recording, resolved: &resolved, correlated: &correlated, map: &map };
    assert_eq!(parallelism(&facts), None);
}
