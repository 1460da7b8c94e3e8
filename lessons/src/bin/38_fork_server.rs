//! Which copies must be closed?
//!
//! A process for each client: fork(2) copies the table of descriptors, so there are
//! two copies of the listening socket and two of the connection. Two are too many.
//! Predict: the child says goodbye and ends. Does the client see the end?
//! Neighbours: 18_sigchld, 36_iterative, 39_thread_server.

use anyhow::Result;
use lessons::net::{self, State, backlog, tcp_of};
use lessons::serve::{Role, Server, Stop, errno, says};
use lessons::{observe, proc, prove, step, until};
use nix::errno::Errno::{self, EADDRINUSE, ECHILD, ECONNRESET, EINTR, ESRCH};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal::{
    SIGCHLD, SIGCONT, SIGINT, SIGKILL, SIGSTOP, SIGTERM,
};
use nix::sys::signal::{SaFlags, SigAction, SigHandler::Handler, SigSet};
use nix::sys::signal::{kill, sigaction};
use nix::sys::socket::accept;
use nix::sys::wait::{wait, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getppid, pause};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

fn main() -> Result<()> {
    match lessons::serve::role() {
        Role::Scene => scene(),
        Role::Serve(listener, _) => serve(listener, &Stop::new()?),
        Role::Client(server, _) => lessons::serve::client(server),
    }
}

/// Echoes what its clients send, to each of them from a process of its own.
pub fn serve(listener: TcpListener, stop: &Stop) -> Result<()> {
    on_sigchld(SaFlags::SA_RESTART)?;
    stop.shuts(&listener);
    let parent = Pid::this();
    while !stop.requested() {
        match listener.accept() {
            // SAFETY: this process has one thread; the child may do what it likes.
            Ok((client, _)) => match unsafe { fork() } {
                Ok(ForkResult::Child) => {
                    let ready = stop.in_child(&listener, parent);
                    drop(listener);
                    let _ = ready.map(|()| echo(client, stop));
                    // SAFETY: it ends the child, which has nothing to clean up.
                    unsafe { libc::_exit(0) }
                }
                // The child has its own. If there is none, the client is sent away.
                Ok(ForkResult::Parent { .. }) | Err(_) => drop(client),
            },
            Err(_) if stop.requested() => break,
            Err(e) => return Err(e.into()),
        }
    }
    // Without the handler, none of these numbers can become another's.
    SigSet::from(SIGCHLD).thread_block()?;
    for child in proc::descendants(parent.as_raw())? {
        kill(Pid::from_raw(child), SIGTERM)?;
    }
    while wait().is_ok() {}
    Ok(())
}

fn echo(mut client: TcpStream, stop: &Stop) -> io::Result<()> {
    let mut buffer = [0; 16384];
    stop.shuts(&client);
    loop {
        match client.read(&mut buffer)? {
            0 => return Ok(()),
            n => client.write_all(&buffer[..n])?,
        }
    }
}

fn on_sigchld(flags: SaFlags) -> nix::Result<SigAction> {
    let action = SigAction::new(Handler(reap), flags, SigSet::empty());
    // SAFETY: the handler calls waitpid(2) alone, which signal-safety(7) allows.
    unsafe { sigaction(SIGCHLD, &action) }
}

/// Takes every child that has ended: one signal may stand for several.
extern "C" fn reap(_: libc::c_int) {
    let errno = Errno::last_raw();
    // SAFETY: it writes no status anywhere.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
    // What was interrupted may be about to look at it.
    Errno::set_raw(errno);
}

