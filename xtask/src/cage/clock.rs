//! Time as a program has it on a machine that it shares.
//!
//! Ten seconds are long for a program that has a processor when it wants one. Where forty others want
//! one too they are half a second, and a deadline that does not know that calls a slow machine a
//! wrong answer. So this clock runs slower while others compete; but not for ever.

use lessons::proc;
use std::time::{Duration, Instant};

/// How often it asks how many compete.
const INTERVAL: Duration = Duration::from_millis(50);

/// The time that a process and its descendants have had.
pub struct Clock {
    /// Whoever descends from this process, or is it, does not compete.
    root: i32,
    processors: usize,
    start: Instant,
    counted: Duration,
    last: Instant,
    share: f64,
    /// It goes at least at a rate of one to this.
    patience: u32,
}

impl Clock {
    /// Starts at zero. With a patience of 1 it is an ordinary clock.
    pub fn new(patience: u32) -> Clock {
        let now = Instant::now();
        Clock {
            root: proc::own_pid(),
            // 0 where it cannot be told, which is looked into once: it takes a dozen calls.
            processors: std::thread::available_parallelism().map_or(0, |n| n.get()),
            start: now,
            counted: Duration::ZERO,
            last: now,
            share: 1.0,
            patience,
        }
    }

    /// The time that counts. To be asked often: it looks around now and then.
    pub fn time(&mut self) -> Duration {
        let passed = self.last.elapsed();
        if self.patience > 1 && passed > INTERVAL {
            self.counted += passed.mul_f64(self.share);
            self.last += passed;
            self.share = self.share_of_processors().unwrap_or(1.0);
        }
        self.counted + self.last.elapsed().mul_f64(self.share)
    }

    /// The time that has passed.
    pub fn wall_time(&self) -> Duration {
        self.start.elapsed()
    }

    /// 1 as long as there is half a processor for everybody.
    fn share_of_processors(&self) -> Option<f64> {
        let processors = self.processors as f64;
        // `0.20 0.18 0.12 3/80 11206`: 3 of 80 threads run or want to (proc_loadavg(5)).
        let text = std::fs::read_to_string("/proc/loadavg").ok()?;
        let all: usize = text.split([' ', '/']).nth(3)?.parse().ok()?;
        if all <= self.processors || self.processors == 0 {
            return Some(1.0);
        }
        let mut own = proc::descendants(self.root).unwrap_or_default();
        own.push(self.root);
        let wants = |&(pid, tid): &(i32, i32)| {
            proc::state(pid, tid).is_ok_and(|state| state == 'R')
        };
        let threads = own.into_iter().flat_map(|pid| {
            let tids = proc::tids(pid).unwrap_or_default();
            tids.into_iter().map(move |tid| (pid, tid))
        });
        let others = all.saturating_sub(threads.filter(wants).count()) as f64;
        // One of its own has to find a place beside the others. Half a processor is as good as
        // a whole one: deadlines leave that much room.
        let share = 2.0 * processors / (others + 1.0);
        Some(share.clamp(1.0 / f64::from(self.patience), 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_runs_fast_nor_stands_still() {
        let mut clock = Clock::new(4);
        let mut last = Duration::ZERO;
        while clock.wall_time() < 4 * INTERVAL {
            let time = clock.time();
            assert!(time >= last && time <= clock.wall_time());
            last = time;
        }
        assert!(last >= clock.wall_time() / 5);
        let mut ordinary = Clock::new(1);
        assert!(ordinary.time() <= ordinary.wall_time());
    }
}
