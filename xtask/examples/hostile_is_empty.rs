//! Has an empty main.
//! Verdict: wrong: never-joins
//! Exercise: exercise1

fn main() {}
