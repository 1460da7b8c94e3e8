//! What the exercises share.

#[cfg(not(target_os = "linux"))]
compile_error!("This workbook shows how Linux works and runs on Linux only: use the dev container.");
