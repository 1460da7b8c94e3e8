//! A learner's way through an exercise.

use crate::checkout::{
    ANSWER, Checkout, PROGRESS, SOLUTION, STARTER, WRONG, run, run_with_input,
};
use serde_json::Value;
use std::fs;

#[test]
fn a_slip_in_a_name_is_answered_with_the_nearest_name() {
    let copy = Checkout::new();
    for command in ["start", "run", "check", "hint", "solution", "reset"] {
        let said =
            copy.run([command, "exercse3"]).gave_up_over("did you mean exercise3?");
        assert_eq!(said.out, "");
    }
    copy.run(["check", "33"]).gave_up_over("did you mean exercise3?");
    copy.run(["walk", "detatch"]).gave_up_over("did you mean 04_detach?");
    assert!(!copy.path("exercises/mine/src/bin").exists());
}

#[test]
fn an_exercise_is_named_by_name_number_or_file() {
    let copy = Checkout::new();
    for name in ["exercise3", "3", ANSWER, "exercise3.rs", "./src/bin/exercise3.rs"]
    {
        copy.run(["hint", name]).ended(0).shows("exercise3 ");
    }
    assert!(copy.read(PROGRESS).starts_with(b"exercise3 hints 4 "));
}

#[test]
fn a_command_works_in_every_folder_of_the_workbook() {
    let copy = Checkout::new();
    let mut command =
        copy.xtask(["start", "../../exercises/mine/src/bin/exercise3.rs"]);
    run(command.current_dir(copy.path("lessons/src"))).ended(0);
    assert_eq!(copy.read(ANSWER), copy.read(STARTER));
}

#[test]
fn an_untouched_starter_is_not_started_and_not_built() {
    let copy = Checkout::new();
    // Nothing can be built with this cargo.
    let said =
        run(copy.xtask(["check", "exercise3"]).env("CARGO", "/dev/null")).ended(1);
    let said = said.shows("not started").shows(ANSWER);
    assert_eq!(said.err, "");
    assert_eq!(copy.read(ANSWER), copy.read(STARTER));
    copy.run(["check", "--all"]).ended(1).shows("exercise1").shows("exercise3");
}

#[test]
fn what_passes_is_kept_and_shown_until_the_answer_changes() {
    let copy = Checkout::for_builds();
    copy.run(["start", "exercise3"]).ended(0).shows(ANSWER);
    copy.run(["list"]).ended(0).shows("    exercise3    Ten thousand");
    copy.answer_with(SOLUTION);
    copy.run(["list"]).ended(0).shows("  · exercise3   ").shows("(started)");
    // Another exercise does not even compile.
    copy.write("exercises/mine/src/bin/exercise1.rs", "fn main() { nonsense }");
    copy.run(["check", "exercise3"]).ended(0).shows("✓ passed");
    copy.run(["list"]).ended(0).shows("  ✓ exercise3    ").shows("(passed)");

    let changed = [copy.read(ANSWER), b"// One line more.\n".to_vec()].concat();
    copy.write(ANSWER, changed);
    copy.run(["list"]).ended(0).shows("  · exercise3    ").shows("(passed, then");
    let said = copy.run(["solution", "3"]).ended(0);
    said.shows(&format!("{SOLUTION}\n")).shows("\n-// One line more.\n");
}

#[test]
fn the_next_thing_to_do_follows_the_progress() {
    let copy = Checkout::new();
    copy.run([])
        .ended(0)
        .shows("cargo run --bin 01_create")
        .shows("xtask start exercise1");
    copy.write("exercises/mine/src/bin/exercise1.rs", "fn main() {}");
    copy.run([]).ended(0).shows("bin/exercise1.rs").shows("xtask check exercise1");
}

