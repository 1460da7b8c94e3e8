use super::explored::explore;
use super::{Case, Exercise};
use crate::scene::{Misconception, Outcome, Scene, Settled};

pub const EXERCISE: Exercise = Exercise {
    name: "exercise8",
    title: "Transfers between accounts",
    lesson: "12_deadlock",
    hints: &[
        "Two transfers that share no account must not wait for each other. How many \
         locks does that take, and what does each of them guard?",
        "With a lock for each account a transfer needs two of them. One teller has \
         the lock of account 0 and wants that of 1; another has 1 and wants 0. \
         Which rule, kept by both, makes this impossible?",
        "Lock the account with the smaller number first, whichever way the money \
         goes. `balances` needs all locks at the same time, in the same order. And \
         if both accounts are the same one there is one lock to take.",
        "let (mut source, mut target); if from < to { source = lock(from); target = \
         lock(to) } else { target = lock(to); source = lock(from) }. Then look at \
         the balance, move, audit: all before the guards are dropped.",
    ],
    cases: &[
        Case::new("one account", one_account),
        Case::new("who waits for whom", who_waits_for_whom),
        Case { name: "all orders", explored: true, play: all_orders },
    ],
};

const SELF_TRANSFER_HANGS: Misconception = Misconception {
    name: "self-transfer-hangs",
    expected: "a transfer from an account to the same account comes back",
    why: "A thread that locks a mutex which it holds already waits for itself, for \
          ever. Two numbers may name one account.",
    lesson: "09_mutex",
};

const SELF_TRANSFER_MAKES_MONEY: Misconception = Misconception {
    name: "self-transfer-makes-money",
    expected: "a transfer from an account to the same account changes nothing",
    why: "Both new balances were computed from the old ones before either was \
          written, so the second one overwrote the first. Two numbers may name one \
          account.",
    lesson: "08_race",
};

const SELF_TRANSFER_UNCHECKED: Misconception = Misconception {
    name: "self-transfer-unchecked",
    expected: "a transfer from an account to the same account is refused, too, if \
               the account has less than that",
    why: "That nothing moves in the end does not make it a transfer that could be \
          done. The rule asks for the balance of `from`, whatever `to` is.",
    lesson: "12_deadlock",
};

const SELF_TRANSFER_UNAUDITED: Misconception = Misconception {
    name: "self-transfer-unaudited",
    expected: "a transfer from an account to the same account is audited, too",
    why: "A short way out for a special case has to keep what the long way promises: \
          here the audit, with the account's lock held.",
    lesson: "12_deadlock",
};

const AUDIT_OF_REFUSAL: Misconception = Misconception {
    name: "audit-of-refusal",
    expected: "a transfer that is refused is not audited",
    why: "An audit is told what a transfer has made of two balances. Where nothing \
          moved there is nothing to tell: who counts the audits counts a transfer \
          that was never done.",
    lesson: "12_deadlock",
};

const WAKE_UP_LOST: Misconception = Misconception {
    name: "wake-up-lost",
    expected: "a transfer that waits goes on when nobody uses its accounts any more",
    why: "notify_one wakes one thread, and which one is open. If that one still has to \
          wait, or is refused and tells nobody, the wake-up is used up, and the others \
          sleep on. notify_all lets all of them look again. With a mutex for each \
          account there is nobody to notify.",
    lesson: "11_event",
};

const ONE_LOCK_FOR_ALL: Misconception = Misconception {
    name: "one-lock-for-all",
    expected: "transfers without a common account do not wait for each other",
    why: "One lock for all accounts is safe, and it makes the slowest audit hold up \
          the whole bank. A lock should guard what belongs together, and no more.",
    lesson: "09_mutex",
};

const AUDIT_WITHOUT_LOCKS: Misconception = Misconception {
    name: "audit-without-locks",
    expected: "while an audit goes on nobody else uses its two accounts",
    why: "A transfer is one step for everybody else only if both locks are held \
          from its first look to its last. In between money is in neither account, \
          or what the audit was told is no longer true.",
    lesson: "09_mutex",
};

