//! Leaves files wherever it may, and things that outlive a process without being
//! files.
//! Verdict: wrong: output
//! Without namespaces: needs Landlock

mod hostile;

const NAME: &str = "left-by-hostile-litters";

fn main() {
    hostile::begin();
    let checkout = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for folder in ["/dev/shm", "/tmp", "/var/tmp", "/run", "..", checkout] {
        let _ = std::fs::write(format!("{folder}/{NAME}"), "");
        let _ = std::fs::create_dir(format!("{folder}/{NAME}.d"));
    }
    // SAFETY: all of these take numbers or valid strings.
    unsafe {
        libc::shmget(SYSTEM_V_KEY, 4096, libc::IPC_CREAT | 0o600);
        libc::semget(SYSTEM_V_KEY, 1, libc::IPC_CREAT | 0o600);
        libc::msgget(SYSTEM_V_KEY, libc::IPC_CREAT | 0o600);
        libc::mq_open(c"/left-by-hostile-litters".as_ptr(), libc::O_CREAT, 0o600, 0);
    }
}

const SYSTEM_V_KEY: libc::key_t = 0x1e_f7_0b;
