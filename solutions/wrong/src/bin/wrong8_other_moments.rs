//! Believes that balances that are read one after the other belong to one moment.

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
        if from == to {
            let balance = self.lock(from);
            let enough = *balance >= amount;
            if enough {
                audit(*balance, *balance);
            }
            return enough;
        }
        let (mut source, mut target);
        if from < to {
            source = self.lock(from);
            target = self.lock(to);
        } else {
            target = self.lock(to);
            source = self.lock(from);
        }
        if *source < amount {
            return false;
        }
        *source -= amount;
        *target += amount;
        audit(*source, *target);
        true
    }

    fn balances(&self) -> Vec<i64> {
        (0..self.accounts.len()).map(|account| *self.lock(account)).collect()
    }
}

fn main() -> ExitCode {
    exercises::bank::main::<Accounts>()
}
