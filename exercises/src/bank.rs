//! Exercise 8: transfers between accounts.

use std::process::ExitCode;

/// Accounts, numbered from 0, that any number of threads move money between.
pub trait Bank: Send + Sync {
    /// Accounts with these balances.
    fn new(balances: &[i64]) -> Self;

    /// Moves an amount if `from` has so much: calls `audit` with the two new
    /// balances (of `from`, of `to`) while nobody else can use these two accounts,
    /// and returns true. Otherwise moves nothing, does not call `audit`, and returns
    /// false.
    fn transfer(
        &self,
        from: usize,
        to: usize,
        amount: i64,
        audit: impl FnOnce(i64, i64),
    ) -> bool;

    /// The balances of all accounts at one moment.
    fn balances(&self) -> Vec<i64>;
}

/// The `main` of exercise 8. As usual it obeys these commands, one a line, with the
/// first balances as the program's arguments (four times 100 without):
///
/// - `transfer 0 1 50`: prints `transferred 0 1 50` or `refused 0 1 50`;
/// - `hold 0 1 50`: says `holding 0 1` in the audit and stays there until `release`;
/// - `release`: ends all audits that are held;
/// - `balances`: prints `balances 50 150 100 100`.
///
/// Each command but `release` has a thread of its own. The program
/// ends with its input.
#[cfg(not(feature = "explore"))]
pub fn main<B: Bank + 'static>() -> ExitCode {
    use crate::console::{Gate, commands, detach};
    use std::sync::Arc;

    let mut balances: Vec<i64> =
        std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    if balances.is_empty() {
        balances = vec![100; 4];
    }
    let bank = Arc::new(B::new(&balances));
    let gate = Arc::new(Gate::default());
    commands("transfer FROM TO N, hold FROM TO N, release, balances", move |words| {
        let (bank, gate) = (Arc::clone(&bank), Arc::clone(&gate));
        let numbers: Vec<usize> =
            words[1..].iter().filter_map(|word| word.parse().ok()).collect();
        match (words[0], &numbers[..]) {
            (command @ ("transfer" | "hold"), &[from, to, amount])
                if from.max(to) < balances.len() =>
            {
                let hold = command == "hold";
                detach(command, move || {
                    let audit = |_, _| {
                        if hold {
                            println!("holding {from} {to}");
                            gate.pass();
                        }
                    };
                    let done = bank.transfer(from, to, amount as i64, audit);
                    let word = if done { "transferred" } else { "refused" };
                    println!("{word} {from} {to} {amount}");
                });
            }
            ("balances", []) => detach("balances", move || {
                let balances: Vec<String> =
                    bank.balances().iter().map(i64::to_string).collect();
                println!("balances {}", balances.join(" "));
            }),
            ("release", []) => gate.open(),
            _ => return false,
        }
        true
    })
}

#[cfg(feature = "explore")]
pub use explored::main;

#[cfg(feature = "explore")]
mod explored {
    use super::{Bank, ExitCode};
    use crate::explore::scenario::{
        Scenario, State, Task, broken, call, join, pause, promise, thread, until,
    };
    use std::sync::{Arc, Mutex};

