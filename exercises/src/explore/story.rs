//! A failed run told in words: who did what, in which order, until it went wrong.
//!
//! A line is what one thread does before another one comes in. What does not matter
//! is left out: the steps of a call that nobody interrupts, the mutex around a
//! single wait or notification.

use super::world::{Act, Ending, Event, Place, State, Task, Thing, Who, World};
use std::cell::RefCell;

/// A failed run.
#[derive(Clone, Debug)]
pub struct Told {
    /// The name of the finding.
    pub name: &'static str,
    /// What happened, in numbered lines; the last one says what was wrong.
    pub story: Vec<String>,
    /// The ways that the run took, a digit each; after the last one always the
    /// first, 0. [`SPURIOUS`] may stand before them.
    pub schedule: String,
    pub turns: usize,
}

/// Begins the schedule of a run in which a wait returns without a reason.
pub const SPURIOUS: char = 's';

/// Tells a run, if it failed.
pub fn tell(world: &World, plan: &[usize], turns: usize) -> Option<Told> {
    let (name, seen) = judge(world)?;
    // Without that all is well: see `search`.
    let name = if world.was_spurious() { "spurious" } else { name };
    let teller = Teller { world, mentioned: RefCell::default() };
    // The first time only shows which locks have to be told apart.
    teller.lines();
    let mut story = teller.lines();
    story.push(format!("So {seen}."));
    shorten(&mut story);
    for (index, line) in story.iter_mut().enumerate() {
        *line = format!("{:2}. {line}", index + 1);
    }
    let schedule: String = plan.iter().map(|way| way.to_string()).collect();
    let schedule = if schedule.is_empty() { "0".into() } else { schedule };
    let schedule = match world.was_spurious() {
        true => format!("{SPURIOUS}{schedule}"),
        false => schedule,
    };
    Some(Told { name, story, schedule, turns })
}

/// Leaves out the middle of a story that is too long.
fn shorten(story: &mut Vec<String>) {
    const BEGIN: usize = 12;
    const END: usize = 6;
    let more = story.len().saturating_sub(BEGIN + END + 1);
    if more > 0 {
        story.splice(
            BEGIN..story.len() - END,
            [format!("… {} steps more", more + 1)],
        );
    }
}

/// What went wrong: the name of the finding, and what was seen.
fn judge(world: &World) -> Option<(&'static str, String)> {
    match world.ending.as_ref()? {
        Ending::Broken(name, seen) => Some((name, seen.clone())),
        Ending::Panic(who) => {
            let task = &world.tasks[*who];
            let doing = task.call.as_deref().unwrap_or("its own code");
            let name =
                if world.woken_in_call() { "woken-and-panics" } else { "panics" };
            Some((name, format!("{} panics in {doing}", task.name)))
        }
        Ending::Endless => Some(("endless", "the threads go on without end".into())),
        Ending::Stuck => {
            let explained =
                world.if_stuck.as_ref().and_then(|f| f(&world.tasks[1..]));
            Some(explained.unwrap_or_else(|| stuck(world)))
        }
    }
}

fn stuck(world: &World) -> (&'static str, String) {
    let resting = world.tasks[1..].iter().filter(|t| t.state != State::Ended);
    let locks = |task: &&Task| matches!(task.state, State::Locks(_));
    let (all, locked) = (resting.clone().count(), resting.filter(locks).count());
    match (all, locked) {
        (1, 1) => {
            ("deadlock", "a thread waits for a lock that never becomes free".into())
        }
        (all, locked) if all == locked => (
            "deadlock",
            format!("{all} threads wait for locks that never become free"),
        ),
        (1, _) => ("stuck", "a thread sleeps, and nobody is left to wake it".into()),
        (all, _) => {
            ("stuck", format!("{all} threads wait, and nobody is left to wake them"))
        }
    }
}

