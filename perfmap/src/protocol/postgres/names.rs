//! Prepared statements and portals by their names, so that an Execute shows what it executes. Bounded: what does not fit
//! is forgotten, and shown without its text.

use std::collections::HashMap;
use std::sync::Arc;

use crate::protocol::repeat::RunKey;
use crate::protocol::statement::{self, Dialect};

const MAX_STATEMENTS: usize = 4096;
const MAX_PORTALS: usize = 1024;
/// The server cuts names at 63 bytes.
const MAX_NAME: usize = 128;

/// What an Execute runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Bound {
    pub operation: Option<String>,
    pub repeat: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Names {
    /// By name; the unnamed one's is empty.
    statements: HashMap<Vec<u8>, Arc<str>>,
    portals: HashMap<Vec<u8>, Portal>,
}

#[derive(Debug)]
struct Portal {
    shape: Option<Arc<str>>,
    repeat: Option<u64>,
}

/// The text up to its zero, and what is behind it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

impl Names {
    /// Parse: name, statement, types.
    pub fn parsed(&mut self, body: &[u8], cut: bool) {
        let Some((name, rest)) = text(body).filter(|(name, _)| name.len() <= MAX_NAME) else { return };
        let (statement, cut) = match text(rest) {
            Some((statement, _)) => (statement, false),
            None => (rest, true | cut),
        };
        if self.statements.len() >= MAX_STATEMENTS && !self.statements.contains_key(name) {
            self.statements.clear();
        }
        let shape = statement::shape(statement, cut, Dialect::Postgres);
        self.statements.insert(name.to_vec(), shape.into());
    }

    /// Bind: portal, statement, formats and parameters.
    pub fn bound(&mut self, body: &[u8], cut: bool, key: &RunKey) {
        let Some((portal, (statement, parameters))) = text(body).and_then(|(portal, rest)| Some((portal, text(rest)?)))
        else {
            return;
        };
        if portal.len() > MAX_NAME {
            return;
        }
        if self.portals.len() >= MAX_PORTALS && !self.portals.contains_key(portal) {
            self.portals.clear();
        }
        let shape = self.statements.get(statement).cloned();
        let repeat = shape.as_ref().filter(|_| !cut).map(|shape| key.of(&[shape.as_bytes(), parameters]));
        self.portals.insert(portal.to_vec(), Portal { shape, repeat });
    }

    /// Execute: portal, most rows.
    pub fn executed(&self, body: &[u8]) -> Bound {
        let bound = text(body).and_then(|(portal, _)| self.portals.get(portal));
        let Some(Portal { shape, repeat }) = bound else { return Bound::default() };
        Bound { operation: shape.as_deref().map(str::to_owned), repeat: *repeat }
    }

    /// Close: `S` or `P`, name.
    pub fn closed(&mut self, body: &[u8]) {
        match body.split_first().and_then(|(kind, rest)| Some((kind, text(rest)?.0))) {
            Some((b'S', name)) => drop(self.statements.remove(name)),
            Some((b'P', name)) => drop(self.portals.remove(name)),
            Some(_) | None => {}
        }
    }
}
