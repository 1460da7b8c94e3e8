//! Exercise 5: a queue that never holds more than a fixed number of items.

use std::process::ExitCode;

/// A queue for a fixed number of items, used by any number of threads.
pub trait BoundedQueue<T>: Send + Sync {
    /// An empty queue for at most so many items, one at least.
    fn new(capacity: usize) -> Self;

    /// Adds an item at the end; waits while the queue is full.
    fn push(&self, item: T);

    /// Takes the first item, waiting while there is none, and hands it to `use_it`,
    /// which may take its time: meanwhile others can push and take. Returns what
    /// `use_it` does.
    fn take<R>(&self, use_it: impl FnOnce(T) -> R) -> R;
}

/// The `main` of exercise 5. As usual it obeys these commands, one a line, with the
/// queue's capacity as the program's argument (2 without):
///
/// - `push 7`: prints `pushed 7` when that has been done;
/// - `take`: prints `took 7` when that has been done;
/// - `hold`: takes an item and says `holding 7`; uses it until `release`; then
///   prints `took 7`;
/// - `release`: ends the use of all items that are held.
///
/// Each push, take and hold has a thread of its own. The program
/// ends with its input.
#[cfg(not(feature = "explore"))]
pub fn main<Q: BoundedQueue<u32> + 'static>() -> ExitCode {
    use crate::console::{Gate, commands, detach};
    use std::sync::Arc;

    let capacity = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let queue = Arc::new(Q::new(capacity.unwrap_or(2)));
    let gate = Arc::new(Gate::default());
    commands("push N, take, hold, release", move |words| {
        let (queue, gate) = (Arc::clone(&queue), Arc::clone(&gate));
        let item = words.get(1).and_then(|word| word.parse().ok());
        match (words[0], item) {
            ("push", Some(item)) => detach("push", move || {
                queue.push(item);
                println!("pushed {item}");
            }),
            ("take", None) => {
                detach("take", move || println!("took {}", queue.take(|item| item)));
            }
            ("hold", None) => detach("hold", move || {
                let item = queue.take(|item| {
                    println!("holding {item}");
                    gate.pass();
                    item
                });
                println!("took {item}");
            }),
            ("release", None) => gate.open(),
            _ => return false,
        }
        true
    })
}

#[cfg(feature = "explore")]
pub use explored::main;

#[cfg(feature = "explore")]
mod explored {
    use super::{BoundedQueue, ExitCode};
    use crate::explore::scenario::{
        Scenario, Task, call, join, pause, promise, thread, woken_in_call,
    };
    use std::sync::{Arc, Mutex};

    /// The `main` of exercise 5, built for exploring: see [`crate::explore::main`].
    pub fn main<Q: BoundedQueue<u32> + 'static>() -> ExitCode {
        crate::explore::main(&[
            Scenario {
                title: "three producers, one consumer, room for one item",
                play: || {
                    let shop = Shop::<Q>::open(1);
                    shop.producer("producer 1", &[1]);
                    shop.producer("producer 2", &[2]);
                    shop.producer("producer 3", &[3]);
                    shop.consumer("the consumer", 2);
                    shop.close();
                },
            },
            Scenario {
                title: "two consumers, two producers, room for one item",
                play: || {
                    let shop = Shop::<Q>::open(1);
                    shop.consumer("consumer 1", 1);
                    shop.consumer("consumer 2", 1);
                    shop.producer("producer 1", &[1]);
                    shop.producer("producer 2", &[2]);
                    shop.close();
                },
            },
            Scenario {
                title: "two consumers, one producer, room for two items",
                play: || {
                    let shop = Shop::<Q>::open(2);
                    shop.consumer("consumer 1", 1);
                    shop.consumer("consumer 2", 1);
                    shop.producer("the producer", &[1, 2]);
                    shop.close();
                },
            },
            Scenario {
                title: "three producers, one consumer, room for two items",
                play: || {
                    let shop = Shop::<Q>::open(2);
                    shop.producer("producer 1", &[1, 2]);
                    shop.producer("producer 2", &[3]);
                    shop.producer("producer 3", &[4]);
                    shop.consumer("the consumer", 2);
                    shop.close();
                },
            },
        ])
    }

    /// A queue, and what is known about it from outside.
    struct Shop<Q> {
        queue: Arc<Q>,
        books: Arc<Mutex<Books>>,
    }

    #[derive(Default)]
    struct Books {
        capacity: usize,
        /// The items whose push has returned.
        pushed: Vec<u32>,
        /// How many calls of take have begun.
        asked: usize,
        /// The items whose take has returned.
        taken: Vec<u32>,
    }

    impl<Q: BoundedQueue<u32> + 'static> Shop<Q> {
        fn open(capacity: usize) -> Shop<Q> {
            let books = Books { capacity, ..Books::default() };
            Shop {
                queue: Arc::new(Q::new(capacity)),
                books: Arc::new(Mutex::new(books)),
            }
        }

        fn producer(&self, name: &str, items: &'static [u32]) {
            let (queue, books) = (Arc::clone(&self.queue), Arc::clone(&self.books));
            thread(name, move || {
                for &item in items {
                    call(format!("push({item})"), || queue.push(item));
                    note(&books, |books| books.pushed.push(item));
                }
            });
        }

        fn consumer(&self, name: &str, items: usize) {
            let (queue, books) = (Arc::clone(&self.queue), Arc::clone(&self.books));
            thread(name, move || {
                for _ in 0..items {
                    pause();
                    note(&books, |books| books.asked += 1);
                    let item = call("take", || queue.take(|item| item));
                    note(&books, |books| books.taken.push(item));
                }
            });
        }

        /// Lets the threads run, and compares the books in the end.
        fn close(self) {
            let books = Arc::clone(&self.books);
            join(move |threads| books.lock().ok()?.overlooked(threads));
            let books = self.books.lock().expect("a panic would end the run");
            let mut left = books.pushed.clone();
            for taken in &books.taken {
                let found = left.iter().position(|item| item == taken);
                let seen = "an item was taken that had not been pushed, or twice";
                promise(found.is_some(), "other-items", seen);
                found.map(|index| left.remove(index));
            }
        }
    }

    fn note(books: &Mutex<Books>, write: impl FnOnce(&mut Books)) {
        let mut books = books.lock().expect("a panic would end the run");
        write(&mut books);
        // A take that is under way may have taken its item already.
        let least = books.pushed.len().saturating_sub(books.asked);
        let capacity = books.capacity;
        // A run that ends here does not come back, to drop this.
        drop(books);
        let name = if woken_in_call() { "woken-and-overfull" } else { "overfull" };
        let seen =
            format!("the queue holds {least} items and has room for {capacity}");
        promise(least <= capacity, name, seen);
    }

    impl Books {
        /// A thread that sleeps although it could go on.
        fn overlooked(&self, threads: &[Task]) -> Option<(&'static str, String)> {
            let items = self.pushed.len().saturating_sub(self.taken.len());
            threads.iter().find_map(|thread| {
                let call = thread.call.as_deref().filter(|_| thread.sleeps())?;
                let why = match call {
                    "take" if items > 0 => "there is an item to take",
                    "take" => return None,
                    _ if items < self.capacity => "there is room",
                    _ => return None,
                };
                let seen = format!(
                    "{} sleeps in {call} although {why}, and nobody will wake it",
                    thread.name
                );
                Some(("lost-wake-up", seen))
            })
        }
    }
}
