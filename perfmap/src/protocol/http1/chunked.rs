//! Chunked bodies (RFC 9112, 7.1), byte by byte where bytes are known, by the announced sizes where they are not.

/// Longest run of extensions of one chunk, and of trailers.
const MAX_LINE: u32 = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    Size {
        value: u64,
        digits: u8,
    },
    /// Behind the size, up to the line's end.
    Extension {
        value: u64,
        seen: u32,
    },
    Data(u64),
    /// The line end behind a chunk's bytes.
    DataEnd {
        return_seen: bool,
    },
    Trailer {
        empty: bool,
        seen: u32,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    More(u64),
    /// The body's last byte was the last one of these.
    Over(u64),
    Lost,
}

impl Default for Chunked {
    fn default() -> Chunked {
        Chunked::Size { value: 0, digits: 0 }
    }
}

impl Chunked {
    /// `length` bytes follow, of which `captured` are known.
    pub fn read(&mut self, captured: &[u8], length: u64) -> Progress {
        let mut at = 0_u64;
        while at < length {
            if let Chunked::Data(left) = self {
                let step = (*left).min(length - at);
                *left -= step;
                at += step;
                if *left == 0 {
                    *self = Chunked::DataEnd { return_seen: false };
                }
                continue;
            }
            match usize::try_from(at).ok().and_then(|at| captured.get(at)) {
                Some(byte) => {
                    at += 1;
                    match self.next(*byte) {
                        Some(false) => {}
                        Some(true) => return Progress::Over(at),
                        None => return Progress::Lost,
                    }
                }
                // The line end behind the data is taken to be CR LF where it was not captured.
                None => match self {
                    Chunked::DataEnd { return_seen: true } => {
                        *self = Chunked::default();
                        at += 1;
                    }
                    Chunked::DataEnd { return_seen } => {
                        *return_seen = true;
                        at += 1;
                    }
                    Chunked::Size { .. } | Chunked::Extension { .. } | Chunked::Data(_) | Chunked::Trailer { .. } => {
                        return Progress::Lost;
                    }
                },
            }
        }
        Progress::More(at)
    }

    /// One byte that is not data. `true`: the body is over; None: this is no chunked body.
    fn next(&mut self, byte: u8) -> Option<bool> {
        *self = match (*self, byte) {
            (Chunked::Size { digits: 0, .. }, byte) if !byte.is_ascii_hexdigit() => return None,
            (Chunked::Size { value, .. }, b'\n') => Chunked::sized(value),
            (Chunked::Size { value, digits }, byte) => match char::from(byte).to_digit(16) {
                Some(_) if digits >= 16 => return None,
                Some(digit) => Chunked::Size { value: value << 4 | u64::from(digit), digits: digits + 1 },
                None if matches!(byte, b'\r' | b';' | b' ' | b'\t') => Chunked::Extension { value, seen: 0 },
                None => return None,
            },
            (Chunked::Extension { value, .. }, b'\n') => Chunked::sized(value),
            (Chunked::Extension { seen: MAX_LINE.., .. }, _) => return None,
            (Chunked::Extension { value, seen }, _) => Chunked::Extension { value, seen: seen + 1 },
            (Chunked::DataEnd { .. }, b'\n') => Chunked::default(),
            (Chunked::DataEnd { return_seen: false }, b'\r') => Chunked::DataEnd { return_seen: true },
            (Chunked::DataEnd { .. }, _) => return None,
            (Chunked::Trailer { empty: true, .. }, b'\n') => return Some(true),
            (Chunked::Trailer { seen: MAX_LINE.., .. }, _) => return None,
            (Chunked::Trailer { seen, .. }, b'\n') => Chunked::Trailer { empty: true, seen: seen + 1 },
            (Chunked::Trailer { empty, seen }, b'\r') => Chunked::Trailer { empty, seen: seen + 1 },
            (Chunked::Trailer { seen, .. }, _) => Chunked::Trailer { empty: false, seen: seen + 1 },
            (Chunked::Data(_), _) => return None,
        };
        Some(false)
    }

    fn sized(value: u64) -> Chunked {
        if value == 0 { Chunked::Trailer { empty: true, seen: 0 } } else { Chunked::Data(value) }
    }
}
