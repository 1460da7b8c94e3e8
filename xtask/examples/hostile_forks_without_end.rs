//! Every process starts others.
//! Verdict: too much: tasks

mod hostile;

/// Each generation doubles their number.
const GENERATIONS: usize = 11;

fn main() {
    hostile::begin();
    for _ in 0..GENERATIONS {
        hostile::child(|| spread(GENERATIONS));
    }
    hostile::pause();
}

fn spread(generations: usize) {
    for left in 0..generations {
        hostile::child(|| spread(left));
    }
    hostile::pause();
}
