//! The exercises. Each module declares everything about one of them but its texts for the
//! compiler: title, lesson, hints and cases.

use crate::scene::{Outcome, Scene};

/// One exercise.
pub struct Exercise {
    /// `exercise3`
    pub name: &'static str,
    pub title: &'static str,
    /// The lesson after which it can be solved.
    pub lesson: &'static str,
    /// From a nudge to nearly the answer.
    pub hints: &'static [&'static str],
    pub cases: &'static [Case],
}

/// One thing that a check looks at, in a sandbox of its own.
pub struct Case {
    pub name: &'static str,
    /// Played with the build for exploring interleavings.
    pub explored: bool,
    pub play: fn(&mut Scene) -> Outcome,
}

impl Case {
    const fn new(name: &'static str, play: fn(&mut Scene) -> Outcome) -> Case {
        Case { name, explored: false, play }
    }
}

impl Exercise {
    pub fn number(&self) -> &'static str {
        self.name.trim_start_matches(|c: char| !c.is_ascii_digit())
    }

    /// Its program is also built and run under a controlled scheduler.
    pub fn is_explored(&self) -> bool {
        self.cases.iter().any(|case| case.explored)
    }
}

pub fn find_case(exercise: &str, case: &str) -> Option<&'static Case> {
    let exercise = ALL.iter().find(|e| e.name == exercise)?;
    exercise.cases.iter().find(|c| c.name == case)
}

macro_rules! exercises {
    ($($name:ident)*) => {
        $(mod $name;)*
        /// All exercises, in the order of the book.
        pub const ALL: &[&Exercise] = &[$(&$name::EXERCISE),*];
    };
}

mod clients;
mod explored;
mod http;
mod servers;

exercises! {
    exercise1 exercise2 exercise3 exercise4
    exercise5 exercise6 exercise7 exercise8
    exercise9 exercise10 exercise11
    exercise12 exercise13 exercise14
    exercise15 exercise16
    exercise17 exercise18 exercise19 exercise20
    exercise21 exercise22 exercise23
}