fn scene() -> Result<()> {
    lessons::open("Which copies must be closed?");

    step("A server, and two clients that stay.");
    let server = Server::start(&[])?;
    let connect = |_| TcpStream::connect(server.address);
    let mut clients = (0..2).map(connect).collect::<io::Result<Vec<_>>>()?;
    let second = says(&mut clients[1], "two")?;
    let first = says(&mut clients[0], "one")?;
    let children = proc::descendants(server.pid())?;
    let states = |pid| -> Result<String> {
        let sockets = tcp_of(pid)?.into_iter();
        Ok(sockets.map(|socket| socket.state.to_string()).collect())
    };
    until("it has one socket", || Ok(tcp_of(server.pid())?.len() == 1))?;
    let parents = states(server.pid())?;
    let childrens = [states(children[0])?, states(children[1])?];
    observe("the second and the first read", format!("{second}, {first}"));
    observe("processes", 1 + children.len());
    observe("sockets of the parent", &parents);
    observe("sockets of each child", childrens.join(", "));
    prove("a process for each", children.len() == 2)?;
    prove("the parent has closed what is a child's", parents == "LISTEN")?;
    let one_each = childrens == ["ESTABLISHED"; 2];
    prove("each child has closed the listening socket", one_each)?;

    step("They leave, and the children end.");
    drop(clients);
    let left = || proc::descendants(server.pid());
    until("the children are gone", || Ok(left()?.is_empty()))?;
    observe("children, zombies included", left()?.len());
    prove("the handler of SIGCHLD takes them all", left()?.is_empty())?;

    step("By hand: accept, fork. The parent forgets to close its copy.");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut client = TcpStream::connect(address)?;
    let (mut accepted, its_address) = listener.accept()?;
    let child = in_child(|| while let Ok(1..) = copy(&mut accepted) {})?;
    let answer = says(&mut client, "one")?;
    // Each process's descriptors that lead to the connection.
    let copies = || -> Result<usize> {
        let pids = [proc::own_pid(), child.as_raw()];
        let sockets = pids.map(|pid| tcp_of(pid).unwrap_or_default()).concat();
        Ok(sockets.iter().filter(|s| s.remote == its_address).count())
    };
    let both = copies()?;
    client.shutdown(Shutdown::Write)?;
    waitpid(child, None)?;
    let one = copies()?;
    let end = || net::state(its_address, address);
    until("its FIN is acknowledged", || Ok(end()? == State::FinWait2))?;
    let kept = end()?;
    observe("the client reads, and shuts", &answer);
    observe("copies, before and after", format!("{both}, {one}"));
    observe("state of the client's end", kept);
    prove("the child has ended, and no FIN has come", one == 1)?;
    drop(accepted);
    let last = client.read(&mut [0])?;
    observe("closed here too: it reads", last);
    prove("the last copy that is closed sends it", last == 0)?;

    step("A child keeps the listening socket. The server ends, the child stays.");
    let child = in_child(pause)?;
    drop(listener);
    let again = errno(TcpListener::bind(address)).map(drop);
    let mut unserved = TcpStream::connect(address)?;
    until("it is in the queue", || Ok(backlog(address)? == 1))?;
    let end = net::state(unserved.local_addr()?, address)?;
    kill(child, SIGKILL)?;
    waitpid(child, None)?;
    let reset = errno(unserved.read(&mut [0]));
    observe("a new server", format!("{again:?}"));
    observe("a client, accepted by nobody", end);
    observe("the child has ended: it reads", format!("{reset:?}"));
    prove("the port stays taken", again == Err(EADDRINUSE))?;
    prove("until the last copy is closed", reset == Err(ECONNRESET))?;

    step("A child ends while the parent waits in accept(2).");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let previous = on_sigchld(SaFlags::empty())?;
    let child = in_child(|| parent_sleeps(|| true))?;
    let interrupted = accept(listener.as_raw_fd());
    let taken = waitpid(child, None);
    on_sigchld(SaFlags::SA_RESTART)?;
    let child = in_child(|| parent_sleeps(|| true))?;
    let other = in_child(|| {
        parent_sleeps(|| !exists(child));
        drop(TcpStream::connect(address));
    })?;
    let restarted = accept(listener.as_raw_fd()).map(drop);
    until("the handler has taken it", || Ok(!exists(other)))?;
    // SAFETY: the action is the one from before.
    unsafe { sigaction(SIGCHLD, &previous) }?;
    observe("accept", format!("{interrupted:?}"));
    observe("waitpid, for that child", format!("{taken:?}"));
    observe("accept, with SA_RESTART", format!("{restarted:?}"));
    prove("no error: the handler ran, call again", interrupted == Err(EINTR))?;
    prove("the handler has taken the child", taken == Err(ECHILD))?;
    prove("with SA_RESTART accept waits on", restarted.is_ok())?;

    step("The server again. 3 bytes come; before the child reads them, Ctrl-C.");
    let mut client = TcpStream::connect(server.address)?;
    says(&mut client, "one")?;
    let child = Pid::from_raw(proc::descendants(server.pid())?[0]);
    let stopped = || Ok(proc::state(child.as_raw(), child.as_raw())? == 'T');
    kill(child, SIGSTOP)?;
    until("the child is stopped", stopped)?;
    client.write_all(b"bye")?;
    let its_address = client.local_addr()?;
    let unread = || net::unread(server.address, its_address);
    until("3 bytes wait", || Ok(unread()? == 3))?;
    server.signal(SIGINT)?;
    kill(child, SIGCONT)?;
    let mut rest = String::new();
    client.read_to_string(&mut rest)?;
    let status = server.wait()?;
    observe("the client reads to the end", &rest);
    observe("the server ends with", status);
    prove("what has arrived is answered, then comes the end", rest == "bye")?;
    prove("the server ends by itself, and last", status.success() && !exists(child))
}

/// Returns when the parent sleeps, after `event`: in accept(2), its next call.
fn parent_sleeps(event: impl Fn() -> bool) {
    let parent = getppid().as_raw();
    let sleeps = || Ok(event() && proc::state(parent, parent)? == 'S');
    let _ = until("the parent sleeps", sleeps);
}

fn exists(process: Pid) -> bool {
    kill(process, None) != Err(ESRCH)
}

/// Starts a child that does `work` and ends.
fn in_child(work: impl FnOnce()) -> Result<Pid> {
    // SAFETY: this process has one thread, so the child may do what it likes.
    if let ForkResult::Parent { child } = unsafe { fork() }? {
        return Ok(child);
    }
    // Should the lesson fail, its child does not wait for ever.
    let _ = set_pdeathsig(SIGKILL);
    work();
    // SAFETY: it ends the child, and nothing in it is to be cleaned up.
    unsafe { libc::_exit(0) }
}

fn copy(client: &mut TcpStream) -> io::Result<usize> {
    let mut buffer = [0; 16];
    let n = client.read(&mut buffer)?;
    client.write_all(&buffer[..n])?;
    Ok(n)
}
