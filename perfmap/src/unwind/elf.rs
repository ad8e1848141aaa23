//! An ELF file that someone else wrote → the few parts that unwinding and discovery need. Reads by position, never by
//! mapping the file (a target that truncates its own file must not kill us with SIGBUS), and never more than a budget.
//!
//! Knows nothing of processes or of where the file came from.

mod extents;
mod names;
mod sections;
mod thread_local;

pub use names::Mangled;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use object::read::elf::FileHeader;
use rustc_hash::FxHashMap;

use object::{Endianness, Object, ObjectSection, ObjectSegment, ObjectSymbol, ReadRef};

/// Most bytes that are read of one file in one look: Chromium's unwind sections are about 30 MiB, the symbol tables of
/// large static programs about 100 MiB.
const READ_BUDGET: u64 = 192 << 20;
/// Most bytes of one kept section.
const SECTION_LIMIT: u64 = 64 << 20;
/// Names are shorter; C++ ones come near.
const STRING_LIMIT: u64 = 4096;
const STRING_CHUNK: u64 = 64 << 10;
const SEGMENT_LIMIT: usize = 64;
/// The kernel reports at most 20 bytes of a build id; longer ones are cut the same way.
pub const BUILD_ID_BYTES: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    #[error("not an ELF file for x86-64 that can be read")]
    Malformed,
}

/// Offset and size of a block.
type At = (u64, u64);

/// Positional reads of one file behind `object`'s reader interface. Blocks live as long as the cache, which lives as
/// long as one look at the file.
struct Blocks {
    file: File,
    length: u64,
    left: Cell<u64>,
    // Each block is its own allocation, is never changed and never removed before the whole is dropped.
    kept: RefCell<FxHashMap<At, Arc<[u8]>>>,
}

impl Blocks {
    fn new(file: &File) -> Result<Blocks, ElfError> {
        let length = file.metadata().map_err(|_| ElfError::Malformed)?.len();
        let file = file.try_clone().map_err(|_| ElfError::Malformed)?;
        Ok(Blocks { file, length, left: Cell::new(READ_BUDGET), kept: RefCell::default() })
    }

    fn read(&self, offset: u64, size: u64) -> Result<Arc<[u8]>, ()> {
        let end = offset.checked_add(size).ok_or(())?;
        if end > self.length {
            return Err(());
        }
        if let Some(block) = self.kept.borrow().get(&(offset, size)) {
            return Ok(Arc::clone(block));
        }
        let left = self.left.get().checked_sub(size).ok_or(())?;
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| ())?];
        self.file.read_exact_at(&mut bytes, offset).map_err(|_| ())?;
        self.left.set(left);
        let block: Arc<[u8]> = bytes.into();
        self.kept.borrow_mut().insert((offset, size), Arc::clone(&block));
        Ok(block)
    }
}

impl<'a> ReadRef<'a> for &'a Blocks {
    fn len(self) -> Result<u64, ()> {
        Ok(self.length)
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        if size == 0 {
            return Ok(&[]);
        }
        let block = self.read(offset, size)?;
        // SAFETY: `kept` holds a second reference to the allocation until `self` is dropped, which outlives 'a;
        // blocks are neither changed nor removed.
        Ok(unsafe { std::slice::from_raw_parts(block.as_ptr(), block.len()) })
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        let size = range.end.checked_sub(range.start).ok_or(())?.min(STRING_LIMIT);
        // Names are asked for one by one: in chunks, or each would be a read of its own.
        let chunk = range.start / STRING_CHUNK * STRING_CHUNK;
        let end = range.start.checked_add(size).ok_or(())?;
        let bytes = if end <= chunk + STRING_CHUNK {
            let bytes = self.read_bytes_at(chunk, STRING_CHUNK.min(self.length.saturating_sub(chunk)))?;
            let from = usize::try_from(range.start - chunk).map_err(|_| ())?;
            bytes.get(from..from.saturating_add(size as usize).min(bytes.len())).ok_or(())?
        } else {
            self.read_bytes_at(range.start, size)?
        };
        let length = bytes.iter().position(|byte| *byte == delimiter).ok_or(())?;
        bytes.get(..length).ok_or(())
    }
}

