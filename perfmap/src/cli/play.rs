//! (placeholder: the demo services)

use std::ffi::OsString;

use super::errors::Failure;

pub fn play(_arguments: &[OsString]) -> Result<u8, Failure> {
    Err(Failure::Usage { what: "the demo services are not in this build".into(), hint: None })
}
