//! Believes that a semaphore lets those who wait go in the order of their numbers.

use exercises::sync::Semaphore;
use exercises::turns::Turns;
use std::process::ExitCode;

struct Speakers {
    first: Semaphore,
    others: Semaphore,
    threads: usize,
}

impl Turns for Speakers {
    fn new(threads: usize) -> Self {
        Speakers { first: Semaphore::new(1), others: Semaphore::new(0), threads }
    }

    fn turn<E>(
        &self,
        who: usize,
        say: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let semaphore = |who| if who == 0 { &self.first } else { &self.others };
        semaphore(who).wait();
        let said = say();
        semaphore((who + 1) % self.threads).post();
        said
    }
}

fn main() -> ExitCode {
    exercises::turns::main::<Speakers>()
}
