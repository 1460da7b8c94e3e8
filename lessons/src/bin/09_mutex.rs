//! What does a lock promise?
//!
//! At most one thread is inside. Whether its owner may lock it again, and a stranger
//! unlock it, depends on its type. What it guards, only Rust's lock knows.
//! Predict: a thread locks a mutex that it holds already. What does the call answer?
//! Neighbours: 08_race, 10_semaphore.

use lessons::{errno_name, observe, proc, prove, step, until};
use libc::{EBUSY, EDEADLK, EPERM, ETIMEDOUT, c_int, pthread_mutex_t};
use nix::sys::time::{TimeSpec, TimeValLike};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, TryLockError};
use std::thread;

fn main() -> anyhow::Result<()> {
    lessons::open("What does a lock promise?");

    step("One thread is inside, three wait. Then all add to a counter.");
    let normal = &CMutex(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));
    let [counter, inside, most] = [const { AtomicU64::new(0) }; 3];
    let add = || {
        for _ in 0..10_000 {
            lock(normal);
            most.fetch_max(inside.fetch_add(1, Relaxed) + 1, Relaxed);
            // The three steps of 08_race.
            let n = counter.load(Relaxed);
            counter.store(n + 1, Relaxed);
            inside.fetch_sub(1, Relaxed);
            unlock(normal);
        }
    };
    let asleep = thread::scope(|scope| {
        lock(normal);
        (0..3).for_each(|_| drop(scope.spawn(add)));
        let wait = until("three wait", || Ok(proc::asleep_on(normal)?.len() == 3));
        let asleep = proc::asleep_on(normal);
        unlock(normal);
        add();
        wait.and(asleep)
    })?;
    observe("asleep in futex, on this lock", asleep.len());
    observe("inside at once, at most", most.load(Relaxed));
    observe("counter", counter.load(Relaxed));
    prove("the others sleep until it leaves", asleep.len() == 3)?;
    prove("at most one is inside", most.load(Relaxed) == 1)?;
    prove("so no update is lost", counter.load(Relaxed) == 40_000)?;

    step("The owner locks again: does it wait for itself?");
    let checked =
        &CMutex(UnsafeCell::new(libc::PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP));
    let recursive =
        &CMutex(UnsafeCell::new(libc::PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP));
    assert_eq!([normal, checked, recursive].map(lock), [0; 3]);
    let again = [lock_within_20_ms(normal), lock(checked), lock(recursive)];
    observe("NORMAL, with a timeout", errno_name(again[0]));
    observe("ERRORCHECK", errno_name(again[1]));
    observe("RECURSIVE", errno_name(again[2]));
    prove("one waits, one refuses, one counts", again == [ETIMEDOUT, EDEADLK, 0])?;

    step("A stranger unlocks. Then the owner, as often as it has locked.");
    let stranger = in_thread(|| [unlock(checked), unlock(recursive)]);
    observe("by a stranger, of both", stranger.map(errno_name).join(", "));
    prove("only the owner unlocks", stranger == [EPERM, EPERM])?;
    unlock(recursive);
    let once = in_thread(|| try_lock(recursive));
    unlock(recursive);
    let twice = in_thread(|| try_lock(recursive));
    observe("trylock after 1, 2 unlocks", [once, twice].map(errno_name).join(", "));
    prove("free after as many unlocks as locks", (once, twice) == (EBUSY, 0))?;
    let orphan = try_lock(recursive);
    observe("trylock, its owner has ended", errno_name(orphan));
    prove("a C lock outlives its owner, locked", orphan == EBUSY)?;

    step("In Rust the lock owns its data, and a panic marks it.");
    let account = Mutex::new(100);
    let look = || match account.try_lock() {
        Ok(balance) => format!("free, {balance}"),
        Err(TryLockError::WouldBlock) => "locked".to_owned(),
        Err(TryLockError::Poisoned(e)) => format!("poisoned, {}", e.into_inner()),
    };
    let mut balance = account.lock().expect("nobody has panicked");
    *balance -= 30;
    let locked = in_thread(look);
    drop(balance);
    let panicked = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _balance = account.lock();
            std::panic::resume_unwind(Box::new("a panic that prints nothing"))
        });
        thread.join().is_err()
    });
    observe("while a guard lives", &locked);
    observe("after a panic inside", look());
    prove("no guard, no data", locked == "locked")?;
    prove("a panic unlocks, and poisons", panicked && look() == "poisoned, 70")
}

fn in_thread<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(f).join().expect("it does not panic"))
}

/// A pthread mutex. It never moves: a copy of it would be no mutex.
struct CMutex(UnsafeCell<pthread_mutex_t>);

// SAFETY: made for many threads, which reach it only through the calls below.
unsafe impl Sync for CMutex {}

fn lock(mutex: &CMutex) -> c_int {
    // SAFETY: initialised where it was made, and alive.
    unsafe { libc::pthread_mutex_lock(mutex.0.get()) }
}

fn try_lock(mutex: &CMutex) -> c_int {
    // SAFETY: as above.
    unsafe { libc::pthread_mutex_trylock(mutex.0.get()) }
}

fn lock_within_20_ms(mutex: &CMutex) -> c_int {
    // The deadline is a time of day, not a length.
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let deadline = TimeSpec::from_duration(now) + TimeSpec::milliseconds(20);
    // SAFETY: as above.
    unsafe { libc::pthread_mutex_timedlock(mutex.0.get(), deadline.as_ref()) }
}

fn unlock(mutex: &CMutex) -> c_int {
    // SAFETY: as above; NORMAL is unlocked by its owner only, the others check.
    unsafe { libc::pthread_mutex_unlock(mutex.0.get()) }
}
