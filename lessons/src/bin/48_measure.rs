//! What do threads and processes buy?
//!
//! The same work alone, in threads and in processes: work that computes, and work
//! that waits. An honest row says how much work, on how many cores, and two times:
//! wall time, and the processor time of all who took part.
//! Predict: which of the six rows are faster than alone, and how many times?
//! Neighbours: 40_pool, 49_arena.

use anyhow::{Context, Result, ensure};
use lessons::{observe, prove, step};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal::SIGKILL;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::sys::wait::{WaitStatus::Exited, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long the service takes over each answer.
const LATENCY: Duration = Duration::from_millis(5);
/// How long the work that computes is to take alone, whatever the machine.
const ALONE: Duration = Duration::from_millis(400);
/// How many questions there are, and who ask at the same time.
const QUESTIONS: usize = 40;
const ASKERS: usize = 8;
/// What the service is asked.
const ANSWER_LATER: u8 = b'l';
const ANSWER_TOGETHER: u8 = b't';

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let known = ["--quick", "--python"];
    if let Some(unknown) = args.iter().find(|arg| !known.contains(&arg.as_str())) {
        lessons::serve::wrong_use(format_args!(
            "{unknown}? There is --quick, and --python"
        ));
    }
    let has = |option: &str| args.iter().any(|arg| arg == option);
    let cores = std::thread::available_parallelism()?.get();
    let mut work = Work { cores, rounds: 20_000 };
    let quick = has("--quick");
    if !quick {
        work.rounds = work.rounds_for(ALONE)?;
    }
    lesson(&work, if quick { 1 } else { 5 }, has("--python"))
}

/// The work that computes: so many units for each core, of so many rounds.
struct Work {
    cores: usize,
    rounds: u64,
}

/// How often a thread that computed went to sleep, in this process.
static WAITS: AtomicI64 = AtomicI64::new(0);

/// How a piece of work is shared.
#[derive(Clone, Copy)]
enum Way {
    Alone,
    Threads(usize),
    Processes(usize),
}

/// What one way took.
struct Row {
    wall: Duration,
    cpu: Duration,
    result: u64,
}

fn lesson(work: &Work, runs: usize, python: bool) -> Result<()> {
    lessons::open("What do threads and processes buy?");
    let cores = work.cores;
    let service = Service::start()?;

    step("Work that computes, in as many parts as there are cores.");
    observe("work", format!("{} units of {} rounds", work.units(), work.rounds));
    observe("cores", cores);
    let ways = [Way::Alone, Way::Threads(cores), Way::Processes(cores)];
    let rows = median(runs, || {
        ways.map(|way| measure(way, |part, parts| work.without_waiting(part, parts)))
    })?;
    show(&ways, &rows);
    let waits = WAITS.load(Relaxed);
    observe("a thread slept, meanwhile", format!("{waits} times"));
    let [alone, threads, processes] = &rows;
    prove("all three did the same work", alone.result == threads.result)?;
    prove("down to the last bit", alone.result == processes.result)?;
    let possible = |row: &Row| row.cpu <= row.wall * cores as u32 + TICK;
    prove("no row has more processor time than cores", rows.iter().all(possible))?;

    step("A table that circulates: 6.63 s, in threads 7.02 s, in processes 3.29 s.");
    observe("work, and cores", "it does not say");
    observe("which row is which", "two have the same name");
    observe("of what", "CPython, whose threads share a lock (--python)");
    prove("the threads above had none: no thread waited for another", waits == 0)?;

    step("Work that waits: 40 questions to a service that takes 5 ms each.");
    observe("work", format!("{QUESTIONS} answers after {LATENCY:?}"));
    let ways = [Way::Alone, Way::Threads(ASKERS), Way::Processes(ASKERS)];
    let rows = median(runs, || {
        ways.map(|way| measure(way, |part, parts| service.ask(part, parts)))
    })?;
    show(&ways, &rows);
    let answered = |row: &Row| row.result == QUESTIONS as u64;
    prove("all questions were answered", rows.iter().all(answered))?;
    let least = LATENCY * QUESTIONS as u32;
    prove("alone, each waits for the one before", rows[0].wall >= least)?;

    step("The service answers nobody before 8 questions are there.");
    let together = |_, _| service.ask_once(ANSWER_TOGETHER);
    let threads = measure(Way::Threads(ASKERS), together)?.result;
    let processes = measure(Way::Processes(ASKERS), together)?.result;
    observe("answers to 8 threads", threads);
    observe("answers to 8 processes", processes);
    let all = ASKERS as u64;
    prove("so all 8 waited at once", threads == all && processes == all)?;

    if python {
        step("The same in CPython, whose threads share one lock, the GIL.");
        in_python(work, runs, &service)?;
    }
    Ok(())
}

