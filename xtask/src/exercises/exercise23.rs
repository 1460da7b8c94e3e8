use super::{Case, Exercise};
use crate::scene::{Misconception, Outcome, Peer, Port, Scene, Stop, Waiting};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub const EXERCISE: Exercise = Exercise {
    name: "exercise23",
    title: "Measure a speed-up, and report it honestly",
    lesson: "48_measure",
    hints: &[
        "Write one function that runs something and looks at two clocks before and \
         after: the one on the wall, and the one that the kernel keeps of the \
         processors. Everything that is measured goes through it, in the same way.",
        "Wall time: Instant. Processor time: getrusage(2) of RUSAGE_SELF and of \
         RUSAGE_CHILDREN, user and system, each after minus before; a child counts \
         once it has been waited for. Start all N before you wait for the first.",
        "A loop of RUNS rounds, each of which measures alone, threads, processes. Keep \
         all runs; sort those of each way by wall time, and take the one in the \
         middle with all that belongs to it: wall, cpu and sum.",
        "A child has no memory in common with its parent: let it write its number to \
         a pipe, 8 bytes (std::io::pipe before fork, _exit after). C is \
         `available_parallelism`. The most that is possible: the smaller one of N \
         and C * wall / cpu of alone. No clock is exact: allow for a tenth more.",
    ],
    cases: &[
        Case::new("work that waits", waits),
        Case::new("work that computes", computes),
        Case::new("a disturbed measurement", disturbed),
    ],
};

const NO_REPORT: Misconception = Misconception {
    name: "no-report",
    expected: "three runs a round, and then a report of four lines: `cores C`, and \
               for each way wall, cpu, sum and speed-up",
    why: "A number without the others cannot be checked by anybody: how much work, \
          on how many processors, how long, and what came out.",
    lesson: "48_measure",
};

const ONE_RUN: Misconception = Misconception {
    name: "one-run",
    expected: "each way is run RUNS times",
    why: "One run may have met a busy moment, and nothing in it says so. On a machine \
          that does something else as well the same work takes twice as long now and \
          then.",
    lesson: "48_measure",
};

const MORE_RUNS: Misconception = Misconception {
    name: "more-runs",
    expected: "the work is done in the runs that are measured, and not otherwise",
    why: "A first run that is not counted warms something up for those that are; which \
          of them it helps depends on the order.",
    lesson: "48_measure",
};

const NOT_IN_TURN: Misconception = Misconception {
    name: "not-in-turn",
    expected: "the ways take turns: alone, threads, processes, and again",
    why: "What is compared should have met the same moments. If all runs of one way \
          come first, a machine that becomes busy in the middle speaks for it.",
    lesson: "48_measure",
};

const RESULT_LOST: Misconception = Misconception {
    name: "result-lost",
    expected: "the number that each child has found reaches its parent",
    why: "A child's memory is a copy: what it adds to a variable there, its parent never \
          sees. The status of an exit has room for 8 bits. Let each child write its \
          number to a pipe.",
    lesson: "13_fork",
};

const ONE_BY_ONE: Misconception = Misconception {
    name: "one-by-one",
    expected: "in threads and in processes all N parts are at work at once",
    why: "To start one and wait for it before the next is started is to work alone, \
          with detours. Start all, then wait for all.",
    lesson: "03_join",
};

const NO_THREAD: Misconception = Misconception {
    name: "no-thread",
    expected: "in the way `threads` each part has a thread of this process",
    why: "What is reported as threads must have been threads. Others were at work, or \
          one for all.",
    lesson: "01_create",
};

const NO_PROCESS: Misconception = Misconception {
    name: "no-process",
    expected: "in the way `processes` each part has a process of its own",
    why: "What is reported as processes must have been processes, or nothing is \
          learnt from the comparison.",
    lesson: "13_fork",
};

