//! Exercise 23: measure a speed-up, and report it honestly
//!
//! Task: measure what threads and processes buy for a piece of work, so that others
//! can rely on it.
//!
//! Contract: `exercise23 ADDRESS N RUNS`
//! - The work has N parts (2 to 64). `part` does one: it asks the service at ADDRESS
//!   how much is to be done, does it, and returns a number. Most of that may be
//!   waiting or computing. Call it for nothing but the runs that are measured.
//! - There are three ways. `alone`: one part after the other, in one thread.
//!   `threads`: all at once, in N threads of this process. `processes`: all at once,
//!   in N child processes.
//! - A run does all parts in one way. It lasts from before its first part begins
//!   until after its last has ended and its result is here: that is its wall time.
//!   Its processor time is what all who took part have used (user and system).
//! - There are RUNS rounds (an odd number) of three runs: alone, threads, processes;
//!   so what is compared meets the same moments. Of each way the run with the median
//!   wall time is reported.
//! - Print `cores C`: on how many processors this process may run. Then for each way
//!   `WAY wall SECONDS cpu SECONDS sum SUM speed-up S`: the times with six decimals;
//!   the sum of the numbers that `part` returned in that very run (wrapping; each
//!   run has other numbers); the median wall time of `alone` divided by that of
//!   this way, with two decimals (of `alone` it is 1.00).
//! - Nobody waits less than an Nth of what one waited alone, and nobody computes on
//!   more than C processors. So a speed-up above N, or above C * wall / cpu of
//!   `alone`, is none, but a disturbed measurement: print `impossible` in its place.
//!   (No clock is exact: up to a tenth above that you may print either.)
//!
//! Checked: the service answers when the check wants it. So it knows who was at work
//! at the same time, how often, how long a run has lasted at least and at most, and
//! the numbers; the kernel says who has used how much of the processors.
//!
//! Given: `part`, `arguments`. Use std, nix or libc. Lesson: 48_measure. Try it:
//! cargo xtask run exercise23 127.0.0.1:7777 4 3, with a service in another
//! terminal:
//!
//! ```sh
//! python3 -c "
//! import socketserver as s, time
//! class H(s.StreamRequestHandler):
//!     def handle(self):
//!         time.sleep(0.05)                      # waits, and then computes
//!         self.wfile.write(b'1 9000000\n')
//!         self.rfile.readline()
//! s.ThreadingTCPServer(('127.0.0.1', 7777), H).serve_forever()"
//! ```

use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

fn main() -> Result<()> {
    let (service, n, _runs) = arguments()?;
    // One way, and one run. Is that a measurement?
    let start = Instant::now();
    let mut sum = 0_u64;
    for _ in 0..n {
        sum = sum.wrapping_add(part(service)?);
    }
    let wall = start.elapsed().as_secs_f64();
    println!("alone wall {wall:.6} cpu {:.6} sum {sum} speed-up 1.00", 0.0);
    Ok(())
}

/// One part of the work: asks how much is to be done, does that, says that it is
/// done, and waits for the end of the connection. Given: do not change it.
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
