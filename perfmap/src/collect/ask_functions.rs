//! An ELF file → where probes go that see who asks an event loop for something: libuv's functions for connections and timers,
//! the place where Node gives an open connection to another request, and Tokio's timers.
//!
//! libuv's are probed at their entries, and so is Tokio's future that ends at an instant, where it is polled. Node's own function is told what it is for by V8's handles, so the probe sits on
//! its last jump, by which it passes the connection on in a register.

use std::collections::BTreeSet;

use iced_x86::{Decoder, DecoderOptions, Mnemonic, OpKind};
use perfmap_common::AskFunction;

use super::tls_multi::Point;
use crate::unwind::elf::{Look, Mangled};

/// libuv from 1.0 on, shared or linked into a program. The first two have to be there.
const LIBUV: [(&str, AskFunction); 3] = [
    ("uv_tcp_init", AskFunction::Made),
    ("uv_tcp_connect", AskFunction::Connects),
    ("uv_timer_start", AskFunction::Timer),
];
/// `<tokio::time::Sleep as Future>::poll`: no generic function, so there is one in a program, of which no part is elsewhere.
const TOKIO_SLEEP: Mangled<'static> = &[
    &["$LT$tokio..time..sleep..Sleep$u20$as$u20$core..future..future..Future$GT$4poll17h"],
    &["5tokio4time5sleep", "5Sleep", "6future6Future4poll"],
];
/// What `asyncReset` of a handle calls from JavaScript, and the function of the object that it ends in.
const NODE: [&str; 2] = [
    "_ZN4node9AsyncWrap10AsyncResetERKN2v820FunctionCallbackInfoINS1_5ValueEEE",
    "_ZN4node9AsyncWrap10AsyncResetEN2v85LocalINS1_6ObjectEEEdb",
];
/// The first has some 350 bytes.
const MAX_FUNCTION: u64 = 4096;
/// Compilers copy what comes before it into several branches.
const MAX_JUMPS: usize = 4;

/// Total on any file.
pub fn points(look: &Look) -> Vec<Point> {
    let mut points = libuv(look);
    let [sleep] = look.mangled([TOKIO_SLEEP]);
    let offset = sleep.and_then(|sleep| look.offset_of(sleep.address));
    points.extend(offset.map(|offset| Point { offset, cookie: AskFunction::Sleeps as u64 }));
    points
}

fn libuv(look: &Look) -> Vec<Point> {
    let found = look.functions(LIBUV.map(|(name, _)| name));
    if found[..2].iter().any(Option::is_none) {
        return Vec::new();
    }
    let entry = |((_, function), symbol): ((&str, AskFunction), Option<crate::unwind::elf::Found>)| {
        Some(Point { offset: look.offset_of(symbol?.address)?, cookie: function as u64 })
    };
    let mut points: Vec<Point> = LIBUV.into_iter().zip(found).filter_map(entry).collect();
    points.extend(reuses(look).unwrap_or_default());
    points
}

fn reuses(look: &Look) -> Option<Vec<Point>> {
    let [outer, inner] = look.functions(NODE);
    let (outer, inner) = (outer?, inner?);
    let code =
        look.bytes_at(outer.address, usize::try_from(outer.size).ok().filter(|_| outer.size <= MAX_FUNCTION)?)?;
    let places = leads_to(&code, outer.address, inner.address);
    let point = |address: &u64| Some(Point { offset: look.offset_of(*address)?, cookie: AskFunction::Reused as u64 });
    (places.len() <= MAX_JUMPS).then(|| places.iter().filter_map(point).collect())
}

/// Addresses of the jumps and calls in `code`, which begins at `address`, that lead to `to`. None of them where the bytes are not
/// one run of instructions: a probe in the middle of one would change it.
fn leads_to(code: &[u8], address: u64, to: u64) -> BTreeSet<u64> {
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut found = BTreeSet::new();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            return BTreeSet::new();
        }
        let leads = matches!(instruction.mnemonic(), Mnemonic::Jmp | Mnemonic::Call)
            && instruction.op0_kind() == OpKind::NearBranch64
            && instruction.near_branch_target() == to;
        if leads {
            found.insert(instruction.ip());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn the_place_where_one_function_leads_to_another() {
        // test eax,eax; je +5; call 0x2000; jmp 0x2000; jmp 0x3000
        let code = [0x85, 0xc0, 0x74, 5, 0xe8, 0xf7, 0xf, 0, 0, 0xe9, 0xf2, 0xf, 0, 0, 0xe9, 0xed, 0x1f, 0, 0];
        assert_eq!(leads_to(&code, 0x1000, 0x2000), [0x1004, 0x1009].into());
        assert_eq!(leads_to(&code, 0x1000, 0x4000), [].into());
        assert_eq!(leads_to(&code[..12], 0x1000, 0x2000), [].into(), "cut in an instruction");
    }

    #[test]
    fn files_without_an_event_loop_have_no_points() {
        for path in ["/proc/self/exe", "/bin/true"] {
            assert_eq!(points(&Look::new(&File::open(path).unwrap()).unwrap()), [], "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn total_on_any_code(code in proptest::collection::vec(0u8.., 0..400), address in 0u64.., to in 0u64..) {
            for at in leads_to(&code, address, to) {
                assert!(at.wrapping_sub(address) < code.len() as u64);
            }
        }
    }
}
