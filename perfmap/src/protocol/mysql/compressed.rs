//! MySQL's compressed frames → the bytes that they carry. A frame has a header of seven bytes, the last three of which are
//! the plain length, 0 where it is not compressed; a packet may begin anywhere in it. Of a frame that was not captured
//! whole the first bytes come out, with the length of all.

use flate2::{Decompress, FlushDecompress};

use crate::protocol::frames::{Event, Header, Lane, Lost, Rest};

/// Bytes of a frame that are kept until its end.
const KEPT: usize = 16 * 1024;
/// A bomb: more than that of a frame's plain bytes is only counted.
const MAX_PLAIN: usize = 64 * 1024;
const PLAIN_LENGTH: usize = 3;

/// First bytes, and the length of all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plain {
    pub bytes: Vec<u8>,
    pub length: u64,
}

#[derive(Debug, Default)]
pub(super) struct Frames {
    lane: Lane,
    /// Of the frame that is being read.
    frame: Option<Plain>,
    lost: bool,
    /// Since it was lost, the other side has spoken.
    turned: bool,
}

impl Frames {
    pub fn other_spoke(&mut self) {
        self.turned = true;
    }

    /// The next frame that ends in this transfer. Err: a header was not captured; what follows is skipped up to the first
    /// frame of a turn.
    pub fn next(&mut self, rest: &mut Rest<'_>) -> Result<Option<Plain>, Lost> {
        if self.lost && !(self.turned && begins(rest.captured)) {
            return Ok(None);
        }
        self.lost = false;
        loop {
            match self.lane.next(rest, header) {
                Ok(None) => return Ok(None),
                Ok(Some(Event::Message { length, body, .. })) => self.frame = plain(&body, length),
                Ok(Some(Event::Over(_))) => {
                    if let Some(plain) = self.frame.take() {
                        return Ok(Some(plain));
                    }
                }
                Err(Lost) => {
                    *self = Frames { lost: true, ..Frames::default() };
                    return Err(Lost);
                }
            }
        }
    }
}

/// The plain length stands in front of the body.
fn header(bytes: &[u8]) -> Header {
    match bytes {
        [a, b, c, number, ..] => {
            let body = u64::from(u32::from_le_bytes([*a, *b, *c, 0])) + PLAIN_LENGTH as u64;
            Header::Frame { kind: *number, body, keep: PLAIN_LENGTH + KEPT }
        }
        _ => Header::NeedMore,
    }
}

/// The first frame of a turn.
fn begins(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, 0 | 1, ..])
}

fn plain(body: &[u8], length: u64) -> Option<Plain> {
    let ([a, b, c], data) = body.split_first_chunk::<PLAIN_LENGTH>()?;
    match u32::from_le_bytes([*a, *b, *c, 0]) {
        0 => Some(Plain { bytes: data.to_vec(), length: length - PLAIN_LENGTH as u64 }),
        plain => Some(Plain { bytes: inflated(data, plain as usize), length: u64::from(plain) }),
    }
    .filter(|plain| plain.length > 0)
}

/// As far as the bytes reach and make sense.
fn inflated(data: &[u8], most: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(most.min(MAX_PLAIN));
    // What was written before an error is as good as the rest.
    let _ = Decompress::new(true).decompress_vec(data, &mut bytes, FlushDecompress::Sync);
    bytes
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    pub fn frame(number: u8, bytes: &[u8], compress: bool) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        let (data, plain) = if compress { (encoder.finish().unwrap(), bytes.len()) } else { (bytes.to_vec(), 0) };
        let length = |length: usize| (length as u32).to_le_bytes()[..3].to_vec();
        [length(data.len()), vec![number], length(plain), data].concat()
    }

    fn read(frames: &mut Frames, bytes: &[u8], missing: u64) -> (Vec<Plain>, bool) {
        let mut rest = Rest { captured: bytes, length: bytes.len() as u64 + missing };
        let mut found = Vec::new();
        loop {
            match frames.next(&mut rest) {
                Ok(Some(plain)) => found.push(plain),
                Ok(None) => return (found, false),
                Err(Lost) => return (found, true),
            }
        }
    }

    fn whole(bytes: &[u8]) -> Plain {
        Plain { bytes: bytes.to_vec(), length: bytes.len() as u64 }
    }

    #[test]
    fn both_kinds_of_frames_cut_anywhere() {
        let bytes = [frame(0, b"short", false), frame(1, &[b'x'; 5000], true)].concat();
        for size in [1, 3, 7, bytes.len()] {
            let mut frames = Frames::default();
            let found = bytes.chunks(size).flat_map(|part| read(&mut frames, part, 0).0).collect::<Vec<_>>();
            assert_eq!(found, [whole(b"short"), whole(&[b'x'; 5000])]);
        }
    }

    #[test]
    fn what_was_not_captured_is_counted() {
        let random =
            (0..30_000_u64).map(|at| ((at * at).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect::<Vec<_>>();
        let bytes = frame(0, &random, true);
        let mut frames = Frames::default();
        let (found, _) = read(&mut frames, &bytes[..4096], bytes.len() as u64 - 4096);
        assert_eq!((found.len(), found[0].length), (1, 30_000));
        assert!(found[0].bytes.len() > 3000 && random.starts_with(&found[0].bytes));
        // Its header in what was not seen; then a turn begins.
        assert_eq!(read(&mut frames, b"", 10), (vec![], true));
        assert_eq!(read(&mut frames, &frame(0, b"rest", false), 0), (vec![], false));
        frames.other_spoke();
        assert_eq!(read(&mut frames, &frame(7, b"rest", false), 0), (vec![], false));
        assert_eq!(read(&mut frames, &frame(0, b"next", false), 0), (vec![whole(b"next")], false));
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let bytes = frame(0, &vec![0; 10_000_000], true);
        let (found, _) = read(&mut Frames::default(), &bytes, 0);
        assert_eq!((found[0].length, found[0].bytes.len() <= MAX_PLAIN), (10_000_000, true));
        // A length that is not true.
        let mut lies = frame(0, b"hello", true);
        lies[4..7].copy_from_slice(&[0xff; 3]);
        assert_eq!(read(&mut Frames::default(), &lies, 0).0[0].bytes, b"hello");
    }

    proptest! {
        #[test]
        fn total_on_any_bytes(parts in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 1..60), 0_u64..9, any::<bool>()), 0..20)) {
            let mut frames = Frames::default();
            for (bytes, missing, turned) in parts {
                if turned {
                    frames.other_spoke();
                }
                for plain in read(&mut frames, &bytes, missing).0 {
                    prop_assert!(plain.bytes.len() <= MAX_PLAIN && plain.length > 0);
                }
            }
        }
    }
}
