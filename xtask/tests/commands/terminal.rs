//! What the commands look like: on a terminal, on a narrow one, and in a pipe.

use crate::checkout::{Checkout, Said, WRONG, is_about_locks, run, run_on_terminal};

#[test]
fn a_terminal_of_40_columns_is_wide_enough() {
    let copy = Checkout::for_builds();
    copy.answer_with(WRONG);
    // What is compiled once is not spoken of again.
    copy.run(["check", "3"]).ended(1);
    for (args, status) in [
        (&[][..], 0),
        (&["list"], 0),
        (&["--help"], 0),
        (&["check", "--help"], 0),
        (&["start", "1"], 0),
        (&["start", "1"], 0),
        (&["check", "1"], 1),
        (&["check", "3"], 1),
        (&["hint", "3"], 0),
        (&["hint", "3"], 0),
        (&["hint", "3"], 0),
        (&["hint", "3"], 0),
        (&["solution", "3"], 2),
        (&["check", "exercse3"], 2),
        (&["chek", "exercse3"], 2),
        (&["walk", "detatch"], 2),
        (&["reset", "3"], 0),
    ] {
        let mut command = copy.xtask([]);
        let said = run_on_terminal(command.args(args), 40, &[]).ended(status);
        fits(&said, 40);
    }
}

#[test]
fn a_terminal_of_no_columns_is_treated_as_one_of_80() {
    let copy = Checkout::new();
    for args in
        [&[][..], &["--help"], &["check", "--help"], &["hint", "1"], &["start", "1"]]
    {
        let mut command = copy.xtask([]);
        fits(&run_on_terminal(command.args(args), 0, &[]).ended(0), 80);
    }
    fits(&run_on_terminal(&mut copy.xtask(["check", "1"]), 0, &[]).ended(1), 80);
}

#[test]
fn a_walk_on_a_terminal_waits_for_a_key_before_each_step() {
    let copy = Checkout::for_builds();
    const PROMPT: &str = "any key runs it";
    let keys = [(PROMPT, b' '), (PROMPT, b'x'), (PROMPT, b'q')];
    let said = run_on_terminal(&mut copy.xtask(["walk", "4"]), 80, &keys).ended(0);
    let text = plain(&said.out);
    assert_eq!(text.matches(PROMPT).count(), 3, "{text}");
    let at = |part: &str| {
        text.find(part).unwrap_or_else(|| panic!("no {part:?}: {text}"))
    };
    assert!(at(PROMPT) < at("\n1  ") && at("\n1  ") < at("\n2  "), "{text}");
    assert!(!text.contains("\n3  "), "q ends it: {text}");
}

#[test]
fn colour_is_for_terminals_and_for_those_who_want_it() {
    let copy = Checkout::new();
    let on_terminal = run_on_terminal(&mut copy.xtask([]), 80, &[]).ended(0);
    assert!(on_terminal.out.contains("\x1b[1m"), "{on_terminal:#?}");
    for args in [&[][..], &["--help"], &["chek"], &["hint", "1"], &["check", "1"]] {
        let mut command = copy.xtask([]);
        command.args(args).env("NO_COLOR", "1");
        let said = run_on_terminal(&mut command, 80, &[]);
        assert!(!said.out.contains('\x1b'), "{args:?}: {said:#?}");
        let said = run(command.env_remove("NO_COLOR"));
        assert!(!(said.out + &said.err).contains('\x1b'), "{args:?} in a pipe");
    }
}

/// No line is wider than the terminal.
#[track_caller]
fn fits(said: &Said, columns: usize) {
    for line in plain(&said.out).lines().filter(|line| !is_about_locks(line)) {
        assert!(line.chars().count() <= columns, "too wide: {line:?} in {said:#?}");
    }
}

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}