const CPU_AS_WALL: Misconception = Misconception {
    name: "cpu-as-wall",
    expected: "wall time goes on while the work waits",
    why: "The clock of the processor stands still as long as nobody of this process \
          runs, and runs N times as fast when N do. What a user waits for is the \
          clock on the wall: CLOCK_MONOTONIC, Instant.",
    lesson: "48_measure",
};

const STOPPED_EARLY: Misconception = Misconception {
    name: "stopped-early",
    expected: "a run lasts until its last part has ended",
    why: "To start threads or processes is not to do their work. Look at the clock \
          when all have been waited for.",
    lesson: "03_join",
};

const LASTS_TOO_LONG: Misconception = Misconception {
    name: "lasts-too-long",
    expected: "a run begins when its first part does, and ends when its last has ended",
    why: "The time reported is more than has passed between the run before and the \
          run after: another run, or the sum of several, is in it.",
    lesson: "48_measure",
};

const NOT_THE_MEDIAN: Misconception = Misconception {
    name: "not-the-median",
    expected: "of each way the run with the median wall time is reported",
    why: "The shortest is the luckiest; the last is any; the mean takes one bad moment \
          for a property of the work. The median is the run for which half were \
          faster and half slower.",
    lesson: "48_measure",
};

const WALL_AS_CPU: Misconception = Misconception {
    name: "wall-as-cpu",
    expected: "who waits uses no processor time",
    why: "The parts slept in a system call nearly all the time. Processor time is what \
          the kernel has counted: getrusage(2).",
    lesson: "48_measure",
};

const CHILDREN_FORGOTTEN: Misconception = Misconception {
    name: "children-forgotten",
    expected: "the processor time of a run is that of all who took part",
    why: "RUSAGE_SELF and the clock of this process count its own threads. What \
          children have used is in RUSAGE_CHILDREN, once they have been waited for.",
    lesson: "48_measure",
};

const THREADS_FORGOTTEN: Misconception = Misconception {
    name: "threads-forgotten",
    expected: "the processor time of a run is that of all who took part",
    why: "The clock of one thread (CLOCK_THREAD_CPUTIME_ID, RUSAGE_THREAD) counts that \
          thread, and who waits for others uses nothing. RUSAGE_SELF counts all \
          threads of the process, those that have ended as well.",
    lesson: "48_measure",
};

const NOT_SUBTRACTED: Misconception = Misconception {
    name: "not-subtracted",
    expected: "the processor time of a run is what was used between its beginning and \
               its end",
    why: "The kernel counts from the start of the process. What earlier runs have used \
          is in there: subtract what it said before the run. Threads have ended by \
          then, and still count.",
    lesson: "48_measure",
};

const OPTIMISED_AWAY: Misconception = Misconception {
    name: "work-optimised-away",
    expected: "the sum of the numbers that the parts of that very run have returned",
    why: "A result that nobody uses need not be computed; a compiler sees that, and \
          leaves the work out. It is also the only proof that all ways did the same.",
    lesson: "48_measure",
};

const BEYOND_THE_CORES: Misconception = Misconception {
    name: "beyond-the-cores",
    expected: "no speed-up is claimed that N parts on C processors cannot have",
    why: "More than N times as fast as alone is nobody who waits, more than C times \
          nobody who computes. Such a number says that the two runs did not meet the \
          same conditions. It has to be said, not printed as a success.",
    lesson: "48_measure",
};

const SPEED_UP: Misconception = Misconception {
    name: "speed-up",
    expected: "the speed-up is the wall time of `alone` divided by that of this way",
    why: "How many threads or processors there are is what one hopes for. The speed-up \
          is what came of it, in time that somebody waited.",
    lesson: "48_measure",
};

const CORES: Misconception = Misconception {
    name: "cores",
    expected: "`cores C`: on how many processors this process may run",
    why: "A process may be kept to some of them (sched_setaffinity(2), taskset, a \
          container): those of the machine, or the number of parts, say nothing \
          about that. `available_parallelism` and nproc ask the kernel.",
    lesson: "48_measure",
};

