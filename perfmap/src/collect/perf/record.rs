//! perf's records, header apart → what they tell of the target's tree. Total: a short body is nothing.
//!
//! All carry thread and time in their last 16 bytes (sample_id_all); changes of mappings are read as the eBPF backend
//! reads them.

use crate::{
    collect::{
        mappings::{self, Change, Parsed},
        to_wire::Who,
    },
    unwind::native::Registers,
};

#[derive(Debug, PartialEq)]
pub enum Record {
    Sample {
        who: Who,
        registers: Registers,
        user: Vec<u8>,
    },
    /// Got the CPU.
    On {
        who: Who,
    },
    /// Lost the CPU; `preempted`: it could have gone on.
    Off {
        who: Who,
        preempted: bool,
    },
    /// `who`: the child; it may be a thread of its maker's process.
    Forked {
        who: Who,
        maker: (u32, u32),
    },
    Exited {
        who: Who,
        parent: u32,
    },
    Named {
        who: Who,
        comm: [u8; 16],
        executed: bool,
    },
    Lost(u64),
    Other,
}

// include/uapi/linux/perf_event.h
const COMM: u32 = 3;
const EXIT: u32 = 4;
const FORK: u32 = 7;
const SAMPLE: u32 = 9;
const LOST_SAMPLES: u32 = 13;
const SWITCH: u32 = 14;
const MISC_EXEC: u16 = 1 << 13;
const MISC_OUT: u16 = 1 << 13;
const MISC_PREEMPTED: u16 = 1 << 14;
const ABI_64: u64 = 2;

/// asm/perf_regs.h: ax bx cx dx si di bp sp ip, then r8 to r15.
pub const REGISTERS: u64 = 0x1ff | 0xff << 16;
/// Where each of these is in [`Registers`].
const PLACES: [usize; 17] = [0, 3, 2, 1, 4, 5, 6, 7, 16, 8, 9, 10, 11, 12, 13, 14, 15];

/// With the change of mappings that it brings, if it does.
pub fn parse(kind: u32, misc: u16, body: &[u8]) -> (Record, Option<Change>) {
    let (change, lost) = match mappings::parse(kind, misc, body) {
        Parsed::Change(change) => (Some(change), None),
        Parsed::Lost(count) => (None, Some(count)),
        Parsed::Other => (None, None),
    };
    let record = match (kind, lost) {
        (_, Some(count)) => Some(Record::Lost(count)),
        (LOST_SAMPLES, _) => Some(Record::Lost(word(body, 0).unwrap_or(1))),
        (SAMPLE, _) => sample(body),
        (SWITCH, _) => trailer(body).map(|who| match misc & MISC_OUT {
            0 => Record::On { who },
            _ => Record::Off { who, preempted: misc & MISC_PREEMPTED != 0 },
        }),
        (FORK, _) => task(body).map(|[pid, parent, tid, maker, at]| Record::Forked {
            who: who(pid, tid, at),
            maker: (parent as u32, maker as u32),
        }),
        (EXIT, _) => {
            task(body).map(|[pid, parent, tid, _, at]| Record::Exited { who: who(pid, tid, at), parent: parent as u32 })
        }
        (COMM, _) => named(body, misc & MISC_EXEC != 0),
        _ => None,
    };
    (record.unwrap_or(Record::Other), change)
}

fn who(pid: u64, tid: u64, at: u64) -> Who {
    Who { pid: pid as u32, tid: tid as u32, at }
}

fn trailer(body: &[u8]) -> Option<Who> {
    let last = body.get(body.len().checked_sub(16)?..)?;
    Some(who(half(last, 0)?, half(last, 4)?, word(last, 8)?))
}

fn task(body: &[u8]) -> Option<[u64; 5]> {
    Some([half(body, 0)?, half(body, 4)?, half(body, 8)?, half(body, 12)?, word(body, 16)?])
}

fn named(body: &[u8], executed: bool) -> Option<Record> {
    let at = trailer(body)?.at;
    let name = body.get(8..body.len().checked_sub(16)?)?;
    let mut comm = [0; 16];
    for (to, from) in comm.iter_mut().zip(name.iter().take(15).take_while(|byte| **byte != 0)) {
        *to = *from;
    }
    Some(Record::Named { who: who(half(body, 0)?, half(body, 4)?, at), comm, executed })
}

/// TID, TIME, REGS_USER, STACK_USER.
fn sample(body: &[u8]) -> Option<Record> {
    let who = who(half(body, 0)?, half(body, 4)?, word(body, 8)?);
    let mut registers = [0; 17];
    let abi = word(body, 16)?;
    let mut next = 24;
    if abi != 0 {
        for place in PLACES {
            registers[place] = word(body, next)?;
            next += 8;
        }
    }
    // Of 32-bit code the unwinder knows nothing.
    if abi != ABI_64 {
        registers = [0; 17];
    }
    let size = usize::try_from(word(body, next)?).ok()?;
    let copied = body.get(next.checked_add(8)?..)?.get(..size)?;
    let valid = match size {
        0 => 0,
        _ => usize::try_from(word(body, next.checked_add(8)?.checked_add(size)?)?).ok()?.min(size),
    };
    Some(Record::Sample { who, registers, user: copied[..valid].to_vec() })
}

fn half(bytes: &[u8], at: usize) -> Option<u64> {
    mappings::u32_at(bytes, at).map(u64::from)
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    mappings::u64_at(bytes, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn a_sample_has_its_registers_in_the_unwinders_order() {
        let mut body = vec![7 | 8 << 32, 1000, 2];
        body.extend(100..117); // ax bx cx dx si di bp sp ip r8…
        body.extend([16, 1, 2, 8]); // two words asked for, one was there
        let (Record::Sample { who, registers, user }, None) = parse(SAMPLE, 0, &words(&body)) else { panic!() };
        assert_eq!(who, Who { pid: 7, tid: 8, at: 1000 });
        assert_eq!(&registers[..8], [100, 103, 102, 101, 104, 105, 106, 107]);
        assert_eq!((registers[8], registers[15], registers[16]), (109, 116, 108));
        assert_eq!(user, 1u64.to_ne_bytes());
    }

    #[test]
    fn switches_and_tasks() {
        let trailer = words(&[7 | 8 << 32, 55]);
        let who = Who { pid: 7, tid: 8, at: 55 };
        assert_eq!(parse(SWITCH, 0, &trailer).0, Record::On { who });
        assert_eq!(parse(SWITCH, MISC_OUT, &trailer).0, Record::Off { who, preempted: false });
        assert_eq!(parse(SWITCH, MISC_OUT | MISC_PREEMPTED, &trailer).0, Record::Off { who, preempted: true });
        let body = words(&[7 | 7 << 32, 9 | 8 << 32, 60, 0, 0]);
        let thread = Record::Forked { who: Who { pid: 7, tid: 9, at: 60 }, maker: (7, 8) };
        assert_eq!(parse(FORK, 0, &body).0, thread);
    }

    proptest! {
        #[test]
        fn total_on_any_bytes(kind in 0u32..20, misc in any::<u16>(), body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(kind, misc, &body);
        }
    }
}
