//! Exercise 5: a bounded queue
//!
//! Task: a queue for any number of threads that never holds more items than it has
//! room for.
//!
//! Contract: the trait `BoundedQueue`.
//! - `new(capacity)`: an empty queue for so many items, at least one.
//! - `push(item)` adds an item at the end. While the queue is full it sleeps.
//! - `take(use_it)` takes the first item, hands it to `use_it` and returns what that
//!   returns. While the queue is empty it sleeps. `use_it` may take its time:
//!   meanwhile others push and take, and use their items.
//! - Who sleeps is woken when it can go on: no time limits, no asking again.
//!
//! Checked: order, room and sleep with real threads; then thousands of orders in
//! which a few threads can run, for threads that sleep too long and items that do
//! not fit.
//!
//! Given: `main`, which obeys commands (push 7, take, hold, release). Locks must
//! come from `exercises::sync` (Mutex, Condvar, Semaphore, atomic): as in std, but
//! the check can steer them.
//! Lesson: 10_semaphore. Try it: cargo xtask run exercise5, then type push 7 and
//! take.

use exercises::queue::BoundedQueue;
use exercises::sync::{Mutex, PoisonError};
use std::collections::VecDeque;
use std::process::ExitCode;

struct Queue<T> {
    items: Mutex<VecDeque<T>>,
}

impl<T: Send> BoundedQueue<T> for Queue<T> {
    fn new(_capacity: usize) -> Self {
        Queue { items: Mutex::default() }
    }

    fn push(&self, item: T) {
        // A thread that panics while it holds the lock leaves the items as they are.
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        // Wait here while there is no room.
        items.push_back(item);
    }

    fn take<R>(&self, use_it: impl FnOnce(T) -> R) -> R {
        loop {
            let mut items =
                self.items.lock().unwrap_or_else(PoisonError::into_inner);
            // Wait here instead of asking again and again.
            if let Some(item) = items.pop_front() {
                return use_it(item);
            }
        }
    }
}

fn main() -> ExitCode {
    exercises::queue::main::<Queue<_>>()
}
