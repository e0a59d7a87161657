//! The sidecar as a whole: the real program, with real Socket.IO servers and clients, and byte by byte.
//!
//! | tests | ask |
//! | --- | --- |
//! | [`standalone`] | does every request find its session behind a round-robin proxy, as `docs/standalone.md` says? |
//! | [`handshakes`], [`forwarded_for`], [`proxy_protocol`], [`client_address`], [`revision_3`] | what is changed on the way, and what is not? |
//! | [`edges`] | do sessions live behind real nginx and HAProxy? |
//! | [`foreign_tags`], [`owner_gone`], [`peer_port`], [`peer_certificates`] | where does a request never go? |
//! | [`aborts`], [`half_close`], [`bodies`], [`keep_alive`], [`silent_closes`], [`netty_socketio`] | what do connections on both sides see? |
//! | [`strict_http`], [`refusals`], [`http_hops`] | what is refused, and what passes? |
//! | [`corpus`] | do the sidecar and Node agree where each message ends? |
//! | [`attacks`] | can one client harm another client's request? |
//! | [`differential`] | is what we accept read the same by hyper, Node and Socket.IO? |
//! | [`reload`], [`paced_close`], [`shutdown`], [`limits`] | what happens while it runs, and when it ends? |
//! | [`vanished`] | who is told when a pod vanishes without a word? |
//! | [`strangers`] | what can those keep from others who open connections and are silent? |
//! | [`secrets`], [`secrets_in_errors`], [`command_line`], [`reference`], [`purity`] | what may be read, what is read, and what may not be linked? |
//! | [`threat_model`] | does every claim of the threat model have its test? |
//! | [`words`] | do doc comments and the API's descriptions name their subject? |
//!
//! Everything they need is in `support::harness`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod aborts;
mod attacks;
mod bodies;
mod client_address;
mod command_line;
mod corpus;
mod differential;
mod edges;
mod foreign_tags;
mod forwarded_for;
mod half_close;
mod handshakes;
mod head_limits;
mod http_hops;
mod images;
mod keep_alive;
mod limits;
mod netty_socketio;
mod owner_gone;
mod paced_close;
mod peer_certificates;
mod peer_port;
mod proxy_protocol;
mod purity;
mod reference;
mod refusals;
mod reload;
mod revision_3;
mod secrets;
mod secrets_in_errors;
mod shutdown;
mod silent_closes;
mod standalone;
mod strangers;
mod strict_http;
mod threat_model;
mod unacknowledged;
mod vanished;
mod words;
