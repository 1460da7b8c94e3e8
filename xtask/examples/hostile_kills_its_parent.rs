//! Tries every call that sends a signal to kill, and to stop, those who judge it.
//! Verdict: wrong: output
//! Without namespaces: needs Landlock for signals

mod hostile;

use std::ptr::null_mut;

fn main() {
    hostile::begin();
    for pid in hostile::ancestors() {
        for thread in threads(pid) {
            for signal in [libc::SIGKILL, libc::SIGSTOP] {
                send(pid, thread, signal);
            }
        }
    }
}

fn threads(pid: i32) -> Vec<i32> {
    let folder = std::fs::read_dir(format!("/proc/{pid}/task"));
    let entries = folder.into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect()
}

fn send(pid: i32, thread: i32, signal: i32) {
    // SAFETY: all of these take numbers, or a valid siginfo_t.
    unsafe {
        libc::kill(pid, signal);
        libc::kill(thread, signal);
        libc::syscall(libc::SYS_tkill, thread, signal);
        libc::syscall(libc::SYS_tgkill, pid, thread, signal);
        let mut info: libc::siginfo_t = std::mem::zeroed();
        info.si_code = -1;
        libc::syscall(libc::SYS_rt_sigqueueinfo, pid, signal, &info);
        libc::syscall(libc::SYS_rt_tgsigqueueinfo, pid, thread, signal, &info);
        let pidfd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd,
            signal,
            null_mut::<libc::siginfo_t>(),
            0,
        );
    }
    send_by_pipe(pid, signal);
}

/// A pipe that gets input sends its owner a signal of its choice (F_SETOWN of
/// fcntl(2)).
fn send_by_pipe(owner: i32, signal: i32) {
    const F_SETSIG: i32 = 10;
    let mut ends = [0; 2];
    // SAFETY: an array of two, then numbers and one valid byte.
    unsafe {
        libc::pipe(ends.as_mut_ptr());
        libc::fcntl(ends[0], libc::F_SETOWN, owner);
        libc::fcntl(ends[0], F_SETSIG, signal);
        libc::fcntl(ends[0], libc::F_SETFL, libc::O_ASYNC);
        libc::write(ends[1], [0_u8].as_ptr().cast(), 1);
        libc::close(ends[0]);
        libc::close(ends[1]);
    }
}
