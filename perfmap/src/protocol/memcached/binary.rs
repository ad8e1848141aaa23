//! memcached's binary protocol → calls: one for each command that is always answered. Quiet commands are no calls: they
//! are answered only where something is wrong, or found; the command behind them, mostly a NOOP, waits for all of them.

use crate::protocol::detect::{Guess, Kind};
use crate::protocol::dialogue::Side;
use crate::protocol::frames::{self, Event, Header, Lane, Lost, Rest};
use crate::protocol::repeat::RunKey;
use crate::protocol::turns;
use crate::recording::Wire;

const REQUEST: u8 = 0x80;
const RESPONSE: u8 = 0x81;
const HEADER: usize = 24;
const MAX_KEY: u16 = 250;
/// item_size_max cannot be raised above it.
const MAX_BODY: u32 = 1 << 30;
const STAT: u8 = 0x10;
/// Added to an answer's opcode: opcodes lie below it.
const FAILED: u8 = 0x80;

/// Opcode, name, length of the extras, whether it is quiet, whether a value may follow the key.
const COMMANDS: [(u8, &str, &[u8], bool, bool); 41] = [
    (0x00, "get", &[0], false, false),
    (0x01, "set", &[8], false, true),
    (0x02, "add", &[8], false, true),
    (0x03, "replace", &[8], false, true),
    (0x04, "delete", &[0], false, false),
    (0x05, "incr", &[20], false, false),
    (0x06, "decr", &[20], false, false),
    (0x07, "quit", &[0], false, false),
    (0x08, "flush_all", &[0, 4], false, false),
    (0x09, "getq", &[0], true, false),
    (0x0a, "noop", &[0], false, false),
    (0x0b, "version", &[0], false, false),
    (0x0c, "getk", &[0], false, false),
    (0x0d, "getkq", &[0], true, false),
    (0x0e, "append", &[0], false, true),
    (0x0f, "prepend", &[0], false, true),
    (STAT, "stats", &[0], false, false),
    (0x11, "setq", &[8], true, true),
    (0x12, "addq", &[8], true, true),
    (0x13, "replaceq", &[8], true, true),
    (0x14, "deleteq", &[0], true, false),
    (0x15, "incrq", &[20], true, false),
    (0x16, "decrq", &[20], true, false),
    (0x17, "quitq", &[0], true, false),
    (0x18, "flush_allq", &[0, 4], true, false),
    (0x19, "appendq", &[0], true, true),
    (0x1a, "prependq", &[0], true, true),
    (0x1b, "verbosity", &[4], false, false),
    (0x1c, "touch", &[4], false, false),
    (0x1d, "gat", &[4], false, false),
    (0x1e, "gatq", &[4], true, false),
    (0x20, "sasl_list", &[0], false, false),
    (0x21, "sasl_auth", &[0], false, true),
    (0x22, "sasl_step", &[0], false, true),
    (0x23, "gatk", &[4], false, false),
    (0x24, "gatkq", &[4], true, false),
    (0x31, "rset", &[8], false, true),
    (0x33, "rappend", &[0], false, true),
    (0x35, "rprepend", &[0], false, true),
    (0x37, "rdelete", &[0], false, false),
    (0x39, "rincr", &[20], false, false),
];

#[derive(Debug, Clone, Copy)]
struct Command {
    opcode: u8,
    name: &'static str,
    extras: &'static [u8],
    quiet: bool,
    value: bool,
}

fn command(opcode: u8) -> Option<Command> {
    let found = COMMANDS.iter().find(|(known, ..)| *known == opcode)?;
    let (opcode, name, extras, quiet, value) = *found;
    Some(Command { opcode, name, extras, quiet, value })
}

#[derive(Debug)]
pub(in crate::protocol) struct Reader {
    key: RunKey,
}

impl Reader {
    pub fn new(key: RunKey) -> Reader {
        Reader { key }
    }
}

type Owed = turns::Owed<u8>;

impl turns::Reader for Reader {
    const WIRE: Wire = Wire::Memcached;
    type Lane = Lane;
    /// The opcode.
    type Expect = u8;

    fn next(&mut self, side: Side, lane: &mut Lane, rest: &mut Rest<'_>, owed: &mut Owed) -> Result<bool, Lost> {
        let header = if side == Side::Requests { request } else { response };
        match (side, lane.next(rest, header)?) {
            (_, None) => return Ok(false),
            (Side::Requests, Some(Event::Message { kind, length, body, cut })) => {
                if let Some(Command { opcode, name, quiet: false, value, .. }) = command(kind) {
                    let whole = !value && !cut && length == body.len() as u64;
                    let repeat = whole.then(|| self.key.of(&[&[opcode], &body]));
                    owed.call(Some(name.to_owned()), repeat);
                    owed.expect(opcode);
                }
            }
            (Side::Requests, Some(Event::Over(_))) => owed.told(),
            (Side::Responses, Some(Event::Message { kind, length, .. })) => {
                let (opcode, failed) = (kind & !FAILED, kind & FAILED != 0);
                // Of a quiet command it is nobody's answer.
                if owed.first() == Some(&opcode) {
                    owed.begin(failed);
                    // Statistics end with an empty one.
                    if opcode != STAT || length == 0 || failed {
                        owed.end();
                    }
                }
            }
            (Side::Responses, Some(Event::Over(_))) => {}
        }
        Ok(true)
    }