/// Both times are read one after the other.
const TICK: Duration = Duration::from_millis(20);

/// Lets all parts of the work be done in one way, and adds up their results.
fn measure<F>(way: Way, part: F) -> Result<Row>
where
    F: Fn(usize, usize) -> Result<u64> + Sync,
{
    let (cpu, start) = (cpu_time()?, Instant::now());
    let result = match way {
        Way::Alone => part(0, 1)?,
        Way::Threads(n) => std::thread::scope(|scope| {
            let part = &part;
            let spawn = |k| scope.spawn(move || part(k, n));
            let threads: Vec<_> = (0..n).map(spawn).collect();
            let results = threads.into_iter().map(|t| t.join().expect("no panic"));
            results.sum::<Result<u64>>()
        })?,
        Way::Processes(n) => {
            let children = (0..n).map(|k| start_child(|| part(k, n)));
            let children: Vec<_> = children.collect::<Result<_>>()?;
            children.into_iter().map(result_of).sum::<Result<u64>>()?
        }
    };
    let (wall, cpu) = (start.elapsed(), cpu_time()? - cpu);
    Ok(Row { wall, cpu, result })
}

/// The processor time, in user and in kernel mode, of this process's threads and of
/// the children it has waited for.
fn cpu_time() -> Result<Duration> {
    let mut sum = 0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        let time = usage.user_time() + usage.system_time();
        sum += time.num_microseconds();
    }
    Ok(Duration::from_micros(sum as u64))
}

/// How often this thread has left its processor because it had to wait. Who is only
/// made to, because others want to compute too, has an involuntary switch.
fn sleeps() -> Result<i64> {
    Ok(getrusage(UsageWho::RUSAGE_THREAD)?.voluntary_context_switches())
}

/// A child that does its part and writes the result to a pipe.
fn start_child(
    part: impl FnOnce() -> Result<u64>,
) -> Result<(Pid, std::io::PipeReader)> {
    let (reader, mut writer) = std::io::pipe()?;
    let parent = getpid();
    // SAFETY: this process has one thread now: those of the row before are joined.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok((child, reader)),
        ForkResult::Child => {
            end(parent, || Ok(writer.write_all(&part()?.to_ne_bytes())?))
        }
    }
}

/// What a child does, and its end: with its parent at the latest.
fn end(parent: Pid, work: impl FnOnce() -> Result<()>) -> ! {
    let bound = set_pdeathsig(SIGKILL).is_ok() && getppid() == parent;
    let done = bound && work().is_ok();
    // SAFETY: _exit(2) ends the process, and nothing of the parent's is run.
    unsafe { libc::_exit(i32::from(!done)) }
}

fn result_of((child, mut reader): (Pid, std::io::PipeReader)) -> Result<u64> {
    let mut sum = [0; 8];
    reader.read_exact(&mut sum).context("a child ended without a result")?;
    ensure!(waitpid(child, None)? == Exited(child, 0), "a child failed");
    Ok(u64::from_ne_bytes(sum))
}

impl Work {
    fn units(&self) -> usize {
        8 * self.cores
    }

    /// Does its part, and counts how often this thread went to sleep over it.
    fn without_waiting(&self, part: usize, parts: usize) -> Result<u64> {
        // The first time, a page of the stack or the program may have to be fetched.
        Work { rounds: 1, ..*self }.compute(part, parts);
        sleeps()?;
        let before = sleeps()?;
        let sum = self.compute(part, parts);
        WAITS.fetch_add(sleeps()? - before, Relaxed);
        Ok(sum)
    }

