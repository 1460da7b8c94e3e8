//! The case decides who runs first.
//!
//! A mistake that shows only when threads happen to run in an unlucky order is brought about here
//! by ptrace(2), so that it shows every time and on every machine:
//!
//! - *late start*: a new thread does not run before its creator has come to rest;
//! - *late parents*: who has forked does not run before its child has come to rest or has ended;
//! - *slow motion*: all threads go on in step, one instruction each in turn;
//! - *before it sleeps*: a signal comes when the next instruction is the call that the main thread
//!   will sleep in, too early to interrupt it.
//!
//! A right program does the same in any order, so it notices none of them.

use super::{Exit, Outcome, Scene, Stop, waiting};
use lessons::proc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::time::Duration;

/// The threads that were born but do not run yet.
#[derive(Default)]
pub struct Nursery {
    held: Vec<Pid>,
    /// What the program had used of the processor when the last thread was born.
    cpu: Duration,
    born: usize,
}

/// A thread that has started a child and does not go on yet.
pub struct LateParent {
    parent: Pid,
    child: i32,
    /// What the program and its children had used of the processor by then.
    cpu: Duration,
}

impl Scene {
    /// Starts the program so that each new thread waits until the main thread is blocked, has
    /// ended, or computes for long: the order in which most mistakes of handing over show.
    pub fn start_with_late_threads(&mut self, args: &[&str]) -> Outcome {
        self.nursery = Some(Nursery::default());
        self.start_traced(args)
    }

    /// The same with a standard output that takes nothing before
    /// [`Scene::let_output_go`]: see [`Scene::start_with_full_output`].
    pub fn start_late_with_full_output(&mut self, args: &[&str]) -> Outcome {
        self.full_output = true;
        self.start_with_late_threads(args)
    }

    /// How many threads a program that was started with late threads has created so far.
    pub fn threads_born(&self) -> usize {
        self.nursery.as_ref().map_or(0, |nursery| nursery.born)
    }

    /// Starts the program so that its main thread, each time it has started a child,
    /// waits until that child has ended or is blocked and its other threads rest too:
    /// what it wanted to note down about the child comes too late then. Where tracing
    /// is not allowed it runs as usual.
    pub fn start_with_late_parents(&mut self, args: &[&str]) -> Outcome {
        self.late_parents = Some(Vec::new());
        self.start_traced(args)
    }

    /// Takes note of what the main thread of a program with late parents reports, or
    /// its child.
    fn traced_parent(&mut self, status: WaitStatus) {
        let (program, cpu) = (self.pid(), self.cpu_time());
        let Some(held) = &mut self.late_parents else { return };
        match status {
            WaitStatus::Stopped(pid, Signal::SIGTRAP) => {
                let options = Options::PTRACE_O_TRACEFORK
                    | Options::PTRACE_O_TRACEVFORK
                    | Options::PTRACE_O_EXITKILL;
                let _ = ptrace::setoptions(pid, options);
                let _ = ptrace::cont(pid, None);
            }
            WaitStatus::PtraceEvent(parent, ..) => {
                let child = ptrace::getevent(parent).unwrap_or_default() as i32;
                held.push(LateParent { parent, child, cpu });
            }
            // The child, before its first instruction.
            WaitStatus::Stopped(pid, Signal::SIGSTOP)
                if Some(pid.as_raw()) != program =>
            {
                let _ = ptrace::detach(pid, None);
            }
            WaitStatus::Stopped(pid, signal) => {
                let _ = ptrace::cont(pid, signal);
            }
            _ => {}
        }
    }

