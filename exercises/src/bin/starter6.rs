//! Exercise 6: threads that speak in turn
//!
//! Task: some threads, numbered from 0, speak in a fixed order, round after round,
//! each when it is its turn and not before.
//!
//! Contract: the trait `Turns`.
//! - `new(threads)`: for so many threads. Thread 0 has the first turn.
//! - `turn(who, say)` waits until it is the turn of thread `who`, asleep; calls
//!   `say`; hands the turn to the next thread, after the last one to thread 0 again;
//!   and returns what `say` returned. If `say` fails the turn goes on all the same.
//!
//! Checked: thousands of orders in which a few threads can run, for threads that
//! speak out of turn, or at the same time, or wait for ever; then who waits for
//! whom, with real threads.
//!
//! Given: `main`, which obeys commands (say 0 hello, say 1 world, fail 2, hold 0,
//! release), and `exercises::sync::Semaphore`, with `new(permits)`, `wait` and
//! `post` as in sem_overview(7). Locks must come from `exercises::sync`: as in std,
//! but the check can steer them.
//! Lesson: 10_semaphore. Try it: cargo xtask run exercise6, then type say 1 b and
//! say 0 a.

use exercises::sync::Semaphore;
use exercises::turns::Turns;
use std::process::ExitCode;

struct Speakers {
    semaphore: Semaphore,
}

impl Turns for Speakers {
    fn new(_threads: usize) -> Self {
        Speakers { semaphore: Semaphore::new(1) }
    }

    fn turn<E>(
        &self,
        _who: usize,
        say: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        // One permit makes them speak one at a time, in any order.
        self.semaphore.wait();
        let said = say();
        self.semaphore.post();
        said
    }
}

fn main() -> ExitCode {
    exercises::turns::main::<Speakers>()
}
