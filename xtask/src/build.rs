//! Building one program with cargo, and nothing but that one.

use crate::exercises::Exercise;
use crate::judge;
use crate::workbook::{Program, Workbook};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// How building came out.
pub enum Built<T> {
    Ready(T),
    /// Cargo has said why, on standard error.
    DoesNotCompile,
}

/// Builds a program in all the ways that its exercise is judged in.
///
/// # Errors
/// Cargo cannot be started, or fails for another reason than the program's text.
pub fn build(
    workbook: &Workbook,
    exercise: &Exercise,
    program: Program,
) -> Result<Built<judge::Program>> {
    let (package, name) = (program.package(), program.name());
    if !exercise.is_explored() {
        return Ok(
            match cargo_build(workbook, package, &[&name], Profile::Plain, false)? {
                Built::Ready(mut paths) => Built::Ready(judge::Program {
                    plain: paths.pop().context("cargo named no executable")?,
                    explored: None,
                }),
                Built::DoesNotCompile => Built::DoesNotCompile,
            },
        );
    }
    // The two use folders of their own, so cargo can build them at the same time. One of them
    // is enough to print the compiler's messages.
    let build =
        |profile, silent| cargo_build(workbook, package, &[&name], profile, silent);
    let (plain, explored) = std::thread::scope(|scope| {
        let explored = scope.spawn(|| build(Profile::Explored, true));
        (
            build(Profile::Plain, false),
            explored.join().expect("a builder does not panic"),
        )
    });
    let plain = match plain? {
        Built::Ready(mut paths) => {
            paths.pop().context("cargo named no executable")?
        }
        Built::DoesNotCompile => return Ok(Built::DoesNotCompile),
    };
    let explored = match explored? {
        Built::Ready(mut paths) => {
            paths.pop().context("cargo named no executable")?
        }
        // It compiles without the controlled scheduler only: let cargo say why.
        Built::DoesNotCompile => {
            build(Profile::Explored, false)?;
            return Ok(Built::DoesNotCompile);
        }
    };
    Ok(Built::Ready(judge::Program { plain, explored: Some(explored) }))
}

/// Which of a program's two builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// With std's threads and locks.
    Plain,
    /// With those of a controlled scheduler.
    Explored,
}

impl Profile {
    /// Its name in the workspace's manifest.
    fn name(self) -> &'static str {
        match self {
            Profile::Plain => "dev",
            Profile::Explored => "explore",
        }
    }
}

/// Builds binaries of one package and returns their paths, in the order asked for.
pub fn cargo_build(
    workbook: &Workbook,
    package: &str,
    names: &[&str],
    profile: Profile,
    silent: bool,
) -> Result<Built<Vec<PathBuf>>> {
    cargo_build_as(workbook, package, names, profile.name(), silent)
}

/// The same with any of cargo's profiles.
pub fn cargo_build_as(
    workbook: &Workbook,
    package: &str,
    names: &[&str],
    profile: &str,
    silent: bool,
) -> Result<Built<Vec<PathBuf>>> {
    let mut command = Command::new(cargo());
    command.current_dir(&workbook.root);
    command.args([
        "build",
        "--message-format=json-render-diagnostics",
        "--package",
        package,
    ]);
    for name in names {
        command.args(["--bin", name]);
    }
    command.args(["--profile", profile]);
    if profile == Profile::Explored.name() {
        command.args(["--features", "explore"]);
    }
    if std::io::stderr().is_terminal() {
        command.args(["--color", "always"]);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => anyhow::anyhow!(
                "cargo was not found: put it into PATH (rustup installs it in ~/.cargo/bin)"
            ),
            _ => anyhow::Error::new(e).context("cannot start cargo"),
        })?;
    let messages = child.stderr.take().context("no pipe from cargo")?;
    let relay = std::thread::spawn(move || relay(BufReader::new(messages), silent));
    let mut text = String::new();
    child.stdout.take().context("no pipe from cargo")?.read_to_string(&mut text)?;
    let status = child.wait()?;
    let said = relay.join().expect("the relay does not panic");
    if status.success() {
        let messages: Vec<Value> =
            text.lines().filter_map(|line| line.parse().ok()).collect();
        return paths(&messages, names).map(Built::Ready);
    }
    if said.does_not_compile && said.trouble.is_empty() {
        return Ok(Built::DoesNotCompile);
    }
    let why = match said.trouble.is_empty() {
        true => status.to_string(),
        false => said.trouble.join(": "),
    };
    bail!("cargo could not build {}: {why}", names.join(", "))
}

fn paths(messages: &[Value], names: &[&str]) -> Result<Vec<PathBuf>> {
    let path = |name: &&str| {
        let of_target = |m: &&Value| {
            m["target"]["name"] == **name && m["executable"].is_string()
        };
        let message = messages.iter().find(of_target)?;
        Some(PathBuf::from(message["executable"].as_str()?))
    };
    names
        .iter()
        .map(|name| {
            path(name).with_context(|| format!("cargo built no executable {name}"))
        })
        .collect()
}

/// Passes on what the learner should see of cargo's messages.
fn relay(messages: impl BufRead, silent: bool) -> Said {
    /// What cargo says when all is well, or what the verdict says better.
    const ROUTINE: [&str; 6] = [
        // The two builds of an explored exercise meet there for a moment.
        "Blocking waiting for file lock on package cache",
        "Finished",
        "Compiling mine",
        "Compiling exercises",
        "Compiling lessons",
        "warning: build failed",
    ];
    let mut said = Said::default();
    // The compiler's error or cargo's own? The line after it decides.
    let mut undecided = None::<String>;
    for line in messages.lines().map_while(Result::ok) {
        let plain = anstream::adapter::strip_str(&line).to_string();
        let text = plain.trim();
        let show = |line: &str| {
            if !silent {
                crate::commands::complain(line);
            }
        };
        if let Some(first) = undecided.take() {
            match ["-->", "|", "="].iter().any(|sign| text.starts_with(sign)) {
                true => show(&first),
                false => said.note(&first),
            }
        }
        if plain.starts_with("error: could not compile") {
            said.does_not_compile = true;
        } else if plain.starts_with("error: ") {
            undecided = Some(line);
        } else if ROUTINE.iter().any(|words| text.starts_with(words)) {
            // Not worth a line.
        } else if !said.trouble.is_empty() {
            said.note(text);
        } else {
            show(&line);
            if text.starts_with("Blocking") {
                show(ANOTHER_CARGO);
            }
        }
    }
    if let Some(first) = undecided {
        said.note(&first);
    }
    said
}

/// What a learner may not guess from cargo's word for it.
const ANOTHER_CARGO: &str = "    (another cargo is at work, maybe your editor's; \
                             this goes on when it is done)";

/// What cargo says beside the compiler's messages.
#[derive(Default)]
struct Said {
    does_not_compile: bool,
    /// What keeps cargo from its work, line by line.
    trouble: Vec<String>,
}

impl Said {
    fn note(&mut self, line: &str) {
        let plain = anstream::adapter::strip_str(line).to_string();
        let text = plain.trim().trim_start_matches("error: ");
        if !matches!(text, "" | "Caused by:") {
            self.trouble.push(text.to_owned());
        }
    }
}

/// Cargo itself: the one that runs this program, if one does.
pub fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
