//! The images that tests make from local files are those that the Dockerfiles describe.
//!
//! Docker itself is not run here: what is compared is what each side says.

use std::path::{Path, PathBuf};

use support::images::Image;
use support::images::definitions::{self, CHAT, LOAD};
use support::images::dockerfile::{FinalStage, final_stage};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn described_by(dockerfile: &str) -> FinalStage {
    let path = repository().join(dockerfile);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{dockerfile}: {error}"));
    final_stage(&text).unwrap_or_else(|error| panic!("{dockerfile}: {error}"))
}

fn node_app(reference: &str, directory: &str, entry: &str) -> Image {
    // Which node it is makes no difference to the description.
    definitions::node_app(reference, &repository().join(directory), entry, Path::new("/usr/bin/node"))
        .unwrap()
}

#[track_caller]
fn assert_same(image: &Image, dockerfile: &str) {
    let stage = described_by(dockerfile);
    assert_eq!(stage.user, image.user, "{dockerfile}: USER");
    assert_eq!(stage.entrypoint, image.entrypoint, "{dockerfile}: ENTRYPOINT");
    assert_eq!(stage.env, image.env, "{dockerfile}: ENV");
    assert_eq!(stage.working_dir, image.working_dir, "{dockerfile}: WORKDIR");
    assert_eq!(
        stage.copied,
        image.project_files(),
        "{dockerfile}: COPY, against what the program consists of"
    );
    assert!(stage.from.starts_with("gcr.io/distroless/"), "{dockerfile}: FROM {}", stage.from);
    let uid: u32 = stage.user.split(':').next().unwrap().parse().unwrap();
    assert_ne!(uid, 0, "{dockerfile}: runs as root");
}

#[test]
fn the_sidecars_dockerfile_describes_the_sidecars_image() {
    assert_same(&definitions::sidecar(Path::new("socketio-sidecar")), "sidecar/Dockerfile");
}

#[test]
fn the_operators_dockerfile_describes_the_operators_image() {
    assert_same(&definitions::operator(Path::new("socketio-operator")), "operator/Dockerfile");
}

#[test]
fn the_chats_dockerfile_describes_the_chats_image() {
    assert_same(&node_app(CHAT, "examples/chat", "server.js"), "examples/chat/Dockerfile");
}

#[test]
fn the_load_programs_dockerfile_describes_its_image() {
    assert_same(&node_app(LOAD, "tests/load", "load.js"), "tests/load/Dockerfile");
}
