//! A program of probes in user code, loaded for links that hold many probes (uprobe_multi, kernel 6.6):
//! the kernel waits once for a link when it takes its probes away, 30 to 40 ms, and 110 ms for each probe that hangs on a
//! descriptor of its own. aya has no such links, so its parser relocates the program and the system calls are made here.

use std::{
    ffi::CString,
    fs::File,
    io,
    mem::size_of,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

use aya::{
    Btf, Ebpf,
    maps::{Map, MapData},
};
use aya_obj::Object;

/// include/uapi/linux/bpf.h
const PROG_LOAD: u32 = 5;
const BTF_LOAD: u32 = 18;
const LINK_CREATE: u32 = 28;
const PROG_TYPE_KPROBE: u32 = 2;
const TRACE_UPROBE_MULTI: u32 = 48;
const TRACE_UPROBE_SESSION: u32 = 57;
const UPROBE_MULTI_RETURN: u32 = 1;

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log: [u64; 2],
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
    btf: u32,
    function_size: u32,
    functions: u64,
    function_count: u32,
    zero: u32,
}

#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    counters: u64,
    cookies: u64,
    count: u32,
    multi_flags: u32,
    /// 0: in all processes.
    pid: u32,
    zero: u32,
}

#[repr(C)]
#[derive(Default)]
struct BtfLoad {
    types: u64,
    log: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    zero: u32,
}

/// A breakpoint: its offset in the file, and what the program is told there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    pub offset: u64,
    pub cookie: u64,
}

/// Descriptors of all maps of the object, before they are handed out.
#[derive(Debug)]
pub struct Maps(Vec<(String, OwnedFd)>);

impl Maps {
    pub fn of(ebpf: &Ebpf) -> io::Result<Maps> {
        let known = ebpf.maps().filter_map(|(name, map)| Some((name, data(map)?)));
        let own = known.map(|(name, data)| Ok((name.to_owned(), data.fd().as_fd().try_clone_to_owned()?)));
        own.collect::<io::Result<_>>().map(Maps)
    }
}

/// Those kinds that the object has. One more would be missing at the first relocation, which says so.
fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::PerCpuLruHashMap(data)
        | Map::Queue(data)
        | Map::RingBuf(data)
        | Map::StackTraceMap(data)
        | Map::Unsupported(data) => Some(data),
        _ => None,
    }
}

/// What its links are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    /// The program runs at the entry, and at the return where its result at the entry was 0 (kernel 6.13).
    Session,
}

/// Where the probes of a link are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scope {
    /// In this process alone; 0: in all.
    pub pid: u32,
    /// At the returns of the functions; else where the points say.
    pub returns: bool,
}

/// The loaded program.
#[derive(Debug)]
pub struct MultiProgram {
    program: OwnedFd,
    attach_type: u32,
}

impl MultiProgram {
    /// Older kernels load it too, and refuse its links.
    pub fn load(object: &[u8], name: &str, kind: Kind, maps: &Maps, btf: &Btf) -> Result<MultiProgram, String> {
        let attach_type = match kind {
            Kind::Plain => TRACE_UPROBE_MULTI,
            Kind::Session => TRACE_UPROBE_SESSION,
        };
        let fail = |error: &dyn std::error::Error| error.to_string();
        let mut object = Object::parse(object).map_err(|error| fail(&error))?;
        object.programs.retain(|program, _| program == name);
        // The object's types once more: taking those of a loaded program needs CAP_SYS_ADMIN.
        let types = match aya::features().btf() {
            Some(features) => object.fixup_and_sanitize_btf(features).map_err(|error| fail(&error))?.map(Btf::to_bytes),
            None => None,
        };
        object.relocate_btf(btf).map_err(|error| fail(&error))?;
        let sections = object.functions.keys().map(|(section, _)| *section).collect();
        let known = object.maps.clone();
        let made = maps.0.iter().filter_map(|(name, fd)| Some((name.as_str(), fd.as_raw_fd(), known.get(name)?)));
        object.relocate_maps(made, &sections).map_err(|error| fail(&error))?;
        object.relocate_calls(&sections).map_err(|error| fail(&error))?;
        let program = object.programs.get(name).ok_or_else(|| format!("{name} is not in the object"))?;
        let function = object.functions.get(&program.function_key()).ok_or_else(|| format!("{name} has no code"))?;
        let types = types.map(|types| load_types(&types)).transpose().map_err(|error| fail(&error))?;
        let functions = function.func_info.func_info_bytes();
        let mut short = [0; 16];
        short.iter_mut().zip(name.bytes().take(15)).for_each(|(to, from)| *to = from);
        let load = ProgLoad {
            kind: PROG_TYPE_KPROBE,
            instruction_count: function.instructions.len() as u32,
            instructions: function.instructions.as_ptr() as u64,
            license: program.license.as_ptr() as u64,
            name: short,
            attach_type,
            btf: types.as_ref().map_or(0, |types| types.as_raw_fd() as u32),
            function_size: function.func_info_rec_size as u32,
            functions: functions.as_ptr() as u64,
            function_count: function.func_info.num_info,
            ..ProgLoad::default()
        };
        bpf(PROG_LOAD, &load).map(|program| MultiProgram { program, attach_type }).map_err(|error| fail(&error))
    }

