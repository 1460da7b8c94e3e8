//! What a judged program may use, and what it may not call.

use super::Mode;
use anyhow::{Context, Result};
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;

/// Tasks (processes and threads) at the same time.
pub const TASKS: u64 = 400;
/// Bytes of memory in use, over all its processes.
pub const MEMORY: u64 = 512 << 20;
/// Bytes it may print before it is stopped.
pub const OUTPUT: usize = 1 << 20;
/// Bytes of files in its working folder.
pub const DISK: u64 = 16 << 20;
/// Descriptors of one process.
const DESCRIPTORS: u64 = 1024;

/// Sets the resource limits of the calling process (setrlimit(2)). There is none on address space:
/// programs with many threads reserve far more than they use.
pub fn set() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_FSIZE, DISK, DISK)?;
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS)
}

/// The system calls that are refused with EPERM (seccomp(2)): those that would reach into the
/// judge's own processes, which run as the same user.
pub fn filter(mode: Mode) -> Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in [
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_process_madvise,
    ] {
        rules.insert(call, vec![]);
    }
    // Its own limits it may change, those of others not.
    rules.insert(libc::SYS_prlimit64, vec![rule(0, SeccompCmpOp::Ne, 0)?]);
    if mode == Mode::Process {
        // Without a process namespace the judge can be named, and so can "everybody".
        let own = nix::unistd::getpid().as_raw();
        let judge = nix::unistd::getppid();
        let group = nix::unistd::getpgid(Some(judge)).unwrap_or(judge).as_raw();
        let judge = judge.as_raw();
        let mut kill = Vec::new();
        for target in [-1, own, -own, judge, -judge, -group] {
            kill.push(rule(0, SeccompCmpOp::Eq, u64::from(target as u32))?);
        }
        for call in [libc::SYS_kill, libc::SYS_tkill, libc::SYS_tgkill] {
            rules.insert(call, kill.clone());
        }
        for call in [
            libc::SYS_rt_sigqueueinfo,
            libc::SYS_rt_tgsigqueueinfo,
            libc::SYS_pidfd_open,
        ] {
            rules.insert(call, kill.clone());
        }
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        std::env::consts::ARCH.try_into().context("this processor has no filter")?,
    )?;
    Ok(filter.try_into()?)
}

fn rule(argument: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompRule> {
    let condition =
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}