const OPPOSITE_ORDERS: Misconception = Misconception {
    name: "opposite-orders",
    expected: "every transfer gets to its end, in whichever order the threads run",
    why: "Each of them holds a lock that another one wants, in a circle. If all \
          threads take their locks in one and the same order there is no circle: \
          whoever holds the last one needs none that comes before.",
    lesson: "12_deadlock",
};

const CHECKS_BEFORE_LOCKING: Misconception = Misconception {
    name: "checks-before-locking",
    expected: "an account is never overdrawn",
    why: "The balance was looked at, the lock was let go, and when the money moved \
          another transfer had been there. Look and act under the same lock, \
          without letting go in between.",
    lesson: "08_race",
};

const OTHER_BALANCES: Misconception = Misconception {
    name: "other-balances",
    expected: "each transfer takes from one balance what it adds to the other",
    why: "Two threads used the same account at the same time, and the change of one \
          of them is lost.",
    lesson: "08_race",
};

const OTHER_MOMENTS: Misconception = Misconception {
    name: "other-moments",
    expected: "`balances` tells the balances of one moment: no money is on its way",
    why: "Between reading one balance and reading the next a transfer came and \
          went. Balances belong to one moment only if all locks are held until the \
          last one is read.",
    lesson: "09_mutex",
};

const ASKS_AGAIN_AND_AGAIN: Misconception = Misconception {
    name: "asks-again-and-again",
    expected: "a transfer that has to wait is asleep",
    why: "Trying a lock again and again takes processor time from the very thread \
          that is waited for. With one order of locking there is no need for \
          try_lock.",
    lesson: "12_deadlock",
};

const OUTPUT: Misconception = Misconception {
    name: "output",
    expected: "true for a transfer that was done, false for one that was refused, \
               and the balances that follow from that",
    why: "The check gives commands to `main` and reads its answers.",
    lesson: "12_deadlock",
};

fn one_account(scene: &mut Scene) -> Outcome {
    scene.start(&["100", "0"])?;
    refuse(scene, "0 1", 101)?;
    obey(scene, "transfer 0 1 60\n")?;
    if !said(scene, "refused 0 1 101") || !said(scene, "transferred 0 1 60") {
        return Err(OUTPUT.seen(scene.so_far("transfers of 101 and 60 out of 100")));
    }
    obey(scene, "transfer 0 0 40\n")?;
    if !said(scene, "transferred 0 0 40") {
        if said(scene, "refused 0 0 40") {
            return Err(
                OUTPUT.seen("40 of 40, from account 0 to itself, were refused")
            );
        }
        let seen = format!("after `transfer 0 0 40` {}", scene.doing());
        return Err(SELF_TRANSFER_HANGS.hung(seen));
    }
    obey(scene, "balances\n")?;
    if said(scene, "balances 80 60") || said(scene, "balances 0 60") {
        let seen =
            "40 of 40 went from account 0 to itself; its balance is not 40 any more";
        return Err(SELF_TRANSFER_MAKES_MONEY.seen(seen));
    }
    if !said(scene, "balances 40 60") {
        return Err(OUTPUT.seen(scene.so_far("three transfers")));
    }
    refuse(scene, "0 0", 41)?;
    if said(scene, "transferred 0 0 41") {
        let seen = "41 of 40 went from account 0 to itself";
        return Err(SELF_TRANSFER_UNCHECKED.seen(seen));
    }
    obey(scene, "hold 0 0 30\n")?;
    if !said(scene, "holding 0 0") {
        let seen = "30 of 40 went from account 0 to itself, and nobody audited that";
        return Err(SELF_TRANSFER_UNAUDITED.seen(seen));
    }
    obey(scene, "transfer 0 1 10\n")?;
    if said(scene, "transferred 0 1 10") {
        let seen =
            "during the audit of transfer 0 0 30 the transfer 0 1 10 was done";
        return Err(AUDIT_WITHOUT_LOCKS.seen(seen));
    }
    obey(scene, "release\n")?;
    woken(scene, &["0 1 10"])?;
    let done = ["refused 0 0 41", "transferred 0 0 30", "transferred 0 1 10"];
    if !done.iter().all(|line| said(scene, line)) {
        return Err(OUTPUT.seen(scene.so_far("six transfers, two of them refused")));
    }
    Ok(())
}

