//! Which runs are tried, in which order: first the most peaceful one, which takes
//! the first way at each crossroads; then all that turn into another way once; then
//! twice, and so on. So the first that fails is one of the easiest to follow.
//!
//! Runs in which a wait returns without a reason are searched apart, when all others
//! have passed: they show a belief about wait and nothing else.

use super::scenario::Scenario;
use super::story::{self, Told};
use super::world::{self, World};
use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// What a search has come to.
pub struct Searched {
    pub runs: usize,
    /// The failed run that is told shortest, of those with the fewest turns.
    pub failed: Option<Told>,
}

/// All runs are tried that turn into another way so often at most. What goes wrong
/// with locks mostly does so after one turn or two.
const TURNS: usize = 3;
/// The same where one of the turns is a spurious wake-up: it stands for itself.
const SPURIOUS_TURNS: usize = 2;
/// No more runs than this are tried, however many crossroads there are.
const RUNS: usize = 4_000;

/// Tries the runs of a scenario; with or without those in which a wait returns
/// without a reason.
pub fn search(scenario: &Scenario, spurious: bool) -> Searched {
    let turns = if spurious { SPURIOUS_TURNS } else { TURNS };
    run(scenario, Vec::new(), turns, spurious)
}

/// Runs a scenario once, taking these ways. Returns how it fails, if it does.
pub fn replay(
    scenario: &Scenario,
    ways: Vec<usize>,
    spurious: bool,
) -> Option<Told> {
    run(scenario, ways, 0, spurious).failed
}

fn run(
    scenario: &Scenario,
    first: Vec<usize>,
    turns: usize,
    spurious: bool,
) -> Searched {
    let search = Rc::new(RefCell::new(Search {
        queue: VecDeque::from([first]),
        plan: Vec::new(),
        spurious,
        turns,
        runs: 0,
        failed: None,
    }));
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    // A run has an end of its own: see `world`.
    config.max_steps = MaxSteps::None;
    config.stack_size = 256 << 10;
    let play = scenario.play;
    Runner::new(Director(Rc::clone(&search)), config)
        .run(move || super::scenario::run(play));
    let search = search.borrow();
    Searched { runs: search.runs, failed: search.failed.clone() }
}

struct Search {
    /// The runs that are still to be tried: the ways that each takes before it takes
    /// the first way everywhere. Those with fewer turns stand first.
    queue: VecDeque<Vec<usize>>,
    /// The run that is under way.
    plan: Vec<usize>,
    /// A wait may return without a reason.
    spurious: bool,
    /// At most so many turns.
    turns: usize,
    runs: usize,
    failed: Option<Told>,
}

impl Search {
    /// The next run; none if one with fewer turns has failed already.
    fn next(&mut self) -> Option<Vec<usize>> {
        let plan = self.queue.pop_front()?;
        if self.failed.as_ref().is_some_and(|failed| failed.turns < turns(&plan)) {
            return None;
        }
        self.runs += 1;
        Some(plan)
    }

    /// A run has ended: judge it, and plan those that turn at one more crossroads,
    /// after its last.
    fn ended(&mut self, world: &World) {
        let turns = turns(&self.plan);
        if let Some(told) = story::tell(world, &self.plan, turns) {
            let shorter = |best: &Told| told.story.len() < best.story.len();
            if self.failed.as_ref().is_none_or(shorter) {
                self.failed = Some(told);
            }
        }
        if turns == self.turns {
            return;
        }
        // With the last turn it is too late for a spurious wake-up.
        let must_be_spurious =
            self.spurious && turns + 1 == self.turns && !world.was_spurious();
        for (crossroads, here) in
            world.crossroads.iter().enumerate().skip(self.plan.len())
        {
            let first = if must_be_spurious { here.with_a_reason } else { 1 };
            for way in first..here.ways {
                if self.runs + self.queue.len() >= RUNS {
                    return;
                }
                let mut plan = self.plan.clone();
                plan.resize(crossroads, 0);
                plan.push(way);
                self.queue.push_back(plan);
            }
        }
    }
}

/// At how many crossroads a run does not take the first way.
fn turns(plan: &[usize]) -> usize {
    plan.iter().filter(|&&way| way > 0).count()
}

/// What shuttle asks who goes next.
struct Director(Rc<RefCell<Search>>);

impl Scheduler for Director {
    fn new_execution(&mut self) -> Option<Schedule> {
        let mut search = self.0.borrow_mut();
        if let Some(world) = world::end() {
            search.ended(&world);
        }
        search.plan = search.next()?;
        world::begin(search.plan.clone(), search.spurious);
        Some(Schedule::new(0))
    }

    fn next_task(
        &mut self,
        _: &[&Task],
        _: Option<TaskId>,
        _: bool,
    ) -> Option<TaskId> {
        world::with(World::next).map(TaskId::from)
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}
