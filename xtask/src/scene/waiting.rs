//! What a blocked thread waits for, told from the system call it sleeps in.

use lessons::net;
use lessons::proc::{self, Syscall};
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::time::TimeValLike;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// One thread, as the kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    pub tid: i32,
    pub waiting: Waiting,
    /// How often it has left the processor so far.
    pub switches: u64,
}

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    Running,
    /// A mutex that another thread holds.
    Lock,
    /// The end of the thread with this id.
    Join(i32),
    /// A condition variable, a channel, a semaphore or a parked thread: they look alike.
    WakeUp,
    /// Input from a descriptor.
    Read(i32),
    /// Room for output to a descriptor.
    Write(i32),
    /// Input from the first, or room in the second: data goes from pipe to pipe (splice(2)), which
    /// is how std copies.
    Splice(i32, i32),
    /// The end of a child process, or of any (-1).
    Child(i32),
    /// A client.
    Accept,
    /// One of several descriptors.
    Descriptors,
    /// A signal.
    Signal,
    /// The passing of time, with or without something else.
    Time,
    /// Somebody to continue it.
    Stopped,
    /// Some other system call, by its number.
    Other(i64),
}

impl Waiting {
    /// Nothing but another thread, process or signal can end this.
    pub fn for_good(self) -> bool {
        !matches!(self, Waiting::Running | Waiting::Time | Waiting::Other(_))
    }

    /// It sleeps, for good or with a time limit.
    pub fn is_asleep(self) -> bool {
        self.for_good() || self == Waiting::Time
    }
}

impl Waiting {
    /// Only another thread or process of the program could end this.
    pub fn in_vain(self) -> bool {
        matches!(
            self,
            Waiting::Lock
                | Waiting::Join(_)
                | Waiting::WakeUp
                | Waiting::Child(_)
                | Waiting::Signal
                | Waiting::Stopped
        )
    }
}

/// The threads of a process that have not ended, the main thread first. Each is looked at when it
/// is asked for.
pub fn threads(pid: i32) -> impl Iterator<Item = Thread> {
    let tids = proc::tids(pid).unwrap_or_default().into_iter();
    tids.filter_map(move |tid| {
        // A thread that ends while it is looked at is simply gone.
        let status = proc::thread_status(pid, tid).ok()?;
        let waiting = match status.state {
            'Z' | 'X' => return None,
            'T' => Waiting::Stopped,
            'S' => asleep_in(pid, tid),
            _ => Waiting::Running,
        };
        Some(Thread { tid, waiting, switches: status.switches })
    })
}

/// What a thread waits for that is neither stopped nor at its end.
pub fn asleep_in(pid: i32, tid: i32) -> Waiting {
    let Ok(Some(call)) = proc::syscall(pid, tid) else { return Waiting::Running };
    let waiting = classify(call);
    let limited = match waiting {
        Waiting::Read(fd) => receives_with_limit(pid, fd),
        Waiting::Accept => receives_with_limit(pid, call.args[0] as i32),
        _ => false,
    };
    if limited { Waiting::Time } else { waiting }
}

/// Whether it is a socket with SO_RCVTIMEO (socket(7)), which no argument of the call
/// shows. Where that cannot be told ([`borrow`]) a UDP socket is taken to have it, since
/// nobody else can promise that something comes; a TCP socket is not.
fn receives_with_limit(pid: i32, fd: i32) -> bool {
    let target = std::fs::read_link(format!("/proc/{pid}/fd/{fd}"));
    let target = target.unwrap_or_default().to_string_lossy().into_owned();
    if !target.starts_with("socket:") {
        return false;
    }
    let Some(socket) = borrow(pid, fd) else {
        let sockets = net::udp().unwrap_or_default();
        return sockets.iter().any(|u| target == format!("socket:[{}]", u.inode));
    };
    getsockopt(&socket, sockopt::ReceiveTimeout)
        .is_ok_and(|limit| limit.num_microseconds() > 0)
}

/// Whether it sleeps in a call that ends when something comes to one of its own
/// descriptors.
pub fn listens(pid: i32, thread: &Thread) -> bool {
    match thread.waiting {
        Waiting::Read(fd) => fd > 2,
        Waiting::Descriptors => true,
        Waiting::Time => proc::syscall(pid, thread.tid).is_ok_and(|call| {
            let deaf =
                [libc::SYS_futex, libc::SYS_clock_nanosleep, libc::SYS_nanosleep];
            call.is_some_and(|call| !deaf.contains(&call.number))
        }),
        _ => false,
    }
}

