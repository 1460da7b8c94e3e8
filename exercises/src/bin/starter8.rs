//! Exercise 8: transfers between accounts
//!
//! Task: a bank whose tellers, one thread each, move money between accounts at the
//! same time, without losing any and without ever waiting in a circle.
//!
//! Contract: the trait `Bank`; accounts are numbered from 0.
//! - `new(balances)`: accounts with these balances.
//! - `transfer(from, to, amount, audit)`: if `from` has at least `amount`, moves it,
//!   calls `audit` with the new balances of `from` and `to`, and returns true. While
//!   `audit` runs nobody else uses these two accounts. Otherwise moves nothing, does
//!   not call `audit`, and returns false. `amount` is not negative; `from` and `to`
//!   may be the same.
//! - Transfers without a common account do not wait for each other, not even for an
//!   audit. A transfer that has to wait sleeps.
//! - `balances()`: all balances as they are at one moment, in order.
//!
//! Checked: who waits for whom, with real threads; then thousands of orders in which
//! a few tellers can run, for circles, overdrafts and lost money.
//!
//! Given: `main`, which obeys commands (transfer 0 1 50, hold 0 1 50, release,
//! balances). Locks must come from `exercises::sync` (Mutex, Condvar, Semaphore,
//! atomic): as in std, but the check can steer them.
//! Lesson: 12_deadlock. Try it: cargo xtask run exercise8, then type transfer 0 1
//! 50.

use exercises::bank::Bank;
use exercises::sync::{Mutex, PoisonError};
use std::process::ExitCode;

struct Accounts {
    balances: Mutex<Vec<i64>>,
}

impl Bank for Accounts {
    fn new(balances: &[i64]) -> Self {
        Accounts { balances: Mutex::new(balances.to_vec()) }
    }

    fn transfer(
        &self,
        from: usize,
        to: usize,
        amount: i64,
        audit: impl FnOnce(i64, i64),
    ) -> bool {
        // This lock makes all transfers wait for each other.
        let mut balances =
            self.balances.lock().unwrap_or_else(PoisonError::into_inner);
        if balances[from] < amount {
            return false;
        }
        balances[from] -= amount;
        balances[to] += amount;
        audit(balances[from], balances[to]);
        true
    }

    fn balances(&self) -> Vec<i64> {
        self.balances.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn main() -> ExitCode {
    exercises::bank::main::<Accounts>()
}
