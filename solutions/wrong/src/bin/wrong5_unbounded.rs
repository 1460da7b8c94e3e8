//! Believes that a queue only has to make the consumers wait.

use exercises::queue::BoundedQueue;
use exercises::sync::{Condvar, Mutex};
use std::collections::VecDeque;
use std::process::ExitCode;

struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    pushed: Condvar,
}

impl<T: Send> BoundedQueue<T> for Queue<T> {
    fn new(capacity: usize) -> Self {
        let items = Mutex::new(VecDeque::with_capacity(capacity));
        Queue { items, pushed: Condvar::new() }
    }

    fn push(&self, item: T) {
        let mut items = self.items.lock().expect("no holder panics");
        items.push_back(item);
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
        use_it(item)
    }
}

fn main() -> ExitCode {
    exercises::queue::main::<Queue<_>>()
}