fn who_waits_for_whom(scene: &mut Scene) -> Outcome {
    scene.start(&["100", "100", "100", "100"])?;
    obey(scene, "hold 0 1 10\n")?;
    if !said(scene, "holding 0 1") {
        return Err(
            OUTPUT.seen(scene.so_far("a transfer from account 0 to account 1"))
        );
    }
    obey(scene, "transfer 2 3 10\n")?;
    if !said(scene, "transferred 2 3 10") {
        let seen = format!(
            "while the transfer from 0 to 1 is audited one from 2 to 3 waits: {}",
            scene.doing()
        );
        return Err(ONE_LOCK_FOR_ALL.seen(seen));
    }
    let others = ["0 2 10", "3 1 10"];
    for other in others {
        obey(scene, &format!("transfer {other}\n"))?;
        if said(scene, &format!("transferred {other}")) {
            let seen = format!(
                "during the audit of transfer 0 1 10 the transfer {other} was done"
            );
            return Err(AUDIT_WITHOUT_LOCKS.seen(seen));
        }
    }
    obey(scene, "release\n")?;
    woken(scene, &others)?;
    obey(scene, "balances\n")?;
    if !said(scene, "balances 80 120 100 100") {
        return Err(OUTPUT.seen(scene.so_far("four transfers of 10")));
    }
    Ok(())
}

/// Asks for more than there is, and holds the audit if there is one.
fn refuse(scene: &mut Scene, accounts: &str, amount: i64) -> Outcome {
    obey(scene, &format!("hold {accounts} {amount}\n"))?;
    if !said(scene, &format!("holding {accounts}")) {
        return Ok(());
    }
    obey(scene, "release\n")?;
    if said(scene, &format!("refused {accounts} {amount}")) {
        let seen =
            format!("transfer {accounts} {amount} was audited, and then refused");
        return Err(AUDIT_OF_REFUSAL.seen(seen));
    }
    Ok(())
}

/// All audits are over: nothing holds these transfers up any more.
fn woken(scene: &mut Scene, transfers: &[&str]) -> Outcome {
    match transfers.iter().find(|t| !said(scene, &format!("transferred {t}"))) {
        Some(waits) if !said(scene, &format!("refused {waits}")) => {
            let seen =
                format!("no audit goes on any more, and transfer {waits} waits");
            Err(WAKE_UP_LOST.hung(seen))
        }
        _ => Ok(()),
    }
}

fn all_orders(scene: &mut Scene) -> Outcome {
    explore(
        scene,
        EXERCISE.name,
        &[
            ("deadlock", &OPPOSITE_ORDERS),
            ("audit-not-alone", &AUDIT_WITHOUT_LOCKS),
            ("overdrawn", &CHECKS_BEFORE_LOCKING),
            ("other-balances", &OTHER_BALANCES),
            ("other-result", &OUTPUT),
            ("other-moments", &OTHER_MOMENTS),
            ("wake-up-lost", &WAKE_UP_LOST),
        ],
    )
}

/// Gives a command and waits until everybody sleeps.
fn obey(scene: &mut Scene, command: &str) -> Outcome {
    scene.send(command);
    match scene.settle()? {
        Settled::Busy => Err(ASKS_AGAIN_AND_AGAIN.seen(scene.doing())),
        _ => Ok(()),
    }
}

fn said(scene: &Scene, line: &str) -> bool {
    scene.lines().iter().any(|said| said == line)
}