/// One loadable segment: where it lies in the file and where it is linked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub file: Range<u64>,
    pub address: u64,
    pub executable: bool,
}

/// What framehop needs of one file; shared by all processes that map it.
#[derive(Debug, Clone, Default)]
pub struct Image {
    pub build_id: Vec<u8>,
    pub segments: Vec<Segment>,
    /// File offset of the first instruction that runs.
    pub entry: Option<u64>,
    pub text: Option<Range<u64>>,
    pub eh_frame: Option<(Range<u64>, Arc<[u8]>)>,
    pub eh_frame_hdr: Option<(Range<u64>, Arc<[u8]>)>,
    /// Linked addresses of code that keeps frame pointers and that `eh_frame` says nothing of: Go's, where C's lies beside it.
    pub frame_pointers: Option<Range<u64>>,
}

impl Image {
    /// What has to be added to a linked address to get the address in a process that mapped `file_offset` at `start`.
    pub fn bias(&self, start: u64, file_offset: u64, executable: bool) -> Option<u64> {
        let segment = self.segments.iter().find(|segment| {
            (segment.executable || !executable)
                // Mappings begin at the page that the segment begins in.
                && segment.file.start & !0xfff <= file_offset
                && file_offset < segment.file.end
        })?;
        Some(start.wrapping_sub(file_offset).wrapping_add(segment.file.start).wrapping_sub(segment.address))
    }
}

/// Read the parts of `file` that unwinding needs.
pub fn read_image(file: &File) -> Result<Image, ElfError> {
    let blocks = Blocks::new(file)?;
    let elf = parse(&blocks)?;
    let section = |name: &str| {
        let section = elf.section_by_name(name)?;
        let (offset, size) = section.file_range()?;
        if size > SECTION_LIMIT {
            return None;
        }
        let address = section.address();
        let end = address.checked_add(size)?;
        Some((address..end, blocks.read(offset, size).ok()?))
    };
    let segments = segments_of(&elf);
    let entered = segments.iter().find_map(|segment| {
        let at = segment.file.start.checked_add(elf.entry().checked_sub(segment.address)?)?;
        (segment.executable && segment.file.contains(&at)).then_some(at)
    });
    Ok(Image {
        build_id: build_id_of(&elf),
        segments,
        entry: entered,
        text: elf.section_by_name(".text").and_then(|text| {
            let address = text.address();
            Some(address..address.checked_add(text.size())?)
        }),
        eh_frame: section(".eh_frame"),
        eh_frame_hdr: section(".eh_frame_hdr"),
        frame_pointers: code_of_go(&elf),
    })
}

/// Of a program of Go's that holds C as well.
fn code_of_go(elf: &Elf<'_>) -> Option<Range<u64>> {
    elf.section_by_name(".go.buildinfo")?;
    elf.section_by_name(".eh_frame")?;
    let mut ends = [None; 2];
    for symbol in elf.symbols() {
        match symbol.name_bytes() {
            Ok(b"runtime.text") => ends[0] = Some(symbol.address()),
            Ok(b"runtime.etext") => ends[1] = Some(symbol.address()),
            Ok(_) | Err(_) => {}
        }
    }
    let [Some(start), Some(end)] = ends else { return None };
    (start < end).then_some(start..end)
}

/// The build id alone (cut as the kernel cuts it), empty where the file has none.
pub fn read_build_id(file: &File) -> Result<Vec<u8>, ElfError> {
    let blocks = Blocks::new(file)?;
    Ok(build_id_of(&parse(&blocks)?))
}

pub fn read_segments(file: &File) -> Result<Vec<Segment>, ElfError> {
    let blocks = Blocks::new(file)?;
    Ok(segments_of(&parse(&blocks)?))
}

