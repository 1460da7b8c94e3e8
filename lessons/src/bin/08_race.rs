//! Why is the sum wrong?
//!
//! n = n + 1 is three steps: read n, add 1, write n. What another thread writes to n
//! between the first and the last of them is lost.
//! Predict: two threads add 1 to n, 100,000 times each. What is the least sum?
//! Neighbours: 07_shared, 09_mutex.

use lessons::{observe, prove, step};
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::sync::{Barrier, mpsc};
use std::thread;

const TIMES: i32 = 100_000;

fn main() -> anyhow::Result<()> {
    lessons::open("Why is the sum wrong?");

    step("Two threads add 1 to n, 100,000 times each. This is tried 20 times.");
    let sums = twenty_sums(|n| {
        let register = n.load(Relaxed);
        n.store(register + 1, Relaxed);
    });
    observe("wrong sums", sums.iter().filter(|&&sum| sum != 2 * TIMES).count());
    observe("least and greatest", format!("{} {}", sums[0], sums[19]));
    prove(
        "from 2 to 200,000 is all that is sure",
        sums[0] >= 2 && sums[19] <= 2 * TIMES,
    )?;

    step("One n = n + 1 in each of the threads A and B, led step by step.");
    let (sum, story) = led("ABABAB");
    for (thread, what, register) in story {
        observe(&format!("{thread} {what}"), register);
    }
    prove("two additions, one of them lost", sum == 1)?;

    step("The same in every order that these six steps can have.");
    let results: Vec<_> = all_orders().map(|order| (led(&order).0, order)).collect();
    let with_sum = |sum| results.iter().filter(move |result| result.0 == sum);
    let right: Vec<_> = with_sum(2).map(|result| result.1.as_str()).collect();
    observe("orders with sum 1", with_sum(1).count());
    observe("orders with sum 2", right.join(", "));
    prove("eighteen of twenty lose exactly one", with_sum(1).count() == 18)?;
    prove(
        "right: one writes before the other reads",
        right == ["AAABBB", "BBBAAA"],
    )?;

    step("Ten times n = n + 1 in each, in the worst order.");
    let (sum, story) = led(&format!("A{}AAB{}BB", "BBB".repeat(9), "AAA".repeat(9)));
    observe("steps", story.len());
    observe("sum", sum);
    prove("of twenty additions two are left", sum == 2)?;

    step("Again 20 tries, but with fetch_add: read, add and write in one step.");
    let sums = twenty_sums(|n| {
        n.fetch_add(1, Relaxed);
    });
    observe("least and greatest", format!("{} {}", sums[0], sums[19]));
    prove("fetch_add loses none", sums[0] == 2 * TIMES && sums[19] == 2 * TIMES)
}

/// What two threads make of n, each at its own speed; the sums of 20 tries, sorted.
fn twenty_sums(add_1: impl Fn(&AtomicI32) + Sync) -> Vec<i32> {
    let tries: Vec<AtomicI32> = (0..20).map(|_| AtomicI32::new(0)).collect();
    let start = Barrier::new(2);
    let work = || {
        for n in &tries {
            start.wait();
            (0..TIMES).for_each(|_| add_1(n));
        }
    };
    thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let mut sums: Vec<i32> = tries.into_iter().map(AtomicI32::into_inner).collect();
    sums.sort_unstable();
    sums
}

/// Each letter lets the thread of that name do one step. The sum, and what they did.
fn led(order: &str) -> (i32, Vec<(char, &'static str, i32)>) {
    let (n, a, b) = (AtomicI32::new(0), Barrier::new(2), Barrier::new(2));
    let (tell, told) = mpsc::channel();
    let story = thread::scope(|scope| {
        for turn in [&a, &b] {
            let (n, tell) = (&n, tell.clone());
            scope.spawn(move || {
                (0..order.len() / 6).for_each(|_| n_plus_1(n, turn, &tell));
            });
        }
        let one_step = |name| {
            let turn = if name == 'A' { &a } else { &b };
            turn.wait();
            let (what, register) = told.recv().expect("the thread tells");
            (name, what, register)
        };
        order.chars().map(one_step).collect()
    });
    (n.into_inner(), story)
}

/// n = n + 1; each of the three steps waits for its turn, and tells when it is done.
fn n_plus_1(
    n: &AtomicI32,
    turn: &Barrier,
    tell: &mpsc::Sender<(&'static str, i32)>,
) {
    turn.wait();
    let mut register = n.load(Relaxed);
    tell.send(("reads", register)).expect("main listens");
    turn.wait();
    register += 1;
    tell.send(("adds 1", register)).expect("main listens");
    turn.wait();
    n.store(register, Relaxed);
    tell.send(("writes", register)).expect("main listens");
}

/// Of six steps, three are A's and three are B's.
fn all_orders() -> impl Iterator<Item = String> {
    let three_each = (0..64_u32).filter(|bits| bits.count_ones() == 3);
    three_each.map(|bits| format!("{bits:06b}").replace('0', "A").replace('1', "B"))
}
