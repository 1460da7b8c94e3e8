//! Two threads take two locks in opposite orders, and both wait for ever.
//! Verdict: hung

mod hostile;

use std::sync::{Barrier, Mutex};

fn main() {
    hostile::begin();
    let (a, b, both) = (Mutex::new(()), Mutex::new(()), Barrier::new(2));
    let take = |first: &Mutex<()>, second: &Mutex<()>| {
        let _first = first.lock();
        both.wait();
        let _second = second.lock();
    };
    std::thread::scope(|scope| {
        scope.spawn(|| take(&a, &b));
        scope.spawn(|| take(&b, &a));
    });
}