    /// How many rounds make all units together last so long.
    fn rounds_for(&self, time: Duration) -> Result<u64> {
        let (mut trial, mut last) = (Work { cores: 1, rounds: 20_000 }, cpu_time()?);
        loop {
            ensure!(trial.unit(0) != 0, "xorshift never comes to 0");
            let now = cpu_time()?;
            let took = (now - last).as_secs_f64();
            if took > 0.01 {
                let all = took * self.units() as f64;
                return Ok((trial.rounds as f64 * time.as_secs_f64() / all) as u64);
            }
            (trial.rounds, last) = (trial.rounds * 2, now);
        }
    }

    /// The sum of all units of a part. A result that nobody uses would be optimised
    /// away, and the work with it.
    fn compute(&self, part: usize, parts: usize) -> u64 {
        let units = (part..self.units()).step_by(parts);
        // Small enough that no sum of them overflows.
        units.map(|unit| self.unit(unit as u64) >> 32).sum()
    }

    /// Rounds of a generator of random numbers (xorshift), each of which needs the
    /// one before.
    fn unit(&self, seed: u64) -> u64 {
        let mut x = seed + 1;
        for _ in 0..self.rounds {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
        }
        x
    }
}

/// A process that answers questions, as a disk or another machine does: not at once,
/// but many at a time.
struct Service {
    address: SocketAddr,
    child: Pid,
}

impl Service {
    fn start() -> Result<Service> {
        // Of a name in the abstract namespace (unix(7)) no file is left.
        let socket = bound()?;
        let (address, parent) = (socket.local_addr()?, getpid());
        // SAFETY: this process has one thread.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Service { address, child }),
            ForkResult::Child => end(parent, || answer(&socket)),
        }
    }

    /// Asks all questions of a part, each after the answer to the one before; how
    /// many were answered.
    fn ask(&self, part: usize, parts: usize) -> Result<u64> {
        (part..QUESTIONS).step_by(parts).map(|_| self.ask_once(ANSWER_LATER)).sum()
    }

    fn ask_once(&self, question: u8) -> Result<u64> {
        let socket = bound()?;
        socket.send_to_addr(&[question], &self.address)?;
        socket.recv(&mut [0])?;
        Ok(1)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(self.child, SIGKILL);
        let _ = waitpid(self.child, None);
    }
}

/// A socket with a name that the kernel picks (autobind, unix(7)).
fn bound() -> Result<UnixDatagram> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr};
    use nix::sys::socket::{bind, socket};
    let flags = SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&fd), &UnixAddr::new_unnamed())?;
    Ok(fd.into())
}

/// Answers each question 5 ms after it came, or all at once when 8 are there.
fn answer(socket: &UnixDatagram) -> Result<()> {
    let (mut later, mut together) = (VecDeque::new(), Vec::new());
    loop {
        let left = |(due, _): &(Instant, SocketAddr)| {
            due.saturating_duration_since(Instant::now()).into()
        };
        let wait: Option<TimeSpec> = later.front().map(left);
        // Its limit is kept to the microsecond, that of SO_RCVTIMEO is not.
        let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut ready, wait, None) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => {
                let mut question = [0];
                let (_, who) = socket.recv_from(&mut question)?;
                match question[0] {
                    ANSWER_TOGETHER => together.push(who),
                    _ => later.push_back((Instant::now() + LATENCY, who)),
                }
            }
            Err(e) => return Err(e.into()),
        }
        while later.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            let (_, who) = later.pop_front().context("there is one")?;
            socket.send_to_addr(b"!", &who)?;
        }
        if together.len() == ASKERS {
            for who in together.drain(..) {
                socket.send_to_addr(b"!", &who)?;
            }
        }
    }
}

