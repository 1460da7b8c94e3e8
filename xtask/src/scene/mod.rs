//! The stage of one case: start the program, talk to it as its users would, watch it as the kernel
//! does.
//!
//! A case never sleeps and never guesses from time. It says what it waits for ([`Scene::wait`])
//! and learns how that came out: reached; or *blocked*, which means that every thread of the program
//! has been seen asleep, twice, without having run in between, in calls that nobody but the case
//! could end; or the program has ended. Only a program that goes on without end meets the deadline.

mod datagrams;
mod diag;
mod excess;
mod family;
mod folder;
mod gate;
mod net;
mod streams;
mod trace;
mod waiting;
mod words;

use crate::cage::{Clock, Job, Mode, Report, confine, limits};
use crate::judge::{Finding, Status};
use anyhow::{Context, Result};
use lessons::proc::{self, Bytes};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};
use streams::{Input, Output};

pub use datagrams::{Datagram, Mailbox};
pub use family::{Descriptor, Reader};
pub use folder::{Entries, Watch};
pub use gate::Gate;
pub use net::{End, Peer, Port};
pub use waiting::{Thread, Waiting};
pub use words::{Misconception, quote, quote_bytes};

/// Why a case ends early: what is wrong with the program, or that nothing can be said.
pub type Stop = Box<Report>;
/// How a case ends.
pub type Outcome = Result<(), Stop>;

/// How long a program is left alone between two looks; longer, the longer nothing comes of them.
const SHORT_PAUSE: Duration = Duration::from_millis(1);
const LONG_PAUSE: Duration = Duration::from_millis(5);
/// And twice as long as the last look took, up to this: a look at hundreds of processes costs more
/// than they do.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// How waiting came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// What was waited for has come about.
    Reached,
    /// It has not, and all threads are blocked for good, unless the case does something.
    Blocked,
    /// It has not, and the program has ended.
    Ended,
    /// It has not, though the program has had its chance: it spins, or sleeps again and again.
    /// Only [`Scene::settle`] and [`Scene::wait_with_patience`] answer this.
    Busy,
    /// It has not, and all threads sleep, some with a time limit that has not run out yet.
    /// Only [`Scene::wait_while_awake`] answers this.
    Asleep,
}

/// When waiting is given up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// When the program is blocked for good.
    Blocked,
    /// Or when it has had its chance.
    Settled,
    /// Or when it has had its chance, or sleeps with a time limit.
    Asleep,
}

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(Signal),
}

/// The stage. See the module's description.
pub struct Scene {
    program: PathBuf,
    /// What plays the program's children.
    actor: PathBuf,
    mode: Mode,
    clock: Clock,
    deadline: Duration,
    running: Option<Running>,
    looked_at_memory: Instant,
    environment: Vec<(&'static str, &'static str)>,
    folder: PathBuf,
    /// It is blocked, and nothing that the case has could end that.
    stuck: bool,
    /// The program's standard output is full when it starts.
    full_output: bool,
    /// Where new threads wait, if the case wants them late.
    nursery: Option<trace::Nursery>,
    /// Who waits for a child of its own, if the case wants parents late.
    late_parents: Option<Vec<trace::LateParent>>,
    net: net::Net,
}

struct Running {
    pid: i32,
    stdin: Input,
    stdout: Output,
    stderr: Output,
    exit: Option<Exit>,
}

/// All threads at one moment. Two equal looks mean that they all slept from one to the other.
#[derive(PartialEq, Eq)]
struct Look {
    threads: Vec<Thread>,
}

/// All threads sleep.
struct Rest {
    look: Look,
    /// Some of them with a time limit.
    limited: bool,
}

impl Look {
    fn all(&self, state: impl Fn(Waiting) -> bool) -> bool {
        self.threads.iter().all(|thread| state(thread.waiting))
    }
}

/// What the program had used when something last moved.
struct Sign {
    time: Instant,
    /// The same by the scene's clock.
    counted: Duration,
    cpu_time: Duration,
    switches: u64,
    /// What waits in the connections of the case.
    waiting: Vec<usize>,
}

