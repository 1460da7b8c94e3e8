//! Believes that the first thread needs no permit to begin.

use exercises::sync::Semaphore;
use exercises::turns::Turns;
use std::process::ExitCode;

struct Speakers {
    turns: Vec<Semaphore>,
}

impl Turns for Speakers {
    fn new(threads: usize) -> Self {
        Speakers { turns: (0..threads).map(|_| Semaphore::new(0)).collect() }
    }

    fn turn<E>(
        &self,
        who: usize,
        say: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.turns[who].wait();
        let said = say();
        self.turns[(who + 1) % self.turns.len()].post();
        said
    }
}

fn main() -> ExitCode {
    exercises::turns::main::<Speakers>()
}