#[test]
fn a_wrong_answer_is_explained() {
    let copy = Checkout::for_builds();
    copy.answer_with(WRONG);
    let said = copy.run(["check", "3"]).ended(1).shows("✗ wrong: never-joins");
    let labels: Vec<&str> = said.out.lines().filter_map(label).collect();
    assert_eq!(labels, ["expected", "seen", "why", "lesson", "stuck?"], "{said:#?}");
    said.shows("cargo run --bin 04_detach\n").shows("cargo xtask hint exercise3\n");

    let said = copy.run(["check", "1", "3", "--format", "json"]).ended(1);
    let verdicts: Vec<Value> =
        said.out.lines().map(|line| line.parse().expect("JSON")).collect();
    let [first, third] = &verdicts[..] else { panic!("not two: {verdicts:#?}") };
    for verdict in &verdicts {
        assert_eq!(keys(verdict), ["exercise", "findings", "seconds", "status"]);
        assert!(verdict["seconds"].as_f64().is_some_and(|seconds| seconds >= 0.0));
    }
    assert_eq!(
        (&first["exercise"], &first["status"]),
        (&text("exercise1"), &text("not started"))
    );
    assert_eq!(
        (&third["exercise"], &third["status"]),
        (&text("exercise3"), &text("wrong"))
    );
    assert_eq!(first["findings"], Value::Array(vec![]));
    let findings = third["findings"].as_array().expect("a list");
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!(keys(&findings[0]), ["expected", "lesson", "name", "seen", "why"]);
    assert_eq!(findings[0]["name"], "never-joins");
    assert_eq!(findings[0]["lesson"], "04_detach");
}

