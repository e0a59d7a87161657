//! Our own parsers, held against those of hyper, Node and Socket.IO (decision 0001).
//!
//! Whatever bytes come: what we accept, the others read the same, and what we write on, they read as what
//! we understood; where they refuse it instead, it is for one of the reasons that [`reading`] lists. So
//! nothing can be hidden from us that an edge before us or an application behind us would find. Asked of
//!
//! | tests | what | against |
//! | --- | --- | --- |
//! | [`requests`] | requests, one behind another, and what is written on of them | hyper's and Node's servers |
//! | [`answers`] | answers, interim ones before them, and what is written on | hyper's and Node's clients |
//! | [`queries`] | which sid, transport and revision a target names | engine.io 6 and 3 |
//! | [`handshakes`] | an open packet before and after it is tagged | engine.io-parser, and JSONP evaluated |
//! | [`frames`] | where a WebSocket message ends | ws |
//!
//! [`generate`] makes bytes that are valid, or nearly ([`odd`]); [`ours`] reads them as the sidecar does; [`reading`]
//! compares. The peers are [`hyper_peer`], in this process, and [`node_peer`], Node in one of its own.
//!
//! Each property is tried on some hundreds of inputs, or as many as `PROPTEST_CASES` says. What fails is
//! shrunk and printed as an escaped string, with what each party understood; it then belongs in the
//! table that each test begins with.

mod answers;
mod frames;
mod generate;
mod handshakes;
mod hyper_peer;
mod node_peer;
mod odd;
mod ours;
mod queries;
mod reading;
mod requests;

use std::fmt::Debug;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

/// Tries `property` on the `known` inputs, and on so many others by default.
fn try_all<T: Clone + Debug>(
    default: u32,
    known: impl IntoIterator<Item = T>,
    inputs: &impl Strategy<Value = T>,
    property: impl Fn(&T) -> Result<(), String>,
) {
    for input in known {
        property(&input).unwrap_or_else(|why| panic!("{why}"));
    }
    let told = std::env::var_os("PROPTEST_CASES").is_some();
    let config = Config::default();
    let cases = if told { config.cases } else { default };
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..config };
    // The input is in the reason, escaped; proptest's own rendering of it is a list of numbers.
    let tried = TestRunner::new(config).run(inputs, |input| property(&input).map_err(TestCaseError::fail));
    if let Err(proptest::test_runner::TestError::Fail(why, _)) = tried {
        panic!("{why}");
    }
    tried.unwrap_or_else(|error| panic!("{error}"));
}
