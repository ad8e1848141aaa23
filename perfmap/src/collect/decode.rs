//! Bytes of the kernel's ring → typed records. Total: anything that is not a whole record is an error, never a panic,
//! because a mismatch of versions must not look like data.

use perfmap_common as wire;
use perfmap_common::Plain;

/// A stack's parts, borrowed from the ring's bytes.
#[derive(Debug, Clone, Copy)]
pub struct RawStack<'a> {
    pub registers: [u64; 17],
    pub flags: u32,
    /// 0: none.
    pub coroutine: u64,
    python: &'a [u8],
    kernel: &'a [u8],
    /// The copy of the user stack, from the stack pointer upwards.
    pub user: &'a [u8],
}

impl<'a> RawStack<'a> {
    pub fn python(&self) -> impl Iterator<Item = wire::PythonFrame> + 'a {
        self.python.chunks_exact(size_of::<wire::PythonFrame>()).filter_map(wire::PythonFrame::read)
    }

    /// Kernel addresses, leaf first.
    pub fn kernel(&self) -> impl Iterator<Item = u64> + 'a {
        self.kernel.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok().map(u64::from_ne_bytes))
    }
}

#[derive(Debug)]
pub enum Record<'a> {
    Fork(wire::Fork),
    Exec(wire::Named),
    Exit(wire::Exit),
    Rename(wire::Named),
    Adopt(wire::Adopt),
    /// For the first thread alone.
    Peer,
    Sample(wire::Header, RawStack<'a>),
    Memory(wire::Memory, RawStack<'a>),
    Allocation(wire::Allocation, RawStack<'a>),
    Freed(wire::Freed),
    Block(wire::Block),
    Call(wire::Call, RawStack<'a>),
    ShortWaits(wire::ShortWaits, RawStack<'a>),
    SocketSeen(wire::SocketSeen),
    SocketState(wire::SocketState),
    Message(wire::Message, Option<RawStack<'a>>, &'a [u8]),
    Plaintext(wire::Plaintext, Option<RawStack<'a>>, &'a [u8]),
    Ask(wire::Ask, Option<RawStack<'a>>, &'a [u8]),
    FileIo(wire::FileIo, Option<RawStack<'a>>),
    /// With the path.
    Opened(wire::Opened, Option<RawStack<'a>>, &'a [u8]),
    Closed(wire::Closed),
    Unread(wire::Unread),
    PythonCode {
        code: wire::PythonCode,
        name: &'a [u8],
        file: &'a [u8],
        table: &'a [u8],
    },
    FaultStack(wire::Header, RawStack<'a>),
    /// Frames outermost first.
    Resumed(wire::Resumed, Vec<wire::PythonFrame>),
    /// With a stack where it waits or asks.
    Goroutine(wire::Goroutine, wire::GoroutineWhat, RawStack<'a>),
}

/// Not a record of this version.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed;

/// Decodes one ring entry.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, Malformed> {
    let header = wire::Header::read(bytes).ok_or(Malformed)?;
    let kind = wire::Kind::from_u32(header.kind).ok_or(Malformed)?;
    Ok(match kind {
        wire::Kind::Fork => Record::Fork(fixed(bytes)?),
        wire::Kind::Exec => Record::Exec(fixed(bytes)?),
        wire::Kind::Exit => Record::Exit(fixed(bytes)?),
        wire::Kind::Rename => Record::Rename(fixed(bytes)?),
        wire::Kind::Adopt => Record::Adopt(fixed(bytes)?),
        wire::Kind::Peer => fixed::<wire::Named>(bytes).map(|_| Record::Peer)?,
        wire::Kind::Block => Record::Block(fixed(bytes)?),
        wire::Kind::SocketSeen => Record::SocketSeen(fixed(bytes)?),
        wire::Kind::SocketState => Record::SocketState(fixed(bytes)?),
        wire::Kind::Sample | wire::Kind::FaultStack => {
            let sample: wire::Sample = fixed(bytes)?;
            let (stack, _) = stack(bytes, size_of::<wire::Sample>(), &sample.stack)?;
            if kind == wire::Kind::Sample {
                Record::Sample(sample.header, stack)
            } else {
                Record::FaultStack(sample.header, stack)
            }
        }
        wire::Kind::Memory => {
            let memory: wire::Memory = fixed(bytes)?;
            let (stack, _) = stack(bytes, size_of::<wire::Memory>(), &memory.stack)?;
            Record::Memory(memory, stack)
        }
        wire::Kind::Allocation => {
            let allocation: wire::Allocation = fixed(bytes)?;
            let (stack, _) = stack(bytes, size_of::<wire::Allocation>(), &allocation.stack)?;
            Record::Allocation(allocation, stack)
        }
        wire::Kind::Freed => Record::Freed(fixed(bytes)?),
        wire::Kind::Call => {
            let call: wire::Call = fixed(bytes)?;
            let (stack, _) = stack(bytes, size_of::<wire::Call>(), &call.stack)?;
            Record::Call(call, stack)
        }
        wire::Kind::ShortWaits => {
            let waits: wire::ShortWaits = fixed(bytes)?;
            let (stack, _) = stack(bytes, size_of::<wire::ShortWaits>(), &waits.stack)?;
            Record::ShortWaits(waits, stack)
        }
        wire::Kind::Message => {
            let message: wire::Message = fixed(bytes)?;
            let (stack, rest) = stack(bytes, size_of::<wire::Message>(), &message.stack)?;
            let payload = rest.get(..message.captured as usize).ok_or(Malformed)?;
            Record::Message(message, (message.flags & wire::MESSAGE_STACK != 0).then_some(stack), payload)
        }
        wire::Kind::Plaintext => {
            let record: wire::Plaintext = fixed(bytes)?;
            let (stack, rest) = stack(bytes, size_of::<wire::Plaintext>(), &record.stack)?;
            let plaintext = rest.get(..record.captured as usize).ok_or(Malformed)?;
            Record::Plaintext(record, (record.flags & wire::PLAINTEXT_STACK != 0).then_some(stack), plaintext)
        }
        wire::Kind::Ask => {
            let ask: wire::Ask = fixed(bytes)?;
            let (stack, rest) = stack(bytes, size_of::<wire::Ask>(), &ask.stack)?;
            let object = rest.get(..ask.captured as usize).ok_or(Malformed)?;
            Record::Ask(ask, (ask.has_stack != 0).then_some(stack), object)
        }
        wire::Kind::FileIo => {
            let io: wire::FileIo = fixed(bytes)?;
            let (stack, _) = stack(bytes, size_of::<wire::FileIo>(), &io.stack)?;
            Record::FileIo(io, (io.has_stack != 0).then_some(stack))
        }
        wire::Kind::Opened => {
            let opened: wire::Opened = fixed(bytes)?;
            let (stack, rest) = stack(bytes, size_of::<wire::Opened>(), &opened.stack)?;
            let path = rest.get(..opened.path_bytes as usize).ok_or(Malformed)?;
            Record::Opened(opened, (opened.flags & wire::OPENED_STACK != 0).then_some(stack), path)
        }
        wire::Kind::Closed => Record::Closed(fixed(bytes)?),
        wire::Kind::Unread => Record::Unread(fixed(bytes)?),
        wire::Kind::PythonCode => {
            let code: wire::PythonCode = fixed(bytes)?;
            let rest = bytes.get(size_of::<wire::PythonCode>()..).ok_or(Malformed)?;
            let (name, rest) = split(rest, code.name_bytes)?;
            let (file, rest) = split(rest, code.file_bytes)?;
            let (table, _) = split(rest, code.table_bytes)?;
            Record::PythonCode { code, name, file, table }
        }
        wire::Kind::Goroutine => {
            let seen: wire::Goroutine = fixed(bytes)?;
            let what = wire::GoroutineWhat::from_u32(seen.what).ok_or(Malformed)?;
            let (stack, _) = stack(bytes, size_of::<wire::Goroutine>(), &seen.stack)?;
            Record::Goroutine(seen, what, stack)
        }
        wire::Kind::Resumed => {
            let resumed: wire::Resumed = fixed(bytes)?;
            if resumed.frames as usize > wire::MAX_AWAITS {
                return Err(Malformed);
            }
            let rest = bytes.get(size_of::<wire::Resumed>()..).ok_or(Malformed)?;
            let (frames, _) = split(rest, resumed.frames * size_of::<wire::PythonFrame>() as u32)?;
            let frames = frames.chunks_exact(size_of::<wire::PythonFrame>()).filter_map(wire::PythonFrame::read);
            Record::Resumed(resumed, frames.collect())
        }
    })
}

fn fixed<T: Plain>(bytes: &[u8]) -> Result<T, Malformed> {
    T::read(bytes).ok_or(Malformed)
}

fn split(bytes: &[u8], length: u32) -> Result<(&[u8], &[u8]), Malformed> {
    bytes.split_at_checked(length as usize).ok_or(Malformed)
}

fn stack<'a>(bytes: &'a [u8], at: usize, head: &wire::StackHead) -> Result<(RawStack<'a>, &'a [u8]), Malformed> {
    if head.python as usize > wire::MAX_PYTHON_FRAMES || head.kernel as usize > wire::MAX_KERNEL_FRAMES {
        return Err(Malformed);
    }
    let rest = bytes.get(at..).ok_or(Malformed)?;
    let (python, rest) = split(rest, head.python * size_of::<wire::PythonFrame>() as u32)?;
    let (kernel, rest) = split(rest, head.kernel * 8)?;
    let (user, rest) = split(rest, head.user)?;
    Ok((
        RawStack { registers: head.registers, flags: head.flags, coroutine: head.coroutine, python, kernel, user },
        rest,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn total_on_any_bytes(kind in 0u32..56, mut bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            if bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&kind.to_ne_bytes());
            }
            if let Ok(Record::Sample(_, stack)) = decode(&bytes) {
                prop_assert!(stack.python().count() <= wire::MAX_PYTHON_FRAMES);
                prop_assert!(stack.kernel().count() <= wire::MAX_KERNEL_FRAMES);
            }
        }

        #[test]
        fn a_cut_sample_is_malformed(cut in 1usize..600) {
            let mut head = [0u8; size_of::<wire::Sample>()];
            head[..4].copy_from_slice(&(wire::Kind::Sample as u32).to_ne_bytes());
            let counts = size_of::<wire::Sample>() - 16;
            head[counts..counts + 4].copy_from_slice(&3u32.to_ne_bytes());
            head[counts + 4..counts + 8].copy_from_slice(&2u32.to_ne_bytes());
            head[counts + 8..counts + 12].copy_from_slice(&488u32.to_ne_bytes());
            let mut whole = head.to_vec();
            whole.resize(head.len() + 3 * 32 + 2 * 8 + 488, 7);
            prop_assert!(decode(&whole).is_ok());
            prop_assert!(decode(&whole[..whole.len() - cut]).is_err());
        }
    }
}
