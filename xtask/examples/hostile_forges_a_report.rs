//! Tries to get hold of those who judge it: to trace them, to write to their memory,
//! to take their descriptors, to change their limits.
//! Verdict: wrong: output
//! Says: got hold of nothing

mod hostile;

use std::fs::File;

const FORGED: &str = "{\"status\":\"passed\"}";

fn main() {
    hostile::begin();
    let mut got = Vec::new();
    for pid in hostile::ancestors() {
        for (what, call) in WAYS {
            if call(pid) {
                got.push(format!("{what} of {pid}"));
            }
        }
    }
    match got.is_empty() {
        true => println!("got hold of nothing"),
        false => println!("got hold of {}", got.join(", ")),
    }
}

type Way = fn(i32) -> bool;

const WAYS: [(&str, Way); 6] = [
    ("control", trace),
    ("memory", |pid| File::options().write(true).open(at(pid, "mem")).is_ok()),
    ("secrets", |pid| File::open(at(pid, "environ")).is_ok()),
    ("memory by another call", read_memory),
    ("descriptors", take_descriptors),
    ("limits", change_limits),
];

fn at(pid: i32, file: &str) -> String {
    format!("/proc/{pid}/{file}")
}

fn trace(pid: i32) -> bool {
    // SAFETY: PTRACE_SEIZE takes numbers.
    unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) == 0 }
}

fn read_memory(pid: i32) -> bool {
    let mut byte = 0_u8;
    let here = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let there = libc::iovec { iov_base: main as *mut libc::c_void, iov_len: 1 };
    // SAFETY: `here` is one valid byte; `there` is an address of another process.
    unsafe { libc::process_vm_readv(pid, &here, 1, &there, 1, 0) == 1 }
}

fn take_descriptors(pid: i32) -> bool {
    // SAFETY: both take numbers.
    unsafe {
        let pidfd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        let fd = libc::syscall(libc::SYS_pidfd_getfd, pidfd, 1, 0) as i32;
        fd >= 0 && libc::write(fd, FORGED.as_ptr().cast(), FORGED.len()) > 0
    }
}

/// With no file longer than nothing, a report cannot be written to one.
fn change_limits(pid: i32) -> bool {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid rlimit that is only read.
    unsafe {
        libc::prlimit(pid, libc::RLIMIT_FSIZE, &none, std::ptr::null_mut()) == 0
    }
}