    /// Lets those go on whose child has come to rest. True if there was one.
    pub(super) fn let_late_parents_go(&mut self) -> bool {
        let Some(held) = self.late_parents.take() else { return false };
        let before = held.len();
        let (go, stay): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|late| self.may_go(late));
        for late in go {
            let _ = ptrace::cont(late.parent, None);
        }
        let gone = stay.len() < before;
        self.late_parents = Some(stay);
        gone
    }

    fn may_go(&self, late: &LateParent) -> bool {
        let rests = |pid: i32| {
            waiting::threads(pid)
                .filter(|thread| thread.tid != late.parent.as_raw())
                .all(|thread| thread.waiting.for_good())
        };
        // Far more than a new child needs to its end: something spins.
        let computes =
            self.cpu_time().saturating_sub(late.cpu) > Duration::from_millis(500);
        if !rests(late.child) {
            return computes;
        }
        self.let_zombies_tell();
        rests(self.program()) || computes
    }

    /// Takes note of what a traced thread or process reports.
    pub(super) fn traced(&mut self, status: WaitStatus) {
        if self.late_parents.is_some() {
            return self.traced_parent(status);
        }
        let cpu = self.cpu_time();
        let Some(nursery) = &mut self.nursery else { return };
        match status {
            // The program itself, at its first instruction: exec stops a traced process.
            WaitStatus::Stopped(pid, Signal::SIGTRAP) => {
                let options =
                    Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
                let _ = ptrace::setoptions(pid, options);
                let _ = ptrace::cont(pid, None);
            }
            WaitStatus::PtraceEvent(creator, ..) => {
                let _ = ptrace::cont(creator, None);
            }
            // A new thread, before its first instruction.
            WaitStatus::Stopped(pid, Signal::SIGSTOP) => {
                nursery.held.push(pid);
                nursery.cpu = cpu;
                nursery.born += 1;
            }
            WaitStatus::Stopped(pid, signal) => {
                let _ = ptrace::cont(pid, signal);
            }
            _ => {}
        }
    }

    /// Lets the new threads go if their creator has come to rest. True if it did.
    pub(super) fn let_late_threads_go(&mut self) -> bool {
        let Some(nursery) = &self.nursery else { return false };
        if nursery.held.is_empty() {
            return false;
        }
        let pid = self.running.as_ref().map_or(0, |running| running.pid);
        let main = waiting::threads(pid).find(|thread| thread.tid == pid);
        let at_rest =
            main.is_none_or(|main| main.waiting != waiting::Waiting::Running);
        let computes =
            self.cpu_time().saturating_sub(nursery.cpu) > Duration::from_millis(50);
        if !at_rest && !computes {
            return false;
        }
        for pid in self.nursery.iter_mut().flat_map(|nursery| nursery.held.drain(..))
        {
            let _ = ptrace::detach(pid, None);
        }
        true
    }

    /// Stops all threads but the main one, lets the case `act`, and then lets them go on in step,
    /// one instruction each in turn, until they have ended or nothing moves any more. Where
    /// tracing is not allowed they simply go on.
    pub fn in_slow_motion(
        &mut self,
        act: impl FnOnce(&mut Scene) -> Outcome,
    ) -> Outcome {
        let pid = self.running().pid;
        // None if it has ended.
        let tids = proc::tids(pid).unwrap_or_default();
        let mut threads: Vec<Stepped> = tids
            .into_iter()
            .filter(|&tid| tid != pid)
            .filter_map(Stepped::seize)
            .collect();
        for thread in &mut threads {
            self.wait_for_stop(thread, true)?;
        }
        act(self)?;
        let mut steps = 0;
        while !threads.is_empty() && steps < MOST_STEPS {
            let mut moved = false;
            let mut index = 0;
            while let Some(thread) = threads.get_mut(index) {
                steps += 1;
                moved |= !thread.moving;
                let gone = !thread.moving && thread.step().is_err();
                if gone || self.wait_for_stop(thread, false)? == Step::Ended {
                    threads.remove(index);
                } else {
                    index += 1;
                }
            }
            if !moved {
                // Everybody sleeps.
                break;
            }
        }
        for thread in threads {
            // A thread can be let go of only while it is stopped.
            if thread.moving {
                let _ = ptrace::interrupt(thread.tid);
                let mut thread = Stepped { moving: true, ..thread };
                self.wait_for_stop(&mut thread, true)?;
            }
            let _ = ptrace::detach(thread.tid, None);
        }
        Ok(())
    }

    /// The program is at rest. Puts its main thread back to where the next instruction is the
    /// call that it sleeps in, lets the case `act`, and lets the thread go on. A signal that
    /// comes meanwhile has been handled when the call begins, unless it is blocked: it interrupts
    /// nothing. Where tracing is not allowed the case simply acts.
    pub fn before_it_sleeps(
        &mut self,
        act: impl FnOnce(&mut Scene) -> Outcome,
    ) -> Outcome {
        let Some(mut main) = Stepped::seize(self.running().pid) else {
            return act(self);
        };
        self.wait_for_stop(&mut main, true)?;
        self.put_back_before_call(&mut main)?;
        act(self)?;
        let _ = ptrace::detach(main.tid, None);
        Ok(())
    }

    /// A thread that is stopped while it sleeps leaves its call, and the kernel makes it call
    /// again. That call does not take place: the thread stops behind it, is put back before it,
    /// and has the signal mask of its own that some calls replace while they wait (ppoll(2)).
    #[cfg(target_arch = "x86_64")]
    fn put_back_before_call(&mut self, thread: &mut Stepped) -> Outcome {
        use libc::{PTRACE_SYSCALL_INFO_ENTRY, SYS_getpid, SYS_restart_syscall};
        /// The size of the instruction `syscall`.
        const SIZE: u64 = 2;
        /// Far more than a loop makes that waits.
        const MOST_CALLS: usize = 1000;

        let Ok(slept) = ptrace::getregs(thread.tid).map(|r| r.orig_rax) else {
            return Ok(());
        };
        for _ in 0..MOST_CALLS {
            if !self.goes_on_to_call(thread)? {
                return Ok(());
            }
            let info = ptrace::syscall_info(thread.tid);
            let enters = info.is_ok_and(|info| info.op == PTRACE_SYSCALL_INFO_ENTRY);
            let Ok(mut registers) = ptrace::getregs(thread.tid) else {
                return Ok(());
            };
            let again = [slept, SYS_restart_syscall as u64];
            if !enters || !again.contains(&registers.orig_rax) {
                continue;
            }
            // A call that changes nothing, instead.
            registers.orig_rax = SYS_getpid as u64;
            let _ = ptrace::setregs(thread.tid, registers);
            if !self.goes_on_to_call(thread)? {
                return Ok(());
            }
            registers.rip -= SIZE;
            registers.rax = slept;
            // No call, so there is nothing to be made again.
            registers.orig_rax = u64::MAX;
            let _ = ptrace::setregs(thread.tid, registers);
            return Ok(());
        }
        Ok(())
    }

    /// Which registers that takes is known for one kind of processor only.
    #[cfg(not(target_arch = "x86_64"))]
    fn put_back_before_call(&mut self, _: &mut Stepped) -> Outcome {
        Ok(())
    }

    /// Lets a stopped thread run to where it enters or leaves the kernel. False if it does not
    /// get there: it has ended, or it sleeps in another call, and is stopped there.
    #[cfg(target_arch = "x86_64")]
    fn goes_on_to_call(&mut self, thread: &mut Stepped) -> Result<bool, Stop> {
        if ptrace::syscall(thread.tid, None).is_err() {
            return Ok(false);
        }
        thread.in_system_call = true;
        match self.wait_for_stop(thread, false)? {
            Step::Stopped => Ok(true),
            Step::Ended => Ok(false),
            Step::Asleep => {
                let _ = ptrace::interrupt(thread.tid);
                self.wait_for_stop(thread, true)?;
                Ok(false)
            }
        }
    }

    /// Waits until a stepped thread has stopped again, has ended, or (unless it `must` stop) has
    /// gone to sleep in a system call.
    fn wait_for_stop(
        &mut self,
        thread: &mut Stepped,
        must: bool,
    ) -> Result<Step, Stop> {
        // Only a system call can take long; all else has stopped again in a moment.
        let may_sleep = !must && thread.in_system_call;
        let mut flags = WaitPidFlag::__WALL;
        flags.set(WaitPidFlag::WNOHANG, may_sleep);
        loop {
            match waitpid(thread.tid, Some(flags)) {
                Ok(WaitStatus::StillAlive) => {}
                Ok(WaitStatus::Exited(pid, code)) => {
                    self.note_exit(pid, Exit::Code(code))?;
                    return Ok(Step::Ended);
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    self.note_exit(pid, Exit::Signal(signal))?;
                    return Ok(Step::Ended);
                }
                Ok(_) => {
                    thread.moving = false;
                    return Ok(Step::Stopped);
                }
                Err(_) => return Ok(Step::Ended),
            }
            let state = proc::state(self.running().pid, thread.tid.as_raw());
            if state.is_ok_and(|state| state == 'S') {
                return Ok(Step::Asleep);
            }
            std::thread::yield_now();
        }
    }
}

