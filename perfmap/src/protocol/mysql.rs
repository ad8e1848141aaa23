//! MySQL's and MariaDB's protocol → calls: one for each COM_QUERY, COM_STMT_EXECUTE and what else the server counts among
//! its `Questions` (COM_INIT_DB, fetches from a cursor), once all of its result sets have come. Preparing, pinging and
//! closing are no calls.

mod compressed;
mod packets;
mod replies;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use super::dialogue::{Dialogue, Onward, Side};
use super::frames::{Event, Lane, Lost, Rest};
use super::repeat::RunKey;
use super::statement::{self, Dialect};
use super::turns;
use crate::recording::{Mark, Wire};
use compressed::{Frames, Plain};
use packets::MAX_PACKET;
use replies::{Reply, Says};

pub(super) use packets::begins;

const MAX_STATEMENTS: usize = 4096;

const CLIENT_COMPRESS: u32 = 0x20;
const CLIENT_SSL: u32 = 0x800;
const CLIENT_ZSTD: u32 = 0x0400_0000;
const CLIENT_DEPRECATE_EOF: u32 = 0x0100_0000;
const CLIENT_OPTIONAL_METADATA: u32 = 0x0200_0000;
const CLIENT_QUERY_ATTRIBUTES: u32 = 0x0800_0000;
/// MariaDB's connectors: the statement prepared last.
const LAST_PREPARED: u32 = u32::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Login,
    Commands,
}

/// What a command is answered with, and whether it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expect {
    /// Result sets, or OK; counted.
    Results,
    /// The same, not counted (COM_PROCESS_INFO).
    Uncounted,
    /// Rows of an open cursor; counted.
    Fetch,
    /// Definitions up to an EOF (COM_FIELD_LIST).
    Fields,
    /// One packet.
    Single {
        counted: bool,
    },
    Prepare(Arc<str>),
}

type Owed = turns::Owed<Expect>;

/// The packets, and where the client asked for it the compressed frames that they come in behind the login.
#[derive(Debug)]
pub(super) struct Connection {
    packets: turns::Connection<Reader>,
    requests: Frames,
    responses: Frames,
    compressed: bool,
}

impl Connection {
    pub fn new(key: RunKey) -> Connection {
        Connection {
            packets: turns::Connection::new(Reader::new(key)),
            requests: Frames::default(),
            responses: Frames::default(),
            compressed: false,
        }
    }
}

impl Dialogue for Connection {
    fn feed(&mut self, side: Side, captured: &[u8], length: u64, marks: &mut Vec<Mark>) {
        if !self.compressed {
            self.packets.feed(side, captured, length, marks);
            let Reader { compresses, phase, .. } = self.packets.reader();
            self.compressed = *compresses && *phase == Phase::Commands;
            return;
        }
        let (frames, other) = match side {
            Side::Requests => (&mut self.requests, &mut self.responses),
            Side::Responses => (&mut self.responses, &mut self.requests),
        };
        other.other_spoke();
        let mut rest = Rest { captured, length };
        loop {
            match frames.next(&mut rest) {
                Ok(None) => return,
                Ok(Some(Plain { bytes, length })) => self.packets.feed(side, &bytes, length, marks),
                Err(Lost) => return self.packets.interrupted(side, marks),
            }
        }
    }

    fn onward(&self) -> Onward {
        self.packets.onward()
    }
}

#[derive(Debug)]
struct Reader {
    phase: Phase,
    /// A packet of the greatest length was read: the next one goes on with it.
    asks_on: bool,
    answers_on: bool,
    reply: Reply,
    statements: HashMap<u32, Arc<str>>,
    last_prepared: Option<Arc<str>>,
    attributes: bool,
    /// The client wants compressed frames as soon as it is logged in.
    compresses: bool,
    key: RunKey,
}

impl Reader {
    fn new(key: RunKey) -> Reader {
        Reader {
            phase: Phase::Commands,
            asks_on: false,
            answers_on: false,
            reply: Reply::default(),
            statements: HashMap::new(),
            last_prepared: None,
            attributes: false,
            compresses: false,
            key,
        }
    }
}

impl turns::Reader for Reader {
    const WIRE: Wire = Wire::Mysql;
    type Lane = Lane;
    type Expect = Expect;

    fn next(&mut self, side: Side, lane: &mut Lane, rest: &mut Rest<'_>, owed: &mut Owed) -> Result<bool, Lost> {
        let header = if side == Side::Requests { packets::request } else { packets::response };
        match (side, lane.next(rest, header)?) {
            (_, None) => return Ok(false),
            (Side::Requests, Some(Event::Message { kind: number, length, body, cut })) => {
                let goes_on = std::mem::replace(&mut self.asks_on, length == MAX_PACKET);
                match self.phase {
                    _ if goes_on => {}
                    Phase::Login => self.login(number, &body, owed),
                    Phase::Commands if number == 0 => self.command(&body, cut || self.asks_on, owed),
                    // Data of LOAD DATA LOCAL, or an answer of the login.
                    Phase::Commands => {}
                }
            }
            (Side::Requests, Some(Event::Over(_))) if self.asks_on => {}
            (Side::Requests, Some(Event::Over(_))) => owed.told(),
            (Side::Responses, Some(Event::Message { kind: number, length, body, .. })) => {
                if !std::mem::replace(&mut self.answers_on, length == MAX_PACKET) {
                    self.packet(number, length, &body, owed);
                }
            }
            (Side::Responses, Some(Event::Over(_))) => {}
        }
        Ok(true)
    }

