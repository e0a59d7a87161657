//! The checks of the fuzz targets. Each holds for any input.
//!
//! `fuzz_targets` feeds them new inputs; `tests/corpus.rs` replays those that are kept in `corpus`.

#![forbid(unsafe_code)]

pub mod chunked;
pub mod config;
pub mod decision;
pub mod handshake;
pub mod proxy_protocol;
pub mod query;
pub mod request_head;
pub mod response_head;
pub mod tag;
pub mod websocket;

/// A check of one input, which panics if it does not hold.
pub type Check = fn(&[u8]);

/// All targets by name, as the directories of `corpus` are named.
pub const TARGETS: [(&str, Check); 10] = [
    ("chunked", chunked::check),
    ("config", config::check),
    ("decision", decision::check),
    ("handshake", handshake::check),
    ("proxy_protocol", proxy_protocol::check),
    ("query", query::check),
    ("request_head", request_head::check),
    ("response_head", response_head::check),
    ("tag", tag::check),
    ("websocket", websocket::check),
];
