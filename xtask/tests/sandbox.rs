//! The judge against programs that want to get the better of it:
//! examples/hostile_*.rs, each with the verdict it must get in its first lines.
//!
//! Whatever such a program does, the judge comes to that verdict in time and stays
//! alive, and nothing of the program is left: no process, no file. Without
//! namespaces some of this needs Landlock of a newer kernel; where it is missing,
//! the programs that say so are left out.

use lessons::{proc, until};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, signal};
use nix::sys::stat::{Mode as Mask, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs::{self, Permissions};
use std::io::Write;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use xtask::cage::Mode;
use xtask::workbook::{Workbook, find_exercise};

/// How long a case may take here, if the program goes on for all that time; else
/// what it has to reach before that may take long on a busy machine.
const DEADLINE: Duration = Duration::from_secs(2);
const LONG_DEADLINE: Duration = Duration::from_secs(10);
/// How many of those that go on for all that time are judged at once.
const AT_ONCE: usize = 6;
/// What the judge may need beyond that for each case.
const MARGIN: Duration = Duration::from_secs(1);

#[test]
fn no_hostile_program_gets_the_better_of_the_judge_in_namespaces() {
    let world = World::new();
    if let Some(why) = world.no_namespaces() {
        eprintln!("not tested: this machine allows no namespaces ({why})");
        return;
    }
    world.judge_all(Mode::Namespaces);
}

#[test]
fn no_hostile_program_gets_the_better_of_the_judge_without_namespaces() {
    World::new().judge_all(Mode::Process);
}

#[test]
fn in_namespaces_the_host_cannot_be_seen() {
    let world = World::new();
    if let Some(why) = world.no_namespaces() {
        eprintln!("not tested: this machine allows no namespaces ({why})");
        return;
    }
    assert_eq!(world.look_around(Mode::Namespaces), Vec::<String>::new());
}

#[test]
fn without_namespaces_the_network_can_be_seen_but_no_file_where_there_is_landlock() {
    let world = World::new();
    let mut found = world.look_around(Mode::Process);
    if landlock() < 6 {
        found.retain(|what| what != "abstract");
    }
    if landlock() < 1 {
        found.retain(|what| !matches!(what.as_str(), "file" | "folder"));
    }
    assert_eq!(found, ["port", "socket", "process"]);
}

#[test]
fn when_the_judge_is_killed_the_program_goes_with_it() {
    let world = World::new();
    let mut modes = vec![Mode::Process];
    if world.no_namespaces().is_none() {
        modes.push(Mode::Namespaces);
    }
    for mode in modes {
        let program = built("hostile_spins");
        let mut judge = world.command("exercise3", &program, mode, LONG_DEADLINE);
        let mut judge = judge.stdout(Stdio::piped()).spawn().unwrap();
        until("the program runs", || {
            let all = proc::descendants(proc::own_pid())?;
            Ok(all.into_iter().any(is_judged_program))
        })
        .unwrap();
        judge.kill().unwrap();
        judge.wait().unwrap();
        until("all have gone", || {
            reap();
            Ok(proc::descendants(proc::own_pid())?.is_empty())
        })
        .unwrap();
        // Where root judges, nobody is left who may remove the working folders
        // themselves.
        for folder in fs::read_dir(&world.folder).unwrap().flatten() {
            fs::remove_dir(folder.path()).expect("an empty folder");
        }
    }
}

fn is_judged_program(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|line| line.starts_with(b"exercise\0"))
}

/// Takes note of those that have ended.
fn reap() {
    let flags = Some(WaitPidFlag::WNOHANG);
    while waitpid(None, flags).is_ok_and(|status| status != WaitStatus::StillAlive) {
    }
}