/// Whether it sleeps for a time and for nothing else, or is awake.
pub fn naps(pid: i32, thread: &Thread) -> bool {
    let naps = [libc::SYS_clock_nanosleep, libc::SYS_nanosleep];
    match thread.waiting {
        Waiting::Running => true,
        Waiting::Time => proc::syscall(pid, thread.tid)
            .is_ok_and(|call| call.is_none_or(|call| naps.contains(&call.number))),
        _ => false,
    }
}

/// A duplicate of another process's descriptor (pidfd_getfd(2)); none if that process
/// has gone, or where it is not allowed: a container may forbid it.
pub fn borrow(pid: i32, fd: i32) -> Option<OwnedFd> {
    let own = |number: i64| {
        let number = Errno::result(number).ok()? as i32;
        // SAFETY: both calls return a new descriptor that belongs to nobody else.
        Some(unsafe { OwnedFd::from_raw_fd(number) })
    };
    // SAFETY: both calls take numbers only.
    let process = own(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: as above.
    own(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) })
}

/// Whether it is a child of this process that has ended.
pub fn is_own_zombie(pid: i32) -> bool {
    let parent = proc::status_field(&format!("/proc/{pid}/status"), "PPid");
    proc::state(pid, pid).is_ok_and(|state| state == 'Z')
        && parent.is_ok_and(|parent| parent == proc::own_pid().to_string())
}

fn classify(call: Syscall) -> Waiting {
    let fd = call.args[0] as i32;
    match call.number {
        libc::SYS_futex => futex(call.args),
        libc::SYS_read
        | libc::SYS_readv
        | libc::SYS_recvfrom
        | libc::SYS_recvmsg => Waiting::Read(fd),
        libc::SYS_recvmmsg if call.args[4] == 0 => Waiting::Read(fd),
        libc::SYS_recvmmsg => Waiting::Time,
        libc::SYS_write
        | libc::SYS_writev
        | libc::SYS_sendto
        | libc::SYS_sendmsg
        // From a file, which is there; to a socket, which may have no room.
        | libc::SYS_sendfile => Waiting::Write(fd),
        libc::SYS_splice => Waiting::Splice(fd, call.args[2] as i32),
        libc::SYS_wait4 => Waiting::Child(fd),
        libc::SYS_waitid => Waiting::Child(call.args[1] as i32),
        libc::SYS_accept | libc::SYS_accept4 => Waiting::Accept,
        // A null timeout, or a negative one, means for ever.
        libc::SYS_ppoll | libc::SYS_pselect6 => timed(
            call.args[2 + usize::from(call.number == libc::SYS_pselect6) * 2] != 0,
        ),
        libc::SYS_epoll_pwait => timed(call.args[3] as i32 >= 0),
        libc::SYS_epoll_pwait2 => timed(call.args[3] != 0),
        libc::SYS_rt_sigsuspend => Waiting::Signal,
        libc::SYS_rt_sigtimedwait if call.args[2] == 0 => Waiting::Signal,
        libc::SYS_clock_nanosleep | libc::SYS_nanosleep => Waiting::Time,
        // x86-64 still has the calls of old; newer processors only the ones above.
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll => timed(call.args[2] as i32 >= 0),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_select => timed(call.args[4] != 0),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_epoll_wait => timed(call.args[3] as i32 >= 0),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_pause => Waiting::Signal,
        libc::SYS_restart_syscall => timed(!is_poll_for_ever(call.args)),
        number => Waiting::Other(number),
    }
}

/// A process that was stopped goes on with restart_syscall(2) where it slept in a call with a time
/// limit; in poll, also without one. The arguments are still those of that call: for poll an
/// address, a count, and a negative number; for a futex the second is its operation, and for the
/// others the third is an address.
fn is_poll_for_ever(args: [u64; 6]) -> bool {
    let futex = args[1] as libc::c_int & !libc::FUTEX_CLOCK_REALTIME;
    let number = args[2] as i32;
    number < 0
        && [u64::from(number as u32), number as u64].contains(&args[2])
        && futex != libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG
        && futex != libc::FUTEX_WAIT_BITSET
}

