//! What can go wrong around a learner: each time one clear sentence, and nothing is
//! lost.

use crate::checkout::{
    ANSWER, Checkout, PROGRESS, SOLUTION, STARTER, Said, cargo, run, run_into,
};
use nix::unistd::Uid;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

#[test]
fn damaged_progress_loses_nothing_and_bricks_nothing() {
    let copy = Checkout::new();
    for seed in 1..=8_u64 {
        let noise = noise(seed);
        let before = [
            b"exercise1 hints 1 passed 0123456789abcdef\n",
            &noise[..],
            b"\nexercise3 hints 18446744073709551615 passed -\nexercise9 hints 1 pa",
        ]
        .concat();
        copy.write(PROGRESS, &before);
        for command in
            [&[][..], &["list"], &["hint", "3"], &["check", "2"], &["reset", "3"]]
        {
            let said = run(copy.xtask([]).args(command));
            said.ended(if command.contains(&"check") { 1 } else { 0 });
        }
        let after = copy.read(PROGRESS);
        for line in
            before.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
        {
            let kept = after.windows(line.len()).any(|window| window == line);
            // The one that was reset is gone on purpose.
            assert!(
                kept || line.starts_with(b"exercise3 "),
                "seed {seed}: {line:?}"
            );
        }
        let hints = copy.run(["hint", "exercise1"]).ended(0);
        assert!(hints.out.contains("\n2  "), "one had been seen: {hints:#?}");
    }
}

/// Bytes without sense (xorshift), the same for the same seed.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..1000).map(next).collect()
}

#[test]
fn progress_that_cannot_be_read_is_not_forgotten() {
    let copy = Checkout::new();
    fs::create_dir_all(copy.path(PROGRESS)).expect("a folder in its place");
    for args in [&[][..], &["list"], &["hint", "3"], &["check", "3"]] {
        run(copy.xtask([]).args(args)).gave_up_over("cannot read");
    }
    run(&mut copy.xtask(["reset", "3"])).gave_up_over("cannot read");
    assert_eq!(copy.read(ANSWER), copy.read(STARTER));
}

#[test]
fn a_missing_cargo_is_said_in_a_sentence() {
    let copy = Checkout::new();
    copy.answer_with(SOLUTION);
    for args in [["check", "3"], ["run", "3"], ["walk", "4"]] {
        let mut command = copy.xtask(args);
        command.env_remove("CARGO").env("PATH", copy.path("lessons"));
        run(&mut command).gave_up_over("cargo was not found");
    }
    copy.run(["list"]).ended(0);
}

#[test]
fn what_keeps_cargo_from_building_is_said_in_a_sentence() {
    let copy = Checkout::new();
    copy.answer_with(SOLUTION);
    for args in [["check", "3"], ["run", "3"]] {
        let mut command = copy.xtask(args);
        command.env("CARGO_TARGET_DIR", copy.path("Cargo.toml").join("builds"));
        run(&mut command).gave_up_over("cargo could not build exercise3: ");
    }
    // Here cargo itself shows the place.
    copy.write("exercises/mine/Cargo.toml", "[package");
    let said = copy.run(["check", "3"]).ended(2);
    for part in
        ["exercises/mine/Cargo.toml:1:9", "could not build exercise3: failed"]
    {
        assert!(said.err.contains(part), "no {part:?} in {said:#?}");
    }
}

#[test]
fn the_learner_is_told_when_another_cargo_is_at_work() {
    let copy = Checkout::for_builds();
    copy.answer_with(SOLUTION);
    const WAITS: &str = "Blocking waiting for file lock on build directory";
    // A shell writes the script: a program that this process has open for writing
    // cannot be started, nor while another test starts one that has inherited it.
    let script =
        format!("#!/bin/sh\necho '    {WAITS}' >&2\nexec \"$REAL_CARGO\" \"$@\"\n");
    let write = "printf %s \"$1\" > cargo-that-waits && chmod +x cargo-that-waits";
    run(&mut copy.command("sh", ["-c", write, "sh", &script])).ended(0);
    let mut command = copy.xtask(["check", "3"]);
    command.env("CARGO", copy.path("cargo-that-waits")).env("REAL_CARGO", cargo());
    let said = run(&mut command).ended(0).shows("✓ passed");
    let told = format!("    {WAITS}\n    (another cargo is at work, ");
    assert!(said.err.contains(&told), "{said:#?}");
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    let copy = Checkout::new();
    for args in [
        &[][..],
        &["list"],
        &["--help"],
        &["hint", "3"],
        &["start", "3"],
        &["check", "3"],
        &["check", "3", "--format", "json"],
        &["solution", "3", "--spoil"],
        &["reset", "3"],
        &["completions", "bash"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let said = run_into(copy.xtask([]).args(args), writer);
        said.gave_up_over("the output could not be written: Broken pipe");
    }
    assert_eq!(copy.read(ANSWER), copy.read(STARTER));
}

#[test]
fn a_full_disk_behind_the_output_is_said() {
    let copy = Checkout::new();
    copy.write(ANSWER, "my work");
    for args in [&[][..], &["list"], &["--help"], &["hint", "3"], &["check", "1"]] {
        let full =
            fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
        let said = run_into(copy.xtask([]).args(args), full);
        said.gave_up_over("the output could not be written: No space left");
    }
    // A hint that could not be read has not been given.
    assert!(!copy.path(PROGRESS).exists());
    assert_eq!(copy.read(ANSWER), b"my work");
}

#[test]
fn closed_descriptors_do_no_harm() {
    let copy = Checkout::new();
    for closed in [">&-", "2>&-", "<&- >&- 2>&-"] {
        for (args, status) in
            [("", 0), ("list", 0), ("check 3", 1), ("check nonsense", 2)]
        {
            let line = format!("exec \"$0\" {args} {closed}");
            let mut command =
                copy.command("sh", ["-c", &line, crate::checkout::XTASK]);
            run(&mut command).ended(status);
        }
    }
    assert_eq!(copy.read(ANSWER), copy.read(STARTER));
}

#[test]
fn a_name_that_is_no_text_is_refused() {
    let copy = Checkout::new();
    for bytes in [&b"exercise\xff3"[..], b"\xff"] {
        let name = OsStr::from_bytes(bytes);
        run(copy.xtask(["check"]).arg(name)).ended(2);
        run(copy.xtask([]).arg(name)).ended(2);
    }
}

#[test]
fn a_checkout_that_cannot_be_written_loses_nothing() {
    let copy = Checkout::for_builds();
    copy.answer_with(SOLUTION);
    copy.run(["hint", "3"]).ended(0);
    // So that the check below has only to look.
    copy.run(["run", "3"]).ended(0);
    let progress = copy.read(PROGRESS);

    let Some(read_only) = ReadOnly::make(&copy) else {
        return eprintln!("not tested: nothing is read-only for this user");
    };
    read_only.run(["list"]).ended(0);
    for (args, why) in [
        (["start", "1"], "cannot write"),
        (["check", "1"], "cannot write"),
        (["hint", "3"], "cannot write"),
        (["reset", "3"], "cannot make exercises/mine/backup"),
    ] {
        read_only.run(args).gave_up_over(why);
    }
    // The verdict is told, though it cannot be kept.
    let said = read_only.run(["check", "3"]).ended(2).shows("✓ passed");
    assert!(said.err.contains("cannot write"), "{said:#?}");
    drop(read_only);

    assert_eq!(copy.read(ANSWER), copy.read(SOLUTION));
    assert_eq!(copy.read(PROGRESS), progress);
    assert_eq!(
        files(&copy, "exercises/mine"),
        ["Cargo.toml", "progress.txt", "src"]
    );
    assert_eq!(files(&copy, "exercises/mine/src/bin"), ["exercise3.rs"]);
}

/// A copy whose learner's folder cannot be written, as long as this lives.
struct ReadOnly<'a> {
    copy: &'a Checkout,
}