/// Far more than the threads of an exercise need to their end.
const MOST_STEPS: usize = 1_000_000;

struct Stepped {
    tid: Pid,
    /// It has been told to go on and has not stopped yet.
    moving: bool,
    stepped: bool,
    /// Its last step is a system call, in which it may sleep.
    in_system_call: bool,
}

impl Stepped {
    /// Tells it to stop; none if it has ended or tracing is not allowed.
    fn seize(tid: i32) -> Option<Stepped> {
        let tid = Pid::from_raw(tid);
        // TRACESYSGOOD: a stop at a system call is told from others (ptrace(2)).
        let options = Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACESYSGOOD;
        ptrace::seize(tid, options).ok()?;
        ptrace::interrupt(tid).ok()?;
        Some(Stepped { tid, moving: true, stepped: false, in_system_call: false })
    }

    /// Lets it run one instruction.
    fn step(&mut self) -> nix::Result<()> {
        // A call that was interrupted begins anew.
        self.in_system_call = !self.stepped || is_at_system_call(self.tid);
        self.stepped = true;
        ptrace::step(self.tid, None)?;
        self.moving = true;
        Ok(())
    }
}

/// Whether the next instruction enters the kernel; if that cannot be told, it may.
fn is_at_system_call(tid: Pid) -> bool {
    #[cfg(target_arch = "x86_64")]
    if let Ok(registers) = ptrace::getregs(tid)
        && let Ok(word) = ptrace::read(tid, registers.rip as ptrace::AddressType)
    {
        return word.to_le_bytes()[..2] == [0x0f, 0x05];
    }
    true
}

#[derive(PartialEq, Eq)]
enum Step {
    Stopped,
    Asleep,
    Ended,
}
