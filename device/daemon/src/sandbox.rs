// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What each thread may ask of the kernel once it is set up (seccomp).
//!
//! A thread enters its sandbox when everything that it needs is open, and
//! never leaves it. The pump, which reads what guests write, and the control
//! plane, which reads what clients write, can open nothing and start nothing
//! from then on. The front-end's thread, which serves one connection after
//! another, starts threads for each of them, which are in its sandbox, and
//! looks up in /proc who maps the guest's memory: it can open, but not execute,
//! nor reach another machine.
//!
//! The C library opens files of its own now and then: what it looks up once is
//! looked up before the first thread enters.
//!
//! What this does not do: it takes no privileges away that the program was
//! started with, and hides no files. Start it as a user who has none.

use std::collections::BTreeMap;

use clap::ValueEnum;
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};

/// What becomes of a thread that asks for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sandbox {
    /// There is no sandbox.
    Off,
    /// It goes on, and the kernel's audit log has a line.
    Log,
    /// The device is ended with SIGSYS.
    Enforce,
}

/// A thread with a sandbox of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thread {
    /// Completes requests.
    Pump,
    /// The control plane.
    Control,
    /// Serves the front-end's connections, and those that it starts for them.
    FrontEnd,
    /// Writes events or decisions to a file.
    Writer,
}

/// A sandbox that cannot be entered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// There are no filters for this machine.
    #[error("make the sandbox: {0}; --sandbox off does without")]
    Make(#[from] seccompiler::BackendError),
    /// The kernel refuses it.
    #[error("enter the sandbox: {0}; --sandbox off does without")]
    Enter(#[from] seccompiler::Error),
}

/// What Rust's runtime and the C library need to run, to wait for others, to
/// use memory, to write the log, and to end.
const EVERY: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_read,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    // A panic that ends the process says so by a signal to itself.
    libc::SYS_tgkill,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Requests, interrupts and times.
const PUMP: &[c_long] = &[
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_timerfd_settime,
    // The interrupt of the configuration vector is a message.
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    // Whether a call fd that could block would.
    libc::SYS_ppoll,
    // The file store. Its ring was set up before, and does nothing else than
    // these: calls that are made through a ring pass no filter.
    libc::SYS_fallocate,
    libc::SYS_fdatasync,
    libc::SYS_fsync,
    libc::SYS_io_uring_enter,
    libc::SYS_ioctl,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_preadv2,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
];

/// Clients, and at the end the sockets' files.
const CONTROL: &[c_long] = &[
    libc::SYS_accept4,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_getsockopt,
    libc::SYS_geteuid,
    libc::SYS_ioctl,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_shutdown,
    libc::SYS_statx,
    libc::SYS_unlink,
];

/// Connections: their sockets, their threads, the guest's memory and who else
/// maps it, and at the end the socket's file.
const FRONT_END: &[c_long] = &[
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_clone3,
    libc::SYS_connect,
    libc::SYS_dup,
    libc::SYS_eventfd2,
    libc::SYS_ftruncate,
    libc::SYS_getdents64,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_ioctl,
    libc::SYS_listen,
    libc::SYS_lseek,
    libc::SYS_memfd_create,
    libc::SYS_mkdir,
    libc::SYS_openat,
    libc::SYS_ppoll,
    libc::SYS_prctl,
    libc::SYS_readlink,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_rmdir,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_statx,
    libc::SYS_unlink,
];

/// Nothing but writing.
const WRITER: &[c_long] = &[libc::SYS_fdatasync];

/// On this machine there are calls besides that do the same.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_newfstatat,
    libc::SYS_lstat,
    libc::SYS_stat,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[];

/// More than the allocator keeps at the end of a thread's heap (mallopt(3),
/// M_TRIM_THRESHOLD), in blocks that it takes from there.
const HEAP_BLOCKS: usize = 64;
const HEAP_BLOCK: usize = 64 << 10;

/// Takes memory from the heap of the calling thread, and gives it back: all of
/// it is at the end of that heap, which shrinks.
fn shrink_heap() {
    let blocks: Vec<Vec<u8>> = (0..HEAP_BLOCKS).map(|_| vec![1; HEAP_BLOCK]).collect();
    // Or nothing is taken at all.
    std::hint::black_box(&blocks);
}

impl Sandbox {
    /// Before any thread enters. The first time that the heap of any thread but
    /// the main one shrinks, glibc opens a file to learn how (overcommit_memory);
    /// that time is now, and not when it would be the end.
    pub(crate) fn prepare(self) -> std::io::Result<()> {
        if self == Sandbox::Off {
            return Ok(());
        }
        let thread = std::thread::Builder::new().spawn(shrink_heap)?;
        // It cannot have panicked: that would have been for want of memory.
        let _ = thread.join();
        Ok(())
    }

    /// Puts the calling thread, and those that it starts, into the sandbox of
    /// `thread`.
    pub(crate) fn enter(self, thread: Thread) -> Result<(), SandboxError> {
        let action = match self {
            Sandbox::Off => return Ok(()),
            Sandbox::Log => SeccompAction::Log,
            Sandbox::Enforce => SeccompAction::KillProcess,
        };
        seccompiler::apply_filter(&filter(thread, action)?)?;
        Ok(())
    }
}

fn filter(thread: Thread, otherwise: SeccompAction) -> Result<BpfProgram, SandboxError> {
    let own = match thread {
        Thread::Pump => PUMP,
        Thread::Control => CONTROL,
        Thread::FrontEnd => FRONT_END,
        Thread::Writer => WRITER,
    };
    let plain = EVERY.iter().chain(own).chain(OLD);
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> =
        plain.map(|&call| (call, Vec::new())).collect();
    // Memory is data: what can be executed was so before.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![without_execution()?]);
    }
    if thread == Thread::FrontEnd {
        // Of this machine only.
        rules.insert(libc::SYS_socket, vec![first_is(libc::AF_UNIX)?]);
        rules.insert(libc::SYS_socketpair, vec![first_is(libc::AF_UNIX)?]);
    }
    let arch = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, otherwise, SeccompAction::Allow, arch)?;
    Ok(filter.try_into()?)
}

