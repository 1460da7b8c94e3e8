//! A failed run told in words: who did what, in which order, until it went wrong.
//!
//! A line is what one thread does before another one comes in. What does not matter is left out:
//! the steps of a call that nobody interrupts, the mutex around a single wait or notification.

use std::cell::RefCell;
use super::world::{Act, Ending, Event, Place, State, Task, Thing, Who, World};

/// A failed run.
#[derive(Clone, Debug)]
pub struct Told {
    /// The name of the finding.
    pub name: &'static str,
    /// What happened, in numbered lines; the last one says what was wrong.
    pub story: Vec<String>,
    /// The ways that the run took, a digit each; after the last one always the first, 0.
    pub schedule: String,
    pub turns: usize,
}

/// Tells a run, if it failed.
pub fn tell(world: &World, plan: &[usize], turns: usize) -> Option<Told> {
    let (name, seen) = judge(world)?;
    let teller = Teller { world, mentioned: RefCell::default() };
    // The first time only shows which locks have to be told apart.
    teller.lines();
    let mut story = teller.lines();
    story.push(format!("So {seen}."));
    for (index, line) in story.iter_mut().enumerate() {
        *line = format!("{:2}. {line}", index + 1);
    }
    let schedule: String = plan.iter().map(|way| way.to_string()).collect();
    let schedule = if schedule.is_empty() { "0".into() } else { schedule };
    Some(Told { name, story, schedule, turns })
}

/// What went wrong: the name of the finding, and what was seen.
fn judge(world: &World) -> Option<(&'static str, String)> {
    match world.ending.as_ref()? {
        Ending::Broken(name, seen) => Some((name, seen.clone())),
        Ending::Panic(who) => {
            let task = &world.tasks[*who];
            let doing = task.call.as_deref().unwrap_or("its own code");
            let name = if world.woken_in_call() { "woken-and-panics" } else { "panics" };
            Some((name, format!("{} panics in {doing}", task.name)))
        }
        Ending::Endless => Some(("endless", "the threads go on without end".into())),
        Ending::Stuck => {
            let explained = world.if_stuck.as_ref().and_then(|f| f(&world.tasks));
            Some(explained.unwrap_or_else(|| stuck(world)))
        }
    }
}

fn stuck(world: &World) -> (&'static str, String) {
    let resting = world.tasks[1..].iter().filter(|t| t.state != State::Ended);
    let locks = |task: &&Task| matches!(task.state, State::Locks(_));
    let (all, locked) = (resting.clone().count(), resting.filter(locks).count());
    match (all, locked) {
        (1, 1) => ("deadlock", "a thread waits for a lock that never becomes free".into()),
        (all, locked) if all == locked => {
            ("deadlock", format!("{all} threads wait for locks that never become free"))
        }
        (1, _) => ("stuck", "a thread sleeps, and nobody is left to wake it".into()),
        (all, _) => ("stuck", format!("{all} threads wait, and nobody is left to wake them")),
    }
}

/// A line is not made longer than this, in characters.
const WIDTH: usize = 76;

struct Teller<'a> {
    world: &'a World,
    /// The locks and the like that have been mentioned so far, each with its kind.
    mentioned: RefCell<Vec<(&'static str, Thing)>>,
}

