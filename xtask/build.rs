//! Links this package's programs to fixed addresses.
//!
//! The judge starts itself again for every sandbox, and judged programs start it by the hundred as
//! their children. A position-independent executable would copy some hundred pages at each start, to
//! write its address into tables (`perf stat -e page-faults`), and take twice as long.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|libc| libc == "gnu") {
        println!("cargo::rustc-link-arg-bins=-no-pie");
        println!("cargo::rustc-link-arg-examples=-no-pie");
    }
}
