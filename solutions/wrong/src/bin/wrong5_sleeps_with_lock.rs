//! Believes that a semaphore lets go of the mutex while it waits, as a Condvar does.

use exercises::queue::BoundedQueue;
use exercises::sync::{Mutex, Semaphore};
use std::collections::VecDeque;
use std::process::ExitCode;

struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    room: Semaphore,
    filled: Semaphore,
}

impl<T: Send> BoundedQueue<T> for Queue<T> {
    fn new(capacity: usize) -> Self {
        Queue {
            items: Mutex::default(),
            room: Semaphore::new(capacity),
            filled: Semaphore::new(0),
        }
    }

    fn push(&self, item: T) {
        let mut items = self.items.lock().expect("no holder panics");
        self.room.wait();
        items.push_back(item);
        self.filled.post();
    }

    fn take<R>(&self, use_it: impl FnOnce(T) -> R) -> R {
        let mut items = self.items.lock().expect("no holder panics");
        self.filled.wait();
        let item = items.pop_front().expect("not empty");
        drop(items);
        self.room.post();
        use_it(item)
    }
}

fn main() -> ExitCode {
    exercises::queue::main::<Queue<_>>()
}
