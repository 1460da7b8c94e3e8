//! Locks and the like with the names and types of [`std::sync`], for coroutines that
//! run one at a time: what would block in the kernel [rests](world::rest) here, and
//! each step is written down for the story, with the line of the learner's file.
//!
//! std's mutex is inside, to hold the data and to know about poison; it is never
//! waited for.

use super::world::{self, Act, State, Thing};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::atomic::AtomicU8;
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::time::Duration;

/// As [`std::sync::Mutex`].
#[derive(Default)]
pub struct Mutex<T: ?Sized> {
    inner: std::sync::Mutex<T>,
}

/// As [`std::sync::MutexGuard`].
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    /// None in a guard that has been given to [`Condvar::wait`].
    inner: Option<std::sync::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { inner: std::sync::Mutex::new(value) }
    }

    pub fn into_inner(self) -> LockResult<T> {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    #[track_caller]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        world::crossroads();
        let (thing, here) = (self.thing(), Location::caller());
        if let Some(holder) = world::with(|world| world.holder(thing)) {
            world::record(Act::Wants(thing, holder), Some(here));
            world::rest(State::Locks(thing));
        }
        world::record(Act::Locks(thing), Some(here));
        self.locked()
    }

    #[track_caller]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        world::crossroads();
        let (thing, here) = (self.thing(), Location::caller());
        if world::with(|world| world.holder(thing)).is_some() {
            world::record(Act::FindsLocked(thing), Some(here));
            return Err(TryLockError::WouldBlock);
        }
        world::record(Act::Locks(thing), Some(here));
        Ok(self.locked()?)
    }

    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.inner.get_mut()
    }

    pub fn is_poisoned(&self) -> bool {
        self.inner.is_poisoned()
    }

    pub fn clear_poison(&self) {
        self.inner.clear_poison();
    }

    /// Takes the mutex, which is free.
    fn locked(&self) -> LockResult<MutexGuard<'_, T>> {
        world::with(|world| world.take(self.thing()));
        match self.inner.try_lock() {
            Ok(inner) => Ok(MutexGuard { mutex: self, inner: Some(inner) }),
            Err(TryLockError::Poisoned(e)) => {
                let inner = Some(e.into_inner());
                Err(PoisonError::new(MutexGuard { mutex: self, inner }))
            }
            Err(TryLockError::WouldBlock) => unreachable!("only the holder has it"),
        }
    }

    fn thing(&self) -> Thing {
        (&raw const self.inner).addr()
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<T: ?Sized> MutexGuard<'_, T> {
    /// Gives the mutex back.
    fn unlock(&mut self) {
        self.inner = None;
        world::release(self.mutex.thing());
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            self.unlock();
            world::record(Act::Unlocks(self.mutex.thing()), None);
        }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_deref().expect("the guard is alive")
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_deref_mut().expect("the guard is alive")
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// As [`std::sync::Condvar`]. A waiter wakes up when it is notified, and if it waits
/// with a timeout perhaps earlier: how much time passes is open. Without either it
/// does in some runs, once.
#[derive(Debug, Default)]
pub struct Condvar {
    /// Never used: without it a condition variable would have no address of its own.
    _byte: AtomicU8,
}

/// As [`std::sync::WaitTimeoutResult`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

type Waited<'a, T> = LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>;

impl Condvar {
    pub const fn new() -> Condvar {
        Condvar { _byte: AtomicU8::new(0) }
    }

    #[track_caller]
    pub fn wait<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
    ) -> LockResult<MutexGuard<'a, T>> {
        match self.rest(guard, None) {
            Ok((guard, _)) => Ok(guard),
            Err(e) => Err(PoisonError::new(e.into_inner().0)),
        }
    }

    #[track_caller]
    pub fn wait_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<MutexGuard<'a, T>> {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    #[track_caller]
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
    ) -> Waited<'a, T> {
        self.rest(guard, Some(limit))
    }

    #[track_caller]
    pub fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        limit: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> Waited<'a, T> {
        while condition(&mut guard) {
            let timeout;
            (guard, timeout) = self.wait_timeout(guard, limit)?;
            if timeout.timed_out() {
                let still = condition(&mut guard);
                return Ok((guard, WaitTimeoutResult(still)));
            }
        }
        Ok((guard, WaitTimeoutResult(false)))
    }

    #[track_caller]
    pub fn notify_one(&self) {
        world::crossroads();
        let condvar = self.thing();
        let woken = world::with(|world| {
            let waiters = world.waiters(condvar);
            // Which one the kernel wakes is not promised.
            let way = world.choose(waiters.len());
            let woken = waiters.get(way).copied();
            woken.inspect(|&who| world.wake(who))
        });
        world::record(Act::NotifiesOne(condvar, woken), Some(Location::caller()));
    }

    #[track_caller]
    pub fn notify_all(&self) {
        world::crossroads();
        let condvar = self.thing();
        let woken = world::with(|world| {
            let waiters = world.waiters(condvar);
            waiters.iter().for_each(|&who| world.wake(who));
            waiters
        });
        world::record(Act::NotifiesAll(condvar, woken), Some(Location::caller()));
    }

    #[track_caller]
    fn rest<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        limit: Option<Duration>,
    ) -> Waited<'a, T> {
        world::crossroads();
        let (condvar, here) = (self.thing(), Location::caller());
        let mutex = guard.mutex;
        // Nobody can come in between these two: this is what a Condvar is for.
        world::record(Act::Waits(condvar), Some(here));
        guard.unlock();
        let waits = State::Waits { condvar, mutex: mutex.thing(), limit };
        let woken = world::rest(waits);
        let act = match woken {
            State::Ready => Act::WakesForNothing(condvar),
            _ if woken == waits => {
                world::rest(State::Locks(mutex.thing()));
                Act::TimesOut(condvar)
            }
            _ => Act::GoesOn(condvar),
        };
        world::record(act, Some(here));
        let timed_out = WaitTimeoutResult(woken == waits);
        match mutex.locked() {
            Ok(guard) => Ok((guard, timed_out)),
            Err(e) => Err(PoisonError::new((e.into_inner(), timed_out))),
        }
    }

    fn thing(&self) -> Thing {
        (&raw const *self).addr()
    }
}