impl<'a> ReadOnly<'a> {
    /// None if root may write everywhere and cannot mount.
    fn make(copy: &'a Checkout) -> Option<ReadOnly<'a>> {
        let read_only = ReadOnly { copy };
        if Uid::effective().is_root() {
            let mut probe = copy.command("unshare", ["--mount", "true"]);
            return probe
                .status()
                .is_ok_and(|status| status.success())
                .then_some(read_only);
        }
        read_only.set_mode(0o555);
        Some(read_only)
    }

    fn run<const N: usize>(&self, args: [&str; N]) -> Said {
        if !Uid::effective().is_root() {
            return self.copy.run(args);
        }
        let script =
            "mount --bind . . && mount -o remount,bind,ro . && cd . && exec \"$@\"";
        let wrapped = ["--mount", "sh", "-c", script, "sh", crate::checkout::XTASK];
        run(self.copy.command("unshare", wrapped).args(args))
    }

    fn set_mode(&self, mode: u32) {
        for folder in ["exercises/mine", "exercises/mine/src/bin"] {
            fs::set_permissions(
                self.copy.path(folder),
                Permissions::from_mode(mode),
            )
            .expect("one's own folder");
        }
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        self.set_mode(0o755);
    }
}

#[test]
fn a_full_disk_loses_nothing() {
    let copy = Checkout::new();
    copy.write(ANSWER, "my work");
    copy.run(["hint", "3"]).ended(0);
    let progress = copy.read(PROGRESS);
    for args in [["start", "1"], ["check", "1"], ["hint", "3"], ["reset", "3"]] {
        let Some(said) = on_full_disk(&copy, args) else {
            return eprintln!("not tested: this user may not mount");
        };
        said.gave_up_over("No space left");
        assert_eq!(copy.read("after/src/bin/exercise3.rs"), b"my work", "{args:?}");
        assert_eq!(copy.read("after/progress.txt"), progress, "{args:?}");
        assert_eq!(files(&copy, "after/src/bin"), ["exercise3.rs"], "{args:?}");
    }
}

/// Runs a command while the learner's folder is on a disk without room; afterwards
/// the folder is kept as `after`. None if that cannot be arranged.
fn on_full_disk(copy: &Checkout, args: [&str; 2]) -> Option<Said> {
    const SCRIPT: &str = r#"
        rm -rf full after && mkdir full && mount -t tmpfs -o size=64k tmpfs full &&
        cp -r exercises/mine/. full && mount --bind full exercises/mine || exit 99
        head -c 1M /dev/zero > exercises/mine/filler 2> /dev/null
        "$@"
        status=$?
        rm exercises/mine/filler
        cp -r exercises/mine after
        exit $status"#;
    let mut flags = vec!["--mount"];
    if !Uid::effective().is_root() {
        flags.extend(["--user", "--map-root-user"]);
    }
    let mut command = copy.command("unshare", []);
    command
        .args(flags)
        .args(["sh", "-c", SCRIPT, "sh", crate::checkout::XTASK])
        .args(args);
    let probe = copy.command("unshare", ["--version"]).output();
    let said = probe.is_ok().then(|| run(&mut command))?;
    let arranged = said.status != 99 && !said.err.starts_with("unshare: ");
    arranged.then_some(said)
}

/// The names in a folder, in order.
fn files(copy: &Checkout, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(copy.path(folder)).expect("a folder").flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
