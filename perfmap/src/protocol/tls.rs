//! One direction of a TLS connection → a mark for each record header. Nothing is decrypted; the five bytes of each
//! header are all that is looked at. Lengths carry the walk over bytes that were not captured.

use crate::recording::Mark;

const APPLICATION_DATA: u8 = 23;
/// RFC 5246, 6.2.3: 2^14 bytes and at most 2,048 of expansion (1.3 allows 256).
const MAX_RECORD: u16 = (1 << 14) + 2048;
/// Application-data marks that one transfer gets; further ones are added to the last one's length.
const MAX_DATA_MARKS: usize = 32;

/// Content type and body length, where the five bytes can be a record's header.
pub(super) fn record(header: &[u8; 5]) -> Option<(u8, u16)> {
    let [content, major, minor, high, low] = *header;
    let length = u16::from_be_bytes([high, low]);
    let plausible = (20..=24).contains(&content) && major == 3 && minor <= 4 && length <= MAX_RECORD;
    // Only application data may be empty.
    (plausible && (length > 0 || content == APPLICATION_DATA)).then_some((content, length))
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    header: [u8; 5],
    have: usize,
    /// Bytes of the current record's body that are still to come.
    body: u64,
    /// A header fell into bytes that were not captured: found again where a transfer begins with one.
    lost: bool,
}

impl Lane {
    pub fn feed(&mut self, captured: &[u8], length: u64, marks: &mut Vec<Mark>) {
        if self.lost {
            if captured.first_chunk::<5>().and_then(record).is_none() {
                return;
            }
            *self = Lane::default();
        }
        let (mut at, mut data_marks) = (0_u64, 0);
        while at < length {
            if self.body > 0 {
                let step = self.body.min(length - at);
                self.body -= step;
                at += step;
                continue;
            }
            let Some(byte) = usize::try_from(at).ok().and_then(|at| captured.get(at)) else {
                return self.lose(marks);
            };
            self.header[self.have] = *byte;
            self.have += 1;
            at += 1;
            if self.have == self.header.len() {
                self.have = 0;
                let Some((content, length)) = record(&self.header) else { return self.lose(marks) };
                self.body = length.into();
                if content == APPLICATION_DATA {
                    data_marks += 1;
                }
                match marks.last_mut() {
                    Some(Mark::TlsRecord { content: APPLICATION_DATA, length: sum })
                        if content == APPLICATION_DATA && data_marks > MAX_DATA_MARKS =>
                    {
                        *sum = sum.saturating_add(length);
                    }
                    _ => marks.push(Mark::TlsRecord { content, length }),
                }
            }
        }
    }

    fn lose(&mut self, marks: &mut Vec<Mark>) {
        *self = Lane { lost: true, ..Lane::default() };
        marks.push(Mark::TlsDesync);
    }
}
