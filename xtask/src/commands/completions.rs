//! `cargo xtask completions bash`

use super::print;
use anyhow::{Context, Result};
use clap::{Arg, ArgMatches, Command};
use clap_complete::Shell;

pub fn cli() -> Command {
    Command::new("completions")
        .about("Prints a completion script for a shell")
        .long_about(
            "Prints a completion script for a shell. It completes the command xtask: define \
             alias xtask='cargo xtask' beside it.",
        )
        .arg(
            Arg::new("shell")
                .required(true)
                .value_name("SHELL")
                .value_parser(clap::value_parser!(Shell)),
        )
}

pub fn run(matches: &ArgMatches) -> Result<u8> {
    let shell = *matches.get_one::<Shell>("shell").context("no shell")?;
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::cli(), "xtask", &mut script);
    print(&String::from_utf8(script)?)?;
    Ok(0)
}
