//! Takes the processor away from those who judge it, and spins in their place.
//! Verdict: hung

mod hostile;

fn main() {
    hostile::begin();
    for pid in hostile::ancestors() {
        // SAFETY: numbers, and a valid sched_param that is only read.
        unsafe {
            let lowest = libc::sched_param { sched_priority: 0 };
            libc::sched_setscheduler(pid, libc::SCHED_IDLE, &lowest);
            libc::setpriority(libc::PRIO_PROCESS, pid as u32, 19);
            libc::setpriority(libc::PRIO_PGRP, libc::getpgid(pid) as u32, 19);
        }
    }
    for _ in 0..8 {
        std::thread::spawn(spin);
    }
    spin();
}

fn spin() {
    loop {
        std::hint::spin_loop();
    }
}
