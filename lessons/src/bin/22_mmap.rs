//! How can processes share memory?
//!
//! fork(2) copies memory, except what is mapped MAP_SHARED: all who map it use the
//! same pages. Who writes when, nobody decides, unless a semaphore does.
//! Predict: a child counts to 1000 in each of two mappings. What does main see?
//! Neighbours: 13_fork, 24_ipc.

use anyhow::ensure;
use lessons::{observe, proc, prove, step, until};
use libc::{FUTEX_PRIVATE_FLAG, MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED};
use libc::{c_int, sem_post, sem_t, sem_wait};
use nix::sys::{prctl::set_pdeathsig, signal::Signal::SIGKILL, wait::waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::fs::{self, File};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::{cell::UnsafeCell, env, path::Path, process::Command, ptr::null_mut};
use std::{io::Error, os::fd::AsRawFd};

const PAGE: usize = 4096;

#[repr(C)]
struct Page {
    count: AtomicU32,
    semaphore: UnsafeCell<sem_t>,
}

fn main() -> anyhow::Result<()> {
    if let Some(path) = env::args().nth(1) {
        // The program that is started in the last step: it is told a name.
        return map_file(path.as_ref()).map(count);
    }
    lessons::open("How can processes share memory?");

    step("Two mappings. A child counts to 1000 in both.");
    let private = map(MAP_PRIVATE | MAP_ANONYMOUS, -1)?;
    let shared = map(MAP_SHARED | MAP_ANONYMOUS, -1)?;
    let child = in_child(|| [private, shared].into_iter().for_each(count))?;
    waitpid(child, None)?;
    let [copied, same] = [private, shared].map(|page| page.count.load(SeqCst));
    observe("main sees, private and shared", format!("{copied}, {same}"));
    prove("private is copied, shared is the same", (copied, same) == (0, 1000))?;

    step("Main loads the count. A child counts to 1000. Main stores its own + 1.");
    let page = map(MAP_SHARED | MAP_ANONYMOUS, -1)?;
    let seen = page.count.load(SeqCst);
    waitpid(in_child(|| count(page))?, None)?;
    page.count.store(seen + 1, SeqCst);
    observe("1000 + 1 makes", page.count.load(SeqCst));
    prove("shared is not guarded: 1000 lost", page.count.load(SeqCst) == 1)?;

    step("The same, but who counts must have the only permit of a semaphore.");
    let page = map(MAP_SHARED | MAP_ANONYMOUS, -1)?;
    // SAFETY: nobody uses it yet. Its 1 says: among processes, not only threads.
    unsafe { libc::sem_init(page.semaphore.get(), 1, 1) };
    call(sem_wait, page);
    let seen = page.count.load(SeqCst);
    let child = in_child(|| {
        call(sem_wait, page);
        count(page);
        call(sem_post, page);
    })?;
    let (pid, word) = (child.as_raw(), page.semaphore.get() as u64);
    let mut operation = 0;
    until("the child waits for the permit", || {
        let call = proc::syscall(pid, pid)?.filter(|c| c.args[0] == word);
        operation = call.map_or(0, |c| c.args[1] as i32);
        Ok(call.is_some())
    })?;
    page.count.store(seen + 1, SeqCst);
    call(sem_post, page);
    waitpid(child, None)?;
    observe("asleep in futex(2), operation", format!("{operation:#x}"));
    observe("1 + 1000 makes", page.count.load(SeqCst));
    prove("any process can wake it", operation & FUTEX_PRIVATE_FLAG == 0)?;
    prove("the semaphore guards it", page.count.load(SeqCst) == 1001)?;

    step("A file. A program that was started, not forked, maps it by its name.");
    let path = env::temp_dir().join(format!("22_mmap-{}", proc::own_pid()));
    fs::write(&path, [0; PAGE])?;
    let page = map_file(&path)?;
    let started = Command::new("/proc/self/exe").arg(&path).status();
    let bytes = fs::read(&path);
    fs::remove_file(&path)?;
    started?;
    let read = u32::from_ne_bytes(bytes?[..4].try_into()?);
    let mapped = page.count.load(SeqCst);
    observe("main sees, and read(2) says", format!("{mapped}, {read}"));
    prove("all who map a file share it, strangers too", mapped == 1000)?;
    prove("the mapping is the file", read == 1000)
}

/// mmap(2) of a page, of a file or of memory full of zeros. It is never unmapped.
fn map(flags: c_int, file: c_int) -> anyhow::Result<&'static Page> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the kernel chooses an address where nothing is.
    let page = unsafe { libc::mmap(null_mut(), PAGE, access, flags, file, 0) };
    ensure!(page != libc::MAP_FAILED, "mmap: {}", Error::last_os_error());
    // SAFETY: zeros are a Page, and only atomics and sem_… change it.
    Ok(unsafe { &*page.cast() })
}

fn map_file(path: &Path) -> anyhow::Result<&'static Page> {
    let file = File::options().read(true).write(true).open(path)?;
    map(MAP_SHARED, file.as_raw_fd())
}

/// To 1000. What n = n + 1 does, step by step: load, add, store.
fn count(page: &Page) {
    for _ in 0..1000 {
        page.count.store(page.count.load(SeqCst) + 1, SeqCst);
    }
}

fn call(function: unsafe extern "C" fn(*mut sem_t) -> c_int, page: &Page) {
    // SAFETY: sem_wait or sem_post, after sem_init.
    unsafe { function(page.semaphore.get()) };
}

/// Starts a child that does `work` and ends.
fn in_child(work: impl FnOnce()) -> anyhow::Result<Pid> {
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
