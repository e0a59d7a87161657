//! The program `socketio-operator`.

fn main() {
    print!("{}", socketio_operator::crd::manifest().unwrap());
}
