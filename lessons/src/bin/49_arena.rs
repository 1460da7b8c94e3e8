//! Which server model holds up?
//!
//! One load for all: clients that each send 64 bytes, wait for the echo, and send
//! again. More and more of them come, until a model cannot go on or the descriptors
//! are used up. The servers are those of the lessons, each in a process of its own.
//! Predict: whose figures fall, whose stay? Who is first to leave somebody waiting?
//! Neighbours: 36_iterative, 44_epoll_server, 48_measure.

use anyhow::Result;
use lessons::chart::{Panel, Scale, svg};
use lessons::load::Load;
use lessons::serve::{Server, wrong_use};
use lessons::{observe, proc, prove, screen, step, until};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::time::TimeValLike;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A way to serve.
#[derive(PartialEq, Eq)]
struct Model {
    lesson: &'static str,
    /// What its server is told after the address, to be an echo server.
    args: &'static [&'static str],
    tasks: Tasks,
}

/// The processes and threads of a server: how many, whoever comes.
#[derive(PartialEq, Eq)]
enum Tasks {
    One,
    ProcessForEach,
    ThreadForEach,
    Fixed,
}

const MODELS: [Model; 7] = [
    model("36_iterative", &[], Tasks::One),
    model("38_fork_server", &[], Tasks::ProcessForEach),
    model("39_thread_server", &[], Tasks::ThreadForEach),
    model("40_pool", &[], Tasks::Fixed),
    model("42_select_server", &["echo"], Tasks::One),
    model("44_epoll_server", &[], Tasks::One),
    model("45_coroutine", &[], Tasks::One),
];

const fn model(
    lesson: &'static str,
    args: &'static [&'static str],
    tasks: Tasks,
) -> Model {
    Model { lesson, args, tasks }
}

/// How many clients there are, one size after the other.
const SIZES: [usize; 5] = [1, 10, 100, 1_000, 10_000];
const QUICK_SIZES: [usize; 2] = [1, 8];
/// Descriptors that a process needs besides those of its clients.
const SPARE: usize = 64;
/// After this nothing new is begun.
const LIMIT: Duration = Duration::from_secs(180);

fn main() -> Result<()> {
    let second = Duration::from_secs(1);
    let (mut sizes, mut time) = (&SIZES[..], second);
    let (mut to_csv, mut to_svg) = (None, None);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut file = || match args.next() {
            Some(file) => Some(PathBuf::from(file)),
            None => wrong_use(format_args!("{arg} needs the name of a file")),
        };
        match arg.as_str() {
            "--quick" => (sizes, time) = (&QUICK_SIZES, second / 50),
            "--csv" => to_csv = file(),
            "--svg" => to_svg = file(),
            _ => wrong_use(format_args!(
                "{arg}? There is --quick, --csv FILE and --svg FILE"
            )),
        }
    }
    // Better now than after the measurement.
    let create = |file: PathBuf| match File::create(&file) {
        Ok(open) => open,
        Err(e) => wrong_use(format_args!("{}: {e}", file.display())),
    };
    let (to_csv, to_svg) = (to_csv.map(create), to_svg.map(create));
    let rows = arena(sizes, time)?;
    if let Some(mut file) = to_csv {
        file.write_all(csv(&rows).as_bytes())?;
    }
    if let Some(mut file) = to_svg {
        file.write_all(picture(&rows).as_bytes())?;
    }
    Ok(())
}

/// What came of one model with so many clients.
struct Row {
    model: &'static Model,
    clients: usize,
    /// Clients that were answered at least once, and why not all were.
    answered: usize,
    reason: Option<String>,
    /// How long each answer took, in order, of those that came in this time.
    took: Vec<Duration>,
    time: Duration,
    /// What of this time the clients were at work, on one processor.
    clients_cpu: Duration,
    server: Size,
}

#[derive(Clone, Copy, Default)]
struct Size {
    processes: usize,
    threads: usize,
    descriptors: usize,
    memory: u64,
}

