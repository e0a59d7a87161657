//! The program `socketio-operator`.

fn main() {}
