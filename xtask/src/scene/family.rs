//! The processes that the program starts: its children, what they have open, what
//! they leave behind, and the signals that reach them.

use super::{Exit, Outcome, Scene, Settled, Stop, Thread, Waiting, waiting};
use lessons::proc;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// One open descriptor of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    pub number: i32,
    /// What it leads to: a path, or for instance `pipe:[1234]`.
    pub target: String,
    pub writable: bool,
}

/// A process that waits for data.
pub struct Reader {
    pub pid: i32,
    pub descriptor: Descriptor,
    /// The processes that can write to it, if it is a pipe, and their descriptors
    /// for that.
    pub writers: Vec<(i32, Descriptor)>,
}

impl Scene {
    /// A command that starts a child which does these steps: see [`crate::actor`].
    /// The program that starts it may be any child of the judged one; it needs no
    /// shell.
    pub fn actor(&self, steps: &str) -> String {
        format!("{} actor {steps}", self.actor.display())
    }

    /// The living processes that do the steps of an actor, in whatever generation: whom
    /// the program has started to help itself is none of them.
    pub fn actors(&self) -> Vec<i32> {
        let actor = file(&self.actor);
        let mut all = self.others();
        all.retain(|&pid| actor.is_some() && actor == executable(pid));
        all
    }

    /// The program's own process, before it has been reaped.
    pub fn program(&self) -> i32 {
        self.pid().expect("a case starts the program before it looks at it")
    }

    /// All living processes but the program itself, in whatever generation.
    pub fn others(&self) -> Vec<i32> {
        let mut all = self.everybody();
        all.retain(|&pid| Some(pid) != self.pid() && !is_zombie(pid));
        all
    }

    /// What each thread of the program and of all other processes is doing, in words.
    pub fn doing_all(&self) -> String {
        let mut kinds: Vec<(String, usize)> = Vec::new();
        for pid in self.others() {
            let threads: Vec<Thread> = waiting::threads(pid).collect();
            let what = waiting::tell(&threads).0;
            match kinds.iter_mut().find(|(kind, _)| *kind == what) {
                Some((_, count)) => *count += 1,
                None => kinds.push((what, 1)),
            }
        }
        let others = kinds.into_iter().map(|(what, count)| match count {
            1 => format!("in another process {what}"),
            n => format!("in {n} other processes {what}"),
        });
        let own = (self.exit().is_none()).then(|| self.doing());
        own.into_iter().chain(others).collect::<Vec<_>>().join("; ")
    }

    /// The children of the program that have not ended.
    pub fn children(&self) -> Vec<i32> {
        self.all_children().into_iter().filter(|&pid| !is_zombie(pid)).collect()
    }

    /// The children of the program that have ended and that it has not waited for.
    pub fn zombies(&self) -> Vec<i32> {
        self.all_children().into_iter().filter(|&pid| is_zombie(pid)).collect()
    }

    /// Waits until these have ended and their parents have been told (SIGCHLD), if that is to be
    /// expected.
    pub fn wait_for_ends(&mut self, pids: &[i32]) -> Outcome {
        self.wait_with_patience(|s| {
            s.others().iter().all(|pid| !pids.contains(pid))
        })?;
        self.let_zombies_tell();
        Ok(())
    }

    /// A child that is seen as a zombie may not have sent its signal yet. The kernel does both
    /// under a lock that the list of children needs as well.
    pub(super) fn let_zombies_tell(&self) {
        self.zombies();
    }

    fn all_children(&self) -> Vec<i32> {
        self.pid().map(children_of).unwrap_or_default()
    }

    /// The living processes that have lost their parent: what the program, when it
    /// has ended, has left behind. The kernel makes them children of the case (PID
    /// 1, or the subreaper).
    pub fn orphans(&self) -> Vec<i32> {
        let mut orphans = children_of(proc::own_pid());
        orphans.retain(|&pid| Some(pid) != self.pid() && !is_zombie(pid));
        orphans
    }

    /// Whether a living process runs the judged program, as a child does that was
    /// forked and has not become another program.
    pub fn runs_the_program(&self, pid: i32) -> bool {
        executable(pid).is_some() && executable(pid) == executable(self.program())
    }

