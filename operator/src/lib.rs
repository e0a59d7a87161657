//! The operator.

pub mod crd;