/// Where one program after the other is judged. Only one test at a time is in it.
struct World {
    /// The judge's temporary folder.
    folder: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl World {
    fn new() -> World {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        // Whatever escapes from its parents becomes a child of this test.
        prctl::set_child_subreaper(true).unwrap();
        let folder = std::env::temp_dir().join("workbook-test-XXXXXX");
        let folder = nix::unistd::mkdtemp(&folder).unwrap();
        // The user `nobody`, as whom root judges, must get through.
        fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
        World { folder, _alone: alone }
    }

    /// Judges all programs in this mode and tells of all that went wrong.
    fn judge_all(&self, mode: Mode) {
        let workbook = Workbook::find().unwrap();
        let names = workbook
            .stems("xtask/examples", |name| name.starts_with("hostile_"))
            .unwrap();
        assert!(!names.is_empty());
        let hostile: Vec<Hostile> =
            names.into_iter().filter_map(|name| Hostile::read(name, mode)).collect();
        // Those that are waited for in vain may as well be waited for together.
        let (waited_for, quick): (Vec<_>, Vec<_>) =
            hostile.into_iter().partition(|program| program.verdict == "hung");
        let mut complaints = Vec::new();
        for together in waited_for.chunks(AT_ONCE).chain(quick.chunks(1)) {
            std::thread::scope(|scope| {
                let judged: Vec<_> = together
                    .iter()
                    .map(|program| scope.spawn(|| self.complaint(program, mode)))
                    .collect();
                complaints
                    .extend(judged.into_iter().filter_map(|j| j.join().unwrap()));
            });
            if let Err(wrong) = self.nothing_is_left() {
                let names: Vec<&str> =
                    together.iter().map(|program| &*program.name).collect();
                complaints.push(format!("{}: {wrong}", names.join(" or ")));
            }
        }
        assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    }

    /// What is wrong with the verdict on a program, if anything is.
    fn complaint(&self, hostile: &Hostile, mode: Mode) -> Option<String> {
        let deadline =
            if hostile.verdict == "hung" { DEADLINE } else { LONG_DEADLINE };
        self.judge(&hostile.exercise, &built(&hostile.name), mode, deadline)
            .and_then(|judged| judged.compare(&hostile.verdict, &hostile.says))
            .err()
            .map(|wrong| format!("{}: {wrong}", hostile.name))
    }

    /// The judge is a process of its own here, so that its end would be noticed, and
    /// this test is its parent.
    fn judge(
        &self,
        exercise: &str,
        program: &Path,
        mode: Mode,
        deadline: Duration,
    ) -> Result<Judged, String> {
        let (mut inherited, for_judge) = std::io::pipe().unwrap();
        nix::fcntl::fcntl(
            &for_judge,
            nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
        )
        .unwrap();
        let output =
            self.command(exercise, program, mode, deadline).output().unwrap();
        drop(for_judge);
        if !output.status.success() {
            return Err(format!("the judge itself was ended: {output:?}"));
        }
        let verdict: Value = String::from_utf8_lossy(&output.stdout)
            .parse()
            .map_err(|_| format!("not a verdict: {output:?}"))?;
        let mut forged = String::new();
        std::io::Read::read_to_string(&mut inherited, &mut forged).unwrap();
        if !forged.is_empty() {
            return Err(format!("it had a descriptor of the judge: {forged}"));
        }
        let cases = find_exercise(exercise).unwrap().cases.len() as u32;
        Ok(Judged { verdict, most: deadline + MARGIN * cases })
    }

    fn command(
        &self,
        exercise: &str,
        program: &Path,
        mode: Mode,
        deadline: Duration,
    ) -> Command {
        let mut judge = Command::new(example("judge"));
        judge
            .arg(env!("CARGO_BIN_EXE_xtask"))
            .arg(exercise)
            .arg(program)
            .arg(mode.name())
            .arg(deadline.as_millis().to_string())
            .env("TMPDIR", &self.folder)
            .stdin(Stdio::null());
        // As a shell starts it in the background, or nohup(1), and worse.
        let surroundings = || {
            // SAFETY: to ignore a signal runs no code.
            unsafe { signal(Signal::SIGINT, SigHandler::SigIgn)? };
            let mut blocked = SigSet::empty();
            blocked.add(Signal::SIGWINCH);
            blocked.thread_block()?;
            umask(Mask::from_bits_truncate(0o077));
            Ok(())
        };
        // SAFETY: it makes three system calls and nothing else.
        unsafe { judge.pre_exec(surroundings) };
        judge
    }

    fn nothing_is_left(&self) -> Result<(), String> {
        let processes = proc::descendants(proc::own_pid()).unwrap();
        let mut left: Vec<String> =
            processes.iter().map(|pid| format!("process {pid}")).collect();
        for pid in processes.into_iter().map(Pid::from_raw) {
            let _ = kill(pid, Signal::SIGKILL);
        }
        while waitpid(None, None).is_ok() {}
        for entry in fs::read_dir(&self.folder).unwrap().flatten() {
            left.push(entry.path().display().to_string());
            let _ = Command::new("chmod")
                .arg("-R")
                .arg("700")
                .arg(entry.path())
                .status();
            let _ = fs::remove_dir_all(entry.path());
        }
        let checkout = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        for folder in ["/dev/shm", "/tmp", "/var/tmp", "/run", checkout] {
            for name in ["left-by-hostile-litters", "left-by-hostile-litters.d"] {
                let path = Path::new(folder).join(name);
                let gone = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
                if gone.is_ok() {
                    left.push(path.display().to_string());
                }
            }
        }
        left.extend(system_v_objects());
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("left: {}", left.join(", ")))
        }
    }

    /// Why this machine does not allow namespaces, if it does not.
    fn no_namespaces(&self) -> Option<String> {
        let name = "hostile_exits_at_once";
        let program = built(name);
        let judged = self
            .judge("exercise3", &program, Mode::Namespaces, LONG_DEADLINE)
            .unwrap();
        let cannot = judged.verdict["status"] == "this machine cannot";
        cannot.then(|| judged.verdict["findings"][0]["seen"].to_string())
    }

    /// What of the host a judged program finds.
    fn look_around(&self, mode: Mode) -> Vec<String> {
        let host = Host::new(&self.folder);
        let name = "hostile_looks_around";
        let program = self.folder.join("looks_around");
        fs::copy(built(name), &program).unwrap();
        let mut end = fs::OpenOptions::new().append(true).open(&program).unwrap();
        end.write_all(host.clues().as_bytes()).unwrap();
        drop(end);
        let judged = self.judge("exercise3", &program, mode, LONG_DEADLINE).unwrap();
        fs::remove_file(&program).unwrap();
        let seen = judged.seen();
        assert!(seen.contains("that is all"), "{}", judged.verdict);
        // Control characters are shown as Rust writes them.
        let printed = seen.split(['“', '”']).nth(1).unwrap_or_default();
        let lines = printed.split("\\n");
        let found = lines.filter_map(|line| line.strip_prefix("found "));
        found.map(str::to_owned).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A program and what its first lines say of it.
struct Hostile {
    name: String,
    exercise: String,
    /// A status, or a status and a finding.
    verdict: String,
    /// What the finding must have seen.
    says: String,
}

impl Hostile {
    /// Nothing if this machine cannot judge it in that mode.
    fn read(name: String, mode: Mode) -> Option<Hostile> {
        let source = fs::read_to_string(source(&name)).unwrap();
        let annotation = |word: &str| {
            let start = format!("//! {word}: ");
            source
                .lines()
                .find_map(|line| line.strip_prefix(&start))
                .map(str::to_owned)
        };
        let landlock_must_be = match annotation("Without namespaces").as_deref() {
            None => 0,
            Some("needs Landlock") => 1,
            Some("needs Landlock for signals") => 6,
            Some(other) => panic!("{name}: what is {other}?"),
        };
        if mode == Mode::Process && landlock() < landlock_must_be {
            eprintln!("not tested without namespaces and Landlock: {name}");
            return None;
        }
        Some(Hostile {
            exercise: annotation("Exercise").unwrap_or("exercise3".to_owned()),
            verdict: annotation("Verdict").expect("a verdict"),
            says: annotation("Says").unwrap_or_default(),
            name,
        })
    }
}

struct Judged {
    verdict: Value,
    most: Duration,
}

impl Judged {
    /// Whether the verdict is the one that was expected and came in time.
    fn compare(&self, expected: &str, says: &str) -> Result<(), String> {
        let (status, finding) = expected.split_once(": ").unwrap_or((expected, ""));
        let found = self.verdict["findings"][0]["name"].as_str().unwrap_or_default();
        if self.verdict["status"] != status
            || !finding.is_empty() && found != finding
        {
            return Err(format!("judged {}", self.verdict));
        }
        let shown = |c: char| !c.is_control() || c == '\n';
        if !self.seen().chars().all(shown) || !self.seen().contains(says) {
            return Err(format!("it says {:?}", self.seen()));
        }
        let took = self.verdict["seconds"].as_f64().unwrap_or(f64::MAX);
        if took > self.most.as_secs_f64() {
            return Err(format!("judged after {took} s"));
        }
        Ok(())
    }

    fn seen(&self) -> &str {
        self.verdict["findings"][0]["seen"].as_str().unwrap_or_default()
    }
}

/// What a program might find outside of its sandbox.
struct Host {
    port: TcpListener,
    _socket: UnixListener,
    _abstract: UnixListener,
    folder: PathBuf,
}

impl Host {
    fn new(folder: &Path) -> Host {
        let folder = folder.join("host");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("secret"), "").unwrap();
        let socket = UnixListener::bind(folder.join("socket")).unwrap();
        let all = Permissions::from_mode(0o777);
        fs::set_permissions(folder.join("socket"), all).unwrap();
        let name = folder.as_os_str().as_encoded_bytes();
        let name = SocketAddr::from_abstract_name(name).unwrap();
        Host {
            port: TcpListener::bind("127.0.0.1:0").unwrap(),
            _socket: socket,
            _abstract: UnixListener::bind_addr(&name).unwrap(),
            folder,
        }
    }

    /// What the end of the executable says: see examples/hostile_looks_around.rs.
    fn clues(&self) -> String {
        let (folder, port) =
            (self.folder.display(), self.port.local_addr().unwrap().port());
        let (manifest, pid) = (env!("CARGO_MANIFEST_DIR"), std::process::id());
        format!(
            "LOOK FOR\n\
             file {folder}/secret\nfile {manifest}/Cargo.toml\nfolder {folder}\n\
             port {port}\nsocket {folder}/socket\nabstract {folder}\nprocess {pid}\n\
             signals SigIgn\nsignals SigBlk\numask 0022\n"
        )
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What has the key that examples/hostile_litters.rs uses (sysvipc(7)).
fn system_v_objects() -> Vec<String> {
    const KEY: i32 = 0x1e_f7_0b;
    let mut left = Vec::new();
    for kind in ["shm", "sem", "msg"] {
        let table =
            fs::read_to_string(format!("/proc/sysvipc/{kind}")).unwrap_or_default();
        let keys = table.lines().filter_map(|line| line.split_whitespace().next());
        if keys.map(str::to_owned).any(|key| key == KEY.to_string()) {
            left.push(format!("a System V object ({kind})"));
        }
    }
    left
}

/// The newest kind of Landlock that the kernel knows, 0 for none.
fn landlock() -> i64 {
    const VERSION: u32 = 1;
    // SAFETY: with this flag the call reads nothing and answers a number.
    unsafe {
        let nothing = std::ptr::null::<u8>();
        libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0_usize, VERSION)
            .max(0)
    }
}

/// The executable of an example; cargo puts them beside the tests.
fn example(name: &str) -> PathBuf {
    let this = std::env::current_exe().unwrap();
    this.parent().unwrap().with_file_name("examples").join(name)
}

/// The same, if it was built from this very source.
fn built(name: &str) -> PathBuf {
    let program = example(name);
    let time = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    assert!(
        time(&program) >= time(&source(name)),
        "{name} is not built: `cargo test` does it, `cargo test --test …` does not"
    );
    program
}

fn source(name: &str) -> PathBuf {
    format!("{}/examples/{name}.rs", env!("CARGO_MANIFEST_DIR")).into()
}
