//! Every lesson ends well and says the same, whatever the surroundings.

use super::{Complaint, masked};
use crate::build::{Built, cargo_build_as};
use crate::workbook::Workbook;
use anyhow::{Result, bail};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What lessons are run in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings {
    /// As the user `nobody`; needs root.
    pub nobody: bool,
    /// Built with optimisations.
    pub release: bool,
}

/// Runs each lesson that has this text in its name so many times. The first run's output, with numbers masked, is the measure
/// of the others.
pub fn lessons(
    workbook: &Workbook,
    only: &str,
    times: usize,
    around: Surroundings,
) -> Result<Vec<Complaint>> {
    let mut names = workbook.lessons()?;
    names.retain(|name| name.contains(only));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let profile = if around.release { "release" } else { "dev" };
    let paths = match cargo_build_as(workbook, "lessons", &names, profile, false)? {
        Built::Ready(paths) => paths,
        Built::DoesNotCompile => bail!("the lessons do not compile"),
    };
    let mut complaints = Vec::new();
    for (name, path) in names.iter().zip(paths) {
        let args = quick(workbook, name)?;
        let mut first = None;
        let mut bad = 0;
        for _ in 0..times {
            match run(&path, args, around) {
                Ok(output) => {
                    let output = masked(&output);
                    let expected = first.get_or_insert_with(|| output.clone());
                    if *expected != output {
                        bad += 1;
                        complaints
                            .push(format!("{name} said something else:\n{output}"));
                    }
                }
                Err(e) => {
                    bad += 1;
                    complaints.push(format!("{name} failed: {e:#}"));
                }
            }
        }
        if times > 1 {
            println!("{name}: {} of {times} the same", times - bad);
        }
    }
    Ok(complaints)
}

/// Far longer than any lesson takes, on however busy a machine.
const LIMIT: Duration = Duration::from_secs(300);

/// The arguments that make a lesson quick, if it measures and so takes its time.
pub fn quick(workbook: &Workbook, lesson: &str) -> Result<&'static [&'static str]> {
    let source = std::fs::read_to_string(
        workbook.path(&format!("lessons/src/bin/{lesson}.rs")),
    )?;
    Ok(if source.contains("\"--quick\"") { &["--quick"] } else { &[] })
}

/// What a lesson prints.
///
/// # Errors
/// It fails, says something on standard error, or has no end.
pub fn run(path: &Path, args: &[&str], around: Surroundings) -> Result<String> {
    let mut command = Command::new(path);
    command.args(args).stdin(Stdio::null());
    if around.nobody {
        command.uid(65534).gid(65534);
    }
    // SAFETY: the child makes one system call and nothing else.
    unsafe {
        command.pre_exec(|| {
            // SIGALRM ends it (alarm(2)): exec(2) leaves the clock running.
            libc::alarm(LIMIT.as_secs() as u32);
            Ok(())
        })
    };
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !errors.is_empty() {
        bail!("{}; {}", output.status, errors.trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
