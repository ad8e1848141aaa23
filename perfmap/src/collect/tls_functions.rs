//! An ELF file → where the functions of a TLS library begin and return in it, for probes.
//!
//! A probe is a breakpoint that the kernel writes over an instruction of the target. So a function is decoded from its
//! first byte to its last, and one that does not decode without a rest is left alone. Returns are probed at the `ret`
//! instructions: return probes change the return address on the stack, and no stack could be unwound through them.

use std::{collections::BTreeSet, fs::File};

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use perfmap_common::TlsFunction;

use super::{ask_functions, tls_multi::Point};
use crate::unwind::elf::{Found, Look, Mangled};

/// Longest function that is decoded. OpenSSL's are 30 to 500 bytes, with all that was inlined; GnuTLS's up to 1100.
const MAX_FUNCTION: u64 = 4096;
/// Returns of one function: OpenSSL's have one to four.
const MAX_RETURNS: usize = 32;
/// Functions that one ends in by jumps: GnuTLS's end in one.
const MAX_PARTS: usize = 4;

/// One function; offsets in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbePoints {
    pub function: TlsFunction,
    pub entry: u64,
    pub returns: Vec<u64>,
}

/// What one file has to do with TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFile {
    /// The library's functions, where it is one.
    pub has: Option<Result<Vec<ProbePoints>, NoPoints>>,
    /// What it calls in a library that another file has.
    pub calls: BTreeSet<TlsFunction>,
    /// Where an event loop's library in it is asked for something.
    pub asks: Vec<Point>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NoPoints {
    #[error("the returns of {0:?} could not be told from its code")]
    Undecodable(TlsFunction),
}

/// OpenSSL from 1.1.1 on, BoringSSL and LibreSSL. The first two have to be there.
const OPENSSL: [(&str, TlsFunction); 4] = [
    ("SSL_write", TlsFunction::SslWrite),
    ("SSL_read", TlsFunction::SslRead),
    ("SSL_write_ex", TlsFunction::SslWriteEx),
    ("SSL_read_ex", TlsFunction::SslReadEx),
];
/// From 3.6.3 on the last is a jump to the second, with the same arguments and two more.
const GNUTLS: [(&str, TlsFunction); 3] = [
    ("gnutls_record_recv", TlsFunction::GnutlsRecv),
    ("gnutls_record_send2", TlsFunction::GnutlsSend),
    ("gnutls_record_send", TlsFunction::GnutlsSend),
];

/// From 1.18 on; 1.17 has the same calls, but says its version elsewhere.
const GO: [(&str, TlsFunction); 2] =
    [("crypto/tls.(*Conn).Read", TlsFunction::GoRead), ("crypto/tls.(*Conn).Write", TlsFunction::GoWrite)];