    /// What a process has open; nothing if it has ended.
    pub fn descriptors(&self, pid: i32) -> Vec<Descriptor> {
        descriptors(pid)
    }

    /// What the epoll descriptors of a process watch: each descriptor by its number, with the
    /// events that are asked for (proc_pid_fdinfo(5)). None if it has no epoll descriptor.
    pub fn watched_by_epoll(&self, pid: i32) -> Option<Vec<proc::Watched>> {
        let is_epoll = |fd: &Descriptor| fd.target == "anon_inode:[eventpoll]";
        let mut open = descriptors(pid).into_iter().filter(is_epoll).peekable();
        open.peek()?;
        let watched = |epoll: Descriptor| proc::watched(pid, epoll.number);
        Some(open.flat_map(|epoll| watched(epoll).unwrap_or_default()).collect())
    }

    /// The signals that a living process blocks, as a set of bits, the lowest for
    /// signal 1.
    pub fn blocked_signals(&self, pid: i32) -> u64 {
        signals(pid, "SigBlk")
    }

    /// Whether the program ignores this signal.
    pub fn ignores(&self, signal: Signal) -> bool {
        has(signals(self.program(), "SigIgn"), signal)
    }

    /// Whether the program has a handler for this signal.
    pub fn catches(&self, signal: Signal) -> bool {
        has(signals(self.program(), "SigCgt"), signal)
    }

    /// The processor time that a living process has used so far, its ended threads
    /// included, to the nanosecond (clock_getcpuclockid(3)).
    pub fn processor_time(&self, pid: i32) -> Duration {
        clock_getcpuclockid(Pid::from_raw(pid))
            .and_then(clock_gettime)
            .map_or(Duration::ZERO, Duration::from)
    }

    /// The same of all that has ended: the program, and whom it has waited for, and
    /// so on (RUSAGE_CHILDREN of getrusage(2)).
    pub fn processor_time_of_ended(&self) -> Duration {
        let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
            return Duration::ZERO;
        };
        let sum = usage.user_time() + usage.system_time();
        Duration::from_micros(sum.num_microseconds() as u64)
    }

    /// Sends a signal to the program or one of its children; nothing if it is not
    /// there any more.
    pub fn signal(&mut self, pid: i32, signal: Signal) {
        let _ = kill(Pid::from_raw(pid), signal);
    }

    /// Sends a signal to each thread of the program (tgkill(2)): whichever of them is blocked in
    /// a system call, that call is interrupted.
    pub fn signal_each_thread(&mut self, signal: Signal) {
        for thread in self.threads() {
            let (pid, tid) = (self.program(), thread.tid);
            // SAFETY: the call takes three numbers.
            unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal as i32) };
        }
    }

    /// Stops all of a process and waits until the kernel says so. Signals that come
    /// now wait as well; of each number only one.
    pub fn pause(&mut self, pid: i32) -> Result<Settled, Stop> {
        self.signal(pid, Signal::SIGSTOP);
        self.wait(|_| {
            let tids = proc::tids(pid).unwrap_or_default();
            tids.iter().all(|&tid| proc::state(pid, tid).is_ok_and(|s| s == 'T'))
        })
    }

    /// Lets a stopped process go on.
    pub fn resume(&mut self, pid: i32) {
        self.signal(pid, Signal::SIGCONT);
    }

    /// Who waits for data from a pipe, with its descriptor, and who could still
    /// write to that pipe. There is no end of the data as long as there is such a
    /// writer.
    pub fn waiting_for_data(&self) -> Vec<Reader> {
        let open: Vec<(i32, Descriptor)> = self
            .everybody()
            .into_iter()
            .flat_map(|pid| descriptors(pid).into_iter().map(move |fd| (pid, fd)))
            .collect();
        let mut all = Vec::new();
        for (pid, fd) in &open {
            let tids = proc::tids(*pid).unwrap_or_default();
            let waits = |tid: &i32| {
                waiting::asleep_in(*pid, *tid) == Waiting::Read(fd.number)
            };
            if tids.iter().any(waits) {
                let writers = open
                    .iter()
                    .filter(|(_, other)| other.writable && other.target == fd.target)
                    .filter(|_| fd.target.starts_with("pipe:"));
                let writers = writers.cloned().collect();
                all.push(Reader { pid: *pid, descriptor: fd.clone(), writers });
            }
        }
        all
    }

    /// Whether a timer of some process may still wake it, though all sleep.
    pub(super) fn timer_is_set(&self) -> bool {
        self.everybody().into_iter().any(timer_is_set)
    }

    /// How the program ended, in the words of the exercises about processes.
    pub fn ending(&self) -> Option<String> {
        Some(match self.exit()? {
            Exit::Code(code) => format!("exit {code}"),
            Exit::Signal(signal) => format!("signal {}", signal as i32),
        })
    }
}