fn timed(timed: bool) -> Waiting {
    if timed { Waiting::Time } else { Waiting::Descriptors }
}

/// futex(2): address, operation, value, timeout. A mutex marks itself 2 when somebody waits; a
/// join waits for the kernel to clear the thread's id; all else is a matter of the library.
fn futex([_, operation, value, timeout, ..]: [u64; 6]) -> Waiting {
    const PRIVATE: u64 = libc::FUTEX_PRIVATE_FLAG as u64;
    let value = value as u32;
    if timeout != 0 {
        Waiting::Time
    } else if value == 2 {
        Waiting::Lock
    } else if operation & PRIVATE == 0 && value > 2 && value != u32::MAX {
        Waiting::Join(value as i32)
    } else {
        Waiting::WakeUp
    }
}

/// Tells in words what the threads are doing, and whether they are all stuck.
pub fn tell(threads: &[Thread]) -> (String, bool) {
    let number = |tid: i32| threads.iter().position(|thread| thread.tid == tid);
    let who = |index: usize| match index {
        0 => "the main thread".to_owned(),
        n => format!("thread {n}"),
    };
    let mut kinds: Vec<(String, Vec<String>)> = Vec::new();
    for (index, thread) in threads.iter().enumerate() {
        let what = match thread.waiting {
            Waiting::Running => "running".to_owned(),
            Waiting::Lock => "waiting for a lock".to_owned(),
            Waiting::Join(tid) => match number(tid) {
                Some(other) => format!("waiting for {} to end", who(other)),
                None => "waiting for a thread to end".to_owned(),
            },
            Waiting::WakeUp => {
                "waiting to be woken (condition variable, semaphore or channel)"
                    .to_owned()
            }
            Waiting::Read(0) => "waiting for standard input".to_owned(),
            Waiting::Read(fd) => format!("waiting for input from descriptor {fd}"),
            Waiting::Write(fd) => format!("waiting to write to descriptor {fd}"),
            Waiting::Splice(from, to) => {
                format!("waiting to copy from descriptor {from} to descriptor {to}")
            }
            Waiting::Child(-1) => "waiting for a child process".to_owned(),
            Waiting::Child(pid) => format!("waiting for child process {pid}"),
            Waiting::Accept => "waiting for a client".to_owned(),
            Waiting::Descriptors => "waiting for one of its descriptors".to_owned(),
            Waiting::Signal => "waiting for a signal".to_owned(),
            Waiting::Time => "sleeping, or waiting with a time limit".to_owned(),
            Waiting::Stopped => "stopped by a signal".to_owned(),
            Waiting::Other(number) => format!("in system call {number}"),
        };
        match kinds.iter_mut().find(|(kind, _)| *kind == what) {
            Some((_, names)) => names.push(who(index)),
            None => kinds.push((what, vec![who(index)])),
        }
    }
    let parts: Vec<String> = kinds
        .into_iter()
        .map(|(what, names)| match names.len() {
            1 => format!("{} is {what}", names[0]),
            2..=4 => format!("{} are {what}", names.join(" and ")),
            n => format!("{n} threads are {what}"),
        })
        .collect();
    let stuck = !threads.is_empty() && threads.iter().all(|t| t.waiting.for_good());
    (parts.join("; "), stuck)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As seen in `/proc/PID/syscall` after SIGSTOP and SIGCONT.
    #[test]
    fn a_poll_that_goes_on_is_told_from_a_nap() {
        let goes_on =
            |args| classify(Syscall { number: libc::SYS_restart_syscall, args });
        let address = 0x7ffc_dead_beef;
        for (args, waiting) in [
            ([address, 1, 0xffff_ffff, 0, 0, 0], Waiting::Descriptors),
            ([address, 1, u64::MAX, 0, 0, 0], Waiting::Descriptors),
            ([address, 1, 1000, 0, 0, 0], Waiting::Time),
            // clock_nanosleep, and a futex with a time limit.
            ([0, 0, address, address, 0, 0], Waiting::Time),
            ([address, 137, 0xffff_ffff, address, 0, 0xffff_ffff], Waiting::Time),
        ] {
            assert_eq!(goes_on(args), waiting, "{args:x?}");
        }
    }
}