/// 0.23: every write of whichever kind of connection, and the one read that copies. Neither is generic, so each is one
/// function; where the linker found no use for one of them, the program does not use rustls this way.
const RUSTLS: [(Mangled<'static>, TlsFunction); 2] = [
    (
        &[
            &["rustls..conn..connection..Reader$u20$as$u20$std..io..Read$GT$4read17h"],
            &["_6rustls4conn10connection", "6Reader", "2io4Read4read"],
        ],
        TlsFunction::RustlsRead,
    ),
    (
        &[
            &["_ZN6rustls12common_state11CommonState16buffer_plaintext17h"],
            &["_6rustls12common_state", "11CommonState16buffer_plaintext"],
        ],
        TlsFunction::RustlsWrite,
    ),
];
const GO_BUILD: (&str, &[u8; 14], u8) = (".go.buildinfo", b"\xff Go buildinf:", 2);

/// Where a request is handed over to the goroutine that writes it: who asks, by one of two names, and who writes. At the
/// entry alone: nothing is known of their returns. HTTP/2's first name is of Go 1.21 on, where the second one only calls it.
const GO_REQUESTS: [([&str; 2], TlsFunction, &str, TlsFunction); 4] = [
    (
        ["net/http.(*persistConn).roundTrip", ""],
        TlsFunction::GoAsks,
        "net/http.persistConnWriter.Write",
        TlsFunction::GoWrites,
    ),
    (
        ["net/http.(*http2ClientConn).roundTrip", "net/http.(*http2ClientConn).RoundTrip"],
        TlsFunction::GoAsksStream,
        "net/http.(*http2clientStream).encodeAndWriteHeaders",
        TlsFunction::GoWritesStream,
    ),
    (
        ["golang.org/x/net/http2.(*ClientConn).roundTrip", "golang.org/x/net/http2.(*ClientConn).RoundTrip"],
        TlsFunction::GoAsksStream,
        "golang.org/x/net/http2.(*clientStream).encodeAndWriteHeaders",
        TlsFunction::GoWritesStream,
    ),
    (
        ["google.golang.org/grpc/internal/transport.(*controlBuffer).executeAndPut", ""],
        TlsFunction::GoPutsHeader,
        "google.golang.org/grpc/internal/transport.(*loopyWriter).headerHandler",
        TlsFunction::GoWritesStream,
    ),
];

/// Total on any file: one that is not a program has nothing to do with TLS.
pub fn look(file: &File) -> TlsFile {
    let Ok(look) = Look::new(file) else { return TlsFile::default() };
    TlsFile { asks: ask_functions::points(&look), ..functions(&look) }
}

fn functions(look: &Look) -> TlsFile {
    let [write, read, write_ex, read_ex] = look.functions(OPENSSL.map(|(name, _)| name));
    let openssl = (write.is_some() && read.is_some()).then_some(vec![write, read, write_ex, read_ex]);
    let gnutls = || {
        let [receive, send2, send] = look.functions(GNUTLS.map(|(name, _)| name));
        let send = send2.or(send);
        (receive.is_some() && send.is_some()).then_some(vec![receive, send])
    };
    let go = || {
        let (section, magic, version_inside) = GO_BUILD;
        let head = look.section_start(section, magic.len() + 2)?;
        let [read, write] = look.functions(GO.map(|(name, _)| name));
        (head.starts_with(magic) && head.last()? & version_inside != 0 && read.is_some() && write.is_some())
            .then_some(vec![read, write])
    };
    let rustls = || {
        let [read, write] = look.mangled(RUSTLS.map(|(name, _)| name));
        (read.is_some() && write.is_some()).then_some(vec![read, write])
    };
    let functions = |table: &[TlsFunction], symbols: Vec<Option<Found>>| {
        let found = table.iter().zip(symbols).filter_map(|(function, symbol)| Some((*function, symbol?)));
        // All or none: with one of them in the dark, requests would be seen without their answers.
        found.map(|(function, symbol)| probe_points(look, function, symbol)).collect::<Result<Vec<_>, _>>()
    };
    let of = |table: &[(&str, TlsFunction)]| table.iter().map(|(_, function)| *function).collect::<Vec<_>>();
    let has = match openssl {
        Some(symbols) => Some(functions(&of(&OPENSSL), symbols)),
        None => match gnutls() {
            Some(symbols) => Some(functions(&of(&GNUTLS), symbols)),
            None => match go() {
                Some(symbols) => Some(functions(&of(&GO), symbols).map(|mut points| {
                    points.extend(requests(look));
                    points
                })),
                None => rustls().map(|symbols| functions(&RUSTLS.map(|(_, function)| function), symbols)),
            },
        },
    };
    if has.is_some() {
        return TlsFile { has, ..TlsFile::default() };
    }
    let of_openssl = OPENSSL.into_iter().zip(look.imports(OPENSSL.map(|(name, _)| name)));
    let of_gnutls = GNUTLS.into_iter().zip(look.imports(GNUTLS.map(|(name, _)| name)));
    let calls = of_openssl.chain(of_gnutls).filter(|(_, imports)| *imports);
    TlsFile { calls: calls.map(|((_, function), _)| function).collect(), ..TlsFile::default() }
}

/// Of each library both or none.
fn requests(look: &Look) -> Vec<ProbePoints> {
    let point = |function, found: Option<Found>| {
        let entry = look.offset_of(found?.address)?;
        Some(ProbePoints { function, entry, returns: Vec::new() })
    };
    let mut points = Vec::new();
    for ([newer, older], asks, name, writes) in GO_REQUESTS {
        // One table's names are looked for where the first of them is.
        let [writer, newer, older] = look.functions([name, newer, older]);
        let pair = point(asks, newer.or(older)).zip(point(writes, writer));
        points.extend(pair.into_iter().flat_map(|(asks, writes)| [asks, writes]));
    }
    points
}

fn probe_points(look: &Look, function: TlsFunction, symbol: Found) -> Result<ProbePoints, NoPoints> {
    let points = || {
        let entry = look.offset_of(symbol.address)?;
        let returns = returns(symbol, |at, size| look.bytes_at(at, size), |at| look.extent(at))?;
        let returns = returns.into_iter().map(|address| look.offset_of(address)).collect::<Option<_>>()?;
        Some(ProbePoints { function, entry, returns })
    };
    points().ok_or(NoPoints::Undecodable(function))
}

/// Addresses of the `ret` instructions that end a call of the function: its own, and those of functions that it ends in by
/// jumps, with the stack as it was at the entry.
fn returns(
    function: Found,
    bytes_at: impl Fn(u64, usize) -> Option<Vec<u8>>,
    extent: impl Fn(u64) -> Option<u64>,
) -> Option<Vec<u64>> {
    let (mut parts, mut returns) = (vec![function], BTreeSet::new());
    let mut next = 0;
    while let Some(Found { address, size }) = parts.get(next).copied() {
        next += 1;
        let code = bytes_at(address, usize::try_from(size).ok().filter(|_| size <= MAX_FUNCTION)?)?;
        let ends = ends(&code, address)?;
        returns.extend(ends.returns);
        for address in ends.tails {
            if !parts.iter().any(|part| part.address == address) {
                parts.push(Found { address, size: extent(address)? });
            }
        }
        if parts.len() > MAX_PARTS {
            return None;
        }
    }
    (1..=MAX_RETURNS).contains(&returns.len()).then(|| returns.into_iter().collect())
}

/// How a function is left.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ends {
    returns: Vec<u64>,
    /// Where it jumps to instead of returning.
    tails: BTreeSet<u64>,
}