impl Scene {
    pub fn new(program: PathBuf, actor: PathBuf, job: &Job) -> Scene {
        Scene {
            program,
            actor,
            mode: job.mode,
            clock: Clock::new(job.patience),
            deadline: job.deadline,
            running: None,
            looked_at_memory: Instant::now(),
            environment: Vec::new(),
            folder: std::env::current_dir().unwrap_or_default(),
            stuck: false,
            full_output: false,
            nursery: None,
            late_parents: None,
            net: net::Net::default(),
        }
    }

    /// Sets an environment variable for the program. It has PATH and HOME only.
    pub fn set_environment(&mut self, name: &'static str, value: &'static str) {
        self.environment.push((name, value));
    }

    /// Starts the program with these arguments; its working folder is empty but for what the
    /// case has put there.
    pub fn start(&mut self, args: &[&str]) -> Outcome {
        self.running = Some(self.spawn(args, false).map_err(unavailable)?);
        Ok(())
    }

    /// Starts the program with a standard output that takes nothing before
    /// [`Scene::let_output_go`]: who prints waits, inside of its printing.
    pub fn start_with_full_output(&mut self, args: &[&str]) -> Outcome {
        self.full_output = true;
        self.start(args)
    }

    /// Reads the program's output from now on.
    pub fn let_output_go(&mut self) {
        self.running().stdout.held = false;
    }

    /// Starts the program so that it may run on one processor only (sched_setaffinity(2)).
    pub fn start_on_one_processor(&mut self, args: &[&str]) -> Outcome {
        let spawned = net::on_first_processor(|| self.spawn(args, false));
        self.running = Some(spawned.flatten().map_err(unavailable)?);
        Ok(())
    }

    /// On how many processors the program may run, if it was not started on one.
    pub fn processors(&self) -> usize {
        net::processors().map_or(1, Iterator::count)
    }

    fn start_traced(&mut self, args: &[&str]) -> Outcome {
        self.running = Some(self.spawn(args, true).map_err(unavailable)?);
        Ok(())
    }

    fn spawn(&self, args: &[&str], traced: bool) -> Result<Running> {
        let (input, stdin) = std::io::pipe()?;
        let (stdout, output) = std::io::pipe()?;
        let (stderr, errors) = std::io::pipe()?;
        for fd in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let mut filler = 0;
        if self.full_output {
            filler = fcntl(&output, FcntlArg::F_GETPIPE_SZ)? as usize;
            (&output).write_all(&vec![b'.'; filler])?;
        }
        let mut command = Command::new(&self.program);
        command.arg0("exercise").args(args);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", "/tmp");
        command.envs(self.environment.iter().copied());
        command.stdin(input).stdout(output).stderr(errors);
        confine(&mut command, self.mode, traced, &[&self.program, &self.actor])?;
        let child = command.spawn().context("cannot start the program")?;
        Ok(Running {
            pid: child.id() as i32,
            stdin: Input::new(stdin),
            stdout: Output { held: filler > 0, filler, ..Output::new(stdout) },
            stderr: Output::new(stderr),
            exit: None,
        })
    }

    /// How many bytes the program has not read yet of what was sent to its standard
    /// input; 0 once that is closed.
    pub fn unread_input(&self) -> usize {
        let Some(running) = &self.running else { return 0 };
        let Some(stdin) = &running.stdin.pipe else { return 0 };
        let mut in_pipe: libc::c_int = 0;
        // SAFETY: FIONREAD (ioctl(2)) on an open pipe writes one int.
        unsafe { libc::ioctl(stdin.as_raw_fd(), libc::FIONREAD, &mut in_pipe) };
        running.stdin.unsent.len() + in_pipe as usize
    }

    /// What each thread of the program is doing, in words.
    pub fn doing(&self) -> String {
        waiting::tell(&self.threads()).0
    }