/// mmap(2) and mprotect(2): the third argument has no PROT_EXEC.
fn without_execution() -> Result<SeccompRule, seccompiler::BackendError> {
    let execution = u64::from(libc::PROT_EXEC.unsigned_abs());
    SeccompRule::new(vec![SeccompCondition::new(
        2,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(execution),
        0,
    )?])
}

fn first_is(value: i32) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(
        0,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        u64::from(value.unsigned_abs()),
    )?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus};

    /// Says which thread's sandbox a test that is a process of its own enters.
    const WHO: &str = "IRQSTORM_TEST_SANDBOX";

    const THREADS: [Thread; 4] = [
        Thread::Pump,
        Thread::Control,
        Thread::FrontEnd,
        Thread::Writer,
    ];

    /// Runs the test `deed` of this module in a process of its own, in the
    /// sandbox of `thread`.
    fn process(deed: &str, thread: Thread) -> ExitStatus {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let name = format!("sandbox::tests::{deed}");
        command.args(["--exact", "--ignored", &name]);
        command.env(WHO, format!("{thread:?}"));
        command.output().unwrap().status
    }

    fn enter() {
        let who = std::env::var(WHO).unwrap();
        let thread = THREADS.into_iter().find(|t| format!("{t:?}") == who);
        Sandbox::Enforce.prepare().unwrap();
        Sandbox::Enforce.enter(thread.unwrap()).unwrap();
    }

    /// Leaves without the test harness, which would start threads.
    fn leave() -> ! {
        std::process::exit(0)
    }

    #[test]
    #[ignore = "a process of another test"]
    fn opens_a_file() {
        enter();
        let _ = std::fs::File::open("/etc/passwd");
        leave();
    }

    #[test]
    #[ignore = "a process of another test"]
    fn runs_a_program() {
        enter();
        let _ = Command::new("/bin/true").status();
        leave();
    }

    #[test]
    #[ignore = "a process of another test"]
    fn reaches_another_machine() {
        enter();
        let _ = std::net::UdpSocket::bind("127.0.0.1:0");
        leave();
    }

    #[test]
    #[ignore = "a process of another test"]
    fn does_nothing_wrong() {
        enter();
        let waited = std::sync::mpsc::channel::<()>().1;
        let _ = waited.recv_timeout(std::time::Duration::from_millis(1));
        drop(vec![1u8; 8 << 20]);
        // In a thread's heap: this test's own process runs it in one.
        shrink_heap();
        leave();
    }

    fn is_killed(status: ExitStatus) -> bool {
        status.signal() == Some(libc::SIGSYS)
    }

    #[test]
    fn what_a_thread_needs_not_kills_it() {
        for thread in THREADS {
            let opens = thread == Thread::FrontEnd;
            assert_eq!(
                is_killed(process("opens_a_file", thread)),
                !opens,
                "{thread:?}"
            );
            assert!(is_killed(process("runs_a_program", thread)), "{thread:?}");
            let reaches = process("reaches_another_machine", thread);
            assert!(is_killed(reaches), "{thread:?}");
            let harmless = process("does_nothing_wrong", thread);
            assert_eq!(harmless.code(), Some(0), "{thread:?}: {harmless}");
        }
    }
}
