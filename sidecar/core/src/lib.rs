//! Decisions of the sidecar, apart from IO.
//!
//! The map, in the order in which a request meets it:
//!
//! | module | answers |
//! | --- | --- |
//! | [`proxy_protocol`] | which client does a load balancer name at the start of a connection? |
//! | [`http1`] | where does this head end, what does it say, how long is its body, and is it unambiguous? |
//! | [`engine_io`] | is this an Engine.IO request, and of which session? |
//! | [`session_id`] | how does a sid, a bearer credential, appear in logs? |
//! | [`owner_tag`] | which pod holds the session that this sid names? |
//! | [`pace`] | in a paced close, when is each session's turn? |
//! | [`ownership`] | so: here, to another pod, or refused? |
//! | [`forwarded`] | who wrote the fields that name the client, and do they pass? |
//! | [`hop`] | what do the heads look like on the far side of this hop? |
//! | [`handshake`] | how does an open packet get its owner tag? |
//! | [`reuse`] | which connections to the application may carry another request? |
//! | [`websocket`] | where can a WebSocket end without cutting a message? |
//! | [`certificates`] | how does a sidecar prove to another that it is of the same cluster? |
//! | [`config`] | the files that tell a sidecar all this: the contract with whoever writes them |
//!
//! Nothing here does IO, waits, or knows the time, so everything here is tested by tables and
//! properties, and fuzzed (`sidecar/core/fuzz`).

pub mod certificates;
pub mod config;
pub mod engine_io;
pub mod forwarded;
pub mod handshake;
pub mod hop;
pub mod http1;
pub mod owner_tag;
pub mod ownership;
pub mod pace;
pub mod proxy_protocol;
pub mod reuse;
pub mod session_id;
pub mod websocket;