    fn resumes(&mut self, side: Side, captured: &[u8], turned: bool) -> bool {
        let begins = match side {
            Side::Requests => packets::is_command(captured),
            Side::Responses => packets::is_first_reply(captured),
        };
        if !(turned && begins) {
            return false;
        }
        match side {
            Side::Requests => self.asks_on = false,
            Side::Responses => {
                self.answers_on = false;
                self.reply.start();
            }
        }
        true
    }
}

impl Reader {
    /// The client's answer to the greeting says what the connection is going to be.
    fn login(&mut self, number: u8, body: &[u8], owed: &mut Owed) {
        let Some(capabilities) = body.first_chunk::<4>().filter(|_| number == 1) else { return };
        let capabilities = u32::from_le_bytes(*capabilities);
        if capabilities & (CLIENT_COMPRESS | CLIENT_ZSTD) == CLIENT_ZSTD {
            owed.leave(Onward::Opaque);
        } else if capabilities & CLIENT_SSL != 0 && body.len() == 32 {
            owed.leave(Onward::Tunnel);
        }
        self.compresses = capabilities & CLIENT_COMPRESS != 0;
        self.attributes = capabilities & CLIENT_QUERY_ATTRIBUTES != 0;
        self.reply.without_eof = Some(capabilities & CLIENT_DEPRECATE_EOF != 0);
        self.reply.optional_metadata = capabilities & CLIENT_OPTIONAL_METADATA != 0;
    }

    fn command(&mut self, body: &[u8], cut: bool, owed: &mut Owed) {
        let Some((command, rest)) = body.split_first() else { return };
        let text = |bytes| statement::shape(bytes, cut, Dialect::Mysql);
        let id = || rest.first_chunk::<4>().map(|id| u32::from_le_bytes(*id));
        match command {
            // COM_QUERY
            0x03 => {
                let bytes = if self.attributes { packets::behind_attributes(rest) } else { Some(rest) };
                let repeat = (!cut).then(|| self.key.of(&[rest]));
                call(Expect::Results, bytes.map(text), repeat, owed);
            }
            // COM_STMT_PREPARE
            0x16 => {
                let prepared: Arc<str> = text(rest).into();
                self.last_prepared = Some(prepared.clone());
                owed.expect(Expect::Prepare(prepared));
            }
            // COM_STMT_EXECUTE, MariaDB's COM_STMT_BULK_EXECUTE
            0x17 | 0xfa => {
                let known = match id() {
                    Some(LAST_PREPARED) => self.last_prepared.as_ref(),
                    Some(id) => self.statements.get(&id),
                    None => None,
                };
                let operation = known.map(|known| known.to_string());
                let repeat = operation
                    .as_ref()
                    .filter(|_| !cut)
                    .map(|text| self.key.of(&[text.as_bytes(), rest.get(4..).unwrap_or_default()]));
                call(Expect::Results, operation, repeat, owed);
            }
            // COM_STMT_FETCH
            0x1c => {
                let operation = id().and_then(|id| self.statements.get(&id)).map(|known| known.to_string());
                call(Expect::Fetch, operation, None, owed);
            }
            // COM_INIT_DB
            0x02 => call(Expect::Single { counted: true }, Some("USE".to_owned()), None, owed),
            // COM_STMT_CLOSE; COM_STMT_SEND_LONG_DATA and COM_QUIT: not answered.
            0x19 => drop(id().map(|id| self.statements.remove(&id))),
            0x01 | 0x18 => {}
            // COM_FIELD_LIST
            0x04 => owed.expect(Expect::Fields),
            // COM_PROCESS_INFO
            0x0a => owed.expect(Expect::Uncounted),
            // COM_CHANGE_USER
            0x11 => {
                self.phase = Phase::Login;
                self.statements.clear();
            }
            // COM_BINLOG_DUMP, COM_TABLE_DUMP, COM_BINLOG_DUMP_GTID
            0x12 | 0x13 | 0x1e => owed.leave(Onward::Opaque),
            _ => owed.expect(Expect::Single { counted: false }),
        }
    }

    fn packet(&mut self, number: u8, length: u64, body: &[u8], owed: &mut Owed) {
        let first = body.first().copied();
        if number == 0 && first == Some(packets::PROTOCOL_10) && owed.first().is_none() {
            self.phase = Phase::Login; // the greeting
            return;
        }
        if self.phase == Phase::Login {
            // OK; an error ends the connection, all else goes on with the login.
            if first == Some(0) {
                self.phase = Phase::Commands;
            }
            return;
        }
        let Some(expect) = owed.first() else { return };
        let says = self.reply.packet(expect, number, length, body);
        let counted = match expect {
            Expect::Results | Expect::Fetch | Expect::Single { counted: true } => true,
            Expect::Uncounted | Expect::Fields | Expect::Prepare(_) | Expect::Single { counted: false } => false,
        };
        let (failed, over) = match says {
            Says::Nothing => return,
            Says::More => (false, false),
            Says::Over => (false, true),
            Says::Failed => (true, true),
            Says::Prepared(id) => {
                if let Expect::Prepare(text) = expect {
                    if self.statements.len() >= MAX_STATEMENTS {
                        self.statements.clear();
                    }
                    self.statements.insert(id, text.clone());
                }
                (false, !self.reply.goes_on())
            }
        };
        if counted {
            owed.begin(failed);
        }
        if over {
            self.reply.start();
            if counted { owed.end() } else { owed.settle() }
        }
    }
}

fn call(expect: Expect, operation: Option<String>, repeat: Option<u64>, owed: &mut Owed) {
    owed.call(operation, repeat);
    owed.expect(expect);
}
