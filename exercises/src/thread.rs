//! What a thread can do with itself: as in [`std::thread`], or with the feature
//! `explore` in a way that can be explored. The threads of an exercise are started
//! by its `main`.

#[cfg(feature = "explore")]
pub use crate::explore::sync::{sleep, yield_now};
#[cfg(not(feature = "explore"))]
pub use std::thread::{sleep, yield_now};
