//! Believes that what it has seen under a lock holds until it locks again.

use exercises::queue::BoundedQueue;
use exercises::sync::{Condvar, Mutex};
use std::collections::VecDeque;
use std::process::ExitCode;

struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    capacity: usize,
    pushed: Condvar,
    taken: Condvar,
}

impl<T: Send> BoundedQueue<T> for Queue<T> {
    fn new(capacity: usize) -> Self {
        Queue {
            items: Mutex::default(),
            capacity,
            pushed: Condvar::new(),
            taken: Condvar::new(),
        }
    }

    fn push(&self, item: T) {
        while self.items.lock().expect("no holder panics").len() == self.capacity {
            let items = self.items.lock().expect("no holder panics");
            drop(self.taken.wait(items).expect("no holder panics"));
        }
        self.items.lock().expect("no holder panics").push_back(item);
        self.pushed.notify_one();
    }

    fn take<R>(&self, use_it: impl FnOnce(T) -> R) -> R {
        let mut items = self.items.lock().expect("no holder panics");
        let item = loop {
            match items.pop_front() {
                Some(item) => break item,
                None => items = self.pushed.wait(items).expect("no holder panics"),
            }
        };
        drop(items);
        self.taken.notify_one();
        use_it(item)
    }
}

fn main() -> ExitCode {
    exercises::queue::main::<Queue<_>>()
}
