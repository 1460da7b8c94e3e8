//! Who waits for whom?
//!
//! Threads that hold one lock and want another can wait in a circle, for ever. Where
//! all take the locks in one order, no circle can close.
//! Predict: five philosophers have taken the left fork each. How many will eat?
//! Neighbours: 11_event, 09_mutex.

use lessons::{errno_name, observe, proc, prove, step, until};
use libc::{EBUSY, PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP, c_int, pthread_mutex_t};
use std::cell::UnsafeCell;
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

static PAIR: [CMutex; 2] = [const { unlocked() }; 2];
static FORKS: [CMutex; 5] = [const { unlocked() }; 5];

fn main() -> anyhow::Result<()> {
    lessons::open("Who waits for whom?");

    step("Two threads hold a lock each. Then each wants the other's.");
    let asleep = close_the_circle(&PAIR)?;
    observe("asleep, without a timeout", asleep);
    prove("each waits for one who sleeps; nobody is refused", asleep == 2)?;

    step("Two others only try the second lock, and then give back the first.");
    let (one, two, gate) = (&unlocked(), &unlocked(), &Barrier::new(2));
    let hold_and_try = |own: &CMutex, other: &CMutex| {
        lock(own);
        gate.wait();
        let tried = try_lock(other);
        gate.wait();
        unlock(own);
        tried
    };
    let tries = thread::scope(|scope| {
        let thread = scope.spawn(|| hold_and_try(two, one));
        [hold_and_try(one, two), thread.join().expect("it does not panic")]
    });
    observe("trylock of the other's", tries.map(errno_name).join(", "));
    prove("refused but awake, they can start again", tries == [EBUSY, EBUSY])?;

    step("Two others take lock 1 before lock 2, both. main is one of them.");
    lock(one);
    let tried = thread::scope(|scope| {
        scope.spawn(|| [lock(one), lock(two), unlock(two), unlock(one)]);
        let waits = until("it waits", || Ok(proc::asleep_on(one)?.len() == 1));
        let tried = try_lock(two);
        unlock(two);
        unlock(one);
        waits.map(|()| tried)
    })?;
    observe("trylock by main, of lock 2", errno_name(tried));
    prove("who waits for lock 1 holds no lock 2", tried == 0)?;

    step("Five philosophers take the left fork. Then each wants the right one.");
    let asleep = close_the_circle(&FORKS)?;
    observe("asleep, without a timeout", asleep);
    prove("nobody eats, and nobody ever will", asleep == 5)?;

    step("Five others take the fork with the lower number first.");
    let forks = &[const { Mutex::new(0) }; 5];
    thread::scope(|scope| {
        for left in 0..5 {
            let right = (left + 1) % 5;
            scope.spawn(move || {
                for _ in 0..1000 {
                    let mut low = forks[left.min(right)].lock().expect("no panic");
                    let mut high = forks[left.max(right)].lock().expect("no panic");
                    *low += 1;
                    *high += 1;
                }
            });
        }
    });
    let used = forks.each_ref().map(|fork| *fork.lock().expect("no panic"));
    observe("how often each fork was used", format!("{used:?}"));
    prove("all have eaten a thousand times", used == [2000; 5])
}

/// Each thread holds a lock and wants the next. How many sleep for ever?
fn close_the_circle(locks: &'static [CMutex]) -> anyhow::Result<usize> {
    let gate = Arc::new(Barrier::new(locks.len()));
    let mut tids = Vec::new();
    for own in 0..locks.len() {
        let (gate, (tell, told)) = (gate.clone(), mpsc::channel());
        thread::spawn(move || {
            lock(&locks[own]);
            let _ = tell.send(proc::own_tid());
            gate.wait();
            lock(&locks[(own + 1) % locks.len()]);
        });
        tids.push(told.recv()?);
    }
    let mut for_ever = 0;
    for (own, tid) in tids.into_iter().enumerate() {
        let next = (own + 1) % locks.len();
        until("it sleeps", || Ok(proc::asleep_on(&locks[next])? == [tid]))?;
        let call = proc::syscall(proc::own_pid(), tid)?;
        // The fourth argument of futex(2) is its timeout.
        for_ever += usize::from(call.is_some_and(|call| call.args[3] == 0));
        let holder = format!("thread {tid}, which holds lock {}", own + 1);
        observe(&format!("asleep on lock {}", next + 1), holder);
    }
    Ok(for_ever)
}

/// Of the type that refuses to wait for its own owner. It sees no circle.
struct CMutex(UnsafeCell<pthread_mutex_t>);

// SAFETY: made for many threads, which reach it only through the calls below.
unsafe impl Sync for CMutex {}

const fn unlocked() -> CMutex {
    CMutex(UnsafeCell::new(PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP))
}

fn lock(mutex: &CMutex) -> c_int {
    // SAFETY: initialised where it was made, and alive.
    unsafe { libc::pthread_mutex_lock(mutex.0.get()) }
}

fn try_lock(mutex: &CMutex) -> c_int {
    // SAFETY: as above.
    unsafe { libc::pthread_mutex_trylock(mutex.0.get()) }
}

fn unlock(mutex: &CMutex) -> c_int {
    // SAFETY: as above.
    unsafe { libc::pthread_mutex_unlock(mutex.0.get()) }
}