fn arena(sizes: &[usize], time: Duration) -> Result<Vec<Row>> {
    lessons::open("Which server model holds up?");

    step("The servers, their machine, and the load.");
    let (begun, limit) = (Instant::now(), raise_limit()?);
    let (mut there, mut rows) = (Vec::new(), Vec::new());
    for model in &MODELS {
        let program = program(model.lesson)?;
        match program.exists() {
            true => there.push((model, program)),
            false => observe(model.lesson, "is not built"),
        }
    }
    if there.len() < MODELS.len() {
        observe("to build them", BUILD);
    }
    observe("servers", there.len());
    observe("cores", std::thread::available_parallelism()?);
    observe("descriptors for each process", limit);
    let load = "all clients in one thread; each sends 64 bytes, waits for the echo, \
                sends again";
    observe("the load", load);
    prove("there is somebody to ask", !there.is_empty())?;

    for size in sizes_within(sizes, limit) {
        step(&format!("{size} {}.", if size == 1 { "client" } else { "clients" }));
        observe("", HEAD);
        for (model, program) in &there {
            let mut earlier = rows.iter().filter(|row: &&Row| row.model == *model);
            if let Some(row) = earlier.find(|row| row.reason.is_some()) {
                observe(model.lesson, format!("gave up at {} clients", row.clients));
                continue;
            }
            if begun.elapsed() > LIMIT {
                observe(model.lesson, "not tried: no time is left");
                continue;
            }
            screen::progress(&format!("     {} …", model.lesson));
            let row = run(model, program, size, time)
                .unwrap_or_else(|e| Row::none(model, size, format!("{e:#}")));
            screen::progress("");
            show(&row);
            rows.push(row);
        }
        let of_size = || rows.iter().filter(|row| row.clients == size);
        if size == 1 {
            prove("one client is served", of_size().all(|r| r.answered == 1))?;
        }
        prove("tasks: one, one for each client, or so many", of_size().all(tasks))?;
    }

    step("How many clients has each answered, at most?");
    for (model, _) in &there {
        let of_model = rows.iter().filter(|row| row.model == *model);
        let answered = of_model.map(|row| row.answered).max().unwrap_or(0);
        observe(model.lesson, answered);
    }
    let of = |lesson| rows.iter().filter(move |row| row.model.lesson == lesson);
    if of("36_iterative").next().is_some() {
        let one = of("36_iterative").all(|row| row.answered == 1);
        prove("who waits for one client at a time serves one", one)?;
    }
    let many = ["42_select_server", "44_epoll_server", "45_coroutine"];
    let few = |row: &&Row| row.clients <= 10;
    let mut few = many.into_iter().flat_map(of).filter(few).peekable();
    if few.peek().is_some() {
        let all = few.all(|row| row.answered == row.clients);
        prove("who waits for all at once serves all of these few", all)?;
    }
    Ok(rows)
}

/// The sizes for which there are descriptors, and at last as many as there are.
fn sizes_within(sizes: &[usize], limit: usize) -> Vec<usize> {
    let most = limit.saturating_sub(SPARE).max(1);
    let mut within: Vec<usize> = sizes.iter().map(|&size| size.min(most)).collect();
    within.dedup();
    within
}

/// Allows this process, and so its servers, the descriptors of the last size, or as
/// many as it may have.
fn raise_limit() -> Result<usize> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = (SIZES[SIZES.len() - 1] + SPARE) as u64;
    if hard < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, wanted).is_ok() {
        return Ok(wanted as usize); // As root only.
    }
    let limit = soft.max(hard.min(wanted));
    setrlimit(Resource::RLIMIT_NOFILE, limit, hard)?;
    Ok(limit as usize)
}

/// The program of a lesson: it lies where this one does.
fn program(lesson: &str) -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(lesson))
}

const BUILD: &str = if cfg!(debug_assertions) {
    "cargo build -p lessons --bins"
} else {
    "cargo build --release -p lessons --bins"
};

/// Whether the server has as many tasks as its model says.
fn tasks(row: &Row) -> bool {
    let Size { processes, threads, .. } = row.server;
    match row.model.tasks {
        // It has ended.
        _ if threads == 0 => row.reason.is_some(),
        Tasks::One => (processes, threads) == (1, 1),
        // Who was sent away, or not served yet, has none.
        _ if row.reason.is_some() => true,
        Tasks::ProcessForEach => processes == row.clients + 1,
        Tasks::ThreadForEach => processes == 1 && threads > row.clients,
        Tasks::Fixed => processes == 1 && threads > 1,
    }
}

/// Puts the load on a server of this model.
fn run(
    model: &'static Model,
    program: &Path,
    clients: usize,
    time: Duration,
) -> Result<Row> {
    // What it says of itself is kept: it may be the reason of its end.
    let mut said = File::from(memfd_create(c"errors", MFdFlags::MFD_CLOEXEC)?);
    let mut server = Server::of(program, model.args, said.try_clone()?.into())?;
    let mut load = Load::new(server.address)?;
    let mut reason = load.connect(clients, &mut server)?;
    let answered = load.answered();
    let (cpu, start) = (own_cpu()?, Instant::now());
    let mut took = load.measure(time)?;
    let (time, clients_cpu) = (start.elapsed(), own_cpu()? - cpu);
    took.sort_unstable();
    let size = size(&server);
    if let Some(reason) = &mut reason
        && highest_descriptor(&server) == Some(libc::FD_SETSIZE as i32 - 1)
    {
        reason.push_str("; its highest descriptor is 1023, the last for select");
    }
    drop(load);
    server.signal(Signal::SIGINT)?;
    let mut status = None;
    let ended = until("it ends", || {
        status = server.ended()?;
        Ok(status.is_some())
    });
    if let Err(e) = ended {
        reason = Some(format!("told to end, it did not: {e}"));
    }
    if let Some(status) = status.filter(|status| !status.success()) {
        let mut text = String::new();
        said.rewind()?;
        said.read_to_string(&mut text)?;
        // A panic says in its first line where, and in the second why.
        let first: Vec<&str> = text.lines().take(2).map(str::trim).collect();
        reason = Some(format!("it failed, {status}: {}", first.join(" ")));
    }
    let server = size;
    Ok(Row { model, clients, answered, reason, took, time, clients_cpu, server })
}