/// The file that a process runs.
fn executable(pid: i32) -> Option<(u64, u64)> {
    file(Path::new(&format!("/proc/{pid}/exe")))
}

/// What tells a file from all others.
fn file(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|data| (data.dev(), data.ino()))
}

fn children_of(pid: i32) -> Vec<i32> {
    let mut children = Vec::new();
    for tid in proc::tids(pid).unwrap_or_default() {
        let path = format!("/proc/{pid}/task/{tid}/children");
        // The thread may have ended since it was listed.
        let text = std::fs::read_to_string(path).unwrap_or_default();
        children
            .extend(text.split_whitespace().filter_map(|n| n.parse::<i32>().ok()));
    }
    children
}

fn is_zombie(pid: i32) -> bool {
    proc::state(pid, pid).map_or(true, |state| matches!(state, 'Z' | 'X'))
}

fn descriptors(pid: i32) -> Vec<Descriptor> {
    let mut all = Vec::new();
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    for entry in entries.flatten() {
        let Ok(number) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let Ok(target) = std::fs::read_link(entry.path()) else { continue };
        // In octal, as open(2) takes them.
        let flags = info(pid, number, "flags")
            .and_then(|flags| i32::from_str_radix(&flags, 8).ok())
            .unwrap_or_default();
        all.push(Descriptor {
            number,
            target: target.to_string_lossy().into_owned(),
            writable: flags & libc::O_ACCMODE != libc::O_RDONLY,
        });
    }
    all.sort_by_key(|descriptor| descriptor.number);
    all
}

/// One line of what `/proc` tells about a descriptor (proc_pid_fdinfo(5)).
fn info(pid: i32, fd: i32, name: &str) -> Option<String> {
    proc::status_field(&format!("/proc/{pid}/fdinfo/{fd}"), name).ok()
}

fn signals(pid: i32, field: &str) -> u64 {
    proc::status_field(&format!("/proc/{pid}/status"), field)
        .ok()
        .and_then(|text| u64::from_str_radix(&text, 16).ok())
        .unwrap_or_default()
}

fn has(set: u64, signal: Signal) -> bool {
    set & (1 << (signal as i32 - 1)) != 0
}

/// Whether a timer of the process may end a wait that nobody else would end.
///
/// The kernel shows timer_create(2) and timerfd_create(2), but not alarm(2) and
/// setitimer(2). A process that has provided for SIGALRM is taken to have set one.
/// One that has not would be ended by it; a case that calls it blocked speaks too
/// early, but says nothing wrong about it.
fn timer_is_set(pid: i32) -> bool {
    let timers = std::fs::read(format!("/proc/{pid}/timers")).unwrap_or_default();
    if !timers.is_empty() || has(signals(pid, "SigCgt"), Signal::SIGALRM) {
        return true;
    }
    let waits_for_alarm = has(signals(pid, "SigBlk"), Signal::SIGALRM)
        && waiting::threads(pid).any(|thread| thread.waiting == Waiting::Signal);
    let open = proc::descriptors(pid, pid).unwrap_or_default();
    waits_for_alarm
        || open.iter().any(|(fd, target)| match target.as_str() {
            "anon_inode:[timerfd]" => {
                ["it_value", "it_interval"].iter().any(|name| {
                    info(pid, *fd, name).is_some_and(|time| time != "(0, 0)")
                })
            }
            "anon_inode:[signalfd]" => info(pid, *fd, "sigmask")
                .and_then(|set| u64::from_str_radix(&set, 16).ok())
                .is_some_and(|set| has(set, Signal::SIGALRM)),
            _ => false,
        })
}