/// Measures all rows so many times, in turn, and takes of each the run with the
/// median wall time: one run alone may have met a busy moment.
fn median(runs: usize, measure: impl Fn() -> [Result<Row>; 3]) -> Result<[Row; 3]> {
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..runs {
        for (rows, row) in all.iter_mut().zip(measure()) {
            rows.push(row?);
        }
    }
    Ok(all.map(|mut rows| {
        rows.sort_by_key(|row| row.wall);
        rows.swap_remove(rows.len() / 2)
    }))
}

fn show(ways: &[Way; 3], rows: &[Row; 3]) {
    for (way, row) in ways.iter().zip(rows) {
        let name = match way {
            Way::Alone => "alone".to_owned(),
            Way::Threads(n) => format!("{n} threads"),
            Way::Processes(n) => format!("{n} processes"),
        };
        let speed_up = rows[0].wall.as_secs_f64() / row.wall.as_secs_f64();
        let (wall, cpu) = (row.wall.as_secs_f64(), row.cpu.as_secs_f64());
        observe(
            &name,
            format!("{wall:.3} s, processor {cpu:.3} s, speed-up {speed_up:.2}"),
        );
    }
}

/// The same rows by python3, if it is there.
fn in_python(work: &Work, runs: usize, service: &Service) -> Result<()> {
    let name = service.address.as_abstract_name().context("no abstract name")?;
    // CPython needs about two hundred times as long for a round.
    let rounds = (work.rounds / 200).max(1);
    let started = Command::new("python3")
        .args(["-c", PYTHON])
        .args([work.units(), work.cores, rounds as usize].map(|n| n.to_string()))
        .args([QUESTIONS, ASKERS, runs].map(|n| n.to_string()))
        .arg(String::from_utf8_lossy(name).as_ref())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let Ok(output) = started else {
        observe("python3", "is not there");
        return Ok(());
    };
    ensure!(output.status.success(), "python3 ended with {}", output.status);
    for line in String::from_utf8(output.stdout)?.lines() {
        let (name, row) = line.split_once(": ").context("not a row")?;
        observe(name, row);
    }
    Ok(())
}

const PYTHON: &str = r#"
import socket, sys, time
from multiprocessing import get_context
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, RUSAGE_THREAD, getrusage
from threading import Thread
units, cores, rounds, questions, askers, runs = map(int, sys.argv[1:7])
service = b"\0" + sys.argv[7].encode()

slept = 0

def compute(part, parts):
    global slept
    before = getrusage(RUSAGE_THREAD).ru_nvcsw
    for unit in range(part, units, parts):
        x = unit + 1
        for _ in range(rounds):
            x ^= x << 13 & 0xffffffffffffffff
            x ^= x >> 7
            x ^= x << 17 & 0xffffffffffffffff
    slept += getrusage(RUSAGE_THREAD).ru_nvcsw - before

def ask(part, parts):
    for _ in range(part, questions, parts):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind("")
            s.sendto(b"l", service)
            s.recv(1)

def cpu():
    usages = getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in usages)

def measure(make, work, n):
    start, used = time.monotonic(), cpu()
    if make is None:
        work(0, 1)
    else:
        parts = [make(target=work, args=(k, n)) for k in range(n)]
        for p in parts: p.start()
        for p in parts: p.join()
    return time.monotonic() - start, cpu() - used

version = sys.version.split()[0]
gil = getattr(sys, "_is_gil_enabled", lambda: True)()
print(f"python3: {version}, " + ("with GIL" if gil else "without GIL"))
for what, work, n in [("computes", compute, cores), ("waits", ask, askers)]:
    ways = [("alone", None), (f"{n} threads", Thread),
            (f"{n} processes", get_context("fork").Process)]
    tries = [[measure(make, work, n) for _, make in ways] for _ in range(runs)]
    rows = [sorted(rows)[runs // 2] for rows in zip(*tries)]
    for (name, _), (wall, used) in zip(ways, rows):
        print(f"{what}, {name}: {wall:.3f} s, processor {used:.3f} s, "
              f"speed-up {rows[0][0] / wall:.2f}")
    if work is compute:
        print(f"a thread slept, meanwhile: {slept} times")
"#;