/// The label of a line of a verdict, if it has one.
fn label(line: &str) -> Option<&str> {
    let word = line.strip_prefix("  ")?.split(' ').next()?;
    (!word.is_empty()).then_some(word)
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> =
        value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

#[test]
fn what_the_compiler_says_reaches_the_learner_whole() {
    let copy = Checkout::for_builds();
    // The words of the second line are also cargo's when all is well.
    copy.write(
        ANSWER,
        "fn main() {\n    let _: i32 = (\"Finished\",\n    ());\n}\n",
    );
    let said = copy.run(["check", "3"]).ended(1).shows("✗ does not compile");
    for part in
        ["error[E0308]: mismatched types", "(\"Finished\",", "exercise3.rs:2:18"]
    {
        assert!(said.err.contains(part), "no {part:?} in {said:#?}");
    }
    // An error without a number.
    copy.write(ANSWER, "fn main() {\n    let one = 1\n    let two = 2;\n}\n");
    let said =
        run(copy.xtask(["run", "3"]).env("CARGO_TERM_COLOR", "always")).ended(1);
    for part in ["error: expected `;`", "let one = 1", "exercise3.rs:2:16"] {
        assert!(said.err.contains(part), "no {part:?} in {said:#?}");
    }
    assert!(!said.err.contains('\x1b'), "colour in a pipe: {said:#?}");
    assert!(!copy.path(PROGRESS).exists());
}

#[test]
fn start_overwrites_nothing() {
    let copy = Checkout::new();
    copy.write(ANSWER, "my work");
    copy.run(["start", "3"]).ended(0).shows("there already");
    copy.run(["check", "--format", "json", "2"]).ended(1);
    assert_eq!(copy.read(ANSWER), b"my work");
}

#[test]
fn reset_keeps_a_numbered_backup_each_time() {
    let copy = Checkout::new();
    for (number, text) in [(1, "does not compile"), (2, "\u{fffd} again"), (3, "")] {
        copy.write(ANSWER, text);
        let backup = format!("exercises/mine/backup/exercise3-{number}.rs");
        copy.run(["reset", "3"]).ended(0).shows(&backup);
        assert_eq!(copy.read(&backup), text.as_bytes());
        assert_eq!(copy.read(ANSWER), copy.read(STARTER));
    }
    // There is nothing to keep: the starter is untouched, then gone.
    copy.run(["reset", "3"]).ended(0);
    fs::remove_file(copy.path(ANSWER)).expect("it is there");
    copy.run(["reset", "3"]).ended(0);
    fs::remove_dir_all(copy.path("exercises/mine/src/bin")).expect("it is there");
    copy.run(["reset", "3"]).ended(0);
    assert_eq!(copy.read(ANSWER), copy.read(STARTER));
    assert!(!copy.path("exercises/mine/backup/exercise3-4.rs").exists());
}

#[test]
fn reset_forgets_hints_and_passes_of_that_exercise_alone() {
    let copy = Checkout::new();
    copy.run(["hint", "2"]).ended(0);
    copy.run(["hint", "3"]).ended(0);
    copy.run(["reset", "3"]).ended(0);
    assert_eq!(copy.read(PROGRESS), b"exercise2 hints 1 passed -\n");
}

#[test]
fn hints_come_one_more_each_time_and_stop_at_the_last() {
    let copy = Checkout::new();
    let hints =
        xtask::workbook::find_exercise("3").expect("it is there").hints.len();
    for asked in 1..=hints + 2 {
        let said = copy.run(["hint", "3"]).ended(0);
        let numbered = |n: usize| said.out.contains(&format!("\n{n:<3}"));
        let shown = asked.min(hints);
        assert!(
            (1..=shown).all(numbered) && !numbered(shown + 1),
            "{asked}: {said:#?}"
        );
        assert_eq!(said.out.contains("the last one"), shown == hints, "{said:#?}");
    }
}

#[test]
fn the_solution_is_kept_back_until_it_passes_or_is_asked_for() {
    let copy = Checkout::new();
    let said = copy.run(["solution", "3"]).gave_up_over("has not passed yet");
    assert_eq!(said.out, "");
    let solution = String::from_utf8(copy.read(SOLUTION)).expect("text");
    let said = copy.run(["solution", "3", "--spoil"]).ended(0).shows(&solution);
    assert!(!said.out.contains("Yours"), "there is nothing to compare: {said:#?}");

    copy.write(ANSWER, solution.replace("fn main()", "fn mine()"));
    let said = copy.run(["solution", "3", "--spoil"]).ended(0).shows("Yours");
    let starts = |sign| said.out.lines().any(|line: &str| line.starts_with(sign));
    assert!(starts("-fn mine()") && starts("+fn main()"), "{said:#?}");
}

#[test]
fn a_walk_into_a_pipe_shows_question_source_and_output_without_waiting() {
    let copy = Checkout::for_builds();
    let said = copy.run(["walk", "04_detach"]).ended(0);
    let source =
        String::from_utf8(copy.read("lessons/src/bin/04_detach.rs")).expect("text");
    let question = source.lines().next().expect("a line").trim_start_matches("//! ");
    assert!(said.out.starts_with(question), "{said:#?}");
    let first = source.lines().find(|line| line.trim_start().starts_with("step("));
    let (step, output) =
        (said.out.find(first.expect("a step")), said.out.find("\n1  "));
    assert!(step.is_some() && step < output, "source, then output: {said:#?}");
    assert!(!said.out.contains("any key"), "{said:#?}");
    assert_eq!(copy.run(["walk", "detach"]).status, copy.run(["walk", "4"]).status);
}

#[test]
fn run_passes_arguments_input_and_status_through() {
    let copy = Checkout::for_builds();
    copy.write(
        ANSWER,
        r#"fn main() {
            println!("{:?}", std::env::args().skip(1).collect::<Vec<_>>());
            std::io::copy(&mut std::io::stdin(), &mut std::io::stdout()).unwrap();
            std::process::exit(7)
        }"#,
    );
    let mut command =
        copy.xtask(["run", "exercise3", "--all", "two words", "-h", ""]);
    let said = run_with_input(&mut command, "some\ninput").ended(7);
    assert_eq!(said.out, "[\"--all\", \"two words\", \"-h\", \"\"]\nsome\ninput");

    let said = copy.run(["run", "3", "--", "-v"]).ended(7);
    assert_eq!((said.out.as_str(), said.complaints()), ("[\"-v\"]\n", vec![]));
}

#[test]
fn completions_are_scripts_that_their_shells_accept() {
    let copy = Checkout::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = copy.run(["completions", shell]).ended(0).shows("xtask");
        let mut parser = copy.command(shell, ["-n"]);
        if parser.output().is_err() {
            eprintln!("not tested: there is no {shell}");
            continue;
        }
        let said = run_with_input(&mut parser, &script.out).ended(0);
        assert_eq!(said.err, "", "{shell}");
    }
    copy.run(["completions", "csh"]).ended(2);
}
