//! MySQL's and MariaDB's protocol → calls: one for each COM_QUERY, COM_STMT_EXECUTE and what else the server counts among
//! its `Questions` (COM_INIT_DB, fetches from a cursor), once all of its result sets have come. Preparing, pinging and
//! closing are no calls.

mod packets;
mod replies;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::dialogue::{Dialogue, Onward, Side};
use super::frames::{Event, Lane, Rest};
use super::repeat::RunKey;
use super::statement::{self, Dialect};
use crate::recording::{CallStep, Mark, Wire};
use packets::MAX_PACKET;
use replies::{Reply, Says};

pub(super) use packets::begins;

const MAX_PENDING: usize = 16 * 1024;
const MAX_STATEMENTS: usize = 4096;

const CLIENT_COMPRESS: u32 = 0x20;
const CLIENT_SSL: u32 = 0x800;
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

#[derive(Debug)]
pub(super) struct Connection {
    phase: Phase,
    requests: Lane,
    responses: Lane,
    /// A packet of the greatest length was read: the next one goes on with it.
    asks_on: bool,
    answers_on: bool,
    /// Since a lane was lost, the other side has spoken.
    turned: bool,
    pending: VecDeque<Expect>,
    begun: bool,
    doubt: usize,
    reply: Reply,
    statements: HashMap<u32, Arc<str>>,
    last_prepared: Option<Arc<str>>,
    attributes: bool,
    /// The command that is being sent counts.
    telling: bool,
    onward: Onward,
    key: RunKey,
}

impl Connection {
    pub fn new(key: RunKey) -> Connection {
        Connection {
            phase: Phase::Commands,
            requests: Lane::default(),
            responses: Lane::default(),
            asks_on: false,
            answers_on: false,
            turned: false,
            pending: VecDeque::new(),
            begun: false,
            doubt: 0,
            reply: Reply::default(),
            statements: HashMap::new(),
            last_prepared: None,
            attributes: false,
            telling: false,
            onward: Onward::Same,
            key,
        }
    }
}

fn mark(step: CallStep) -> Mark {
    Mark::Call { wire: Wire::Mysql, stream: 0, step }
}

impl Dialogue for Connection {
    fn feed(&mut self, side: Side, captured: &[u8], length: u64, marks: &mut Vec<Mark>) {
        let mut rest = Rest { captured, length };
        match side {
            Side::Requests => self.asked(&mut rest, marks),
            Side::Responses => self.answered(&mut rest, marks),
        }
    }

    fn onward(&self) -> Onward {
        self.onward
    }
}

impl Connection {
    fn asked(&mut self, rest: &mut Rest<'_>, marks: &mut Vec<Mark>) {
        if self.requests.is_lost() {
            if !(self.turned && packets::is_command(rest.captured)) {
                return;
            }
            self.requests.found();
            self.asks_on = false;
        }
        self.turned |= self.responses.is_lost();
        while self.onward == Onward::Same {
            match self.requests.next(rest, packets::request) {
                None => return,
                Some(Event::Message { kind: number, length, body, cut }) => {
                    let goes_on = std::mem::replace(&mut self.asks_on, length == MAX_PACKET);
                    match self.phase {
                        _ if goes_on => {}
                        Phase::Login => self.login(number, &body),
                        Phase::Commands if number == 0 => self.command(&body, cut || self.asks_on, marks),
                        // Data of LOAD DATA LOCAL, or an answer of the login.
                        Phase::Commands => {}
                    }
                }
                Some(Event::Over(_)) if self.asks_on => {}
                Some(Event::Over(_)) => {
                    if std::mem::take(&mut self.telling) {
                        marks.push(mark(CallStep::RequestEnd));
                    }
                }
                Some(Event::Lost) => {
                    self.turned = false;
                    self.telling = false;
                    marks.push(mark(CallStep::Desync));
                }
            }
        }
    }

    /// The client's answer to the greeting says what the connection is going to be.
    fn login(&mut self, number: u8, body: &[u8]) {
        let Some(capabilities) = body.first_chunk::<4>().filter(|_| number == 1) else { return };
        let capabilities = u32::from_le_bytes(*capabilities);
        if capabilities & CLIENT_COMPRESS != 0 {
            self.onward = Onward::Opaque;
        } else if capabilities & CLIENT_SSL != 0 && body.len() == 32 {
            self.onward = Onward::Tunnel;
        }
        self.attributes = capabilities & CLIENT_QUERY_ATTRIBUTES != 0;
        self.reply.without_eof = Some(capabilities & CLIENT_DEPRECATE_EOF != 0);
        self.reply.optional_metadata = capabilities & CLIENT_OPTIONAL_METADATA != 0;
    }

