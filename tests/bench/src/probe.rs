//! What is looked at outside the rounds, on subjects that were started for it.

pub(crate) mod memory;
pub(crate) mod syscalls;
pub(crate) mod valgrind;
