//! Believes that notify_one wakes the thread that can go on.

use exercises::queue::BoundedQueue;
use exercises::sync::{Condvar, Mutex};
use std::collections::VecDeque;
use std::process::ExitCode;

struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    capacity: usize,
    changed: Condvar,
}

impl<T: Send> BoundedQueue<T> for Queue<T> {
    fn new(capacity: usize) -> Self {
        Queue { items: Mutex::default(), capacity, changed: Condvar::new() }
    }

    fn push(&self, item: T) {
        let mut items = self.items.lock().expect("no holder panics");
        while items.len() == self.capacity {
            items = self.changed.wait(items).expect("no holder panics");
        }
        items.push_back(item);
        self.changed.notify_one();
    }

    fn take<R>(&self, use_it: impl FnOnce(T) -> R) -> R {
        let mut items = self.items.lock().expect("no holder panics");
        let item = loop {
            match items.pop_front() {
                Some(item) => break item,
                None => items = self.changed.wait(items).expect("no holder panics"),
            }
        };
        drop(items);
        self.changed.notify_one();
        use_it(item)
    }
}

fn main() -> ExitCode {
    exercises::queue::main::<Queue<_>>()
}
