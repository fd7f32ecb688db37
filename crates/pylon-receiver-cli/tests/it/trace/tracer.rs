//! A tracer of system calls: ptrace on every thread of a process, for as long as something is done with it.

use super::order::{Call, Deed};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{HashMap, HashSet};
use std::io::IoSliceMut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

/// No more is read of what one call writes, bytes.
const LONGEST_READ: usize = 1 << 20;
/// No more pieces are read of what one call gathers.
const MOST_PIECES: usize = 1024;

/// Does something while every call of the process is traced; `poke` has to make the process do any call at all.
///
/// # Panics
/// When the process may not be traced: a test that shows nothing must not pass.
#[track_caller]
pub(super) fn trace(process: u32, act: impl FnOnce(), poke: impl FnOnce()) -> Vec<Call> {
    let process = Pid::from_raw(i32::try_from(process).expect("process ids are positive numbers of 31 bits"));
    let is_over = AtomicBool::new(false);
    let (tell_ready, ready) = channel();
    std::thread::scope(|scope| {
        // ptrace belongs to one thread; when that ends, the process goes on untraced.
        let tracer = scope.spawn(|| {
            let mut tracer = Tracer { process, under_way: HashMap::new(), calls: Vec::new(), clock: 0 };
            let attached = tracer.attach();
            let failed = attached.is_err();
            tell_ready.send(attached).expect("the test waits for it");
            if !failed {
                tracer.follow(&is_over);
            }
            tracer.calls
        });
        if let Err(errno) = ready.recv().expect("the tracer tells how it went") {
            panic!(
                "expected that this machine lets a process trace its own child (ptrace), found {errno}: allow it \
                 (kernel.yama.ptrace_scope at most 1; in a container, SYS_PTRACE) and run the test again; nothing was shown"
            );
        }
        let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        is_over.store(true, Ordering::SeqCst);
        poke();
        let calls = tracer.join().expect("the tracer does not panic");
        acted.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        calls
    })
}

struct Tracer {
    process: Pid,
    /// The call that each thread is in, by its place in `calls`; none: one that does not matter.
    under_way: HashMap<Pid, Option<usize>>,
    calls: Vec<Call>,
    /// Counts entries and exits.
    clock: usize,
}

impl Tracer {
    /// Attaches to every thread. New threads are followed by themselves.
    fn attach(&mut self) -> Result<(), Errno> {
        let mut attached = HashSet::new();
        loop {
            let before = attached.len();
            let threads = std::fs::read_dir(format!("/proc/{}/task", self.process)).map_err(|_| Errno::ESRCH)?;
            let names = threads.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            for thread in names.map(Pid::from_raw) {
                if attached.contains(&thread) {
                    continue;
                }
                match ptrace::seize(thread, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE) {
                    Ok(()) => ptrace::interrupt(thread)?,
                    // It has ended, or it was made by one that was attached already.
                    Err(Errno::ESRCH | Errno::EPERM) if !attached.is_empty() => {}
                    Err(errno) => return Err(errno),
                }
                attached.insert(thread);
            }
            // Threads that appeared while the others were attached to are found in the next round.
            if attached.len() == before {
                return Ok(());
            }
        }
    }

    /// Lets the threads run from call to call.
    fn follow(&mut self, is_over: &AtomicBool) {
        // Of this thread alone: other tests wait for children of theirs.
        let any = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        while !is_over.load(Ordering::SeqCst) {
            let (thread, signal) = match waitpid(None, Some(any)) {
                Ok(WaitStatus::PtraceSyscall(thread)) => {
                    self.note(thread);
                    (thread, None)
                }
                Ok(WaitStatus::Stopped(thread, signal)) => (thread, Some(signal)),
                Ok(WaitStatus::PtraceEvent(thread, ..)) => (thread, None),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(_) => return,
            };
            // Whoever has ended meanwhile needs no word to go on.
            let _ = ptrace::syscall(thread, signal);
        }
    }

    /// A thread stands at the beginning or at the end of a call.
    fn note(&mut self, thread: Pid) {
        let (Ok(info), Ok(registers)) = (ptrace::syscall_info(thread), ptrace::getregs(thread)) else { return };
        self.clock += 1;
        if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
            let (number, arguments) = entered(&registers);
            let place = self.deed(thread, number, arguments).map(|deed| {
                let link = format!("/proc/{}/fd/{}", self.process, arguments[0]);
                let target = std::fs::read_link(link).map(|path| path.display().to_string()).unwrap_or_default();
                self.calls.push(Call { deed, target, entered: self.clock, left: None, result: 0 });
                self.calls.len() - 1
            });
            self.under_way.insert(thread, place);
        } else if let Some(Some(place)) = self.under_way.remove(&thread) {
            self.calls[place].left = Some(self.clock);
            self.calls[place].result = result(&registers);
        }
    }

    /// What a call does, if it matters here.
    fn deed(&self, thread: Pid, number: i64, [_, pointer, length]: [u64; 3]) -> Option<Deed> {
        let bytes = match number {
            libc::SYS_fsync | libc::SYS_fdatasync => return Some(Deed::Sync),
            libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_sendto => read(thread, pointer, length),
            libc::SYS_writev | libc::SYS_pwritev | libc::SYS_pwritev2 => gather(thread, pointer, length),
            libc::SYS_sendmsg => {
                // In `struct msghdr`, behind a pointer and a length: pointer to and number of the pieces.
                let header = words(&read(thread, pointer + 16, 16));
                gather(thread, *header.first()?, *header.get(1)?)
            }
            _ => return None,
        };
        Some(Deed::Write(bytes))
    }
}

/// Bytes of the traced process.
fn read(thread: Pid, pointer: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; (length as usize).min(LONGEST_READ)];
    let remote = [RemoteIoVec { base: pointer as usize, len: bytes.len() }];
    let length = process_vm_readv(thread, &mut [IoSliceMut::new(&mut bytes)], &remote).unwrap_or(0);
    bytes.truncate(length);
    bytes
}

/// The bytes that an array of `struct iovec` points to.
fn gather(thread: Pid, pointer: u64, count: u64) -> Vec<u8> {
    let pieces = words(&read(thread, pointer, count.min(MOST_PIECES as u64) * 16));
    pieces.chunks_exact(2).flat_map(|piece| read(thread, piece[0], piece[1])).collect()
}

fn words(bytes: &[u8]) -> Vec<u64> {
    let words = bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("they are eight bytes")));
    words.collect()
}

/// The call's number and its first three arguments.
#[cfg(target_arch = "x86_64")]
fn entered(registers: &libc::user_regs_struct) -> (i64, [u64; 3]) {
    (registers.orig_rax as i64, [registers.rdi, registers.rsi, registers.rdx])
}

#[cfg(target_arch = "x86_64")]
fn result(registers: &libc::user_regs_struct) -> i64 {
    registers.rax as i64
}

/// The call's number and its first three arguments.
#[cfg(target_arch = "aarch64")]
fn entered(registers: &libc::user_regs_struct) -> (i64, [u64; 3]) {
    (registers.regs[8] as i64, [registers.regs[0], registers.regs[1], registers.regs[2]])
}

#[cfg(target_arch = "aarch64")]
fn result(registers: &libc::user_regs_struct) -> i64 {
    registers.regs[0] as i64
}
