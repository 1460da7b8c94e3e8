//! Judges a program that is built already, and prints the verdict as JSON:
//! judge XTASK EXERCISE PROGRAM MODE MILLISECONDS

use anyhow::{Context, Result};
use std::time::Duration;
use xtask::cage::Mode;
use xtask::judge::{Options, Program, judge};
use xtask::workbook::find_exercise;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [xtask, exercise, program, mode, milliseconds] = &args[..] else {
        anyhow::bail!("judge XTASK EXERCISE PROGRAM MODE MILLISECONDS");
    };
    let options = Options {
        xtask: xtask.into(),
        mode: Some(Mode::from_name(mode).context("which mode?")?),
        deadline: Duration::from_millis(milliseconds.parse()?),
        patience: 1,
    };
    let program = Program { plain: program.into(), explored: None };
    let judged = judge(find_exercise(exercise)?, &program, &options);
    println!("{}", judged.verdict.to_json());
    Ok(())
}
