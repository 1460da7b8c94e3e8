//! Making a machine as bad as a learner's may be.

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Keeps the processors busy with so many loops, which end with this process.
pub fn spin(loops: usize) {
    for _ in 0..loops {
        std::thread::spawn(|| {
            loop {
                std::hint::spin_loop();
            }
        });
    }
}

/// Confines this process and all that it starts from now on to one processor.
///
/// # Errors
/// sched_setaffinity(2) fails.
pub fn one_core() -> Result<()> {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this)?;
    let first = (0..CpuSet::count())
        .find(|&core| allowed.is_set(core).unwrap_or(false))
        .context("no processor is allowed")?;
    let mut one = CpuSet::new();
    one.set(first)?;
    sched_setaffinity(this, &one).context("sched_setaffinity")
}