const WAYS: [&str; 3] = ["alone", "threads", "processes"];

/// How exactly a time that a program says can be checked: it is printed with six decimals.
const ROUNDING: Duration = Duration::from_micros(2);
/// Some clocks of the processor tick a hundred times a second.
const TICKS: Duration = Duration::from_millis(20);

/// What the case has seen of a run. It has lasted at least from the first question to the last
/// answer, and at most from the end of the run before to the beginning of the next.
struct Run {
    way: usize,
    after: Instant,
    at_least: Duration,
    at_most: Duration,
    /// None if that was too much to compute for the case.
    sum: Option<u64>,
    /// What those who took part were seen to use.
    cpu: Duration,
}

/// The case as the service that gives out the work.
struct Service {
    port: Port,
    address: String,
    /// On how many processors the program may run: by its affinity, and if a quota of processor
    /// time (cgroups(7)) counts, too.
    cores: [usize; 2],
    /// How many runs there are of each way.
    rounds: usize,
    /// How many parts have begun.
    begun: usize,
    /// When the last part had its answer.
    last: Instant,
    runs: Vec<Run>,
    seed: u64,
}

/// A row of the report.
struct Row {
    wall: Duration,
    cpu: Duration,
    sum: u64,
    speed_up: Option<f64>,
}

struct Report {
    cores: usize,
    rows: Vec<Row>,
}

/// Each run lasts longer than the ones before: so much that no run but the median could be taken
/// for it, nor the mean of all, however slow this machine is at the moment.
fn waits(scene: &mut Scene) -> Outcome {
    const N: usize = 3;
    let mut service = start(scene, N, 3, false)?;
    for round in 0..3 {
        for way in 0..3 {
            service.run(scene, way, N, FEW, |service, scene| {
                let earlier: Vec<&Run> = service.of(way).collect();
                match (round, &earlier[..]) {
                    (1, [first]) => {
                        // Wall time, too, must not be taken for that of the processor.
                        let used = scene.processor_time(scene.program());
                        (2 * first.at_most).max(12 * used)
                    }
                    (2, [first, second]) => {
                        let so_far = first.at_least + second.at_least;
                        2 * second.at_most
                            + (second.at_most * 2).saturating_sub(so_far)
                    }
                    _ => Duration::from_millis(15),
                }
            })?;
        }
    }
    let report = service.end(scene)?;
    service.check(&report, N)?;
    let used = scene.processor_time_of_ended();
    for (row, way) in report.rows.iter().zip(WAYS) {
        if row.cpu > used + TICKS.min(row.wall / 2) {
            return Err(WALL_AS_CPU.seen(format!(
                "{way}: wall {:?}, processor time {:?}; in all nine runs together {used:?} \
                 was used",
                row.wall, row.cpu
            )));
        }
    }
    Ok(())
}

fn computes(scene: &mut Scene) -> Outcome {
    const N: usize = 2;
    let before = scene.processor_time_of_ended();
    let mut service = start(scene, N, 1, false)?;
    let mut rounds = 2_000_000;
    for way in 0..3 {
        service.run(scene, way, N, rounds, |_, _| Duration::ZERO)?;
        if way == 0 {
            // From here on so much that it cannot be overlooked, on a fast machine as well.
            let times = ENOUGH.as_secs_f64() / service.runs[0].cpu.as_secs_f64();
            rounds = (rounds as f64 * times.clamp(1.0, 100.0)) as u64;
        }
    }
    let report = service.end(scene)?;
    service.check(&report, N)?;
    let used = scene.processor_time_of_ended() - before;
    let seen: Duration = service.runs.iter().map(|run| run.cpu).sum();
    for (index, (row, run)) in report.rows.iter().zip(&service.runs).enumerate() {
        let most = used.saturating_sub(seen - run.cpu) + TICKS;
        let said = format!(
            "{}: processor time {:?}; the kernel says: {:?} at least, and {most:?} at most",
            WAYS[index], row.cpu, run.cpu
        );
        if row.cpu + TICKS < run.cpu {
            return Err(match WAYS[index] {
                "processes" => CHILDREN_FORGOTTEN.seen(said),
                _ => THREADS_FORGOTTEN.seen(said),
            });
        }
        if row.cpu > most {
            return Err(NOT_SUBTRACTED.seen(said));
        }
    }
    Ok(())
}