impl Teller<'_> {
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let mut last = None;
        for (who, phrase) in self.phrases() {
            match lines.last_mut() {
                Some(line)
                    if last == Some(who) && line.len() + phrase.len() < WIDTH =>
                {
                    *line = format!("{line}, {phrase}");
                }
                _ => lines.push(format!("{} {phrase}", self.name(who))),
            }
            last = Some(who);
        }
        lines
    }

    /// What there is to say, piece by piece, and of whom.
    fn phrases(&self) -> Vec<(Who, String)> {
        let events = &self.world.events;
        let mut phrases = Vec::new();
        let mut at = 0;
        while let Some(event) = events.get(at) {
            let mut end = at;
            if let (Act::Calls(call), Some(returns)) = (&event.act, self.smooth(at)) {
                phrases.push((event.who, format!("does {call}")));
                let inner = events[at + 1..returns].iter();
                let said = inner.filter(|inner| self.matters_in_smooth(&inner.act));
                phrases.extend(said.map(|inner| (inner.who, self.phrase(inner))));
                end = returns;
            } else if self.locks_and_unlocks(at) {
                let Act::Locks(mutex) = event.act else { unreachable!() };
                let place = place(event.place);
                let mutex = self.mutex(mutex);
                phrases.push((event.who, format!("locks and unlocks {mutex}{place}")));
                end = at + 1;
            } else if self.matters(at, event) {
                phrases.push((event.who, self.phrase(event)));
            }
            at = end + 1;
        }
        if self.stuck() {
            let tasks = self.world.tasks.iter().enumerate().skip(1);
            phrases.extend(tasks.filter_map(|(who, task)| self.rests(who, task)));
        }
        phrases
    }

    /// In the end nobody can go on: what was notified and posted on the way matters.
    fn stuck(&self) -> bool {
        self.world.ending == Some(Ending::Stuck)
    }

    /// Where the call that is made here returns, if nothing comes in between.
    fn smooth(&self, at: usize) -> Option<usize> {
        let events = &self.world.events;
        let who = events[at].who;
        for (end, event) in events.iter().enumerate().skip(at + 1) {
            match event.act {
                _ if event.who != who => return None,
                Act::Returns(_) => return Some(end),
                Act::FindsLocked(..)
                | Act::Waits(_)
                | Act::WaitsForPermit(_)
                | Act::Sleeps
                | Act::Panics(_) => return None,
                _ => {}
            }
        }
        None
    }

    fn matters_in_smooth(&self, act: &Act) -> bool {
        match act {
            Act::NotifiesOne(_, Some(_)) => true,
            Act::NotifiesAll(_, woken) if !woken.is_empty() => true,
            Act::NotifiesOne(..) | Act::NotifiesAll(..) => self.stuck(),
            Act::TakesPermit(_) | Act::Posts(_) => self.stuck(),
            _ => false,
        }
    }

    /// A mutex is locked here, and the very next step is to unlock it.
    fn locks_and_unlocks(&self, at: usize) -> bool {
        let [first, second] = &self.world.events[at..self.world.events.len().min(at + 2)]
        else {
            return false;
        };
        let Act::Locks(mutex) = first.act else { return false };
        second.who == first.who && second.act == Act::Unlocks(mutex)
    }

    fn matters(&self, at: usize, event: &Event) -> bool {
        let events = &self.world.events;
        let own = |event: &&Event, who| event.who == who;
        match &event.act {
            // Said at the end, of those that are stuck.
            Act::FindsLocked(..) => false,
            // The mutex around a wait, or around a single notification.
            Act::Locks(mutex) => {
                let mut next = events[at + 1..].iter().take_while(|e| own(e, event.who));
                match next.next().map(|next| &next.act) {
                    Some(Act::Waits(_)) => false,
                    Some(Act::NotifiesOne(..) | Act::NotifiesAll(..)) => {
                        next.next().is_none_or(|e| e.act != Act::Unlocks(*mutex))
                    }
                    _ => true,
                }
            }
            Act::Unlocks(_) => {
                let before = events[..at].iter().rev().take_while(|e| own(e, event.who));
                let mut before = before.map(|before| &before.act).filter(|act| {
                    !matches!(act, Act::NotifiesOne(..) | Act::NotifiesAll(..))
                });
                !matches!(before.next(), Some(Act::Locks(_) | Act::GoesOn(_)))
            }
            _ => true,
        }
    }

    fn phrase(&self, event: &Event) -> String {
        let said = match &event.act {
            Act::Calls(call) => format!("calls {call}"),
            Act::Returns(call) => format!("comes back from {call}"),
            Act::Locks(mutex) => format!("locks {}", self.mutex(*mutex)),
            Act::FindsLocked(mutex, _) => format!("finds {} locked", self.mutex(*mutex)),
            Act::Unlocks(mutex) => format!("unlocks {}", self.mutex(*mutex)),
            Act::Waits(condvar) => format!("waits on {}", self.condvar(*condvar)),
            Act::GoesOn(_) => "is awake and has the mutex again".to_owned(),
            Act::TimesOut(_) => "wakes up because its time is over".to_owned(),
            Act::NotifiesOne(_, Some(who)) => format!("wakes {}", self.name(*who)),
            Act::NotifiesAll(_, woken) if !woken.is_empty() => {
                let names: Vec<&str> =
                    woken.iter().map(|&who| self.name(who)).collect();
                format!("wakes {}", names.join(" and "))
            }
            Act::NotifiesOne(condvar, _) | Act::NotifiesAll(condvar, _) => {
                format!("notifies nobody on {}", self.condvar(*condvar))
            }
            Act::WaitsForPermit(semaphore) => {
                format!("waits for a permit of {}", self.semaphore(*semaphore))
            }
            Act::TakesPermit(semaphore) => {
                format!("takes a permit of {}", self.semaphore(*semaphore))
            }
            Act::Posts(semaphore) => format!("posts to {}", self.semaphore(*semaphore)),
            Act::Atomic(operation) => format!("does an atomic {operation}"),
            Act::Sleeps => "sleeps".to_owned(),
            Act::Panics(message) => format!("panics: {message}"),
        };
        said + &place(event.place)
    }

    /// Which lock a thread that is stuck waits for.
    fn rests(&self, who: Who, task: &Task) -> Option<(Who, String)> {
        let said = match task.state {
            State::Locks(mutex) => {
                let name = self.mutex(mutex);
                match self.world.holder(mutex) {
                    Some(holder) if holder == who => {
                        format!("waits for {name}, which it holds itself")
                    }
                    Some(holder) => {
                        format!("waits for {name}, which {} holds", self.name(holder))
                    }
                    None => format!("waits for {name}"),
                }
            }
            // That it waits has been said already.
            _ => return None,
        };
        let own = self.world.events.iter().rev().find(|event| event.who == who);
        Some((who, said + &place(own.and_then(|event| event.place))))
    }

    fn name(&self, who: Who) -> &str {
        &self.world.tasks[who].name
    }

    /// A lock and the like by its kind; and by its number, if several are mentioned.
    fn thing(&self, kind: &'static str, thing: Thing) -> String {
        let mut mentioned = self.mentioned.borrow_mut();
        if !mentioned.contains(&(kind, thing)) {
            mentioned.push((kind, thing));
        }
        let same = mentioned.iter().filter(|(other, _)| *other == kind);
        match same.clone().position(|(_, other)| *other == thing) {
            Some(index) if same.count() > 1 => format!("{kind} {}", index + 1),
            _ => format!("the {kind}"),
        }
    }

    fn mutex(&self, thing: Thing) -> String {
        self.thing("mutex", thing)
    }

    fn condvar(&self, thing: Thing) -> String {
        self.thing("condition variable", thing)
    }

    fn semaphore(&self, thing: Thing) -> String {
        self.thing("semaphore", thing)
    }
}

fn place(place: Option<Place>) -> String {
    place.map(|place| format!(" (line {})", place.line())).unwrap_or_default()
}
