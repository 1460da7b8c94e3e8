//! The commands as a learner meets them: the real program, run in a copy of the
//! workbook, so that nobody's own answers are touched.

mod checkout;
mod learning;
mod terminal;
mod trouble;
