//! What the repository promises about itself, made good on demand: by `cargo xtask verify` as often
//! and under whatever load one likes, by `cargo test` once.
//!
//! Each function returns the complaints it found, in words; none is good.

mod conventions;
mod lessons;
mod load;
mod notes;
mod speed;
mod verdicts;

pub use conventions::conventions;
pub use lessons::{Surroundings, lessons};
pub use load::{one_core, spin};
pub use notes::notes;
pub use speed::speed;
pub use verdicts::{Judgement, verdicts};

/// One broken promise.
pub type Complaint = String;

/// Output with everything that may differ from run to run replaced: numbers, also in hexadecimal,
/// become `#`. Numbers in columns are set flush right: of the spaces before a number one is left.
pub fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if !character.is_ascii_digit() {
            masked.push(character);
            continue;
        }
        while masked.ends_with("  ") {
            masked.pop();
        }
        masked.push('#');
        let hexadecimal = character == '0' && characters.next_if_eq(&'x').is_some();
        let part_of_number = |c: &char| match hexadecimal {
            true => c.is_ascii_hexdigit(),
            false => c.is_ascii_digit(),
        };
        while characters.next_if(part_of_number).is_some() {}
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn numbers_are_masked_and_words_are_not() {
        assert_eq!(masked("grew by 512 MiB"), masked("grew by 32 MiB"));
        assert_eq!(masked("at 0x7ffd12ab"), "at #");
        assert_ne!(masked("EINVAL"), masked("EBUSY"));
        assert_eq!(masked("p99    7.5   12"), masked("p99  117.2 1024"));
    }
}