    fn command(&mut self, body: &[u8], cut: bool, marks: &mut Vec<Mark>) {
        let Some((command, rest)) = body.split_first() else { return };
        let text = |bytes| statement::shape(bytes, cut, Dialect::Mysql);
        let id = || rest.first_chunk::<4>().map(|id| u32::from_le_bytes(*id));
        match command {
            // COM_QUERY
            0x03 => {
                let bytes = if self.attributes { packets::behind_attributes(rest) } else { Some(rest) };
                let repeat = (!cut).then(|| self.key.of(&[rest]));
                self.call(Expect::Results, bytes.map(text), repeat, marks);
            }
            // COM_STMT_PREPARE
            0x16 => {
                let prepared: Arc<str> = text(rest).into();
                self.last_prepared = Some(prepared.clone());
                self.expect(Expect::Prepare(prepared));
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
                self.call(Expect::Results, operation, repeat, marks);
            }
            // COM_STMT_FETCH
            0x1c => {
                let operation = id().and_then(|id| self.statements.get(&id)).map(|known| known.to_string());
                self.call(Expect::Fetch, operation, None, marks);
            }
            // COM_INIT_DB
            0x02 => self.call(Expect::Single { counted: true }, Some("USE".to_owned()), None, marks),
            // COM_STMT_CLOSE; COM_STMT_SEND_LONG_DATA and COM_QUIT: not answered.
            0x19 => drop(id().map(|id| self.statements.remove(&id))),
            0x01 | 0x18 => {}
            // COM_FIELD_LIST
            0x04 => self.expect(Expect::Fields),
            // COM_PROCESS_INFO
            0x0a => self.expect(Expect::Uncounted),
            // COM_CHANGE_USER
            0x11 => {
                self.phase = Phase::Login;
                self.statements.clear();
            }
            // COM_BINLOG_DUMP, COM_TABLE_DUMP, COM_BINLOG_DUMP_GTID
            0x12 | 0x13 | 0x1e => self.onward = Onward::Opaque,
            _ => self.expect(Expect::Single { counted: false }),
        }
    }

    fn call(&mut self, expect: Expect, operation: Option<String>, repeat: Option<u64>, marks: &mut Vec<Mark>) {
        marks.push(mark(CallStep::Request { method: None, operation, host: None, repeat }));
        self.telling = true;
        self.expect(expect);
    }

    fn expect(&mut self, expect: Expect) {
        if self.pending.len() < MAX_PENDING {
            self.pending.push_back(expect);
        } else {
            self.onward = Onward::Opaque;
        }
    }

    fn answered(&mut self, rest: &mut Rest<'_>, marks: &mut Vec<Mark>) {
        if self.responses.is_lost() {
            if !(self.turned && packets::is_first_reply(rest.captured)) {
                return;
            }
            self.responses.found();
            self.answers_on = false;
            if self.pending.len() > self.doubt {
                // The client went on, so what was asked before has been answered.
                self.pending.drain(..self.doubt);
                self.begun = false;
                self.reply.start();
            }
            self.doubt = 0;
        }
        self.turned |= self.requests.is_lost();
        while self.onward == Onward::Same {
            match self.responses.next(rest, packets::response) {
                None => return,
                Some(Event::Message { kind: number, length, body, .. }) => {
                    if !std::mem::replace(&mut self.answers_on, length == MAX_PACKET) {
                        self.packet(number, length, &body, marks);
                    }
                }
                Some(Event::Over(_)) => {}
                Some(Event::Lost) => {
                    self.turned = false;
                    self.doubt = self.pending.len();
                    marks.push(mark(CallStep::Desync));
                }
            }
        }
    }

    fn packet(&mut self, number: u8, length: u64, body: &[u8], marks: &mut Vec<Mark>) {
        let first = body.first().copied();
        if number == 0 && first == Some(packets::PROTOCOL_10) && self.pending.is_empty() {
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
        let Some(expect) = self.pending.front() else { return };
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
        if counted && (!self.begun || failed) {
            marks.push(mark(CallStep::Response { status: None, failed }));
        }
        self.begun = true;
        if over {
            self.pending.pop_front();
            self.begun = false;
            self.reply.start();
            if counted {
                marks.push(mark(CallStep::ResponseEnd));
            }
        }
    }
}