/// The processor time that the parts of a run are to need, to be told from none.
const ENOUGH: Duration = Duration::from_millis(100);
/// What the case is ready to compute as well, to know what must come out.
const FEW: u64 = 1000;

/// Who works alone waits longer than all others together could: a moment that is not like the
/// others. How long the others take is a matter of this machine, so if the reported times leave
/// room for a speed-up it is tried again with a longer one. The program is kept to one processor,
/// whatever the machine has.
fn disturbed(scene: &mut Scene) -> Outcome {
    const N: usize = 2;
    let mut moment = Duration::from_millis(60);
    loop {
        let mut service = start(scene, N, 1, true)?;
        service.run(scene, 0, N, FEW, |_, _| moment)?;
        for way in 1..3 {
            service.run(scene, way, N, FEW, |_, _| Duration::ZERO)?;
        }
        let report = service.end(scene)?;
        service.check(&report, N)?;
        if report.rows.iter().any(|row| row.speed_up.is_none()) {
            return Ok(());
        }
        scene.is_in_time()?;
        moment *= 3;
    }
}

fn start(
    scene: &mut Scene,
    n: usize,
    rounds: usize,
    kept_to_one: bool,
) -> Result<Service, Stop> {
    let (port, address): (Port, SocketAddr) = scene.listen()?;
    let address = address.to_string();
    let last = Instant::now();
    let (n, runs) = (n.to_string(), rounds.to_string());
    let args = [address.as_str(), &n, &runs];
    let cores = match kept_to_one {
        true => {
            scene.start_on_one_processor(&args)?;
            [1, 1]
        }
        false => {
            scene.start(&args)?;
            let with_quota = std::thread::available_parallelism();
            [scene.processors(), with_quota.map_or(1, usize::from)]
        }
    };
    let (begun, runs, seed) = (0, Vec::new(), 1);
    Ok(Service { port, address, cores, rounds, begun, last, runs, seed })
}

