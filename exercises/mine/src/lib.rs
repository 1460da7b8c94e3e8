//! Your own answers: src/bin/exerciseN.rs, put here by `cargo xtask start exerciseN`.