/// What this process has computed for, the servers not included.
fn own_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let time = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros(time.num_microseconds() as u64))
}

/// Adds up what all its processes have. One that ends meanwhile has nothing.
fn size(server: &Server) -> Size {
    let mut size = Size::default();
    for pid in server.processes() {
        let fds = std::fs::read_dir(format!("/proc/{pid}/fd"));
        size.processes += 1;
        size.threads += proc::threads(pid).unwrap_or(0);
        size.descriptors += fds.map_or(0, Iterator::count);
        size.memory += proc::proportional(pid).map_or(0, |memory| memory.0);
    }
    size
}

fn highest_descriptor(server: &Server) -> Option<i32> {
    let fds = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).ok()?;
    fds.flatten().filter_map(|fd| fd.file_name().to_str()?.parse().ok()).max()
}

impl Row {
    /// Of a server that could not be asked.
    fn none(model: &'static Model, clients: usize, reason: String) -> Row {
        Row {
            model,
            clients,
            answered: 0,
            reason: Some(reason),
            took: Vec::new(),
            time: Duration::MAX,
            clients_cpu: Duration::ZERO,
            server: Size::default(),
        }
    }

    fn per_second(&self) -> f64 {
        self.took.len() as f64 / self.time.as_secs_f64()
    }

    /// So many of a hundred answers took no longer, in milliseconds.
    fn percentile(&self, percent: usize) -> f64 {
        let index = (self.took.len() * percent).div_ceil(100).saturating_sub(1);
        self.took.get(index).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
    }
}

const HEAD: &str = "  per s p50 ms p99 ms proc.  thr.   fds  MiB";

fn show(row: &Row) {
    let Size { processes, threads, descriptors, memory } = row.server;
    // Never more digits than there is room for.
    let shown = |ms: f64| match ms {
        0.0..10.0 => format!("{ms:.3}"),
        10.0..1000.0 => format!("{ms:.2}"),
        _ => format!("{ms:.1}"),
    };
    let (p50, p99) = (shown(row.percentile(50)), shown(row.percentile(99)));
    let figures = format!(
        "{:7.0}{p50:>7}{p99:>7}{processes:6}{threads:6}{descriptors:6}{:5}",
        row.per_second(),
        memory.div_ceil(1 << 20),
    );
    observe(row.model.lesson, figures);
    if let Some(reason) = &row.reason {
        let Row { answered, clients, .. } = row;
        observe(&format!("  {answered} of {clients} answered"), reason);
    }
}

fn csv(rows: &[Row]) -> String {
    let mut text =
        "lesson,clients,answered,reason,answers_per_second,p50_ms,p99_ms,\
                    processes,threads,descriptors,memory_bytes,clients_cpu_percent\n"
            .to_owned();
    for row in rows {
        let Size { processes, threads, descriptors, memory } = row.server;
        let reason = row.reason.as_deref().unwrap_or("").replace('"', "'");
        let cpu = row.clients_cpu.as_secs_f64() / row.time.as_secs_f64();
        let _ = writeln!(
            text,
            "{},{},{},\"{reason}\",{:.0},{:.3},{:.3},\
             {processes},{threads},{descriptors},{memory},{:.0}",
            row.model.lesson,
            row.clients,
            row.answered,
            row.per_second(),
            row.percentile(50),
            row.percentile(99),
            cpu * 100.0,
        );
    }
    text
}

/// A curve for each model, of all sizes at which it answered all clients.
fn picture(rows: &[Row]) -> String {
    let panel = |title, scale, value: fn(&Row) -> f64| {
        let curve = |model: &'static Model| {
            let full = |r: &&Row| r.model == model && r.reason.is_none();
            let point = |row: &Row| (row.clients as f64, value(row));
            let points: Vec<_> = rows.iter().filter(full).map(point).collect();
            (!points.is_empty()).then_some((model.lesson, points))
        };
        let curves = MODELS.iter().filter_map(curve).collect();
        Panel { title, across: "clients", scale, curves }
    };
    let memory = |row: &Row| row.server.memory as f64 / f64::from(1 << 20);
    svg(&[
        panel("answers per second", Scale::Linear, Row::per_second),
        panel("p99, in ms", Scale::Logarithmic, |row| row.percentile(99)),
        panel("memory of the server, in MiB", Scale::Logarithmic, memory),
    ])
}