/// None: the bytes are not one run of instructions, or it is left by a jump to who knows where.
fn ends(code: &[u8], address: u64) -> Option<Ends> {
    let end = address.checked_add(code.len() as u64)?;
    let inside = address..end;
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let (mut starts, mut targets, mut ends) = (BTreeSet::new(), Vec::new(), Ends::default());
    let mut before = [Instruction::default(); 2];
    while decoder.can_decode() {
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        starts.insert(instruction.ip());
        if instruction.mnemonic() == Mnemonic::Ret {
            ends.returns.push(instruction.ip());
        }
        let target = (instruction.op_count() > 0 && instruction.op0_kind() == OpKind::NearBranch64)
            .then(|| instruction.near_branch_target());
        // A jump out of the function ends it where no probe is. (Conditional ones lead to what the compiler thought
        // unlikely: errors.)
        if instruction.mnemonic() == Mnemonic::Jmp {
            match target {
                Some(target) if inside.contains(&target) => {}
                Some(target) => {
                    ends.tails.insert(target);
                }
                None if through_table(&before, &instruction) => {}
                None => return None,
            }
        }
        targets.extend(target);
        before = [before[1], instruction];
    }
    // A branch into the middle of an instruction: this is not how the processor reads the bytes.
    let believed = targets.iter().all(|target| !inside.contains(target) || starts.contains(target));
    believed.then_some(ends)
}

