//! Tries to take a gibibyte of memory that no process has mapped: in files without a
//! name, in shared memory that it lets go of, in a file system of its own.
//! Verdict: wrong: output
//! Says: hidden in vain

mod hostile;

use std::fs::File;
use std::io::Write;
use std::os::fd::FromRawFd;

const PIECE: usize = 8 << 20;
const PIECES: usize = 128;

fn main() {
    hostile::begin();
    let (mut files, mut hidden) = (Vec::new(), 0);
    for _ in 0..PIECES {
        // SAFETY: a valid C string; the new descriptor belongs to nobody else.
        let fd = unsafe { libc::memfd_create(c"".as_ptr(), 0) };
        if fd < 0 {
            break;
        }
        // SAFETY: as above.
        let mut file = unsafe { File::from_raw_fd(fd) };
        hidden += usize::from(file.write_all(&vec![1; PIECE]).is_ok());
        files.push(file);
    }
    hidden += (0..PIECES).take_while(|_| hide_in_segment()).count();
    hidden += hide_in_tmpfs();
    // A little may remain possible.
    let in_vain = hidden * PIECE <= 16 << 20;
    println!("hidden {}", if in_vain { "in vain" } else { "well" });
}

/// A segment stays until somebody removes it (shmget(2)).
fn hide_in_segment() -> bool {
    // SAFETY: the new segment is attached where the kernel likes, filled and
    // detached.
    unsafe {
        let id = libc::shmget(libc::IPC_PRIVATE, PIECE, 0o600);
        let place = libc::shmat(id, std::ptr::null(), 0);
        if id < 0 || place as isize == -1 {
            return false;
        }
        place.cast::<u8>().write_bytes(1, PIECE);
        libc::shmdt(place) == 0
    }
}

/// In a user namespace of its own anybody may mount one.
fn hide_in_tmpfs() -> usize {
    // SAFETY: unshare(2) takes a number, mount(2) valid strings.
    let mounted = unsafe {
        libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) == 0
            && libc::mount(
                c"none".as_ptr(),
                c"/tmp".as_ptr(),
                c"tmpfs".as_ptr(),
                0,
                std::ptr::null(),
            ) == 0
    };
    let write =
        |n: &usize| std::fs::write(format!("/tmp/{n}"), vec![1; PIECE]).is_ok();
    if mounted { (0..PIECES).take_while(write).count() } else { 0 }
}
