//! Permits or order?
//!
//! Both: a semaphore is a count. Three permits let three threads in; no permit makes
//! one thread wait until another has posted. Nobody owns it.
//! Predict: a thread posts before anybody waits. Is the post lost?
//! Neighbours: 09_mutex, 11_event.

use lessons::{errno_name, observe, proc, prove, step, until};
use libc::{EAGAIN, c_int, sem_post, sem_t, sem_trywait, sem_wait};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, OnceLock, mpsc};
use std::thread;

fn main() -> anyhow::Result<()> {
    lessons::open("Permits or order?");

    step("Three permits, ten threads. Who is inside stays until a gate opens.");
    let pool = CSemaphore::new(3);
    let seen = ten_visit(&*pool, |s| s.call(sem_wait), |s| s.call(sem_post))?;
    observe("asleep in futex, on it", seen[0]);
    observe("inside at once, at most", seen[1]);
    observe("have been inside", seen[2]);
    prove("three are inside, seven wait", seen[..2] == [7, 3])?;
    prove("every post lets one more in", seen[2] == 10)?;

    step("No permit. One thread waits; main works, then posts.");
    let ready = CSemaphore::new(0);
    let (log, order) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| (ready.call(sem_wait), log.send("the waiter")));
        let waits = until("it waits", || Ok(proc::asleep_on(&*ready)?.len() == 1));
        let _ = log.send("main");
        ready.call(sem_post);
        waits
    })?;
    let order: Vec<_> = order.try_iter().collect();
    observe("order", order.join(", "));
    prove(
        "what follows wait comes after the post",
        order == ["main", "the waiter"],
    )?;

    step("A thread that never waited posts three times and ends. main tries.");
    thread::scope(|scope| {
        scope.spawn(|| [sem_post; 3].map(|post| ready.call(post)));
    });
    let tries = [sem_trywait; 4].map(|try_wait| ready.call(try_wait));
    observe("sem_trywait, four times", tries.map(errno_name).join(", "));
    prove("anyone may post, and no post is lost", tries == [0, 0, 0, EAGAIN])?;

    step("The same ten, on a semaphore made of a count, a Mutex and a Condvar.");
    let pool = Semaphore { permits: Mutex::new(3), posted: Condvar::new() };
    let seen = ten_visit(&pool, Semaphore::wait, Semaphore::post)?;
    observe("asleep, at most in, been in", format!("{seen:?}"));
    prove("it does the same", seen == [7, 3, 10])
}

struct Semaphore {
    permits: Mutex<u32>,
    posted: Condvar,
}

impl Semaphore {
    fn wait(&self) {
        let mut permits = self.permits.lock().expect("no holder panics");
        while *permits == 0 {
            permits = self.posted.wait(permits).expect("no holder panics");
        }
        *permits -= 1;
    }

    fn post(&self) {
        *self.permits.lock().expect("no holder panics") += 1;
        self.posted.notify_one();
    }
}

/// How many of the ten slept, were inside at most, came in at all.
fn ten_visit<S: Sync, T>(
    semaphore: &S,
    wait: impl Fn(&S) -> T + Sync,
    post: impl Fn(&S) -> T + Sync,
) -> anyhow::Result<[usize; 3]> {
    let [inside, most, all] = [const { AtomicUsize::new(0) }; 3];
    let gate = OnceLock::new();
    let visit = || {
        wait(semaphore);
        most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
        all.fetch_add(1, SeqCst);
        gate.wait();
        inside.fetch_sub(1, SeqCst);
        post(semaphore);
    };
    let mut asleep = 0;
    thread::scope(|scope| {
        (0..10).for_each(|_| drop(scope.spawn(visit)));
        let full = until("three are inside and seven asleep", || {
            asleep = proc::asleep_on(semaphore)?.len();
            Ok(inside.load(SeqCst) == 3 && asleep == 7)
        });
        let _ = gate.set(());
        full
    })?;
    Ok([asleep, most.into_inner(), all.into_inner()])
}

struct CSemaphore(UnsafeCell<sem_t>);

// SAFETY: made for many threads, which reach it only through `call`.
unsafe impl Sync for CSemaphore {}

impl CSemaphore {
    /// In a box, where it stays: a copy of it would be no semaphore.
    fn new(permits: u32) -> Box<Self> {
        // SAFETY: a sem_t is bytes until sem_init. 0: for threads, not processes.
        unsafe {
            let new = Box::new(Self(std::mem::zeroed()));
            libc::sem_init(new.0.get(), 0, permits);
            new
        }
    }

    /// 0, or, if it returns -1, what errno says.
    fn call(&self, function: unsafe extern "C" fn(*mut sem_t) -> c_int) -> c_int {
        // SAFETY: sem_wait, sem_trywait or sem_post, on what `new` has made.
        let answer = unsafe { function(self.0.get()) };
        if answer == -1 { nix::errno::Errno::last_raw() } else { answer }
    }
}
