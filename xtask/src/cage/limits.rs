//! What a judged program may use, and what it may not call.

use super::Mode;
use anyhow::{Context, Result};
use lessons::proc;
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule,
};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Tasks (processes and threads) at the same time.
pub const TASKS: u64 = 400;
/// Bytes of memory in use, over all its processes.
pub const MEMORY: u64 = 512 << 20;
/// Bytes it may print before it is stopped.
pub const OUTPUT: usize = 1 << 20;
/// Bytes of files in its working folder.
pub const DISK: u64 = 16 << 20;
/// Files and folders there.
pub const FILES: u64 = 4096;
/// Descriptors of one process.
const DESCRIPTORS: u64 = 1024;

/// Sets the resource limits of the calling process (setrlimit(2)). There is none on
/// address space: programs with many threads reserve far more than they use.
pub fn set() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_FSIZE, DISK, DISK)?;
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS)
}

/// Whether the program has used up the room for files.
pub fn disk_is_full(mode: Mode, folder: &Path) -> bool {
    match mode {
        // A file system of that size.
        Mode::Namespaces => nix::sys::statvfs::statvfs(folder)
            .is_ok_and(|disk| disk.blocks_free() == 0 || disk.files_free() == 0),
        Mode::Process => {
            let (mut bytes, mut files) = (0, 0);
            let mut folders = vec![folder.to_owned()];
            while let Some(folder) = folders.pop() {
                for entry in
                    std::fs::read_dir(folder).into_iter().flatten().flatten()
                {
                    // No file can grow beyond the limit, so this one hides little.
                    if entry.file_name() == super::process::ACTOR
                        && entry.file_type().is_ok_and(|kind| kind.is_file())
                    {
                        continue;
                    }
                    files += 1;
                    let Ok(data) = entry.metadata() else { continue };
                    bytes += data.blocks() * 512;
                    if data.is_dir() {
                        folders.push(entry.path());
                    }
                    if bytes > DISK || files > FILES {
                        return true;
                    }
                }
            }
            false
        }
    }
}

/// What the system call filter does (seccomp(2)): see [`refused`], and clone3(2) is
/// there for nobody, because a filter cannot see its flags. The C library then uses
/// clone(2).
pub fn filters(mode: Mode) -> Result<[BpfProgram; 2]> {
    let clone3 = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    Ok([compile(refused(mode)?, libc::EPERM)?, compile(clone3, libc::ENOSYS)?])
}

fn compile(rules: Rules, error: i32) -> Result<BpfProgram> {
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(error as u32),
        std::env::consts::ARCH.try_into().context("this processor has no filter")?,
    )?;
    Ok(filter.try_into()?)
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The system calls that are refused with EPERM: those that would reach into the
/// judge's own processes, which run as the same user, and those that would hide from
/// it.
fn refused(mode: Mode) -> Result<Rules> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in [
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_process_madvise,
        // Memory that no process shows.
        libc::SYS_memfd_create,
        libc::SYS_shmget,
        // A world within this one, where the program would have all rights.
        libc::SYS_unshare,
        libc::SYS_setns,
    ] {
        rules.insert(call, vec![]);
    }
    let new_user = libc::CLONE_NEWUSER as u64;
    rules.insert(
        libc::SYS_clone,
        vec![rule(0, SeccompCmpOp::MaskedEq(new_user), new_user)?],
    );
    // A process that may not be looked at.
    let dumpable = libc::PR_SET_DUMPABLE as u64;
    rules.insert(libc::SYS_prctl, vec![rule(0, SeccompCmpOp::Eq, dumpable)?]);
    let judges = judges()?;
    let are = |argument, targets: &[i32]| -> Result<Vec<SeccompRule>> {
        targets
            .iter()
            .map(|&target| {
                rule(argument, SeccompCmpOp::Eq, u64::from(target as u32))
            })
            .collect()
    };
    for call in [
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setattr,
        libc::SYS_sched_setaffinity,
    ] {
        rules.insert(call, are(0, &judges)?);
    }
    let mut nice = are(1, &judges)?;
    nice.push(rule(0, SeccompCmpOp::Eq, libc::PRIO_USER as u64)?);
    rules.insert(libc::SYS_setpriority, nice);
    // Its own limits it may change, those of others not.
    rules.insert(libc::SYS_prlimit64, vec![rule(0, SeccompCmpOp::Ne, 0)?]);
    if mode == Mode::Process {
        // Without a process namespace the judge can be named, and so can
        // "everybody". This is all there is where Landlock cannot keep signals in.
        let groups = judges.iter().filter_map(|&pid| {
            let group = nix::unistd::getpgid(Some(nix::unistd::Pid::from_raw(pid)));
            Some(-group.ok()?.as_raw())
        });
        let targets: Vec<i32> =
            groups.chain(judges.iter().copied()).chain([-1]).collect();
        let kill = are(0, &targets)?;
        // What is left behind in an IPC namespace goes with it.
        for call in [libc::SYS_semget, libc::SYS_msgget, libc::SYS_mq_open] {
            rules.insert(call, vec![]);
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
    Ok(rules)
}

/// This process, its parent and the parent of that one, as far as they can be named
/// from here: director, keeper and judge.
fn judges() -> Result<Vec<i32>> {
    let mut judges = vec![proc::own_pid()];
    for _ in 0..2 {
        let status = format!("/proc/{}/status", judges[judges.len() - 1]);
        match proc::status_field(&status, "PPid")?.parse()? {
            0 => break,
            parent => judges.push(parent),
        }
    }
    Ok(judges)
}

fn rule(argument: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompRule> {
    let condition =
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}
