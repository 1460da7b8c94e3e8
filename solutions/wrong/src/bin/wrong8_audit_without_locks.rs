//! Believes that an account that has been changed does not need its lock any more.

use exercises::bank::Bank;
use exercises::sync::{Mutex, MutexGuard};
use std::process::ExitCode;

struct Accounts {
    accounts: Vec<Mutex<i64>>,
}

impl Accounts {
    fn lock(&self, account: usize) -> MutexGuard<'_, i64> {
        self.accounts[account].lock().expect("no holder panics")
    }
}

impl Bank for Accounts {
    fn new(balances: &[i64]) -> Self {
        Accounts { accounts: balances.iter().copied().map(Mutex::new).collect() }
    }

    fn transfer(
        &self,
        from: usize,
        to: usize,
        amount: i64,
        audit: impl FnOnce(i64, i64),
    ) -> bool {
        let mut balance = self.lock(from);
        if *balance < amount {
            return false;
        }
        *balance -= amount;
        let left = *balance;
        drop(balance);
        let mut balance = self.lock(to);
        *balance += amount;
        let right = *balance;
        drop(balance);
        audit(left, right);
        true
    }

    fn balances(&self) -> Vec<i64> {
        let all = 0..self.accounts.len();
        let guards: Vec<_> = all.map(|account| self.lock(account)).collect();
        guards.iter().map(|balance| **balance).collect()
    }
}

fn main() -> ExitCode {
    exercises::bank::main::<Accounts>()
}