    /// One link with all points, in their order; they go when it is dropped.
    pub fn attach(&self, file: &File, points: &[Point], scope: Scope) -> io::Result<OwnedFd> {
        // The kernel takes a path: this one names the very file that was read, in whichever root it lies.
        let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        let offsets: Vec<u64> = points.iter().map(|point| point.offset).collect();
        let cookies: Vec<u64> = points.iter().map(|point| point.cookie).collect();
        bpf(
            LINK_CREATE,
            &LinkCreate {
                program: self.program.as_raw_fd() as u32,
                attach_type: self.attach_type,
                path: path.as_ptr() as u64,
                offsets: offsets.as_ptr() as u64,
                cookies: cookies.as_ptr() as u64,
                count: points.len() as u32,
                multi_flags: if scope.returns { UPROBE_MULTI_RETURN } else { 0 },
                pid: scope.pid,
                ..LinkCreate::default()
            },
        )
    }

    pub fn descriptor(&self) -> &OwnedFd {
        &self.program
    }
}

fn load_types(types: &[u8]) -> io::Result<OwnedFd> {
    let size = types.len() as u32;
    bpf(BTF_LOAD, &BtfLoad { types: types.as_ptr() as u64, size, ..BtfLoad::default() })
}

/// One of the commands above that makes a descriptor.
fn bpf<A>(command: u32, arguments: &A) -> io::Result<OwnedFd> {
    // SAFETY: all three structures are plain data without padding, laid out as the kernel's for their command; what they
    // point to is alive until the call returns, and these commands only read it.
    let made = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(arguments), size_of::<A>()) };
    match i32::try_from(made) {
        // SAFETY: the kernel made it for us just now, and nobody else knows it.
        Ok(made) if made >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(made) }),
        Ok(_) | Err(_) => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    /// include/uapi/linux/bpf.h: the kernel refuses a structure whose fields lie elsewhere only by luck.
    #[test]
    fn laid_out_as_the_kernel_reads_it() {
        let load = [
            offset_of!(ProgLoad, log),
            offset_of!(ProgLoad, kernel_version),
            offset_of!(ProgLoad, name),
            offset_of!(ProgLoad, attach_type),
            offset_of!(ProgLoad, btf),
            offset_of!(ProgLoad, functions),
            size_of::<ProgLoad>(),
        ];
        assert_eq!(load, [24, 40, 48, 68, 72, 80, 96]);
        let link = [
            offset_of!(LinkCreate, path),
            offset_of!(LinkCreate, cookies),
            offset_of!(LinkCreate, pid),
            size_of::<LinkCreate>(),
        ];
        assert_eq!(link, [16, 40, 56, 64]);
        assert_eq!([offset_of!(BtfLoad, size), offset_of!(BtfLoad, log_level), size_of::<BtfLoad>()], [16, 24, 32]);
    }
}
