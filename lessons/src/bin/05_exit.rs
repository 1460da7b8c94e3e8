//! What ends: the thread or the process?
//!
//! return ends a function, pthread_exit a thread, exit a process. The function that
//! main and every start routine are is called by somebody: there the three meet again.
//! Predict: main calls pthread_exit while another thread runs. What does /proc show?
//! Neighbours: 01_create, 04_detach, 14_zombie.

// pthread_exit in main unwinds main's stack. The runtime around Rust's own `main` would
// stop it and abort, so this `main` is C's.
#![no_main]

use lessons::{observe, proc, prove, step, until};
use libc::{c_char, c_int, c_void, pthread_t};
use std::ffi::CStr;
use std::process::{Child, Command, Stdio};
use std::ptr::{null, null_mut};

type Start = extern "C-unwind" fn(*mut c_void) -> *mut c_void;

unsafe extern "C-unwind" {
    fn pthread_create(
        thread: *mut pthread_t,
        attr: *const libc::pthread_attr_t,
        start: Start,
        arg: *mut c_void,
    ) -> c_int;
    fn pthread_exit(value: *mut c_void) -> !;
}

#[unsafe(no_mangle)]
extern "C-unwind" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    if argc > 1 {
        // SAFETY: 
        let role = unsafe { CStr::from_ptr(*argv.add(1)) };
        return play(role.to_bytes())
    }
    match lesson() {
        Ok(()) => 0,
        Err(error) => { eprintln!("Error: {error:?}"); 1 }
    }
}

fn lesson() -> anyhow::Result<()> {
    lessons::open("What ends: the thread or the process?");

    step("The second thread ends in a function that its start routine called.");
    let by_return = end_of(spawn("thread-returns")?)?;
    ...
}
