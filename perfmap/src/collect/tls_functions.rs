//! An ELF file → where the functions of a TLS library begin and return in it, for probes.
//!
//! A probe is a breakpoint that the kernel writes over an instruction of the target. So a function is decoded from its
//! first byte to its last, and one that does not decode without a rest is left alone. Returns are probed at the `ret`
//! instructions: return probes change the return address on the stack, and no stack could be unwound through them.

use std::{collections::BTreeSet, fs::File};

use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
use perfmap_common::TlsFunction;

use crate::unwind::elf::{Found, Look};

/// Longest function that is decoded. OpenSSL's are 30 to 500 bytes, with all that was inlined.
const MAX_FUNCTION: u64 = 4096;
/// Returns of one function: OpenSSL's have one to four.
const MAX_RETURNS: usize = 32;

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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NoPoints {
    #[error("the returns of {0:?} could not be told from its code")]
    Undecodable(TlsFunction),
    #[error("GnuTLS has no functions whose returns can be probed")]
    Gnutls,
}

/// OpenSSL from 1.1.1 on, BoringSSL and LibreSSL. The first two have to be there.
const FUNCTIONS: [(&str, TlsFunction); 4] = [
    ("SSL_write", TlsFunction::SslWrite),
    ("SSL_read", TlsFunction::SslRead),
    ("SSL_write_ex", TlsFunction::SslWriteEx),
    ("SSL_read_ex", TlsFunction::SslReadEx),
];
/// Its functions leave by jumps into others, so no return of theirs can be probed.
const GNUTLS: &str = "gnutls_record_send";

/// Total on any file: one that is not a program has nothing to do with TLS.
pub fn look(file: &File) -> TlsFile {
    let Ok(look) = Look::new(file) else { return TlsFile::default() };
    let names = FUNCTIONS.map(|(name, _)| name);
    let symbols = look.functions(names);
    let calls =
        FUNCTIONS.iter().zip(look.imports(names)).filter(|(_, imports)| *imports).map(|((_, function), _)| *function);
    let has = if symbols[0].is_some() && symbols[1].is_some() {
        // All or none: with one of them in the dark, requests would be seen without their answers.
        let functions = FUNCTIONS.iter().zip(symbols).filter_map(|((_, function), symbol)| Some((*function, symbol?)));
        Some(functions.map(|(function, symbol)| probe_points(&look, function, symbol)).collect())
    } else {
        look.functions([GNUTLS])[0].map(|_| Err(NoPoints::Gnutls))
    };
    TlsFile { has, calls: calls.collect() }
}

fn probe_points(look: &Look, function: TlsFunction, symbol: Found) -> Result<ProbePoints, NoPoints> {
    let Found { address, size } = symbol;
    let points = || {
        let code = look.bytes_at(address, usize::try_from(size).ok().filter(|_| size <= MAX_FUNCTION)?)?;
        let returns =
            returns(&code, address)?.into_iter().map(|address| look.offset_of(address)).collect::<Option<_>>()?;
        Some(ProbePoints { function, entry: look.offset_of(address)?, returns })
    };
    points().ok_or(NoPoints::Undecodable(function))
}

/// Addresses of the `ret` instructions. None: the bytes are not one run of instructions with a return in it.
fn returns(code: &[u8], address: u64) -> Option<Vec<u64>> {
    let end = address.checked_add(code.len() as u64)?;
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let (mut starts, mut targets, mut returns) = (BTreeSet::new(), Vec::new(), Vec::new());
    while decoder.can_decode() {
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return None;
        }
        starts.insert(instruction.ip());
        if instruction.mnemonic() == Mnemonic::Ret {
            returns.push(instruction.ip());
        }
        let target = (instruction.op_count() > 0 && instruction.op0_kind() == OpKind::NearBranch64)
            .then(|| instruction.near_branch_target());
        // A jump out of the function ends it as a return does, where no probe is. (Conditional ones lead to what the compiler
        // thought unlikely: errors.)
        if instruction.mnemonic() == Mnemonic::Jmp && !target.is_some_and(|target| (address..end).contains(&target)) {
            return None;
        }
        targets.extend(target);
    }
    // A branch into the middle of an instruction: this is not how the processor reads the bytes.
    let believed = targets.iter().all(|target| !(address..end).contains(target) || starts.contains(target));
    (believed && (1..=MAX_RETURNS).contains(&returns.len())).then_some(returns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_returns_between_bytes_that_look_like_them() {
        // mov rbx,rax (its last byte is that of a ret); test eax,eax; je +1; ret; xor eax,eax; ret
        let code = [0x48, 0x89, 0xc3, 0x85, 0xc0, 0x74, 0x01, 0xc3, 0x31, 0xc0, 0xf3, 0xc3];
        assert_eq!(returns(&code, 0x1000), Some(vec![0x1007, 0x100a]));
    }

    #[test]
    fn refuses_code_that_it_cannot_follow() {
        assert_eq!(returns(&[0x31, 0xc0, 0xe9, 0, 1, 0, 0], 0), None, "a tail call has no return");
        assert_eq!(returns(&[0x74, 0x01, 0xc3, 0xe9, 0, 1, 0, 0], 0), None, "one of two ways out is a tail call");
        assert_eq!(returns(&[0x48, 0x89], 0), None, "cut");
        assert_eq!(returns(&[0x06, 0xc3], 0), None, "not an instruction of 64-bit code");
        // jmp +1, into the immediate of what follows
        assert_eq!(returns(&[0xeb, 0x01, 0xb8, 0, 0, 0, 0, 0xc3], 0), None, "a branch into an instruction");
        assert_eq!(returns(&[], 0), None);
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
            if let Some(returns) = returns(&code, address) {
                for at in returns {
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
