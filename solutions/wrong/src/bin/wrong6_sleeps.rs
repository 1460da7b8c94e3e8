//! Believes that threads that sleep for different times speak in that order.

use exercises::sync::Semaphore;
use exercises::thread::sleep;
use exercises::turns::Turns;
use std::process::ExitCode;
use std::time::Duration;

struct Speakers {
    one_at_a_time: Semaphore,
}

impl Turns for Speakers {
    fn new(_: usize) -> Self {
        Speakers { one_at_a_time: Semaphore::new(1) }
    }

    fn turn<E>(
        &self,
        who: usize,
        say: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        sleep(Duration::from_millis(10 * who as u64));
        self.one_at_a_time.wait();
        let said = say();
        self.one_at_a_time.post();
        said
    }
}

fn main() -> ExitCode {
    exercises::turns::main::<Speakers>()
}
