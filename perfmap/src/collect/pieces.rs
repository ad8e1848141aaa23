//! A transfer of which the kernel side took only pieces (`MESSAGE_PIECES`) → the transfers that the decoder is fed. A
//! piece, with what lies between it and the next, is one to it: its first bytes, and a length.

use crate::{
    protocol::Decoder,
    recording::{Direction, Mark},
};

/// `bytes` is the whole transfer's length. What contradicts it counts as not captured.
pub(super) fn feed(decoder: &mut Decoder, direction: Direction, payload: &[u8], bytes: u64) -> Vec<Mark> {
    let (mut marks, mut rest) = (Vec::new(), payload);
    // The piece at hand, and where it lies.
    let (mut piece, mut at): (&[u8], u64) = (&[], 0);
    while let Some((place, taken, tail)) = next(rest) {
        if place < at + piece.len() as u64 || place + taken.len() as u64 > bytes {
            break;
        }
        if place > at {
            marks.extend(decoder.feed(direction, piece, place - at));
        }
        (piece, at, rest) = (taken, place, tail);
    }
    if bytes > at {
        marks.extend(decoder.feed(direction, piece, bytes - at));
    }
    marks
}

/// Offset and length, then so many bytes.
fn next(payload: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (place, tail) = payload.split_first_chunk::<4>()?;
    let (length, tail) = tail.split_first_chunk::<4>()?;
    let (taken, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((u32::from_le_bytes(*place).into(), taken, tail))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Direction::{Received, Sent};

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    /// A request's head, and an answer's.
    const ASKS: &[u8] = &[0, 0, 3, 1, 5, 0, 0, 0, 1, 0x82, 0x84, 0x86];
    const ANSWERS: &[u8] = &[0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88];

    fn body(length: u32) -> Vec<u8> {
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([0, 0, 0, 0, 0, 1]);
        frame.resize(frame.len() + length as usize, b'x');
        frame
    }

    fn packed(pieces: &[(u64, &[u8])]) -> Vec<u8> {
        let pack = |(at, bytes): &(u64, &[u8])| {
            [&(*at as u32).to_le_bytes()[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat()
        };
        pieces.iter().flat_map(pack).collect()
    }

    fn asked() -> Decoder {
        let mut decoder = Decoder::default();
        decoder.feed(Sent, PREFACE, PREFACE.len() as u64);
        assert_eq!(decoder.feed(Sent, ASKS, ASKS.len() as u64).len(), 2);
        decoder
    }

    #[test]
    fn headers_of_frames_far_into_a_transfer() {
        let (first, end) = (body(16384), [0, 0, 0, 0, 1, 0, 0, 0, 1]);
        let answer = [ANSWERS, &first, &first, &end].concat();
        let places = [(0, 10), (10, 9), (10 + 16393, 9), (10 + 2 * 16393, 9)];
        let pieces = places.map(|(at, length)| (at as u64, &answer[at..at + length]));
        let found = feed(&mut asked(), Received, &packed(&pieces), answer.len() as u64);
        assert_eq!(found, asked().feed(Received, &answer, answer.len() as u64));
        assert_eq!(found.len(), 2);
        // A transfer in the middle of a body.
        let mut decoder = asked();
        decoder.feed(Received, &answer[..19], 19);
        assert_eq!(feed(&mut decoder, Received, &packed(&[(0, &[])]), 16384), []);
        assert_eq!(decoder.feed(Received, &end, 9).len(), 1);
    }

    proptest! {
        /// Whatever part of each frame is taken, as long as all headers are.
        #[test]
        fn pieces_say_what_the_whole_says(lengths in proptest::collection::vec(0_u32..3000, 1..8), taken in 0_usize..40) {
            let mut answer = ANSWERS.to_vec();
            let mut places = vec![(0, ANSWERS.len())];
            for length in lengths {
                places.push((answer.len(), 9 + taken.min(length as usize)));
                answer.extend(body(length));
            }
            let pieces: Vec<_> = places.iter().map(|(at, length)| (*at as u64, &answer[*at..at + length])).collect();
            let whole = asked().feed(Received, &answer, answer.len() as u64);
            prop_assert_eq!(feed(&mut asked(), Received, &packed(&pieces), answer.len() as u64), whole);
        }

        #[test]
        fn total_on_any_pieces(payload in proptest::collection::vec(any::<u8>(), 0..200), bytes in any::<u64>()) {
            feed(&mut asked(), Received, &payload, bytes);
        }
    }
}