    /// One header tells where the turn changed, two of them elsewhere.
    fn resumes(&mut self, side: Side, captured: &[u8], turned: bool) -> bool {
        let header = if side == Side::Requests { request } else { response };
        frames::chain(captured, header, if turned { 1 } else { 2 })
    }
}

/// Key length, length of extras, data type, what stands in the place of the status, length of all behind the header.
struct Fields {
    opcode: u8,
    key: u16,
    extras: u8,
    status: u16,
    body: u32,
}

/// None: more is needed. Err: it begins with something else.
fn fields(bytes: &[u8], magic: u8) -> Result<Option<Fields>, Lost> {
    if bytes.first().is_some_and(|first| *first != magic) || bytes.get(5).is_some_and(|data_type| *data_type != 0) {
        return Err(Lost);
    }
    let Some([_, opcode, k, l, extras, _, s, t, a, b, c, d, ..]) = bytes.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let fields = Fields {
        opcode: *opcode,
        key: u16::from_be_bytes([*k, *l]),
        extras: *extras,
        status: u16::from_be_bytes([*s, *t]),
        body: u32::from_be_bytes([*a, *b, *c, *d]),
    };
    let inside = u32::from(fields.key) + u32::from(fields.extras);
    if inside > fields.body || fields.body > MAX_BODY { Err(Lost) } else { Ok(Some(fields)) }
}

fn request(bytes: &[u8]) -> Header {
    match fields(bytes, REQUEST) {
        Err(Lost) => Header::Bad,
        Ok(None) => Header::NeedMore,
        Ok(Some(fields)) => {
            let keep = match command(fields.opcode) {
                Some(command) if !command.value => usize::from(MAX_KEY) + usize::from(fields.extras),
                Some(_) | None => 0,
            };
            Header::Frame { kind: fields.opcode & !FAILED, body: u64::from(fields.body), keep }
        }
    }
}

fn response(bytes: &[u8]) -> Header {
    match fields(bytes, RESPONSE) {
        Err(Lost) => Header::Bad,
        Ok(None) => Header::NeedMore,
        Ok(Some(fields)) => {
            // Not found, exists, not stored, the next step of a login: answers like any other.
            let failed = !matches!(fields.status, 0 | 1 | 2 | 5 | 0x21);
            let kind = fields.opcode & !FAILED | if failed { FAILED } else { 0 };
            Header::Frame { kind, body: u64::from(fields.body), keep: 0 }
        }
    }
}

/// Of a connection that is known to be memcached's.
pub(in crate::protocol) fn is_request(bytes: &[u8]) -> bool {
    bytes.first() == Some(&REQUEST)
}

/// A request whose lengths fit its command.
pub(in crate::protocol) fn begins(bytes: &[u8]) -> Guess {
    match fields(bytes, REQUEST) {
        Err(Lost) => Guess::No,
        Ok(None) if bytes.get(1).is_some_and(|opcode| command(*opcode).is_none()) => Guess::No,
        Ok(None) => Guess::NeedMore,
        Ok(Some(fields)) => match command(fields.opcode) {
            Some(command) if fits(&command, &fields) => Guess::Yes(Kind::Call(Wire::Memcached, Side::Requests)),
            Some(_) | None => Guess::No,
        },
    }
}

