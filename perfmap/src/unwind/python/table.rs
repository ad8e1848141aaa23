//! Code objects and frames as the kernel sent them → Python frames with their line, and which of them the evaluation
//! loop was entered for.
//!
//! Code objects are known by address *and* name *and* first line: CPython reuses the addresses of freed ones.

use std::collections::HashMap;
use std::sync::Arc;

use perfmap_common::{PythonCode, PythonFrame as SentFrame};
use rustc_hash::{FxHashMap, FxHashSet};

use super::code::decode;
use super::layout::{Version, first_instruction};
use super::lines::line;
use crate::recording::{Code, CodeId, PythonFrame};

/// Most code objects that are kept of one process image; Django with its dependencies runs some 20,000.
const CODES_PER_IMAGE: usize = 1 << 18;
/// Owner of the frames that 3.12+ pushes when its evaluation loop is entered (FRAME_OWNED_BY_CSTACK, from 3.14 on
/// FRAME_OWNED_BY_INTERPRETER, which a further one follows).
const OWNED_BY_C_STACK: u8 = 3;

/// One image of one process: a number that the caller gives, never used again after an execve or for a reused pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageId(pub u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity {
    code: u64,
    name: u64,
    first_line: u32,
}

#[derive(Debug, Clone)]
struct KnownCode {
    id: CodeId,
    table: Arc<[u8]>,
}

/// All code objects that were seen.
#[derive(Debug, Default)]
pub struct CodeTable {
    /// Shared with forked children until one of them runs something new.
    images: HashMap<ImageId, Arc<FxHashMap<Identity, KnownCode>>>,
    codes: Vec<Code>,
    ids: HashMap<Code, CodeId>,
    /// Children of a server run the same code: each table is kept once.
    tables: FxHashSet<Arc<[u8]>>,
    unknown: u64,
}

impl CodeTable {
    /// A `PythonCode` record and what follows it. False: it does not decode, or there are too many.
    pub fn learn(&mut self, image: ImageId, record: &PythonCode, variable: &[u8]) -> bool {
        let Some(sent) = decode(record, variable) else { return false };
        let id = self.intern(Code { name: sent.name, file: sent.file, first_line: sent.first_line });
        let table = match self.tables.get(sent.table) {
            Some(table) => Arc::clone(table),
            None => {
                let table: Arc<[u8]> = Arc::from(sent.table);
                self.tables.insert(Arc::clone(&table));
                table
            }
        };
        let known = Arc::make_mut(self.images.entry(image).or_default());
        if known.len() >= CODES_PER_IMAGE {
            return false;
        }
        let identity = Identity { code: record.code, name: record.name_address, first_line: record.first_line };
        known.insert(identity, KnownCode { id, table });
        true
    }

    pub fn forked(&mut self, parent: ImageId, child: ImageId) {
        if let Some(known) = self.images.get(&parent) {
            let known = Arc::clone(known);
            self.images.insert(child, known);
        }
    }

    /// The image is gone (execve, exit). The names that it gave stay.
    pub fn forget(&mut self, image: ImageId) {
        self.images.remove(&image);
    }

    /// The frames of one stack, leaf first, as the kernel walked them.
    pub fn frames(&mut self, image: ImageId, version: Version, sent: &[SentFrame]) -> Vec<PythonFrame> {
        let mut frames: Vec<PythonFrame> = Vec::with_capacity(sent.len());
        for frame in sent {
            let [is_entry, _, owner, _] = frame.owner.to_le_bytes();
            if version >= Version::V3_12 && (owner >= OWNED_BY_C_STACK || frame.code == 0) {
                // The frame that the loop was entered for lies above it.
                if let Some(above) = frames.last_mut() {
                    above.entry = true;
                }
                continue;
            }
            let entry = match version {
                // Each Python-to-Python call goes through C.
                version if version < Version::V3_11 => true,
                Version::V3_11 => is_entry != 0,
                _ => false,
            };
            let (code, line) = self.place(image, version, frame);
            frames.push(PythonFrame { code, line, entry });
        }
        frames
    }

    /// Frames whose code object was not known: its record was lost.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    pub fn codes(&self) -> &[Code] {
        &self.codes
    }

    pub fn into_codes(self) -> Vec<Code> {
        self.codes
    }

    fn place(&mut self, image: ImageId, version: Version, frame: &SentFrame) -> (CodeId, u32) {
        let identity = Identity { code: frame.code, name: frame.name, first_line: frame.first_line };
        match self.images.get(&image).and_then(|known| known.get(&identity)) {
            Some(known) => {
                let line = line_of(version, frame, &known.table).unwrap_or(0);
                (known.id, line)
            }
            None => {
                self.unknown += 1;
                let code = Code { name: UNKNOWN_NAME.to_owned(), file: String::new(), first_line: frame.first_line };
                (self.intern(code), 0)
            }
        }
    }

    pub fn intern(&mut self, code: Code) -> CodeId {
        if let Some(id) = self.ids.get(&code) {
            return *id;
        }
        let id = CodeId(self.codes.len() as u32);
        self.codes.push(code.clone());
        self.ids.insert(code, id);
        id
    }
}

/// Name of code whose record was lost; no Python function can be called so.
pub const UNKNOWN_NAME: &str = "<unknown Python code>";

fn line_of(version: Version, frame: &SentFrame, table: &[u8]) -> Option<u32> {
    let offset = match first_instruction(version) {
        // A frame that has not begun stands one unit before its first instruction (3.11, 3.12).
        Some(first) => match frame.instruction.wrapping_sub(frame.code.wrapping_add(first)).cast_signed() {
            offset @ 0.. => offset.cast_unsigned(),
            _ => return Some(frame.first_line),
        },
        // f_lasti: -1 before the first instruction; 3.10 counts units of two bytes.
        None => match (frame.instruction as u32).cast_signed() {
            index @ 0.. => index.cast_unsigned() as u64 * if version == Version::V3_10 { 2 } else { 1 },
            _ => return Some(frame.first_line),
        },
    };
    line(version, table, frame.first_line, offset)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
