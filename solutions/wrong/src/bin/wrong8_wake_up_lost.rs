//! Believes that whoever is woken will wake the next one; who is refused does not.

use exercises::bank::Bank;
use exercises::sync::{Condvar, Mutex, MutexGuard};
use std::process::ExitCode;

struct Account {
    balance: i64,
    busy: bool,
}

struct Accounts {
    accounts: Mutex<Vec<Account>>,
    freed: Condvar,
}

impl Accounts {
    /// Waits until nobody uses any of these accounts.
    fn lock(&self, wanted: &[usize]) -> MutexGuard<'_, Vec<Account>> {
        let accounts = self.accounts.lock().expect("no holder panics");
        let busy = |all: &mut Vec<Account>| wanted.iter().any(|&one| all[one].busy);
        self.freed.wait_while(accounts, busy).expect("no holder panics")
    }
}

impl Bank for Accounts {
    fn new(balances: &[i64]) -> Self {
        let account = |&balance: &i64| Account { balance, busy: false };
        let accounts = Mutex::new(balances.iter().map(account).collect());
        Accounts { accounts, freed: Condvar::new() }
    }

    fn transfer(
        &self,
        from: usize,
        to: usize,
        amount: i64,
        audit: impl FnOnce(i64, i64),
    ) -> bool {
        let mut accounts = self.lock(&[from, to]);
        if accounts[from].balance < amount {
            return false;
        }
        accounts[from].balance -= amount;
        accounts[to].balance += amount;
        accounts[from].busy = true;
        accounts[to].busy = true;
        let (left, right) = (accounts[from].balance, accounts[to].balance);
        drop(accounts);
        audit(left, right);
        let mut accounts = self.lock(&[]);
        accounts[from].busy = false;
        accounts[to].busy = false;
        self.freed.notify_one();
        true
    }

    fn balances(&self) -> Vec<i64> {
        self.lock(&[]).iter().map(|account| account.balance).collect()
    }
}

fn main() -> ExitCode {
    exercises::bank::main::<Accounts>()
}
