//! Locks: those of [`std::sync`], or with the feature `explore` ones that behave the
//! same and can be explored; and a [`Semaphore`], which std does not have.

pub use std::sync::{
    Arc, LockResult, OnceLock, PoisonError, TryLockError, TryLockResult, Weak,
};

#[cfg(feature = "explore")]
pub use crate::explore::sync::{
    Condvar, Mutex, MutexGuard, Semaphore, WaitTimeoutResult, atomic,
};

#[cfg(not(feature = "explore"))]
pub use self::real::Semaphore;
#[cfg(not(feature = "explore"))]
pub use std::sync::{Condvar, Mutex, MutexGuard, WaitTimeoutResult, atomic};

#[cfg(not(feature = "explore"))]
mod real {
    use super::{Condvar, Mutex, PoisonError};

    /// A number of permits. Whoever takes one waits until there is one; anybody may
    /// add one. The same as sem_t (sem_overview(7)).
    #[derive(Debug)]
    pub struct Semaphore {
        permits: Mutex<usize>,
        posted: Condvar,
    }

    impl Semaphore {
        pub const fn new(permits: usize) -> Semaphore {
            Semaphore { permits: Mutex::new(permits), posted: Condvar::new() }
        }

        /// Takes a permit, and waits until there is one (sem_wait(3)).
        pub fn wait(&self) {
            let permits =
                self.permits.lock().unwrap_or_else(PoisonError::into_inner);
            let none = |permits: &mut usize| *permits == 0;
            let permits = self.posted.wait_while(permits, none);
            *permits.unwrap_or_else(PoisonError::into_inner) -= 1;
        }

        /// Takes a permit if there is one (sem_trywait(3)). False if there is none.
        pub fn try_wait(&self) -> bool {
            let mut permits =
                self.permits.lock().unwrap_or_else(PoisonError::into_inner);
            let any = *permits > 0;
            *permits -= usize::from(any);
            any
        }

        /// Adds a permit (sem_post(3)).
        pub fn post(&self) {
            *self.permits.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            self.posted.notify_one();
        }
    }
}
