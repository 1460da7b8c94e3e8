//! Believes that the thread that waits for the others counts their time.

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What a run took, and what came out.
struct Row {
    wall: Duration,
    cpu: Duration,
    sum: u64,
}

fn main() -> Result<()> {
    let (service, n, runs) = arguments()?;
    let mut rows = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..runs {
        rows[0].push(measure(|| alone(service, n))?);
        rows[1].push(measure(|| threads(service, n))?);
        rows[2].push(measure(|| processes(service, n))?);
    }
    let medians = rows.map(|mut rows| {
        rows.sort_by_key(|row| row.wall);
        rows.swap_remove(runs / 2)
    });
    report(&medians, n, std::thread::available_parallelism()?.get());
    Ok(())
}

fn alone(service: SocketAddr, n: usize) -> Result<u64> {
    (0..n).try_fold(0_u64, |sum, _| Ok(sum.wrapping_add(part(service)?)))
}

fn threads(service: SocketAddr, n: usize) -> Result<u64> {
    let threads: Vec<_> =
        (0..n).map(|_| std::thread::spawn(move || part(service))).collect();
    threads.into_iter().try_fold(0_u64, |sum, thread| {
        Ok(sum.wrapping_add(thread.join().expect("a part does not panic")?))
    })
}

fn processes(service: SocketAddr, n: usize) -> Result<u64> {
    let children = (0..n).map(|_| start_child(service));
    let children: Vec<_> = children.collect::<Result<_>>()?;
    children.into_iter().try_fold(0_u64, |sum, (child, mut reader)| {
        let mut result = [0; 8];
        reader.read_exact(&mut result).context("a child has no result")?;
        // From now on its processor time counts for this process.
        ensure!(waitpid(child, None)? == WaitStatus::Exited(child, 0));
        Ok(sum.wrapping_add(u64::from_ne_bytes(result)))
    })
}

/// A child that does a part and writes the result to a pipe.
fn start_child(service: SocketAddr) -> Result<(Pid, PipeReader)> {
    let (reader, mut writer) = std::io::pipe()?;
    // SAFETY: this process has one thread now: those of the run before are joined.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok((child, reader)),
        ForkResult::Child => {
            let result = part(service).and_then(|sum| {
                writer.write_all(&sum.to_ne_bytes())?;
                Ok(())
            });
            // SAFETY: _exit(2) ends the process, and nothing of the parent's is run.
            unsafe { libc::_exit(i32::from(result.is_err())) }
        }
    }
}

/// Lets a run be done between two looks at both clocks.
fn measure(run: impl Fn() -> Result<u64>) -> Result<Row> {
    let (cpu, start) = (cpu_time()?, Instant::now());
    let sum = run()?;
    Ok(Row { wall: start.elapsed(), cpu: cpu_time()? - cpu, sum })
}

/// The processor time of this thread, and of the children it has waited for.
fn cpu_time() -> Result<Duration> {
    let mut sum = 0;
    for who in [UsageWho::RUSAGE_THREAD, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        sum += (usage.user_time() + usage.system_time()).num_microseconds();
    }
    Ok(Duration::from_micros(sum as u64))
}

fn report(rows: &[Row; 3], n: usize, cores: usize) {
    println!("cores {cores}");
    let alone = (rows[0].wall.as_secs_f64(), rows[0].cpu.as_secs_f64());
    // Who has not computed at all is not limited by the cores.
    // A tenth more may be a matter of the clocks.
    let most = 1.1 * (n as f64).min(cores as f64 * alone.0 / alone.1.max(1e-6));
    for (way, row) in ["alone", "threads", "processes"].into_iter().zip(rows) {
        let (wall, cpu) = (row.wall.as_secs_f64(), row.cpu.as_secs_f64());
        let speed_up = match alone.0 / wall {
            possible if possible <= most => format!("{possible:.2}"),
            _ => "impossible".to_owned(),
        };
        println!(
            "{way} wall {wall:.6} cpu {cpu:.6} sum {} speed-up {speed_up}",
            row.sum
        );
    }
}

/// One part of the work: asks how much is to be done, does that, says that it is
/// done, and waits for the end of the connection.
fn part(service: SocketAddr) -> Result<u64> {
    let mut connection = BufReader::new(TcpStream::connect(service)?);
    let mut order = String::new();
    connection.read_line(&mut order)?;
    let (seed, rounds) = order.trim().split_once(' ').context("no order")?;
    let (mut x, rounds): (u64, u64) = (seed.parse()?, rounds.parse()?);
    for _ in 0..rounds {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    connection.get_ref().write_all(b"done\n")?;
    connection.read_line(&mut order)?;
    Ok(x)
}

/// What the command line says: the service's address, N, RUNS.
fn arguments() -> Result<(SocketAddr, usize, usize)> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().context("use: exercise23 ADDRESS N RUNS");
    Ok((next()?.parse()?, next()?.parse()?, next()?.parse()?))
}
