//! One run of a scenario: who can go on, who waits for what, and what has happened
//! so far.
//!
//! All coroutines run on one real thread, so the world is a thread-local value that
//! the locks ([`super::sync`]) and the search ([`super::search`]) look at in turn.

use std::cell::RefCell;
use std::panic::Location;
use std::time::Duration;

/// The number of a thread of the scenario. 0 is the scenario itself.
pub type Who = usize;
/// A lock and the like, known by its address.
pub type Thing = usize;
/// A line of the learner's file.
pub type Place = &'static Location<'static>;

/// A thread that passes so many crossroads in a row is taken to spin: it lets others
/// go first.
const SPINS: usize = 100;
/// A run that passes so many crossroads is taken to have no end.
const ENDLESS: usize = 3_000;

/// A limit of so much is over only when nobody could go on without that; whether a
/// shorter one is over is open.
pub const LONG_LIMIT: Duration = Duration::from_secs(60);

/// What a thread is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    #[default]
    Ready,
    /// It asked to let others go first.
    Yields,
    /// It wants to lock a mutex; ready when that is free.
    Locks(Thing),
    /// It waits on a condition variable; it will want the mutex again.
    Waits {
        condvar: Thing,
        mutex: Thing,
        /// For so long at most.
        limit: Option<Duration>,
    },
    /// It waits for a permit of a semaphore.
    Takes(Thing),
    /// It waits for all the others to end.
    Joins,
    Ended,
}

/// What has happened in a run, for the story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Calls(String),
    Returns(String),
    Locks(Thing),
    /// It wants the mutex, which somebody holds, perhaps itself.
    Wants(Thing, Who),
    /// It tried the mutex in vain.
    FindsLocked(Thing),
    Unlocks(Thing),
    Waits(Thing),
    /// Woken by a notification, it holds the mutex again.
    GoesOn(Thing),
    TimesOut(Thing),
    /// It holds the mutex again, and nobody has woken it.
    WakesForNothing(Thing),
    NotifiesOne(Thing, Option<Who>),
    NotifiesAll(Thing, Vec<Who>),
    WaitsForPermit(Thing),
    TakesPermit(Thing),
    Posts(Thing),
    Atomic(&'static str),
    Sleeps,
    Panics(String),
}

#[derive(Clone, Debug)]
pub struct Event {
    pub who: Who,
    pub act: Act,
    pub place: Option<Place>,
}

#[derive(Clone, Debug, Default)]
pub struct Task {
    pub name: String,
    pub state: State,
    /// What it has called and has not come back from.
    pub call: Option<String>,
}

impl Task {
    /// It waits to be woken: on a condition variable, or for a permit.
    pub fn sleeps(&self) -> bool {
        matches!(self.state, State::Waits { .. } | State::Takes(_))
    }

    /// It waits for something that others have to do.
    pub fn is_held_up(&self) -> bool {
        self.sleeps() || matches!(self.state, State::Locks(_))
    }

    /// It has called this and has not come back.
    pub fn is_in(&self, call: &str) -> bool {
        self.call.as_deref() == Some(call)
    }
}

/// What ended a run too early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nobody can go on.
    Stuck,
    /// They go on and on.
    Endless,
    Panic(Who),
    /// A promise was broken; the name of the finding, and what was seen.
    Broken(&'static str, String),
}