fn fits(command: &Command, fields: &Fields) -> bool {
    let inside = u32::from(fields.key) + u32::from(fields.extras);
    fields.key <= MAX_KEY && command.extras.contains(&fields.extras) && (command.value || inside == fields.body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::recorded::{calls, say};
    use crate::protocol::{Decoder, Verdict};
    use crate::recording::Direction::{self, Received, Sent};

    fn packet(magic: u8, opcode: u8, status: u16, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![magic, opcode];
        bytes.extend((key.len() as u16).to_be_bytes());
        bytes.extend([extras.len() as u8, 0]);
        bytes.extend(status.to_be_bytes());
        bytes.extend(((extras.len() + key.len() + value.len()) as u32).to_be_bytes());
        bytes.extend([0; 12]);
        [&bytes[..], extras, key, value].concat()
    }

    fn ask(opcode: u8, extras: &[u8], key: &[u8], value: &[u8]) -> Vec<u8> {
        packet(REQUEST, opcode, 0, extras, key, value)
    }

    fn answer(opcode: u8, status: u16, value: &[u8]) -> Vec<u8> {
        packet(RESPONSE, opcode, status, b"", b"", value)
    }

    fn said(turns: &[(Direction, Vec<u8>, u64)]) -> Vec<String> {
        let mut decoder = Decoder::new();
        let marks = say(&mut decoder, turns);
        assert_eq!(decoder.verdict(), Verdict::Calls(Wire::Memcached));
        assert!(!format!("{marks:?}{decoder:?}").contains("secret"));
        calls(&marks)
    }

    #[test]
    fn commands_hits_and_misses() {
        let found = said(&[
            (Sent, ask(1, &[0; 8], b"k", b"secret"), 0),
            (Received, answer(1, 0, b""), 0),
            (Sent, ask(0, b"", b"k", b""), 0),
            (Received, answer(0, 0, b"....secret"), 0),
            (Sent, ask(0, b"", b"none", b""), 0),
            (Received, answer(0, 1, b"Not found"), 0),
            (Sent, ask(5, &[0; 20], b"k", b""), 0),
            (Received, answer(5, 6, b"Non-numeric"), 0),
        ]);
        assert_eq!(found, ["ok set", "ok get", "ok get", "failed incr"]);
    }

    /// As libmemcached asks for many keys; and statistics come in many parts.
    #[test]
    fn quiet_commands_and_statistics() {
        let many = [ask(0x0d, b"", b"a", b""), ask(0x0d, b"", b"b", b""), ask(0x0a, b"", b"", b"")].concat();
        let some = [packet(RESPONSE, 0x0d, 0, &[0; 4], b"b", b"secret"), answer(0x0a, 0, b"")].concat();
        let parts = [packet(RESPONSE, STAT, 0, b"", b"pid", b"17"), answer(STAT, 0, b"")].concat();
        let found =
            said(&[(Sent, many, 0), (Received, some, 0), (Sent, ask(STAT, b"", b"", b""), 0), (Received, parts, 0)]);
        assert_eq!(found, ["ok noop", "ok stats"]);
    }

    #[test]
    fn values_are_measured_and_gaps_are_said() {
        let mut set = ask(1, &[0; 8], b"k", b"");
        set[10] = 0x20; // 8,192 bytes longer than what is there
        let found = said(&[
            (Sent, set, 8192),
            (Received, answer(1, 0, b""), 0),
            (Sent, ask(0, b"", b"k", b""), 0),
            (Received, answer(0, 0, b"secret")[..20].to_vec(), 9000),
            (Received, b"secret".to_vec(), 0),
            (Sent, ask(0, b"", b"k", b""), 0),
            (Received, answer(0, 0, b"secret"), 0),
        ]);
        assert_eq!(found, ["ok set", "lost", "ok get", "open ? get"]);
    }

    #[test]
    fn equal_requests_repeat() {
        let mut reader = turns::Connection::new(Reader::new(RunKey::default()));
        let mut repeat = |bytes: &[u8]| {
            let mut marks = Vec::new();
            crate::protocol::dialogue::Dialogue::feed(
                &mut reader,
                Side::Requests,
                bytes,
                bytes.len() as u64,
                &mut marks,
            );
            format!("{:?}", marks[0])
        };
        let [first, again, other, set] =
            [ask(0, b"", b"k", b""), ask(0, b"", b"k", b""), ask(0, b"", b"l", b""), ask(1, &[0; 8], b"k", b"v")]
                .map(|bytes| repeat(&bytes));
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert!(set.contains("repeat: None"), "{set}");
    }

    #[test]
    fn what_begins_no_connection() {
        for bytes in [&[0x80, 0x7f][..], &[0x80, 0, 0, 1, 9], &ask(0, &[0; 8], b"k", b""), &ask(0, b"", b"k", b"v")] {
            let guess = begins(bytes);
            assert!(guess == Guess::No || bytes.len() < HEADER && guess == Guess::NeedMore, "{bytes:?}");
        }
        assert_eq!(begins(&ask(0, b"", b"k", b"")[..23]), Guess::NeedMore);
    }

    proptest! {
        #[test]
        fn total_on_any_packets(
            packets in proptest::collection::vec(
                (any::<bool>(), any::<u8>(), 0_u16..8, proptest::collection::vec(any::<u8>(), 0..40), 0_usize..80, 0_u64..20),
                0..20)
        ) {
            let mut decoder = Decoder::new();
            decoder.feed(Sent, &ask(0, b"", b"k", b""), 25);
            for (asks, opcode, status, body, most, missing) in packets {
                let magic = if asks { REQUEST } else { RESPONSE };
                let bytes = packet(magic, opcode, status, b"", b"", &body);
                let kept = &bytes[..most.clamp(1, bytes.len())];
                decoder.feed(if asks { Sent } else { Received }, kept, bytes.len() as u64 + missing);
            }
        }
    }
}