/// A `switch`, which stays inside the function: movslq (table,index,4),r; add table,r; jmp *r. Or jmp *(table,index,8).
fn through_table([load, add]: &[Instruction; 2], jump: &Instruction) -> bool {
    match jump.op0_kind() {
        OpKind::Register => {
            let to = jump.op0_register();
            let loads = load.mnemonic() == Mnemonic::Movsxd
                && load.op1_kind() == OpKind::Memory
                && load.memory_index() != Register::None
                && load.memory_index_scale() == 4;
            let adds = add.mnemonic() == Mnemonic::Add && add.op1_kind() == OpKind::Register;
            // Either of the two may be the sum.
            let of_it = [add.op0_register(), add.op1_register()].contains(&load.op0_register());
            loads && adds && of_it && add.op0_register() == to
        }
        OpKind::Memory => jump.memory_index() != Register::None && jump.memory_index_scale() == 8,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(code: &[u8]) -> Option<Vec<u64>> {
        let ends = ends(code, 0x1000)?;
        ends.tails.is_empty().then_some(ends.returns)
    }

    #[test]
    fn finds_the_returns_between_bytes_that_look_like_them() {
        // mov rbx,rax (its last byte is that of a ret); test eax,eax; je +1; ret; xor eax,eax; ret
        let code = [0x48, 0x89, 0xc3, 0x85, 0xc0, 0x74, 0x01, 0xc3, 0x31, 0xc0, 0xf3, 0xc3];
        assert_eq!(alone(&code), Some(vec![0x1007, 0x100a]));
    }

    #[test]
    fn refuses_code_that_it_cannot_follow() {
        assert_eq!(alone(&[0x48, 0x89]), None, "cut");
        assert_eq!(alone(&[0x06, 0xc3]), None, "not an instruction of 64-bit code");
        // jmp +1, into the immediate of what follows
        assert_eq!(alone(&[0xeb, 0x01, 0xb8, 0, 0, 0, 0, 0xc3]), None, "a branch into an instruction");
        assert_eq!(alone(&[0xff, 0xe0, 0xc3]), None, "jmp *%rax: a call through a pointer");
        assert_eq!(returns(Found { address: 0, size: 0 }, |_, _| Some(Vec::new()), |_| None), None, "nothing");
    }

    #[test]
    fn a_switch_stays_inside() {
        // movslq (%rdx,%rax,4),%rax; add %rdx,%rax; jmp *%rax; ret
        let code = [0x48, 0x63, 0x04, 0x82, 0x48, 0x01, 0xd0, 0xff, 0xe0, 0xc3];
        assert_eq!(alone(&code), Some(vec![0x1009]));
        // jmp *0x1000(,%rax,8); ret, and jmp *(%rax,%rcx,8); ret
        assert_eq!(alone(&[0xff, 0x24, 0xc5, 0, 0x10, 0, 0, 0xc3]), Some(vec![0x1007]));
        assert_eq!(alone(&[0xff, 0x24, 0xc8, 0xc3]), Some(vec![0x1003]));
        // The same sum of another register: movslq (%rdx,%rax,4),%rcx; add %rdx,%rax; jmp *%rax
        assert_eq!(alone(&[0x48, 0x63, 0x0c, 0x82, 0x48, 0x01, 0xd0, 0xff, 0xe0, 0xc3]), None);
    }

    /// Functions at 0x1000 and 0x2000, and the ends of all calls of the first.
    fn ended(first: &[u8], second: &[u8]) -> Option<Vec<u64>> {
        let size = |code: &[u8]| code.len() as u64;
        returns(
            Found { address: 0x1000, size: size(first) },
            |at, _| Some(if at == 0x1000 { first } else { second }.to_vec()),
            |at| (at == 0x2000).then_some(size(second)),
        )
    }

    #[test]
    fn a_function_may_end_in_another_one() {
        // test edi,edi; je +5; jmp 0x2000; ret
        let first = [0x85, 0xff, 0x74, 0x05, 0xe9, 0xf7, 0x0f, 0, 0, 0xc3];
        assert_eq!(ended(&first, &[0x31, 0xc0, 0xc3]), Some(vec![0x1009, 0x2002]));
        assert_eq!(ended(&first[4..], &[0xc3]), None, "it ends where no function begins");
        // xor eax,eax; jmp 0x1000: and back
        assert_eq!(ended(&first, &[0x31, 0xc0, 0xe9, 0xf9, 0xef, 0xff, 0xff]), Some(vec![0x1009]));
    }

    #[test]
    fn the_libraries_of_this_machine() {
        for (path, count) in [("libssl.so.3", 4), ("libgnutls.so.30", 2)] {
            let Ok(file) = File::open(format!("/usr/lib/x86_64-linux-gnu/{path}")) else { continue };
            let points = look(&file).has.unwrap().unwrap();
            assert_eq!(points.len(), count, "{path}: {points:?}");
        }
    }

    #[test]
    fn files_without_tls_have_no_part_in_it() {
        for path in ["/proc/self/exe", "/bin/true", "/etc/passwd"] {
            assert_eq!(look(&File::open(path).unwrap()), TlsFile::default(), "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn total_on_any_code(code in proptest::collection::vec(0u8.., 0..400), address in 0u64..) {
            if let Some(ends) = ends(&code, address) {
                for at in ends.returns {
                    let byte = |at: u64| code[(at - address) as usize];
                    let mut at = at;
                    while !matches!(byte(at), 0xc2 | 0xc3) {
                        at += 1; // prefixes
                    }
                }
            }
        }
    }
}
