//! Does waiting block?
//!
//! waitpid(2) sleeps until a child has ended; with WNOHANG it only asks. It tells
//! how the child ended, by exit or by a signal, and takes its entry away.
//! Predict: a child is stopped by SIGSTOP. Has waitpid something to tell?
//! Neighbours: 14_zombie, 17_eintr, 18_sigchld.

use lessons::{observe, proc, prove, step, until};
use libc::{WEXITSTATUS, WIFEXITED, WIFSIGNALED, WTERMSIG};
use nix::errno::Errno::ECHILD;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal::{SIGCONT, SIGKILL, SIGSTOP};
use nix::sys::signal::kill;
use nix::sys::wait::WaitPidFlag as Flag;
use nix::sys::wait::WaitStatus::{Continued, Exited, StillAlive, Stopped};
use nix::sys::wait::{Id, waitid, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::env::{args, current_exe};
use std::io::{PipeWriter, Read, pipe, stdin};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

fn main() -> anyhow::Result<()> {
    if args().len() > 1 {
        let _ = stdin().read(&mut [0])?;
        return Ok(());
    }
    lessons::open("Does waiting block?");

    step("A child waits at a gate. Main asks for it by waitpid(2) with WNOHANG.");
    let (child, gate) = start()?;
    let asked = waitpid(child, Some(Flag::WNOHANG))?;
    observe("with WNOHANG", format!("{asked:?}"));
    prove("with WNOHANG waitpid does not wait", asked == StillAlive)?;

    step("A thread calls it without WNOHANG. Then the gate opens.");
    let (asleep, end) = std::thread::scope(|scope| {
        let thread = scope.spawn(|| waitpid(child, None));
        let asleep = until("it sleeps in wait4(2)", || {
            Ok(proc::blocked_in(libc::SYS_wait4)?.len() == 1)
        });
        drop(gate);
        (asleep, thread.join().expect("it does not panic"))
    });
    asleep?;
    let end = end?;
    observe("it slept in wait4(2), then", format!("{end:?}"));
    prove("it sleeps until the child ends", end == Exited(child, 7))?;

    step(
        "One child calls _exit(7), one gets SIGKILL. The status word, as C has it:",
    );
    let (child, gate) = start()?;
    drop(gate);
    let exited = status_word(child);
    let (child, _gate) = start()?;
    kill(child, SIGKILL)?;
    let killed = status_word(child);
    observe("after _exit(7)", format!("{exited:#x}"));
    observe("after SIGKILL", format!("{killed:#x}"));
    let code = WIFEXITED(exited) && WEXITSTATUS(exited) == 7;
    prove("WIFEXITED says yes, WEXITSTATUS says 7", code)?;
    let signal = WIFSIGNALED(killed) && WTERMSIG(killed) == libc::SIGKILL;
    prove("WIFSIGNALED says yes, WTERMSIG says SIGKILL", signal)?;

    step("A child is stopped, and continued.");
    let (child, gate) = start()?;
    kill(child, SIGSTOP)?;
    let id = child.as_raw();
    until("it is stopped", || Ok(proc::state(id, id)? == 'T'))?;
    let asked = waitpid(child, Some(Flag::WNOHANG))?;
    let stopped = waitpid(child, Some(Flag::WUNTRACED))?;
    kill(child, SIGCONT)?;
    let continued = waitpid(child, Some(Flag::WCONTINUED))?;
    observe("stopped: WNOHANG", format!("{asked:?}"));
    observe("stopped: WUNTRACED", format!("{stopped:?}"));
    observe("continued: WCONTINUED", format!("{continued:?}"));
    prove("who does not ask for it is not told", asked == StillAlive)?;
    let told = (stopped, continued) == (Stopped(child, SIGSTOP), Continued(child));
    prove("who asks is told, and the child lives on", told)?;

    step("It ends. Main looks by waitid(2) with WNOWAIT. Then it waits.");
    drop(gate);
    let look = waitid(Id::Pid(child), Flag::WEXITED | Flag::WNOWAIT)?;
    let waits = [waitpid(child, None), waitpid(child, None)];
    observe("waitid, WNOWAIT", format!("{look:?}"));
    observe("waitpid", format!("{:?}", waits[0]));
    observe("waitpid, once more", format!("{:?}", waits[1]));
    prove("WNOWAIT leaves the entry", waits[0] == Ok(look))?;
    prove("waitpid takes it: there is no such child", waits[1] == Err(ECHILD))?;

    step("In Rust: try_wait, kill, and wait, twice.");
    let mut command = Command::new(current_exe()?);
    let mut child = command.arg("wait").stdin(Stdio::piped()).spawn()?;
    let asked = child.try_wait()?;
    child.kill()?;
    let ends = [child.wait()?, child.wait()?];
    observe("try_wait", format!("{asked:?}"));
    observe("code, signal", format!("{:?}, {:?}", ends[0].code(), ends[0].signal()));
    prove("try_wait does not wait", asked.is_none())?;
    let by_signal = ends[0].code().is_none() && ends[0].signal() == Some(9);
    prove("after a signal there is no exit code", by_signal)?;
    prove("a Child remembers its status", ends[0] == ends[1])
}

/// A child that waits at a gate and then ends with status 7.
fn start() -> anyhow::Result<(Pid, PipeWriter)> {
    let (mut reader, gate) = pipe()?;
    until("main is alone", || Ok(proc::threads(proc::own_pid())? == 1))?;
    // SAFETY: this process has one thread.
    if let ForkResult::Parent { child } = unsafe { fork() }? {
        return Ok((child, gate));
    }
    drop(gate);
    // A stopped child sees no gate open: should main fail, it is to end too.
    let _ = set_pdeathsig(SIGKILL);
    let _ = reader.read(&mut [0]);
    // SAFETY: it ends this process, and nothing is to be cleaned up.
    unsafe { libc::_exit(7) }
}

/// What waitpid(2) tells. nix takes it apart, as the macros of C do.
fn status_word(child: Pid) -> i32 {
    let mut word = 0;
    // SAFETY: `word` can be written to.
    assert!(unsafe { libc::waitpid(child.as_raw(), &mut word, 0) } > 0);
    word
}
