//! Every solution passes, no starter does, every wrong answer earns its finding.

use super::Complaint;
use crate::build::{Built, Profile, cargo_build};
use crate::exercises::{ALL, Exercise};
use crate::judge::{self, Options, Status, judge};
use crate::workbook::{Program, Workbook};
use anyhow::{Context, Result, bail};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What a program of the workbook must be judged to be.
pub struct Judgement {
    pub exercise: &'static Exercise,
    /// The name of its binary.
    pub name: String,
    /// It must pass, must not pass, or must earn a finding of this name.
    pub must: Must,
    pub program: judge::Program,
}

/// See [`Judgement::must`].
pub enum Must {
    Pass,
    NotPass,
    Earn(String),
}

/// Judges each program so many times with these options, `jobs` programs at once.
pub fn verdicts(
    judgements: &[Judgement],
    times: usize,
    jobs: usize,
    options: &Options,
) -> Vec<Complaint> {
    let next = AtomicUsize::new(0);
    let complaints = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(judgements.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(judgement) = judgements.get(index) else { break };
                    let found = judgement.hold(times, options);
                    let mut all =
                        complaints.lock().unwrap_or_else(PoisonError::into_inner);
                    all.extend(found);
                }
            });
        }
    });
    complaints.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Judgement {
    /// Judges it so many times; complains of each verdict that is not as it must be, or not as the
    /// first was.
    fn hold(&self, times: usize, options: &Options) -> Vec<Complaint> {
        let (mut complaints, mut first, mut seconds) = (Vec::new(), None, 0.0);
        for _ in 0..times {
            let verdict = judge(self.exercise, &self.program, options).verdict;
            seconds += verdict.seconds;
            let found = verdict.findings.first().map(|finding| finding.name.clone());
            let right = match &self.must {
                Must::Pass => verdict.status == Status::Passed,
                Must::NotPass => {
                    !matches!(verdict.status, Status::Passed | Status::Cannot)
                }
                Must::Earn(name) => found.as_ref() == Some(name),
            };
            let said = (verdict.status, found);
            if !right || *first.get_or_insert_with(|| said.clone()) != said {
                complaints.push(format!("{}: {}", self.name, verdict.to_json()));
            }
        }
        if times > 1 {
            println!(
                "{}: {} of {times} as it must be, {:.2} s each",
                self.name,
                times - complaints.len(),
                seconds / times as f64
            );
        }
        complaints
    }

    /// All solutions, starters and wrong answers that have this text in their name, built.
    pub fn all(workbook: &Workbook, only: &str) -> Result<Vec<Judgement>> {
        let mut judgements = Vec::new();
        let mut wanted: Vec<(&'static Exercise, Program, Must)> = Vec::new();
        let wrong = ALL
            .iter()
            .map(|exercise| workbook.wrong_answers(exercise))
            .collect::<Result<Vec<_>>>()?;
        for (exercise, wrong) in ALL.iter().zip(&wrong) {
            wanted.push((exercise, Program::Solution(exercise), Must::Pass));
            wanted.push((exercise, Program::Starter(exercise), Must::NotPass));
            for name in wrong {
                let finding = finding_of(name);
                wanted.push((exercise, Program::Wrong(name), Must::Earn(finding)));
            }
        }
        wanted.retain(|(_, program, _)| program.name().contains(only));
        let mut plain = Executables::default();
        let mut explored = Executables::default();
        for (exercise, program, _) in &wanted {
            plain.want(program);
            if exercise.is_explored() {
                explored.want(program);
            }
        }
        plain.build(workbook, Profile::Plain)?;
        explored.build(workbook, Profile::Explored)?;
        for (exercise, program, must) in wanted {
            let name = program.name();
            let plain = plain
                .path(&name)
                .with_context(|| format!("{name} was not built"))?;
            let program = judge::Program { plain, explored: explored.path(&name) };
            judgements.push(Judgement { exercise, name, must, program });
        }
        Ok(judgements)
    }
}

/// The finding that a wrong answer must earn stands in its name: `wrong3_never_joins` is to
/// be found out as `never-joins`, and so is `wrong3_never_joins_2`, another way to it.
pub fn finding_of(wrong: &str) -> String {
    let finding = wrong.split_once('_').map_or("", |(_, finding)| finding);
    let finding = match finding.rsplit_once('_') {
        Some((finding, "2" | "3")) => finding,
        _ => finding,
    };
    finding.replace('_', "-")
}

/// Binaries by package, then their paths by name.
#[derive(Default)]
struct Executables {
    wanted: HashMap<&'static str, Vec<String>>,
    paths: HashMap<String, PathBuf>,
}

impl Executables {
    fn want(&mut self, program: &Program) {
        self.wanted.entry(program.package()).or_default().push(program.name());
    }

    fn build(&mut self, workbook: &Workbook, profile: Profile) -> Result<()> {
        for (package, names) in &self.wanted {
            let refs: Vec<&str> = names.iter().map(String::as_str).collect();
            match cargo_build(workbook, package, &refs, profile, false)? {
                Built::Ready(paths) => {
                    self.paths.extend(names.iter().cloned().zip(paths))
                }
                Built::DoesNotCompile => {
                    bail!("the package {package} does not compile")
                }
            }
        }
        Ok(())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.paths.get(name).cloned()
    }
}