    /// The `main` of exercise 8, built for exploring: see [`crate::explore::main`].
    pub fn main<B: Bank + 'static>() -> ExitCode {
        crate::explore::main(&[
            Scenario {
                title: "two tellers who transfer in opposite directions",
                play: || {
                    let hall = Hall::<B>::open(&[100, 100]);
                    hall.teller("teller 1", 0, 1, 10);
                    hall.teller("teller 2", 1, 0, 20);
                    hall.close();
                },
            },
            Scenario {
                title: "three tellers who want more than there is in one account",
                play: || {
                    let hall = Hall::<B>::open(&[50, 0, 0]);
                    hall.teller("teller 1", 0, 1, 40);
                    hall.teller("teller 2", 0, 2, 40);
                    hall.teller("teller 3", 0, 1, 10);
                    hall.close();
                },
            },
            Scenario {
                title: "three tellers who transfer in a ring",
                play: || {
                    let hall = Hall::<B>::open(&[100, 100, 100]);
                    hall.teller("teller 1", 0, 1, 10);
                    hall.teller("teller 2", 1, 2, 20);
                    hall.teller("teller 3", 2, 0, 30);
                    hall.close();
                },
            },
            Scenario {
                title: "a teller and somebody who asks for all balances",
                play: || {
                    let hall = Hall::<B>::open(&[100, 100]);
                    hall.asker("the asker");
                    hall.teller("the teller", 0, 1, 50);
                    hall.close();
                },
            },
            Scenario {
                title: "two tellers at accounts 0 and 1, two at accounts 2 and 3",
                play: two_counters::<B>,
            },
        ])
    }

    /// The audit of teller 1 lasts until teller 4 is done, with whom it has no account
    /// in common; that of teller 2 until the other two have come.
    fn two_counters<B: Bank + 'static>() {
        const WAITING: [usize; 2] = [2, 3];
        const DONE: usize = 3;
        let hall = Hall::<B>::open(&[100, 100, 100, 100]);
        hall.busy_teller("teller 1", 2, 3, 10, || {
            until(|tellers| tellers[DONE].state == State::Ended);
        });
        hall.busy_teller("teller 2", 0, 1, 20, || {
            until(|tellers| {
                let mut both = WAITING.iter().map(|&teller| &tellers[teller]);
                both.all(|task| task.is_held_up() || task.state == State::Ended)
            });
        });
        hall.teller("teller 3", 2, 3, 30);
        hall.teller("teller 4", 0, 1, 40);
        hall.close_unless(|tellers| {
            let free = tellers[1].state == State::Ended && tellers[DONE].sleeps();
            let seen =
                "teller 4 is not woken, and nobody else uses accounts 0 and 1";
            free.then(|| ("wake-up-lost", seen.into()))
        });
    }

    /// A bank, and what is known about it from outside.
    struct Hall<B> {
        bank: Arc<B>,
        /// The balances as they should be; none during an audit of the account.
        books: Arc<Mutex<Vec<Option<i64>>>>,
        total: i64,
    }

    impl<B: Bank + 'static> Hall<B> {
        fn open(balances: &[i64]) -> Hall<B> {
            let books = balances.iter().copied().map(Some).collect();
            Hall {
                bank: Arc::new(B::new(balances)),
                books: Arc::new(Mutex::new(books)),
                total: balances.iter().sum(),
            }
        }

        fn teller(&self, name: &str, from: usize, to: usize, amount: i64) {
            self.busy_teller(name, from, to, amount, pause);
        }

        /// Who has this to do in the audit.
        fn busy_teller(
            &self,
            name: &str,
            from: usize,
            to: usize,
            amount: i64,
            busy: fn(),
        ) {
            let (bank, books) = (Arc::clone(&self.bank), Arc::clone(&self.books));
            thread(name, move || {
                let mut audited = false;
                let audit = |left, right| {
                    audited = true;
                    audit(&books, (from, left), (to, right), amount, busy);
                };
                let what = format!("transfer({from}, {to}, {amount})");
                let done = call(what, || bank.transfer(from, to, amount, audit));
                let seen = format!("it was audited: {audited}, it says: {done}");
                promise(done == audited, "other-result", seen);
            });
        }

        fn asker(&self, name: &str) {
            let (bank, total) = (Arc::clone(&self.bank), self.total);
            thread(name, move || {
                let sum: i64 = call("balances()", || bank.balances()).iter().sum();
                let seen = format!("the balances add up to {sum}, not {total}");
                promise(sum == total, "other-moments", seen);
            });
        }

        /// Lets the threads run, and looks at the balances in the end.
        fn close(self) {
            self.close_unless(|_| None);
        }

        /// The same, and knows what it shows if they get stuck.
        fn close_unless(
            self,
            if_stuck: fn(&[Task]) -> Option<(&'static str, String)>,
        ) {
            join(move |threads| not_woken(threads).or_else(|| if_stuck(threads)));
            let balances = self.bank.balances();
            let books =
                self.books.lock().expect("a panic would end the run").clone();
            let books: Option<Vec<i64>> = books.into_iter().collect();
            let seen = format!("the balances are {balances:?} in the end");
            promise(
                books.is_some_and(|books| books == balances),
                "other-balances",
                seen,
            );
        }
    }

    /// Compares the balances that an audit is told with the books, which only audits
    /// change: nobody else may be at these accounts until it is over.
    fn audit(
        books: &Mutex<Vec<Option<i64>>>,
        from: (usize, i64),
        to: (usize, i64),
        amount: i64,
        busy: fn(),
    ) {
        let before = [from.0, to.0].map(|account| take(books, account));
        let [Some(left), Some(right)] = before else {
            let seen = "two audits of the same account go on at the same time";
            broken("audit-not-alone", seen);
        };
        let overdrawn = format!("the balance of account {} is {}", from.0, from.1);
        promise(from.1 >= 0, "overdrawn", overdrawn);
        let (left, right) = (left - amount, right + amount);
        let seen = format!(
            "the balances of {} and {} are {} and {}, not {left} and {right}",
            from.0, to.0, from.1, to.1
        );
        promise((from.1, to.1) == (left, right), "other-balances", seen);
        busy();
        let mut books = books.lock().expect("a panic would end the run");
        books[from.0] = Some(left);
        books[to.0] = Some(right);
    }

    /// Somebody who sleeps, and nobody else is there.
    fn not_woken(threads: &[Task]) -> Option<(&'static str, String)> {
        let mut left = threads.iter().filter(|task| task.state != State::Ended);
        let (Some(last), None) = (left.next(), left.next()) else { return None };
        let seen = format!("{} is never woken, and nobody else is there", last.name);
        last.sleeps().then_some(("wake-up-lost", seen))
    }

    fn take(books: &Mutex<Vec<Option<i64>>>, account: usize) -> Option<i64> {
        books.lock().expect("a panic would end the run")[account].take()
    }
}
