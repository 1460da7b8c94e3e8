//! Believes that money is only safe if one lock guards all accounts.

use exercises::bank::Bank;
use exercises::sync::Mutex;
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
        let mut balances = self.balances.lock().expect("no holder panics");
        if balances[from] < amount {
            return false;
        }
        balances[from] -= amount;
        balances[to] += amount;
        audit(balances[from], balances[to]);
        true
    }

    fn balances(&self) -> Vec<i64> {
        self.balances.lock().expect("no holder panics").clone()
    }
}

fn main() -> ExitCode {
    exercises::bank::main::<Accounts>()
}