/// As the semaphore of [`crate::sync`] with real threads.
#[derive(Debug)]
pub struct Semaphore {
    permits: std::sync::Mutex<usize>,
}

impl Semaphore {
    pub const fn new(permits: usize) -> Semaphore {
        Semaphore { permits: std::sync::Mutex::new(permits) }
    }

    #[track_caller]
    pub fn wait(&self) {
        world::crossroads();
        let (semaphore, here) = (self.thing(), Location::caller());
        if !self.take() {
            world::record(Act::WaitsForPermit(semaphore), Some(here));
            world::rest(State::Takes(semaphore));
            // Somebody else may have been quicker.
            while !self.take() {
                world::rest(State::Takes(semaphore));
            }
        }
        world::record(Act::TakesPermit(semaphore), Some(here));
    }

    #[track_caller]
    pub fn try_wait(&self) -> bool {
        world::crossroads();
        let taken = self.take();
        if taken {
            world::record(Act::TakesPermit(self.thing()), Some(Location::caller()));
        }
        taken
    }

    #[track_caller]
    pub fn post(&self) {
        world::crossroads();
        world::record(Act::Posts(self.thing()), Some(Location::caller()));
        *self.permits.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        world::posted(self.thing());
    }

    fn take(&self) -> bool {
        let mut permits =
            self.permits.lock().unwrap_or_else(PoisonError::into_inner);
        let any = *permits > 0;
        *permits -= usize::from(any);
        any
    }

    fn thing(&self) -> Thing {
        (&raw const *self).addr()
    }
}

/// As [`std::thread::sleep`]. How much time passes is open: others may do much in
/// it, or little.
#[track_caller]
pub fn sleep(_: Duration) {
    world::record(Act::Sleeps, Some(Location::caller()));
    world::rest(State::Yields);
}

/// As [`std::thread::yield_now`].
pub fn yield_now() {
    world::rest(State::Yields);
}

/// As [`std::sync::atomic`], but every operation is sequentially consistent.
pub mod atomic {
    use super::super::world::{self, Act};
    use std::panic::Location;
    use std::sync::atomic::Ordering::SeqCst;
    pub use std::sync::atomic::{Ordering, fence};

    #[track_caller]
    fn step(name: &'static str) {
        world::crossroads();
        world::record(Act::Atomic(name), Some(Location::caller()));
    }

    macro_rules! atomic {
        ($($Atomic:ident $T:ty: $($fetch:ident)*;)*) => {$(
            #[doc = concat!("As [`std::sync::atomic::", stringify!($Atomic), "`].")]
            #[derive(Debug, Default)]
            pub struct $Atomic(std::sync::atomic::$Atomic);

            #[allow(unused_variables)]
            impl $Atomic {
                pub const fn new(value: $T) -> Self {
                    Self(std::sync::atomic::$Atomic::new(value))
                }

                #[track_caller]
                pub fn load(&self, order: Ordering) -> $T {
                    step("load");
                    self.0.load(SeqCst)
                }

                #[track_caller]
                pub fn store(&self, value: $T, order: Ordering) {
                    step("store");
                    self.0.store(value, SeqCst);
                }

                #[track_caller]
                pub fn compare_exchange(
                    &self,
                    current: $T,
                    new: $T,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$T, $T> {
                    step("compare_exchange");
                    self.0.compare_exchange(current, new, SeqCst, SeqCst)
                }

                #[track_caller]
                pub fn compare_exchange_weak(
                    &self,
                    current: $T,
                    new: $T,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$T, $T> {
                    step("compare_exchange_weak");
                    self.0.compare_exchange(current, new, SeqCst, SeqCst)
                }

                #[track_caller]
                pub fn fetch_update(
                    &self,
                    set: Ordering,
                    fetch: Ordering,
                    f: impl FnMut($T) -> Option<$T>,
                ) -> Result<$T, $T> {
                    step("fetch_update");
                    self.0.fetch_update(SeqCst, SeqCst, f)
                }

                $(#[track_caller]
                pub fn $fetch(&self, value: $T, order: Ordering) -> $T {
                    step(stringify!($fetch));
                    self.0.$fetch(value, SeqCst)
                })*

                pub fn get_mut(&mut self) -> &mut $T {
                    self.0.get_mut()
                }

                pub fn into_inner(self) -> $T {
                    self.0.into_inner()
                }
            }
        )*};
    }

    macro_rules! integers {
        ($($Atomic:ident $T:ty;)*) => {
            atomic! {$(
                $Atomic $T: swap fetch_add fetch_sub fetch_max fetch_min
                    fetch_and fetch_or fetch_xor;
            )*}
        };
    }

    atomic! { AtomicBool bool: swap fetch_and fetch_or fetch_xor; }
    integers! { AtomicI32 i32; AtomicI64 i64; AtomicIsize isize; }
    integers! { AtomicU32 u32; AtomicU64 u64; AtomicUsize usize; }
}