impl Service {
    fn of(&self, way: usize) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |run| run.way == way)
    }

    /// Waits for a run in this way, in which each part computes so many rounds, and lets it wait
    /// for so long, once it is seen how long the runs before have lasted.
    fn run(
        &mut self,
        scene: &mut Scene,
        way: usize,
        n: usize,
        rounds: u64,
        how_long: impl Fn(&Service, &Scene) -> Duration,
    ) -> Outcome {
        let together = if way == 0 { 1 } else { n };
        let (mut first, mut wanted) = (None, Duration::ZERO);
        let (mut sum, mut cpu) = (0_u64, Duration::ZERO);
        let after = self.last;
        for done in (0..n).step_by(together) {
            let all = self.begun + together;
            scene.wait(|s| s.arrivals(self.port).len() >= all)?;
            let seen = Instant::now();
            if first.is_none() {
                first = Some(seen);
                self.note_end(seen);
                wanted = how_long(self, scene);
            }
            if way == 0 && done == 0 {
                // More may come at once.
                scene.wait(|_| false)?;
            } else {
                scene.wait(|s| readers(s) >= together)?;
            }
            let parts = scene.arrivals(self.port).split_off(self.begun);
            if way > 0 && works_alone(scene, &parts) {
                return Err(self.alone_again(scene, way, n, parts)?);
            }
            self.check_way(scene, way, n, done, &parts)?;
            self.begun += parts.len();
            let workers = workers(scene, &parts);
            let used = |scene: &Scene| -> Duration {
                workers.iter().map(|&pid| scene.processor_time(pid)).sum()
            };
            // Time is what is measured here, so the case lets some pass: as much as it has to
            // of the clock on the wall, while that of the processor stands still.
            let begun = first.unwrap_or(seen);
            let part = wanted * (done + together) as u32 / n as u32;
            while begun.elapsed() < part && scene.exit().is_none() {
                scene.wait(|_| begun.elapsed() >= part)?;
            }
            let before = used(scene);
            for &peer in &parts {
                self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005) + 1;
                if rounds <= FEW {
                    sum = sum.wrapping_add(compute(self.seed, rounds));
                }
                scene.say(peer, format!("{} {rounds}\n", self.seed));
            }
            let is_done = |s: &Scene, peer| s.heard(peer) == b"done\n";
            scene.wait(|s| parts.iter().all(|&peer| is_done(s, peer)))?;
            if !parts.iter().all(|&peer| is_done(scene, peer)) {
                return Err(NO_REPORT.so_far(scene, "parts that were not done"));
            }
            // What is used from here on is not counted.
            cpu += used(scene).saturating_sub(before);
            self.last = Instant::now();
            parts.iter().for_each(|&peer| scene.shut(peer));
        }
        let at_least = self.last - first.unwrap_or(self.last);
        let at_most = Duration::MAX;
        let sum = (rounds <= FEW).then_some(sum);
        self.runs.push(Run { way, after, at_least, at_most, sum, cpu });
        Ok(())
    }

    /// Another run begins, or the program has ended: the last one ended before that.
    fn note_end(&mut self, seen: Instant) {
        if let Some(run) = self.runs.last_mut() {
            run.at_most = seen - run.after;
        }
    }

    /// These parts have begun, and nothing more happens. Is it what this way is?
    fn check_way(
        &self,
        scene: &Scene,
        way: usize,
        n: usize,
        done: usize,
        parts: &[Peer],
    ) -> Outcome {
        let nth = format!("run {} ({})", self.runs.len() + 1, WAYS[way]);
        if parts.is_empty() {
            if self.runs.len() >= 3 && done == 0 && scene.exit().is_some() {
                let seen = format!("it has ended after {} runs", self.runs.len());
                return Err(ONE_RUN.seen(seen));
            }
            let after = match self.runs.len() {
                0 if done == 0 => "the start".to_owned(),
                runs => format!("{runs} runs and {done} of {n} parts"),
            };
            return Err(NO_REPORT.so_far(scene, &after));
        }
        let (workers, own) = (workers(scene, parts), scene.program());
        let count = parts.len();
        if way == 0 && count > 1 {
            return Err(NOT_IN_TURN.seen(format!(
                "in {nth} {count} of {n} parts are at work; {}",
                scene.doing_all()
            )));
        }
        let inside = workers == [own];
        match way {
            0 => Ok(()),
            _ if count < n => Err(ONE_BY_ONE.seen(format!(
                "in {nth} {count} of {n} parts are at work; {}",
                scene.doing_all()
            ))),
            1 if !inside || readers(scene) < n => {
                Err(NO_THREAD.seen(format!("in {nth}: {}", scene.doing_all())))
            }
            2 if workers.contains(&own) || workers.len() < n => {
                Err(NO_PROCESS.seen(format!("in {nth}: {}", scene.doing_all())))
            }
            _ => Ok(()),
        }
    }

    /// Another part alone, though the turn is another's: are all runs of that way done first, or
    /// are there more of them than are asked for? It goes on until that is seen.
    fn alone_again(
        &mut self,
        scene: &mut Scene,
        way: usize,
        n: usize,
        mut parts: Vec<Peer>,
    ) -> Result<Stop, Stop> {
        let (turn, mut more) = (self.runs.len() + 1, 0);
        while works_alone(scene, &parts) && more <= n * self.rounds {
            let peer = parts[0];
            scene.say(peer, format!("1 {FEW}\n"));
            scene.wait(|s| s.heard(peer) == b"done\n")?;
            scene.shut(peer);
            (self.begun, more) = (self.begun + 1, more + 1);
            scene.wait(|s| s.arrivals(self.port).len() > self.begun)?;
            parts = scene.arrivals(self.port).split_off(self.begun);
        }
        let seen = format!(
            "when run {turn} ({}) should have begun, {more} more of the parts were done one \
             after the other in main",
            WAYS[way]
        );
        Ok(match more == n * (self.rounds - self.of(0).count()) {
            true => NOT_IN_TURN.seen(seen),
            false => MORE_RUNS.seen(seen),
        })
    }

    /// All runs were seen. Waits for the report.
    fn end(&mut self, scene: &mut Scene) -> Result<Report, Stop> {
        scene.wait(|s| {
            s.exit().is_some() || s.arrivals(self.port).len() > self.begun
        })?;
        self.note_end(Instant::now());
        if scene.arrivals(self.port).len() > self.begun {
            let runs = self.runs.len();
            return Err(MORE_RUNS.seen(format!(
                "all {runs} runs were done, and another part has begun"
            )));
        }
        if scene.exit().is_none() {
            return Err(NO_REPORT.so_far(scene, "all runs"));
        }
        Report::read(&scene.lines()).ok_or_else(|| {
            NO_REPORT.so_far(scene, &format!("all runs at {}", self.address))
        })
    }

    fn check(&self, report: &Report, n: usize) -> Outcome {
        if !self.cores.contains(&report.cores) {
            return Err(CORES.seen(format!(
                "it says {}, and is allowed to use {}",
                report.cores, self.cores[0]
            )));
        }
        for (way, row) in report.rows.iter().enumerate() {
            self.check_wall(way, row)?;
        }
        for (way, row) in report.rows.iter().enumerate() {
            let sums: Vec<u64> = self.of(way).filter_map(|run| run.sum).collect();
            let Some(&median) = sums.get(sums.len() / 2) else { continue };
            if row.sum != median {
                let seen =
                    format!("{}: sum {}, and not {median}", WAYS[way], row.sum);
                // The sums of the ways before it are right.
                return Err(match sums.contains(&row.sum) {
                    true => NOT_THE_MEDIAN
                        .seen(seen + "; that is the sum of another run of it"),
                    false if way == 2 => RESULT_LOST.seen(seen),
                    false => OPTIMISED_AWAY.seen(seen + "; no run had that sum"),
                });
            }
        }
        report.check_speed_ups(n)
    }

    /// The runs of a way come in the order of their times.
    fn check_wall(&self, way: usize, row: &Row) -> Outcome {
        let runs: Vec<&Run> = self.of(way).collect();
        let median = runs[runs.len() / 2];
        let (least, most) = (median.at_least, median.at_most);
        let wall = row.wall;
        let seen = format!(
            "{}: wall {wall:?}, processor {:?}; the median run has lasted {least:?} at \
             least and {most:?} at most",
            WAYS[way], row.cpu
        );
        if (least..=most + ROUNDING).contains(&(wall + ROUNDING)) {
            return Ok(());
        }
        // Alone nothing can be forgotten to be waited for.
        let as_cpu = way == 0 && wall.abs_diff(row.cpu) <= wall / 4;
        let within = |run: &&Run| run.at_least <= wall && wall <= run.at_most;
        let longest = runs[runs.len() - 1].at_most;
        Err(match wall < least {
            true if as_cpu => CPU_AS_WALL.seen(seen),
            true if !runs.iter().any(within) => STOPPED_EARLY.seen(seen),
            false if wall > longest => LASTS_TOO_LONG.seen(seen),
            _ => NOT_THE_MEDIAN.seen(seen),
        })
    }
}

