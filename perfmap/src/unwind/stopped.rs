//! For tests: a child that was stopped where it sleeps, its registers and the memory above its stack pointer: what
//! the kernel's side copies, taken with ptrace.

use std::io::{BufRead, BufReader, IoSliceMut};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::native::Registers;

pub struct Stopped {
    pub child: Child,
    pub registers: Registers,
    pub fs_base: u64,
    pub stack: Vec<u8>,
}

impl Stopped {
    /// Start `command`, wait until it has written a line and sleeps, stop it there.
    pub fn in_sleep(command: &mut Command) -> Stopped {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        while output.read_line(&mut line).unwrap() > 0 && !line.contains("ready") {}
        let pid = Pid::from_raw(child.id() as i32);
        let deadline = Instant::now() + Duration::from_secs(10);
        // 35 nanosleep, 230 clock_nanosleep, 23 select: what the sleeps of libc and CPython are.
        while Instant::now() < deadline {
            let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
            if ["35 ", "230 ", "23 "].iter().any(|number| call.starts_with(number)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        ptrace::attach(pid).unwrap();
        waitpid(pid, None).unwrap();
        let r = ptrace::getregs(pid).unwrap();
        let registers = [
            r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14,
            r.r15, r.rip,
        ];
        let mut stack = Vec::new();
        while stack.len() < 16 << 10 {
            let Some(bytes) = read(child.id(), r.rsp + stack.len() as u64, 256) else { break };
            stack.extend(bytes);
        }
        Stopped { child, registers, fs_base: r.fs_base, stack }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn bytes(&self, address: u64, size: usize) -> Option<Vec<u8>> {
        read(self.pid(), address, size)
    }

    pub fn word(&self, address: u64) -> u64 {
        u64::from_le_bytes(self.bytes(address, 8).unwrap().try_into().unwrap())
    }

    pub fn half(&self, address: u64) -> u32 {
        u32::from_le_bytes(self.bytes(address, 4).unwrap().try_into().unwrap())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = ptrace::detach(Pid::from_raw(self.pid() as i32), None);
        let _ = self.child.wait();
    }
}

fn read(pid: u32, address: u64, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; size];
    let from = [RemoteIoVec { base: address as usize, len: size }];
    let count = process_vm_readv(Pid::from_raw(pid as i32), &mut [IoSliceMut::new(&mut bytes)], &from).ok()?;
    (count == size).then_some(bytes)
}
