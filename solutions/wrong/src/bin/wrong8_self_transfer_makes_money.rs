//! Believes that two accounts are two variables.

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
        let (first, second) = (from.min(to), from.max(to));
        let guards = (self.lock(first), (first < second).then(|| self.lock(second)));
        let balance_of = |account| match &guards.1 {
            Some(guard) if account == second => **guard,
            _ => *guards.0,
        };
        let (source, target) = (balance_of(from) - amount, balance_of(to) + amount);
        if source < 0 {
            return false;
        }
        audit(source, target);
        let (mut low, high) = guards;
        match high {
            Some(mut high) if from < to => (*low, *high) = (source, target),
            Some(mut high) => (*low, *high) = (target, source),
            None => {
                *low = source;
                *low = target;
            }
        }
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
