//! (placeholder of the interface)

use crate::{collect::ModuleFiles, recording::Recording};

pub fn symbolize(_recording: &mut Recording, _files: &ModuleFiles) {}