/// Lines are not made longer than this, in bytes: with their numbers they fit beside
/// the label of a finding on 80 columns.
const WIDTH: usize = 64;

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
            let who = event.who;
            let mut end = at;
            match (&event.act, self.smooth(at), self.section(at)) {
                (Act::Calls(call), Some(returns), _) => {
                    phrases.push((who, format!("does {call}")));
                    let inner = &events[at + 1..returns];
                    let said =
                        inner.iter().filter(|e| self.matters_in_smooth(&e.act));
                    phrases.extend(said.map(|event| (who, self.phrase(event))));
                    end = returns;
                }
                (Act::Locks(mutex), _, Some(next))
                    if next == at + 1
                        && events[next].act == Act::Unlocks(*mutex) =>
                {
                    let (mutex, place) = (self.mutex(*mutex), place(event.place));
                    phrases.push((who, format!("locks and unlocks {mutex}{place}")));
                    end = next;
                }
                _ if self.matters(at) => phrases.push((who, self.phrase(event))),
                _ => {}
            }
            at = end + 1;
        }
        phrases
    }

    /// In the end nobody can go on: what was notified and posted on the way matters.
    fn stuck(&self) -> bool {
        self.world.ending == Some(Ending::Stuck)
    }

    /// A call is made here. Where it returns, if nothing comes in between.
    fn smooth(&self, at: usize) -> Option<usize> {
        let events = &self.world.events;
        let Event { who, act: Act::Calls(_), .. } = events[at] else { return None };
        for (end, event) in events.iter().enumerate().skip(at + 1) {
            match event.act {
                _ if event.who != who => return None,
                Act::Returns(_) => return Some(end),
                Act::Wants(..)
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

    /// Whether a step that is not part of a smooth call is told. Locking is not,
    /// unless others came in between: see [`Self::section`].
    fn matters(&self, at: usize) -> bool {
        let events = &self.world.events;
        let Event { who, ref act, .. } = events[at];
        match *act {
            Act::Locks(_) => self.section(at).is_none(),
            Act::Unlocks(mutex) => {
                let begins = |begin: &usize| {
                    events[*begin].who == who
                        && match events[*begin].act {
                            Act::Locks(other) => other == mutex,
                            Act::GoesOn(_)
                            | Act::TimesOut(_)
                            | Act::WakesForNothing(_) => true,
                            _ => false,
                        }
                };
                let begin = (0..at).rev().find(begins);
                begin.and_then(|begin| self.section(begin)) != Some(at)
            }
            _ => true,
        }
    }

    /// A mutex is taken here. Where it is let go again, if nobody else does anything
    /// in between.
    fn section(&self, begin: usize) -> Option<usize> {
        let events = &self.world.events;
        let own = |at: &usize| events[*at].who == events[begin].who;
        let lets_go = |at: &usize| match (&events[begin].act, &events[*at].act) {
            (_, Act::Waits(_)) => true,
            (Act::Locks(mutex), Act::Unlocks(other)) => mutex == other,
            (_, Act::Unlocks(_)) => true,
            _ => false,
        };
        (begin + 1..events.len()).take_while(own).find(lets_go)
    }

    fn phrase(&self, event: &Event) -> String {
        let said = match &event.act {
            Act::Calls(call) => format!("calls {call}"),
            Act::Returns(call) => format!("comes back from {call}"),
            Act::Locks(mutex) => format!("locks {}", self.mutex(*mutex)),
            Act::Wants(mutex, holder) if *holder == event.who => {
                format!("waits for {}, which it holds itself", self.mutex(*mutex))
            }
            Act::Wants(mutex, holder) => {
                let (mutex, holder) = (self.mutex(*mutex), self.name(*holder));
                format!("waits for {mutex}, which {holder} holds")
            }
            Act::FindsLocked(mutex) => {
                format!("finds {} locked", self.mutex(*mutex))
            }
            Act::Unlocks(mutex) => format!("unlocks {}", self.mutex(*mutex)),
            Act::Waits(condvar) => format!("waits on {}", self.condvar(*condvar)),
            Act::GoesOn(_) => "is awake and has the mutex again".to_owned(),
            Act::TimesOut(_) => "wakes up because its time is over".to_owned(),
            Act::WakesForNothing(_) => {
                "wakes up without a reason, as any wait may".to_owned()
            }
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
            Act::Posts(semaphore) => {
                format!("posts to {}", self.semaphore(*semaphore))
            }
            Act::Atomic(operation) => format!("does an atomic {operation}"),
            Act::Sleeps => "sleeps".to_owned(),
            Act::Panics(message) => format!("panics: {message}"),
        };
        said + &place(event.place)
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