/// What the scenario makes of threads that are stuck: the finding's name, and what
/// was seen.
pub type IfStuck = Box<dyn Fn(&[Task]) -> Option<(&'static str, String)>>;

/// How many ways there were.
#[derive(Clone, Copy, Debug)]
pub struct Crossroads {
    pub ways: usize,
    /// The others, which come last, are spurious wake-ups.
    pub with_a_reason: usize,
}

#[derive(Default)]
pub struct World {
    pub tasks: Vec<Task>,
    pub events: Vec<Event>,
    pub ending: Option<Ending>,
    pub if_stuck: Option<IfStuck>,
    /// Who holds which mutex.
    pub held: Vec<(Thing, Who)>,
    /// The crossroads so far.
    pub crossroads: Vec<Crossroads>,
    /// The ways to take, in that order. After the last one, always the first way.
    plan: Vec<usize>,
    /// A wait may still return without a notification, once.
    spurious: bool,
    current: Who,
    in_a_row: usize,
    steps: usize,
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Begins a run that takes these ways; one of them may be a spurious wake-up, or not.
pub fn begin(plan: Vec<usize>, spurious: bool) {
    let tasks = vec![Task::default()];
    let world = World { tasks, plan, spurious, ..World::default() };
    WORLD.set(Some(world));
}

/// Ends the run.
pub fn end() -> Option<World> {
    WORLD.take()
}

/// Looks at the world or changes it.
pub fn with<R>(f: impl FnOnce(&mut World) -> R) -> R {
    WORLD.with_borrow_mut(|world| {
        f(world
            .as_mut()
            .expect("exercises::sync is used by the threads of the scenario only"))
    })
}

/// Whether a run is under way: in the destructors after its end nothing is explored
/// any more.
fn under_way() -> bool {
    WORLD.with_borrow(|world| world.as_ref().is_some_and(|w| w.ending.is_none()))
        && !std::thread::panicking()
}

/// A crossroads: anybody who is ready may go next.
pub fn crossroads() {
    if under_way() {
        // To shuttle, a sleep is nothing but a place where another thread may run.
        shuttle::thread::sleep(Duration::ZERO);
    }
}

/// The current thread rests in this state until it may go on. Returns the state in
/// which it was then: another one if somebody has changed it.
pub fn rest(state: State) -> State {
    with(|world| world.me().state = state);
    crossroads();
    with(|world| std::mem::replace(&mut world.me().state, State::Ready))
}

/// Ends the run here. The current thread does not go on.
pub fn stop(ending: Ending) -> ! {
    with(|world| world.ending = world.ending.take().or(Some(ending)));
    loop {
        shuttle::thread::sleep(Duration::ZERO);
    }
}

/// Writes down what the current thread does.
pub fn record(act: Act, place: Option<Place>) {
    if under_way() {
        with(|world| {
            let who = world.current;
            world.events.push(Event { who, act, place });
        });
    }
}

/// Writes down that the current thread panics.
pub fn note_panic(message: String) {
    WORLD.with(|world| match world.try_borrow_mut().as_deref_mut() {
        Ok(Some(world)) => {
            let (who, act) = (world.current, Act::Panics(message));
            world.events.push(Event { who, act, place: None });
        }
        _ => eprintln!("{message}"),
    });
}

/// A mutex is free again.
pub fn release(mutex: Thing) {
    WORLD.with_borrow_mut(|world| {
        if let Some(world) = world {
            world.held.retain(|(held, _)| *held != mutex);
        }
    });
}

/// A semaphore has one more permit: all that wait for one look again.
pub fn posted(semaphore: Thing) {
    with(|world| {
        for task in &mut world.tasks {
            if task.state == State::Takes(semaphore) {
                task.state = State::Ready;
            }
        }
    });
}

impl World {
    pub fn me(&mut self) -> &mut Task {
        &mut self.tasks[self.current]
    }

    pub fn current(&self) -> Who {
        self.current
    }

    pub fn holder(&self, mutex: Thing) -> Option<Who> {
        self.held.iter().find(|(held, _)| *held == mutex).map(|(_, who)| *who)
    }

    pub fn take(&mut self, mutex: Thing) {
        self.held.push((mutex, self.current));
    }

    /// Who waits on this condition variable.
    pub fn waiters(&self, on: Thing) -> Vec<Who> {
        let waits = |who: &Who| match self.tasks[*who].state {
            State::Waits { condvar, .. } => condvar == on,
            _ => false,
        };
        (0..self.tasks.len()).filter(waits).collect()
    }

    /// Wakes a thread that waits on a condition variable.
    pub fn wake(&mut self, who: Who) {
        if let State::Waits { mutex, .. } = self.tasks[who].state {
            self.tasks[who].state = State::Locks(mutex);
        }
    }

    /// Takes one of so many ways.
    pub fn choose(&mut self, ways: usize) -> usize {
        self.choose_from(Crossroads { ways, with_a_reason: ways })
    }

    fn choose_from(&mut self, here: Crossroads) -> usize {
        if here.ways < 2 {
            return 0;
        }
        let way = self.plan.get(self.crossroads.len()).copied().unwrap_or(0);
        self.crossroads.push(here);
        way.min(here.ways - 1)
    }

    /// Decides who goes next. Nobody does if that ends the run.
    ///
    /// The first way is always the most peaceful one: the thread that runs goes on,
    /// else the next one that is ready; who yields comes after these; then time
    /// passes; a wait returns without a reason last. The more often a run takes the
    /// first way, the easier it is to follow.
    pub fn next(&mut self) -> Option<Who> {
        if self.ending.is_some() {
            return None;
        }
        // The scenario itself goes first, to start the others, and last.
        if matches!(self.tasks[0].state, State::Ready | State::Ended) {
            self.current = 0;
            return Some(0);
        }
        self.steps += 1;
        if self.steps > ENDLESS {
            self.ending = Some(Ending::Endless);
            return None;
        }
        if self.in_a_row > SPINS && self.me().state == State::Ready {
            self.me().state = State::Yields;
        }
        let mut ways = self.ways_on();
        if ways.is_empty() {
            self.ending = Some(Ending::Stuck);
            return None;
        }
        let with_a_reason = ways.len();
        ways.extend(self.ways_without_a_reason());
        let way = self.choose_from(Crossroads { ways: ways.len(), with_a_reason });
        let who = ways[way];
        if way >= with_a_reason {
            self.spurious = false;
            self.tasks[who].state = State::Ready;
        }
        if self.tasks[who].state == State::Yields {
            self.tasks[who].state = State::Ready;
        }
        self.in_a_row = if who == self.current { self.in_a_row + 1 } else { 0 };
        self.current = who;
        Some(who)
    }

    /// Who can go next, the most peaceful way first.
    fn ways_on(&self) -> Vec<Who> {
        let count = self.tasks.len();
        let mut ways: Vec<(u8, usize, Who)> = Vec::new();
        let mut late = Vec::new();
        for (who, task) in self.tasks.iter().enumerate() {
            let distance = (who + count - self.current) % count;
            // Who has just yielded comes after the others.
            let behind = if distance == 0 { count } else { distance };
            match task.state {
                State::Ready => ways.push((0, distance, who)),
                State::Locks(mutex) if self.holder(mutex).is_none() => {
                    ways.push((0, distance, who));
                }
                State::Joins if self.all_ended() => ways.push((0, distance, who)),
                State::Yields => ways.push((1, behind, who)),
                State::Waits { limit: Some(limit), .. } if limit < LONG_LIMIT => {
                    ways.push((2, behind, who));
                }
                State::Waits { limit: Some(_), .. } => {
                    late.push((2, behind, who));
                }
                _ => {}
            }
        }
        if ways.is_empty() {
            ways = late;
        }
        ways.sort_unstable();
        ways.into_iter().map(|(_, _, who)| who).collect()
    }

    /// Whether nobody but the current thread can go on.
    pub fn is_left_alone(&self) -> bool {
        self.ways_on().iter().all(|&who| who == self.current)
    }

    /// Whose wait can return though nobody has notified it. It has the mutex then,
    /// so that must be free.
    fn ways_without_a_reason(&self) -> Vec<Who> {
        let waits = |who: &Who| match self.tasks[*who].state {
            State::Waits { mutex, .. } => self.holder(mutex).is_none(),
            _ => false,
        };
        (0..self.tasks.len()).filter(|who| self.spurious && waits(who)).collect()
    }

    /// Whether a wait has returned without a reason.
    pub fn was_spurious(&self) -> bool {
        self.events.iter().any(|event| matches!(event.act, Act::WakesForNothing(_)))
    }

    /// Whether the current thread has been woken from sleep since its last call.
    pub fn woken_in_call(&self) -> bool {
        self.has_in_call(|act| matches!(act, Act::GoesOn(_)))
    }

    /// Whether the time of the current thread's last call was over while it slept.
    pub fn timed_out_in_call(&self) -> bool {
        self.has_in_call(|act| matches!(act, Act::TimesOut(_)))
    }

    fn has_in_call(&self, holds: impl Fn(&Act) -> bool) -> bool {
        let own = self.events.iter().rev().filter(|event| event.who == self.current);
        let mut call = own.take_while(|event| !matches!(event.act, Act::Calls(_)));
        call.any(|event| holds(&event.act))
    }

    fn all_ended(&self) -> bool {
        self.tasks[1..].iter().all(|task| task.state == State::Ended)
    }
}
