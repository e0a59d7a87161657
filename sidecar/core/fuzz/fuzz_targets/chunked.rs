//! Fuzzes `chunked` of the library.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| socketio_sidecar_core_fuzz::chunked::check(data));
