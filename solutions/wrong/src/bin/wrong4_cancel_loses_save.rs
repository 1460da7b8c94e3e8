//! Believes that a cancelled thread ends at the end of its work.

use libc::{c_char, c_int, c_void, pthread_t};
use std::ffi::{CStr, CString};
use std::io::{BufRead, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering};

const PTHREAD_CANCEL_ENABLE: c_int = 0;
const PTHREAD_CANCEL_DISABLE: c_int = 1;

/// The items come through a pipe, as addresses of strings.
static ITEMS: AtomicI32 = AtomicI32::new(-1);
static RESULTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn main() -> anyhow::Result<()> {
    let file = CString::new(std::env::args().nth(1).unwrap_or_default())?;
    let (reader, items) = std::io::pipe()?;
    ITEMS.store(reader.as_raw_fd(), Ordering::Release);
    let mut items = Some(items);
    let mut thread = 0;
    // SAFETY: default attributes; `run` takes a string that it never gives back.
    let result = unsafe {
        pthread_create(&mut thread, null_mut(), run, file.into_raw().cast())
    };
    assert_eq!(result, 0);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if line == "stop" {
            // SAFETY: the thread has not been joined. The mistake is what it loses.
            unsafe { pthread_cancel(thread) };
            items = None;
            join(thread);
        } else if let Some(items) = &mut items {
            hand_over(line, items)?;
        }
    }
    // The end of the pipe: the worker saves and ends.
    if items.take().is_some() {
        join(thread);
    }
    println!("bye");
    Ok(())
}

fn hand_over(item: String, items: &mut PipeWriter) -> anyhow::Result<()> {
    let address = CString::new(item)?.into_raw() as usize;
    Ok(items.write_all(&address.to_ne_bytes())?)
}

fn join(thread: pthread_t) {
    // SAFETY: a joinable thread, joined once.
    assert_eq!(unsafe { libc::pthread_join(thread, null_mut()) }, 0);
    println!("stopped");
}

/// The worker. What a cancel unwinds has nothing to drop.
extern "C-unwind" fn run(file: *mut c_void) -> *mut c_void {
    let (mut item, size): (*mut c_char, usize) = (null_mut(), size_of::<usize>());
    // SAFETY: each address is that of a string, handed over once; reads have room.
    unsafe {
        let items = ITEMS.load(Ordering::Acquire);
        while read(items, (&raw mut item).cast(), size) == size as isize {
            let fd = open(item, libc::O_RDONLY);
            let (mut length, mut buffer) = (0, [0_u8; 4096]);
            loop {
                match read(fd, buffer.as_mut_ptr().cast(), buffer.len()) {
                    ..=0 => break,
                    n => length += n,
                }
            }
            libc::close(fd);
            pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, null_mut());
            keep(item, length);
            pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, null_mut());
        }
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, null_mut());
        let file = CStr::from_ptr(file.cast()).to_string_lossy();
        let _ = save(&file, &RESULTS.lock().unwrap());
    }
    null_mut()
}

/// # Safety
/// The item is a string that was given up with `into_raw`.
unsafe fn keep(item: *mut c_char, length: isize) {
    // SAFETY: as above.
    let item = unsafe { CString::from_raw(item) };
    let result = format!("{}: {length} bytes", item.to_string_lossy());
    println!("{result}");
    RESULTS.lock().unwrap().push(result);
}

/// Writes all results to the file, one a line.
fn save(file: &str, results: &[String]) -> std::io::Result<()> {
    let lines: String = results.iter().map(|result| format!("{result}\n")).collect();
    std::fs::write(file, lines)
}

// "C-unwind": a cancelled thread unwinds its stack out of these calls.
unsafe extern "C-unwind" {
    fn pthread_create(
        thread: *mut pthread_t,
        attr: *const libc::pthread_attr_t,
        start: extern "C-unwind" fn(*mut c_void) -> *mut c_void,
        arg: *mut c_void,
    ) -> c_int;
    fn pthread_cancel(thread: pthread_t) -> c_int;
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
    fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    fn read(fd: c_int, buffer: *mut c_void, size: usize) -> isize;
}