/// Where the byte at a file offset is linked to.
pub fn linked_address(segments: &[Segment], offset: u64) -> Option<u64> {
    let segment = segments.iter().find(|segment| segment.file.contains(&offset))?;
    segment.address.checked_add(offset - segment.file.start)
}

/// Whether the file was stripped of its full symbol table. True also where it can not be read.
pub fn is_stripped(file: &File) -> bool {
    let Ok(blocks) = Blocks::new(file) else { return true };
    parse(&blocks).map_or(true, |elf| elf.section_by_name(".symtab").is_none())
}

/// A symbol's linked address and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub address: u64,
    pub size: u64,
}

/// One look for symbols and bytes, without keeping anything of the file.
pub struct Look {
    blocks: Blocks,
}

impl Look {
    pub fn new(file: &File) -> Result<Look, ElfError> {
        let look = Look { blocks: Blocks::new(file)? };
        parse(&look.blocks)?;
        Ok(look)
    }

    /// The addresses of `names`, from the dynamic symbols; from the full table only where the first name is not among
    /// those (statically linked interpreters are often not exported).
    pub fn symbols<const N: usize>(&self, names: [&str; N]) -> Result<[Option<Found>; N], ElfError> {
        let elf = parse(&self.blocks)?;
        let mut found = [None; N];
        search(elf.dynamic_symbols(), &names, &mut found);
        if found.first().is_some_and(Option::is_none) {
            search(elf.symbols(), &names, &mut found);
        }
        Ok(found)
    }

    /// Where the bytes at a linked address lie in the file.
    pub fn offset_of(&self, address: u64) -> Option<u64> {
        let elf = parse(&self.blocks).ok()?;
        let offset = |segment: Segment| {
            let offset = segment.file.start.checked_add(address.checked_sub(segment.address)?)?;
            segment.file.contains(&offset).then_some(offset)
        };
        segments_of(&elf).into_iter().filter(|segment| segment.executable).find_map(offset)
    }

    /// The linked address of the program's first instruction.
    pub fn entry(&self) -> Option<u64> {
        Some(parse(&self.blocks).ok()?.entry())
    }

    /// Bytes at a linked address, as they are in the file.
    pub fn bytes_at(&self, address: u64, size: usize) -> Option<Vec<u8>> {
        let elf = parse(&self.blocks).ok()?;
        let size = u64::try_from(size).ok()?;
        let segment = segments_of(&elf).into_iter().find(|segment| {
            address
                .checked_sub(segment.address)
                .and_then(|at| at.checked_add(size))
                .is_some_and(|end| end <= segment.file.end - segment.file.start)
        })?;
        let offset = segment.file.start + (address - segment.address);
        Some(self.blocks.read(offset, size).ok()?.to_vec())
    }

    /// The first bytes of a section.
    pub fn section_start(&self, name: &str, size: usize) -> Option<Vec<u8>> {
        let elf = parse(&self.blocks).ok()?;
        let (offset, length) = elf.section_by_name(name)?.file_range()?;
        let size = u64::try_from(size).ok().filter(|size| *size <= length)?;
        Some(self.blocks.read(offset, size).ok()?.to_vec())
    }

    pub fn segments(&self) -> Vec<Segment> {
        parse(&self.blocks).map(|elf| segments_of(&elf)).unwrap_or_default()
    }

    /// Whether the file asks the loader for a library whose name starts so.
    pub fn needs_library(&self, prefix: &str) -> bool {
        let Ok(elf) = parse(&self.blocks) else { return false };
        needed(&elf, prefix).unwrap_or(false)
    }
}

type Elf<'a> = object::read::elf::ElfFile64<'a, Endianness, &'a Blocks>;

fn parse(blocks: &Blocks) -> Result<Elf<'_>, ElfError> {
    let elf = Elf::parse(blocks).map_err(|_| ElfError::Malformed)?;
    match elf.architecture() {
        object::Architecture::X86_64 => Ok(elf),
        _ => Err(ElfError::Malformed),
    }
}

