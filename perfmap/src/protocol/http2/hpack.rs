//! Header blocks of one direction (RFC 7541) → the few fields that say what was asked and answered.
//!
//! An observer may come late or miss a block, so a reference to an entry that was never seen is a fact about a field and
//! no error. Indices count from the newest entry: those made since are found all the same. An entry keeps what the
//! field's name allows and nothing of any other field, so that no value of a header waits in memory.

mod field;
mod huffman;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use field::{Field, Name, Raw, Value, static_field};

const STATIC_ENTRIES: usize = 61;
/// What an encoder may use unless it says more (RFC 9113, 6.5.2).
const USUAL_SIZE: usize = 4096;
/// The largest table that is kept; entries beyond it are unseen ones.
const MAX_SIZE: usize = 64 * 1024;

/// What a header block said.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    pub method: Option<String>,
    pub path: Option<String>,
    pub authority: Option<String>,
    pub status: Option<u16>,
    /// Its content type is one of gRPC's.
    pub grpc: bool,
    pub grpc_status: Option<u16>,
    /// Bytes of the body.
    pub length: Option<u64>,
    /// A field is in an entry that was made where nobody watched: any of those that are absent may be it.
    pub unseen: bool,
    /// Not read to its end: bytes of it were not captured, or are no header block.
    pub cut: bool,
}

/// The dynamic table.
#[derive(Debug)]
pub(super) struct Table {
    /// Newest first.
    entries: VecDeque<Field>,
    size: usize,
    most: usize,
}

impl Default for Table {
    fn default() -> Table {
        Table { entries: VecDeque::new(), size: 0, most: USUAL_SIZE }
    }
}

impl Table {
    /// Of a connection that was joined: how large its encoder's table is was said before.
    pub fn joined() -> Table {
        Table { most: MAX_SIZE, ..Table::default() }
    }

    /// A block was missed: entries so far may have moved by any number of places.
    pub fn forget(&mut self) {
        *self = Table::joined();
    }

    /// `cut`: the block goes on beyond these bytes.
    pub fn read(&mut self, block: &[u8], cut: bool) -> Fields {
        let mut fields = Fields::default();
        let mut block = Block(block);
        let whole = self.walk(&mut block, &mut fields);
        if whole.is_none() || cut {
            fields.cut = true;
            self.forget();
        }
        fields
    }

    /// None: the block ends within a field, or is none.
    fn walk(&mut self, block: &mut Block<'_>, fields: &mut Fields) -> Option<()> {
        while let Some(first) = block.0.first().copied() {
            if first & 0x80 != 0 {
                let index = block.integer(7)?;
                fields.add(self.entry(index)?);
            } else if first & 0x40 != 0 {
                let field = self.literal(block, 6)?;
                fields.add(field.clone());
                self.insert(field);
            } else if first & 0x20 != 0 {
                self.most = block.integer(5)?.min(MAX_SIZE);
                self.evict();
            } else {
                let field = self.literal(block, 4)?;
                fields.add(field);
            }
        }
        Some(())
    }

    fn literal(&self, block: &mut Block<'_>, bits: u32) -> Option<Field> {
        let name = match block.integer(bits)? {
            0 => Name::read(block.string()?),
            index => self.entry(index)?.name,
        };
        Some(Field::read(name, block.string()?))
    }

    /// None for the index 0 alone, which nothing has.
    fn entry(&self, index: usize) -> Option<Field> {
        match index.checked_sub(1)?.checked_sub(STATIC_ENTRIES) {
            None => Some(static_field(index)),
            Some(place) => {
                let unseen = Field { name: Name::Unseen, value: Value::None };
                Some(self.entries.get(place).cloned().unwrap_or(unseen))
            }
        }
    }

    fn insert(&mut self, field: Field) {
        self.size += field.size();
        self.entries.push_front(field);
        self.evict();
    }

    fn evict(&mut self) {
        while self.size > self.most {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.size();
        }
    }
}

impl Fields {
    /// The first of a name counts; a second one is not allowed for any of these.
    fn add(&mut self, Field { name, value }: Field) {
        let keep = |kept: &mut Option<String>, value| match value {
            Value::Text(text) => {
                kept.get_or_insert_with(|| text.into());
            }
            Value::None | Value::Number(_) | Value::Grpc => {}
        };
        match (name, value) {
            (Name::Method, value) => keep(&mut self.method, value),
            (Name::Path, value) => keep(&mut self.path, value),
            (Name::Authority, value) => keep(&mut self.authority, value),
            (Name::Status, Value::Number(number)) => {
                self.status = self.status.or(u16::try_from(number).ok().filter(|status| (100..1000).contains(status)));
            }
            (Name::GrpcStatus, Value::Number(number)) => {
                self.grpc_status = self.grpc_status.or(u16::try_from(number).ok());
            }
            (Name::ContentLength, Value::Number(number)) => self.length = self.length.or(Some(number)),
            (Name::ContentType, Value::Grpc) => self.grpc = true,
            (Name::Unseen, _) => self.unseen = true,
            (Name::Status | Name::GrpcStatus | Name::ContentLength | Name::ContentType | Name::Other, _) => {}
        }
    }
}

/// What is left of a header block.
struct Block<'a>(&'a [u8]);

impl<'a> Block<'a> {
    /// RFC 7541, 5.1, as long as it fits an index or a length that can be meant.
    fn integer(&mut self, bits: u32) -> Option<usize> {
        let mask = (1_u8 << bits) - 1;
        let (first, mut rest) = self.0.split_first()?;
        let mut value = usize::from(first & mask);
        if value == usize::from(mask) {
            let mut shift = 0;
            loop {
                let (byte, tail) = rest.split_first()?;
                rest = tail;
                value += usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte & 0x80 == 0 {
                    break;
                }
                if shift > 28 {
                    return None;
                }
            }
        }
        self.0 = rest;
        Some(value)
    }

    fn string(&mut self) -> Option<Raw<'a>> {
        let huffman = self.0.first()? & 0x80 != 0;
        let length = self.integer(7)?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Raw { huffman, bytes })
    }
}