/// The processes that have these connections.
fn workers(scene: &Scene, parts: &[Peer]) -> Vec<i32> {
    let holders = parts.iter().flat_map(|&peer| scene.holders_of(peer));
    let mut workers: Vec<i32> = holders.map(|(pid, _)| pid).collect();
    workers.sort_unstable();
    workers.dedup();
    workers
}

/// Whether main does the only part that is at work.
fn works_alone(scene: &Scene, parts: &[Peer]) -> bool {
    let own = scene.program();
    let main = scene.threads_of(own).first().map(|thread| thread.waiting);
    let reads = matches!(main, Some(Waiting::Read(_)));
    parts.len() == 1 && workers(scene, parts) == [own] && reads
}

/// How many threads of the program and its children wait for what they have asked for.
fn readers(scene: &Scene) -> usize {
    let all = scene.others().into_iter().chain([scene.program()]);
    let threads = all.flat_map(|pid| scene.threads_of(pid));
    threads.filter(|thread| matches!(thread.waiting, Waiting::Read(_))).count()
}

/// What `part` computes.
fn compute(seed: u64, rounds: u64) -> u64 {
    let mut x = seed;
    for _ in 0..rounds {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    x
}

impl Report {
    fn read(lines: &[String]) -> Option<Report> {
        let [cores, rows @ ..] = lines else { return None };
        let cores = cores.strip_prefix("cores ")?.trim().parse().ok()?;
        let rows = rows.iter().zip(WAYS).map(|(line, way)| Row::read(line, way));
        let rows: Vec<Row> = rows.collect::<Option<_>>()?;
        (rows.len() == 3 && lines.len() == 4).then_some(Report { cores, rows })
    }

    fn check_speed_ups(&self, n: usize) -> Outcome {
        let alone = &self.rows[0];
        let (wall, cpu) = (alone.wall.as_secs_f64(), alone.cpu.as_secs_f64());
        let limit = (n as f64).min(self.cores as f64 * wall / cpu.max(1e-6));
        // Between the two either word will do: no clock is exact.
        let most = 1.1 * limit;
        for (row, way) in self.rows.iter().zip(WAYS).skip(1) {
            let is = wall / row.wall.as_secs_f64();
            // What was rounded when it was printed decides nothing.
            let rounded = is / 50.0 + 0.01;
            let seen = format!(
                "{way}: alone {wall:.6} s, here {:.6} s, so {is:.2}; with N = {n}, C = {} \
                 and {cpu:.6} s of the processor alone, {limit:.2} is possible",
                row.wall.as_secs_f64(),
                self.cores
            );
            match row.speed_up {
                Some(said) if is > most + rounded => {
                    return Err(
                        BEYOND_THE_CORES.seen(format!("it says {said}. {seen}"))
                    );
                }
                Some(said) if (said - is).abs() > rounded => {
                    return Err(SPEED_UP.seen(format!("it says {said}. {seen}")));
                }
                None if is < limit - rounded => {
                    return Err(SPEED_UP.seen(format!("it says impossible. {seen}")));
                }
                _ => {}
            }
        }
        match alone.speed_up {
            Some(said) if (said - 1.0).abs() < 0.01 => Ok(()),
            _ => Err(SPEED_UP.seen("of alone it is always 1.00")),
        }
    }
}

impl Row {
    fn read(line: &str, way: &str) -> Option<Row> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, "wall", wall, "cpu", cpu, "sum", sum, "speed-up", speed_up] =
            words[..]
        else {
            return None;
        };
        let seconds =
            |text: &str| Duration::try_from_secs_f64(text.parse().ok()?).ok();
        let speed_up = match speed_up {
            "impossible" => None,
            number => Some(number.parse().ok()?),
        };
        let row = Row {
            wall: seconds(wall)?,
            cpu: seconds(cpu)?,
            sum: sum.parse().ok()?,
            speed_up,
        };
        (name == way && !row.wall.is_zero()).then_some(row)
    }
}
