//! An interval off the CPU, and what a look during it told → the recorder's records of a wait and its call.

use perfmap_common as wire;

use super::{
    look::{Look, memory},
    objects::{self, Objects},
};
use crate::collect::to_wire::{Called, Entries, Who};

/// Registers of which only stack pointer and instruction pointer are known: order of `StackHead`.
const STACK_POINTER: usize = 7;
const INSTRUCTION_POINTER: usize = 16;
const WAIT4: u32 = 61;
const WAITID: u32 = 247;

/// A look, with what was read for it while it held.
#[derive(Debug, Clone)]
pub struct Seen {
    pub look: Look,
    call: Option<Called>,
    socket: Option<wire::SocketSeen>,
    user: Vec<u8>,
}

/// Reads what the look points to: the descriptor, the stack.
pub fn see(look: Look, objects: &mut Objects, stack_bytes: usize) -> Seen {
    let who = Who { pid: look.pid, tid: look.tid, at: look.at };
    let (call, socket) = match look.call {
        Some(entered) => {
            let (call, socket) = objects::called(objects, who, entered, 0);
            (Some(call), socket)
        }
        None => (None, None),
    };
    let user = look.place.map(|(stack_pointer, _)| memory(look.pid, stack_pointer, stack_bytes)).unwrap_or_default();
    Seen { look, call, socket, user }
}

impl Seen {
    fn registers(&self) -> [u64; 17] {
        let mut registers = [0; 17];
        if let Some((stack_pointer, instruction_pointer)) = self.look.place {
            registers[STACK_POINTER] = stack_pointer;
            registers[INSTRUCTION_POINTER] = instruction_pointer;
        }
        registers
    }
}

/// A stretch that a thread spent off the CPU.
#[derive(Debug, Clone, Copy)]
pub struct Off {
    /// `at`: when it went on.
    pub who: Who,
    pub from: u64,
    pub state: u32,
    pub unfinished: bool,
    /// A child that ended right before.
    pub child: Option<u32>,
}

pub fn tell(entries: &mut Entries, off: Off, seen: Option<&Seen>) {
    let Off { who, from, state, unfinished, child } = off;
    if let Some(socket) = seen.and_then(|seen| seen.socket) {
        entries.socket(socket);
    }
    let reaped = |call: Called| match (call.number, child) {
        (WAIT4 | WAITID, Some(child)) => Called { result: i64::from(child), ..call },
        _ => call,
    };
    // Nobody looked, but it went on when its child had ended.
    let guessed = || {
        let none = Called { number: WAIT4, arguments: [0; 3], object: wire::Object::None, identity: 0, result: 0 };
        child.map(|_| none)
    };
    let call = match seen {
        Some(seen) => seen.call.clone(),
        None => guessed(),
    };
    entries.block(who, from, state, call.as_ref().map(|call| call.number), unfinished);
    if let Some(call) = call.map(reaped) {
        let registers = seen.map(Seen::registers).unwrap_or([0; 17]);
        entries.call(who, &call, registers, seen.map_or(&[], |seen| seen.user.as_slice()));
    }
}
