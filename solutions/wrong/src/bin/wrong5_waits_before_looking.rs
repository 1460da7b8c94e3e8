//! Believes that who comes for an item has to wait for the word that there is one.

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
        let mut items = self.items.lock().expect("no holder panics");
        while items.len() == self.capacity {
            items = self.taken.wait(items).expect("no holder panics");
        }
        items.push_back(item);
        // One item, one consumer; only consumers wait here.
        self.pushed.notify_one();
    }

    fn take<R>(&self, use_it: impl FnOnce(T) -> R) -> R {
        let mut items = self.items.lock().expect("no holder panics");
        let item = loop {
            items = self.pushed.wait(items).expect("no holder panics");
            if let Some(item) = items.pop_front() {
                break item;
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
