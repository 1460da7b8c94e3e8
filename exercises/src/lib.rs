//! What the exercises share.
//!
//! An exercise about locks asks for a type. Its program is that type and one line,
//! `main`, which this library provides: built as usual it obeys commands on standard
//! input, with real threads; built with the feature `explore` it tries the orders in
//! which the threads can run, one after another, and tells the first one in which
//! the type breaks a promise. The same file compiles both ways because it takes its
//! locks and threads from [`sync`] and [`thread`].

#[cfg(not(target_os = "linux"))]
compile_error!(
    "This workbook shows how Linux works and runs on Linux only: use the dev container."
);

pub mod bank;
#[cfg(not(feature = "explore"))]
mod console;
pub mod event;
#[cfg(feature = "explore")]
pub mod explore;
pub mod queue;
pub mod sync;
pub mod thread;
pub mod turns;