fn build_id_of(elf: &Elf<'_>) -> Vec<u8> {
    let id = elf.build_id().ok().flatten().unwrap_or_default();
    id.get(..BUILD_ID_BYTES).unwrap_or(id).to_vec()
}

fn segments_of(elf: &Elf<'_>) -> Vec<Segment> {
    elf.segments()
        .take(SEGMENT_LIMIT)
        .filter_map(|segment| {
            let (offset, size) = segment.file_range();
            let executable = match segment.flags() {
                object::SegmentFlags::Elf { p_flags, .. } => p_flags & object::elf::PF_X == object::elf::PF_X,
                _ => false,
            };
            Some(Segment { file: offset..offset.checked_add(size)?, address: segment.address(), executable })
        })
        .collect()
}

fn search<'a, const N: usize>(
    symbols: impl Iterator<Item = impl ObjectSymbol<'a>>,
    names: &[&str; N],
    found: &mut [Option<Found>; N],
) {
    for symbol in symbols.filter(|symbol| symbol.is_definition()) {
        let Ok(name) = symbol.name_bytes() else { continue };
        if let Some(at) = names.iter().position(|wanted| wanted.as_bytes() == name) {
            found[at].get_or_insert(Found { address: symbol.address(), size: symbol.size() });
        }
    }
}

fn needed(elf: &Elf<'_>, prefix: &str) -> Option<bool> {
    let endian = elf.endian();
    let blocks = elf.data();
    let sections = elf.elf_header().sections(endian, blocks).ok()?;
    let (entries, link) = sections.dynamic(endian, blocks).ok()??;
    let strings = sections.strings(endian, blocks, link).ok()?;
    Some(entries.iter().take(4096).any(|entry| {
        use object::read::elf::Dyn;
        entry.tag(endian) == object::elf::DT_NEEDED
            && entry.string(endian, strings).is_ok_and(|name| name.starts_with(prefix.as_bytes()))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_test_binary() {
        let file = File::open("/proc/self/exe").unwrap();
        let image = read_image(&file).unwrap();
        assert!(image.eh_frame.is_some() && image.eh_frame_hdr.is_some());
        assert!(image.segments.iter().any(|segment| segment.executable));
        assert_eq!(image.build_id, read_build_id(&file).unwrap());
        let look = Look::new(&file).unwrap();
        assert!(look.needs_library("libc.so"));
        let entry = look.entry().unwrap();
        assert!(look.offset_of(entry).is_some() && look.offset_of(u64::MAX).is_none());
        assert_eq!(image.entry, look.offset_of(entry));
    }

    #[test]
    fn refuses_what_is_not_elf() {
        let file = File::open("/etc/passwd").unwrap();
        assert_eq!(read_image(&file).unwrap_err(), ElfError::Malformed);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        /// Damage anywhere in the headers neither panics nor makes it read more than the budget.
        #[test]
        fn damaged_files_are_refused_or_read(changes in proptest::collection::vec((0usize..4096, 0u8..), 1..40)) {
            let mut bytes = std::fs::read("/bin/true").unwrap();
            let length = bytes.len();
            for (at, value) in changes {
                // Half of the damage goes into the section headers at the end.
                let at = if at % 2 == 0 { at } else { length - 1 - at % length.min(4096) };
                bytes[at % length] = value;
            }
            let mut file = tempfile::tempfile().unwrap();
            std::io::Write::write_all(&mut file, &bytes).unwrap();
            let _ = read_image(&file);
            if let Ok(look) = Look::new(&file) {
                let _ = look.symbols(["main"]);
                let _ = look.needs_library("lib");
                let _ = look.functions(["main"]);
                let _ = look.offset_of(0x1000);
                let _ = look.bytes_at(0x1000, 8);
            }
        }
    }
}