    /// Waits until so many threads read from files or pipes other than standard input.
    pub fn wait_for_readers(&mut self, count: usize) -> Result<Settled, Stop> {
        let reads = |t: &Thread| matches!(t.waiting, Waiting::Read(fd) if fd > 2);
        self.wait(|scene| {
            scene.threads().iter().filter(|t| reads(t)).count() >= count
        })
    }

    /// Writes a file into the working folder.
    pub fn file(&mut self, name: &str, content: impl AsRef<[u8]>) -> Outcome {
        std::fs::write(name, content).map_err(unavailable)
    }

    /// Makes a folder in the working folder.
    pub fn folder(&mut self, name: &str) -> Outcome {
        std::fs::create_dir(name).map_err(unavailable)
    }

    /// Makes a symbolic link in the working folder.
    pub fn link(&mut self, target: &str, name: &str) -> Outcome {
        std::os::unix::fs::symlink(target, name).map_err(unavailable)
    }

    /// The name of a file in the working folder that is the same everywhere.
    pub fn absolute(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// Sends text to the program's standard input. What its pipe cannot take is sent while waiting.
    pub fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes());
    }

    /// The same for bytes that may be no text.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let input = &mut self.running().stdin;
        input.unsent.extend_from_slice(bytes);
        input.send_more();
    }

    /// Ends the program's standard input, after all that was sent.
    pub fn close_stdin(&mut self) {
        let input = &mut self.running().stdin;
        input.close_when_sent = true;
        input.send_more();
    }

    /// Waits until `goal` holds. It is asked after everything that happens.
    ///
    /// # Errors
    /// The program crashes, uses too much, or is still neither there nor at rest at the deadline.
    pub fn wait(
        &mut self,
        goal: impl FnMut(&Scene) -> bool,
    ) -> Result<Settled, Stop> {
        self.wait_or_give_up(goal, Patience::Blocked)
    }

    /// The same, for what a program does whose time limits run out soon: if it has done nothing
    /// but spin or sleep for long, that is [`Settled::Busy`].
    pub fn wait_with_patience(
        &mut self,
        goal: impl FnMut(&Scene) -> bool,
    ) -> Result<Settled, Stop> {
        self.wait_or_give_up(goal, Patience::Settled)
    }

    /// The same, for what a program does before any of its time limits runs out: if it sleeps
    /// with one, that is [`Settled::Asleep`].
    pub fn wait_while_awake(
        &mut self,
        goal: impl FnMut(&Scene) -> bool,
    ) -> Result<Settled, Stop> {
        self.wait_or_give_up(goal, Patience::Asleep)
    }

    /// Waits until the program is at rest: blocked for good, or ended; or until it has done
    /// nothing but spin or sleep for so long that nothing more is to be expected.
    pub fn settle(&mut self) -> Result<Settled, Stop> {
        self.wait_or_give_up(|_| false, Patience::Settled)
    }

    fn wait_or_give_up(
        &mut self,
        mut goal: impl FnMut(&Scene) -> bool,
        patience: Patience,
    ) -> Result<Settled, Stop> {
        self.stuck = false;
        let mut earlier: Option<Rest> = None;
        let (mut last_sign, mut asked) = (None, None);
        let mut pause = SHORT_PAUSE;
        let mut used = processor_time();
        loop {
            let busy = self.pump()?;
            if goal(self) {
                return Ok(Settled::Reached);
            }
            // What it has sent may still be on the way, or wait for room on this side.
            let quiet = |net: &mut net::Net| net.is_quiet() && !net.pump();
            if self.exit().is_some() && quiet(&mut self.net) {
                // Its last words may have come after the look at its output.
                self.pump()?;
                return Ok(if goal(self) {
                    Settled::Reached
                } else {
                    Settled::Ended
                });
            }
            // Asked first, because there are programs that always do something.
            let now = self.clock.time();
            if now > self.deadline {
                return Err(self.no_end());
            }
            if busy {
                (earlier, last_sign, pause) = (None, None, SHORT_PAUSE);
            }
            // To look at everything costs more than to wait a little for a sign.
            if earlier.is_none() {
                let cost = processor_time() - used;
                used += cost;
                if self.something_comes(pause.max((2 * cost).min(LONGEST_PAUSE))) {
                    continue;
                }
                pause = (pause + SHORT_PAUSE).min(LONG_PAUSE);
            }
            let look = self.look();
            if let (Some(rest), Some(look)) = (&earlier, &look)
                && rest.look == *look
            {
                let limited = rest.limited;
                self.stuck = !limited && look.all(Waiting::in_vain);
                // It slept from the first look to the second: its output is complete.
                self.pump()?;
                return Ok(match goal(self) {
                    true => Settled::Reached,
                    false if limited => Settled::Asleep,
                    false => Settled::Blocked,
                });
            }
            let just_asked = asked.is_some_and(|asked| now < asked + LONG_PAUSE);
            if patience != Patience::Blocked && !just_asked {
                asked = Some(now);
                last_sign = last_sign
                    .filter(|sign: &Sign| sign.waiting == self.net.waiting());
                let since = last_sign.get_or_insert_with(|| self.sign(now));
                if self.had_its_chance(since, look.as_ref(), now) {
                    return Ok(Settled::Busy);
                }
            }
            earlier = look.and_then(|look| self.at_rest(look, patience));
        }
    }

    /// What all are doing, if it can be the end of waiting: if the next look is the same.
    ///
    /// Asked between the two looks: if a timer goes off before it was asked for, or something
    /// arrives before that question, the next look shows it.
    fn at_rest(&self, look: Look, patience: Patience) -> Option<Rest> {
        if !look.all(Waiting::is_asleep) {
            return None;
        }
        // A timer is a time limit, too.
        let limited = !look.all(Waiting::for_good) || self.timer_is_set();
        let rests = !limited || patience == Patience::Asleep;
        (rests && self.net.is_quiet()).then_some(Rest { look, limited })
    }

    /// For a case that tries again until it can tell: this machine may be too slow for it.
    pub fn is_in_time(&mut self) -> Outcome {
        if self.clock.time() < self.deadline {
            return Ok(());
        }
        Err(self.cannot_tell("it is too slow"))
    }

    /// What the case itself did has not worked on this machine.
    pub fn cannot_tell(&self, why: &'static str) -> Stop {
        unavailable(anyhow::anyhow!(why))
    }

    /// Whether a program that has shown no sign since then will not show any: it has computed for
    /// long, or slept with time limits, again and again or for long.
    fn had_its_chance(
        &self,
        last: &Sign,
        look: Option<&Look>,
        now: Duration,
    ) -> bool {
        let asleep = look.is_some_and(|look| look.all(|w| w != Waiting::Running));
        let timed = look.is_some_and(|look| !look.all(|w| w != Waiting::Time));
        let woken = self.switches().saturating_sub(last.switches);
        self.cpu_time().saturating_sub(last.cpu_time) > Duration::from_millis(300)
            || asleep && timed && woken > 100
            || asleep && last.time.elapsed() > Duration::from_secs(3)
            // It has wanted to run all that time, or it would be blocked. One that gives its turn
            // away again and again (sched_yield(2)) uses next to nothing on a busy machine.
            || now.saturating_sub(last.counted) > Duration::from_secs(3)
    }

    fn sign(&self, counted: Duration) -> Sign {
        let (cpu_time, switches) = (self.cpu_time(), self.switches());
        let waiting = self.net.waiting();
        Sign { time: Instant::now(), counted, cpu_time, switches, waiting }
    }

    /// How often the program's threads have left the processor.
    fn switches(&self) -> u64 {
        self.threads().iter().map(|thread| thread.switches).sum()
    }

    /// The processor time that the program has used so far.
    fn cpu_time(&self) -> Duration {
        self.everybody().iter().filter_map(|&pid| proc::cpu_time(pid).ok()).sum()
    }

    /// Closes the program's input and waits for its end.
    pub fn finish(&mut self) -> Result<Exit, Stop> {
        self.close_stdin();
        match self.wait(|scene| scene.exit().is_some())? {
            Settled::Blocked => Err(self.no_end()),
            _ => {
                Ok(self.exit().expect("neither blocked nor at the deadline: ended"))
            }
        }
    }

    /// How the program ended, if it has.
    pub fn exit(&self) -> Option<Exit> {
        self.running.as_ref()?.exit
    }

    /// All that the program has printed so far.
    pub fn out(&self) -> String {
        self.running.as_ref().map(|r| r.stdout.as_text()).unwrap_or_default()
    }

    /// The same, byte by byte.
    pub fn out_bytes(&self) -> &[u8] {
        self.running.as_ref().map_or(&[], |running| &running.stdout.text)
    }

    /// The complete lines that the program has printed so far.
    pub fn lines(&self) -> Vec<String> {
        let out = self.out();
        let complete = out.rfind('\n').map_or("", |end| &out[..end]);
        complete.lines().map(str::to_owned).collect()
    }

    /// How many complete lines the program has printed so far.
    pub fn count_lines(&self) -> usize {
        self.running.as_ref().map_or(0, |running| running.stdout.lines)
    }

    /// All that the program has written to standard error so far.
    pub fn err(&self) -> String {
        self.running.as_ref().map(|r| r.stderr.as_text()).unwrap_or_default()
    }

    /// The message of its panic, or the last line that it has written to standard error.
    pub fn last_words(&self) -> String {
        words::last_words(&self.err())
    }

    /// The size of the program's address space.
    pub fn vm_size(&self) -> Bytes {
        self.pid().and_then(|pid| proc::vm_size(pid).ok()).unwrap_or(Bytes(0))
    }

    /// What each thread of the program is doing, the main thread first.
    pub fn threads(&self) -> Vec<Thread> {
        self.pid().map(|pid| waiting::threads(pid).collect()).unwrap_or_default()
    }

    /// The same of another process of the program.
    pub fn threads_of(&self, pid: i32) -> Vec<Thread> {
        waiting::threads(pid).collect()
    }

    /// The verdict of the case, from how it went.
    pub fn report(self, result: Outcome) -> Report {
        match result {
            Ok(()) => Report::Passed,
            Err(stop) => match *stop {
                // The sandbox stood: the program must not get a lesser one by disturbing it.
                Report::Unavailable(why) if self.running.is_some() => {
                    Report::Failed(Status::Cannot, Finding::cannot(why))
                }
                report => report,
            },
        }
    }

    fn pid(&self) -> Option<i32> {
        Some(self.running.as_ref()?.pid)
    }

    fn running(&mut self) -> &mut Running {
        self.running
            .as_mut()
            .expect("a case starts the program before it speaks to it")
    }

    /// Moves input and output, reaps, and enforces the limits. True if anything moved.
    fn pump(&mut self) -> Result<bool, Stop> {
        let running = self.running();
        let mut busy = running.stdin.send_more();
        busy |= running.stdout.drain();
        busy |= running.stderr.drain();
        if running.stdout.text.len() + running.stderr.text.len() > limits::OUTPUT {
            let seen = format!("more than {}", Bytes(limits::OUTPUT as u64));
            return Err(self.too_much("output", seen, "It prints without end."));
        }
        busy |= self.net.pump();
        busy |= self.reap()?;
        busy |= self.let_late_threads_go();
        busy |= self.let_late_parents_go();
        if self.looked_at_memory.elapsed() > Duration::from_millis(10) {
            self.enforce_limits()?;
            self.looked_at_memory = Instant::now();
        }
        Ok(busy)
    }

    fn reap(&mut self) -> Result<bool, Stop> {
        let mut busy = false;
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
        // No more at once than there can be: it may start new ones as fast as they are reaped.
        for _ in 0..limits::TASKS {
            match waitpid(Pid::from_raw(-1), Some(flags)) {
                Err(_) | Ok(WaitStatus::StillAlive) => break,
                Ok(WaitStatus::Exited(pid, code)) => {
                    self.note_exit(pid, Exit::Code(code))?
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) => {
                    self.note_exit(pid, Exit::Signal(signal))?;
                }
                Ok(status) => self.traced(status),
            }
            busy = true;
        }
        Ok(busy)
    }

    /// Some process or traced thread has ended; perhaps it was the program itself.
    fn note_exit(&mut self, pid: Pid, exit: Exit) -> Outcome {
        if Some(pid.as_raw()) == self.pid() {
            self.running().exit = Some(exit);
            self.running().stderr.drain();
            self.running().stdout.drain();
            self.check_crash(exit)?;
        }
        Ok(())
    }

    /// A signal, or a panic that reached the end of the process, is never right.
    fn check_crash(&self, exit: Exit) -> Outcome {
        let err = self.err();
        let seen = match exit {
            Exit::Signal(signal) => format!("it was ended by {signal}"),
            Exit::Code(101) if err.contains("panicked at") => {
                "it panicked".to_owned()
            }
            Exit::Code(_) => return Ok(()),
        };
        let said = words::last_words(&err);
        let crashed = Misconception {
            name: "crashed",
            expected: "the program ends by itself",
            why: "What it last said on standard error tells where to look.",
            lesson: "05_exit",
        };
        let seen = if said.is_empty() { seen } else { format!("{seen}: {said}") };
        Err(crashed.stop(Status::Crashed, seen))
    }

    /// The processes of the program: all in its world, or all descendants.
    fn everybody(&self) -> Vec<i32> {
        let own = proc::own_pid();
        let mut all = match self.mode {
            Mode::Namespaces => proc::pids().unwrap_or_default(),
            Mode::Process => proc::descendants(own).unwrap_or_default(),
        };
        all.retain(|&pid| pid != own);
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What all threads are doing; none if there is no thread. Input that was not sent
    /// yet does not matter: its pipe is full, or it would have been sent before this
    /// look.
    fn look(&self) -> Option<Look> {
        let mut threads: Vec<Thread> = Vec::new();
        for thread in self.everybody().into_iter().flat_map(waiting::threads) {
            let runs = thread.waiting == Waiting::Running;
            threads.push(thread);
            // One that runs tells all: there may be hundreds more.
            if runs {
                break;
            }
        }
        (!threads.is_empty()).then_some(Look { threads })
    }

    /// The verdict on a program that does not end: what each of its threads is doing.
    pub fn no_end(&self) -> Stop {
        let (seen, stuck) = waiting::tell(&self.threads());
        let seconds = self.clock.wall_time().as_secs();
        let misconception = Misconception {
            name: "hung",
            expected: "the program ends",
            why: if stuck {
                "Each thread waits for something that only another thread could do, and they all wait."
            } else {
                "At least one thread goes on: a loop that has no end, or that asks again and again."
            },
            lesson: "12_deadlock",
        };
        let seen = if stuck { seen } else { format!("after {seconds} s: {seen}") };
        misconception.hung(seen)
    }

    /// Waits so long for something to read. True if there is something.
    fn something_comes(&self, pause: Duration) -> bool {
        let Some(running) = &self.running else { return false };
        let pipes = [&running.stdout, &running.stderr];
        let mut fds: Vec<PollFd> = pipes
            .into_iter()
            .filter(|output| !output.held)
            .filter_map(|output| output.pipe.as_ref())
            .map(AsFd::as_fd)
            .chain(self.net.watched())
            .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
            .collect();
        let pause = PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO);
        poll(&mut fds, pause).is_ok_and(|ready| ready > 0)
    }
}

/// What this thread has used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    time.map_or(Duration::ZERO, Duration::from)
}

fn unavailable(e: impl Into<anyhow::Error>) -> Stop {
    Box::new(Report::Unavailable(format!("{:#}", e.into())))
}
