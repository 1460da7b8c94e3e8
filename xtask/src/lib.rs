//! The workbook's tool, `cargo xtask`: it lists, starts and checks exercises, walks through
//! lessons, and verifies the workbook itself.
//!
//! A check goes down through these modules: [`commands`] reads the command line, [`judge`] comes
//! to a verdict, [`cage`] runs each case in a sandbox, [`scene`] drives and watches the program there,
//! and [`exercises`] says what is to be looked at. The children that a judged program has to start
//! are played by [`actor`].

pub mod actor;
pub mod build;
pub mod cage;
pub mod commands;
pub mod exercises;
pub mod judge;
pub mod progress;
pub mod scene;
pub mod verify;
pub mod workbook;
