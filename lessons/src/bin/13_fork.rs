//! Copied or shared?
//!
//! fork(2) makes a second process. Its memory and its table of descriptors are
//! copies. What a descriptor stands for, an open file with its offset, is shared.
//! Predict: the child reads four bytes of a file. Where does the parent read on?
//! Neighbours: 07_shared, 14_zombie.

use lessons::proc::{self, Bytes};
use lessons::{observe, prove, step};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};
use std::env::{args, current_exe};
use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, Write, pipe};
use std::os::fd::AsRawFd;
use std::os::unix::process::parent_id;
use std::process::{Command, id};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

const SIZE: u64 = 8 << 20;
static DATA: AtomicU64 = AtomicU64::new(0);

fn main() -> anyhow::Result<()> {
    if let Some(role) = args().nth(1) {
        return print_then_fork(&role);
    }
    lessons::open("Copied or shared?");

    step("fork(2) is called once. It returns twice.");
    let (child, its) = in_child(|| Ok([id(), parent_id()].map(u64::from)))?;
    observe("it returned", format!("{child} in the parent, 0 in the child"));
    observe("the child and its parent", format!("{its:?}"));
    prove("each of them can name the other", its == [child, id().into()])?;

    step("The child sets a static, a heap block and a local to 1.");
    let (heap, local) = (Box::new(AtomicU64::new(0)), AtomicU64::new(0));
    let places = [&DATA, &heap, &local];
    let see = || places.map(|place| place.load(SeqCst));
    let (_, its) = in_child(|| {
        places.iter().for_each(|place| place.store(1, SeqCst));
        Ok(see())
    })?;
    observe("the child sees", format!("{its:?}"));
    observe("the parent, at these addresses", format!("{:?}", see()));
    prove("memory is copied", (its, see()) == ([1; 3], [0; 3]))?;

    step("The parent has filled 8 MiB. What has the child to itself?");
    let mut block = black_box(vec![1_u8; SIZE as usize]);
    let (_, [before, after]) = in_child(|| {
        let before = proc::proportional(proc::own_pid())?.0;
        block.fill(2);
        Ok([before, proc::proportional(proc::own_pid())?.0])
    })?;
    observe("its share after fork", Bytes(before));
    observe("after it has written to them", Bytes(after));
    prove("both use the same pages", before < SIZE * 3 / 4)?;
    prove("until one writes: only then is a page copied", after >= SIZE)?;

    step("The child reads 4 bytes of an open file, 6 of one it opens itself.");
    let open = || File::open("/proc/self/exe");
    let mut file = open()?;
    let (_, its) = in_child(|| {
        let mut own = open()?;
        file.read_exact(&mut [0; 4])?;
        own.read_exact(&mut [0; 6])?;
        let offsets = [file.stream_position()?, own.stream_position()?];
        // SAFETY: the child ends by _exit, so nothing closes it again.
        unsafe { libc::close(file.as_raw_fd()) };
        Ok(offsets)
    })?;
    let offset = file.stream_position()?;
    observe("the child's offsets", format!("{its:?}"));
    observe("the parent's", offset);
    prove("a file opened before fork has one offset for both", offset == 4)?;
    prove("a file opened after it has its own", its == [4, 6])?;
    prove("what the child closes stays open here", file.metadata().is_ok())?;

    step("A text is still in a buffer when a program forks. Then both end.");
    let [exit, _exit] = [text_printed("exit")?, text_printed("_exit")?];
    let flushed = text_printed("flush")?;
    observe("the child calls exit(3)", &exit);
    observe("it calls _exit(2)", &_exit);
    observe("exit(3), flushed before fork", &flushed);
    prove("exit writes out the child's copy too", exit == "text text")?;
    prove("_exit writes out nothing", _exit == "text")?;
    prove("an empty buffer is copied without harm", flushed == "text")
}

/// Runs `work` in a child process. The child's id, and what it found.
fn in_child<const N: usize>(
    work: impl FnOnce() -> anyhow::Result<[u64; N]>,
) -> anyhow::Result<(u64, [u64; N])> {
    let (mut reader, mut writer) = pipe()?;
    // SAFETY: this process has one thread, so the child may do what it likes.
    let ForkResult::Parent { child } = unsafe { fork() }? else {
        let sent = work().and_then(|found| {
            Ok(writer.write_all(found.map(u64::to_ne_bytes).as_flattened())?)
        });
        // SAFETY: it ends this process, and nothing is to be cleaned up.
        unsafe { libc::_exit(sent.is_err().into()) }
    };
    drop(writer);
    waitpid(child, None)?;
    let mut found = [[0; 8]; N];
    reader.read_exact(found.as_flattened_mut())?;
    Ok((child.as_raw() as u64, found.map(u64::from_ne_bytes)))
}

/// What a program prints that forks with a text in its buffer.
fn text_printed(role: &str) -> anyhow::Result<String> {
    let output = Command::new(current_exe()?).arg(role).output()?;
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

fn print_then_fork(role: &str) -> anyhow::Result<()> {
    // No newline: std keeps the text in a buffer.
    print!("text ");
    if role == "flush" {
        std::io::stdout().flush()?;
    }
    // SAFETY: this process has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => _ = waitpid(child, None)?,
        // SAFETY: it ends this process; the buffer is left as it is on purpose.
        ForkResult::Child if role == "_exit" => unsafe { libc::_exit(0) },
        ForkResult::Child => std::process::exit(0),
    }
    Ok(())
}
