//! Believes that a refusal is audited, too.

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
            // One account, one lock; nothing moves.
            let balance = self.lock(from);
            let enough = *balance >= amount;
            audit(*balance, *balance);
            return enough;
        }
        // The smaller number first, always: then nobody waits in a circle.
        let (mut source, mut target);
        if from < to {
            source = self.lock(from);
            target = self.lock(to);
        } else {
            target = self.lock(to);
            source = self.lock(from);
        }
        let enough = *source >= amount;
        if enough {
            *source -= amount;
            *target += amount;
        }
        audit(*source, *target);
        enough
    }

    fn balances(&self) -> Vec<i64> {
        let all = 0..self.accounts.len();
        // All locks are held until the last balance is known.
        let guards: Vec<_> = all.map(|account| self.lock(account)).collect();
        guards.iter().map(|balance| **balance).collect()
    }
}

fn main() -> ExitCode {
    exercises::bank::main::<Accounts>()
}
