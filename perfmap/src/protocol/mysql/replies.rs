//! One answer's packets → whether it goes on. Which packet ends the definitions and the rows depends on what the client
//! said at login; where that was not seen, it shows behind the first definitions.

use super::Expect;
use super::packets::MAX_PACKET;

const OK: u8 = 0x00;
const LOCAL_FILE: u8 = 0xfb;
const EOF: u8 = 0xfe;
const ERROR: u8 = 0xff;

const CURSOR_EXISTS: u16 = 0x0040;
const MORE_RESULTS: u16 = 0x0008;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// Belongs to nothing that is expected.
    Nothing,
    More,
    Over,
    Failed,
    /// The statement's number.
    Prepared(u32),
}

#[derive(Debug, Default)]
pub(super) struct Reply {
    /// CLIENT_DEPRECATE_EOF; None: not known yet.
    pub without_eof: Option<bool>,
    pub optional_metadata: bool,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Start,
    /// A further result of the same answer.
    NextResult,
    Columns(u64),
    /// Behind the last of them.
    ColumnsEnd,
    Rows,
    /// The client sends a file; OK or an error follows.
    File,
    /// Definitions that are still to come.
    Prepared {
        parameters: u16,
        columns: u16,
    },
}

impl Reply {
    pub fn start(&mut self) {
        self.state = State::Start;
    }

    /// Whether a prepared statement's definitions follow.
    pub fn goes_on(&self) -> bool {
        matches!(self.state, State::Prepared { .. })
    }

    pub fn packet(&mut self, expect: &Expect, number: u8, length: u64, body: &[u8]) -> Says {
        let Some(first) = body.first().copied() else {
            // Empty: a row without columns, or nothing.
            return if matches!(self.state, State::Start) { Says::Nothing } else { Says::More };
        };
        if body.starts_with(&[ERROR, 0xff, 0xff]) {
            return Says::More; // MariaDB's report of progress
        }
        match self.state {
            // What is left of an earlier answer has other numbers.
            State::Start if number != 1 => Says::Nothing,
            State::Start => self.first(expect, first, length, body),
            State::NextResult => self.result(first, length, body),
            State::File if first == OK => self.ended(status(body)),
            State::File | State::Columns(_) | State::Prepared { .. } if first == ERROR => Says::Failed,
            State::File => Says::More,
            State::Columns(left) => {
                self.state = match (left, self.without_eof) {
                    (2.., _) => State::Columns(left - 1),
                    (_, Some(true)) => State::Rows,
                    (_, Some(false) | None) => State::ColumnsEnd,
                };
                Says::More
            }
            State::ColumnsEnd if first == EOF && length < 9 => {
                self.without_eof = Some(false);
                if eof_status(body) & CURSOR_EXISTS != 0 {
                    return Says::Over;
                }
                self.state = State::Rows;
                Says::More
            }
            State::ColumnsEnd => {
                self.without_eof.get_or_insert(true);
                self.state = State::Rows;
                self.row(first, length, body)
            }
            State::Rows => self.row(first, length, body),
            State::Prepared { parameters, columns } => self.definition(first, length, parameters, columns),
        }
    }

    fn first(&mut self, expect: &Expect, first: u8, length: u64, body: &[u8]) -> Says {
        match expect {
            Expect::Results | Expect::Uncounted => self.result(first, length, body),
            Expect::Single { .. } if first == ERROR => Says::Failed,
            Expect::Single { .. } => Says::Over,
            Expect::Fetch | Expect::Fields => {
                self.state = State::Rows;
                self.row(first, length, body)
            }
            Expect::Prepare(_) => match body {
                [OK, a, b, c, d, columns_low, columns_high, low, high, ..] => {
                    let columns = u16::from_le_bytes([*columns_low, *columns_high]);
                    let parameters = u16::from_le_bytes([*low, *high]);
                    if columns > 0 || parameters > 0 {
                        self.state = State::Prepared { parameters, columns };
                    }
                    Says::Prepared(u32::from_le_bytes([*a, *b, *c, *d]))
                }
                _ => Says::Failed,
            },
        }
    }

    fn result(&mut self, first: u8, length: u64, body: &[u8]) -> Says {
        match first {
            OK if !self.optional_metadata || length >= 7 => self.ended(status(body)),
            ERROR => Says::Failed,
            LOCAL_FILE => {
                self.state = State::File;
                Says::More
            }
            _ => {
                let (follows, count) = if self.optional_metadata {
                    (first != 0, body.get(1..).and_then(number))
                } else {
                    // MariaDB's connectors may be told that they know the columns already.
                    let count = number(body);
                    let extra = count.and_then(|(_, size)| body.get(size)).copied();
                    (extra != Some(0), count)
                };
                self.state = match count {
                    Some((count, _)) if follows && count > 0 => State::Columns(count),
                    _ if self.without_eof == Some(true) => State::Rows,
                    _ => State::ColumnsEnd,
                };
                Says::More
            }
        }
    }

    fn row(&mut self, first: u8, length: u64, body: &[u8]) -> Says {
        match first {
            ERROR => Says::Failed,
            EOF if self.without_eof == Some(true) && length < MAX_PACKET => self.ended(status(body)),
            EOF if length < 9 => self.ended(eof_status(body)),
            _ => Says::More,
        }
    }

    fn definition(&mut self, first: u8, length: u64, parameters: u16, columns: u16) -> Says {
        let ends = first == EOF && length < 9;
        let (parameters, columns) = match (ends, parameters, columns) {
            // Each list ends with an EOF, or with its last definition.
            (true, 0, 0) => return Says::Over,
            (true, ..) => (parameters, columns),
            (false, 0, _) => (0, columns.saturating_sub(1)),
            (false, ..) => (parameters - 1, columns),
        };
        self.state = State::Prepared { parameters, columns };
        match (parameters, columns) {
            // Without EOFs it is over here; what was not known does no harm, because a late EOF is nobody's first packet.
            (0, 0) if self.without_eof != Some(false) => Says::Over,
            _ => Says::More,
        }
    }

    fn ended(&mut self, status: u16) -> Says {
        if status & MORE_RESULTS != 0 {
            self.state = State::NextResult;
            Says::More
        } else {
            Says::Over
        }
    }
}

/// A length-encoded number and how many bytes it takes.
fn number(bytes: &[u8]) -> Option<(u64, usize)> {
    let (first, rest) = bytes.split_first()?;
    let size = match first {
        0..=0xfa => return Some((u64::from(*first), 1)),
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        _ => return None,
    };
    let mut value = [0; 8];
    value[..size].copy_from_slice(rest.get(..size)?);
    Some((u64::from_le_bytes(value), size + 1))
}

/// Of an OK packet: header, affected rows, last id, status.
fn status(body: &[u8]) -> u16 {
    let behind = |bytes: &[u8]| number(bytes).map(|(_, size)| size);
    let rest = body.get(1..).unwrap_or_default();
    let at = behind(rest).and_then(|first| Some(first + behind(rest.get(first..)?)?));
    let bytes = at.and_then(|at| rest.get(at..)).and_then(<[u8]>::first_chunk::<2>);
    bytes.map_or(0, |status| u16::from_le_bytes(*status))
}

/// Of an EOF packet: header, warnings, status.
fn eof_status(body: &[u8]) -> u16 {
    body.get(3..).and_then(<[u8]>::first_chunk::<2>).map_or(0, |status| u16::from_le_bytes(*status))
}
