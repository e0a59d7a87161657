use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::dockerfile::{FinalStage, Unreadable, final_stage};
use super::{Image, definitions, libraries};

/// A directory like a small Node program's.
fn node_program() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("server.js", "// server");
    write("server.test.js", "// a test");
    write("README.md", "# no part of the program");
    write("package.json", "{}");
    write("node_modules/a/index.js", "// a");
    write("node_modules/.bin/tool", "// for development");
    dir
}

fn image_of(dir: &Path) -> Image {
    // A script in node's place: it needs no libraries, so the test does not depend on them.
    let node = dir.join("server.js");
    definitions::node_app("example/app:dev", dir, "server.js", &node).unwrap()
}

fn entries(archive: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let mut entries = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mode = entry.header().mode().unwrap();
        assert_eq!(entry.header().mtime().unwrap(), 0, "{path} has a time");
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        entries.insert(path, (mode, data));
    }
    entries
}

#[test]
fn an_archive_holds_the_program_and_its_configuration() {
    let dir = node_program();
    let tar = dir.path().join("out/image.tar");
    image_of(dir.path()).write(&tar).unwrap();

    let outer = entries(&std::fs::read(&tar).unwrap());
    let manifest: serde_json::Value = serde_json::from_slice(&outer["manifest.json"].1).unwrap();
    assert_eq!(manifest[0]["RepoTags"][0], "example/app:dev");

    let config_name = manifest[0]["Config"].as_str().unwrap();
    let config: serde_json::Value = serde_json::from_slice(&outer[config_name].1).unwrap();
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Entrypoint"][1], "/app/server.js");
    assert_eq!(config["config"]["WorkingDir"], "/app");

    let layer = &outer[manifest[0]["Layers"][0].as_str().unwrap()].1;
    let sum: String = digest(&SHA256, layer).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{sum}"));

    let files = entries(layer);
    assert_eq!(files["app/server.js"], (0o644, b"// server".to_vec()));
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "app/",
            "app/node_modules/",
            "app/node_modules/a/",
            "app/node_modules/a/index.js",
            "app/package.json",
            "app/server.js",
            "nodejs/",
            "nodejs/bin/",
            "nodejs/bin/node",
        ]
    );
}

#[test]
fn equal_files_give_equal_archives() {
    let (first, second) = (node_program(), node_program());
    let tars = [first.path(), second.path()].map(|dir| {
        let tar = dir.join("image.tar");
        image_of(dir).write(&tar).unwrap();
        std::fs::read(tar).unwrap()
    });
    assert!(tars[0] == tars[1], "the two archives differ");
}

#[test]
fn a_program_brings_its_libraries_and_the_loader() {
    let program = std::env::current_exe().unwrap();
    let image = definitions::program_image("example/program:dev", &program, "/program");
    let files = image.files().unwrap();
    assert_eq!(files["/program"], program);
    assert!(files.keys().any(|path| path.contains("libc.so")), "no C library in {files:?}");
    assert!(files.keys().any(|path| path.contains("/ld-linux")), "no loader in {files:?}");
}

#[test]
fn a_node_program_without_its_modules_is_refused_with_advice() {
    let dir = node_program();
    std::fs::remove_dir_all(dir.path().join("node_modules")).unwrap();
    let node = dir.path().join("server.js");
    let error = definitions::node_app("a:b", dir.path(), "server.js", &node).unwrap_err();
    assert!(error.to_string().contains("npm ci"), "{error}");
}

#[test]
fn ldd_answers_are_read() {
    let answer = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                  \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f1)\n\
                  \t/lib64/ld-linux-x86-64.so.2 (0x00007f2)\n";
    assert_eq!(
        libraries::parse(answer).unwrap(),
        ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from)
    );
    assert!(libraries::parse("\tstatically linked\n").unwrap().is_empty());
    assert!(libraries::parse("\tlibx.so => not found\n").is_err());
}

#[test]
fn the_last_stage_of_a_dockerfile_is_read() {
    let text = "FROM rust AS build\nRUN make\n\n# the image\nFROM distroless/cc\n\
                COPY --from=build /a.js \\\n  /b.js /app/\ncopy --from=build /x /y\n\
                ENV A=b\nWORKDIR /app\nUSER 1:2\nENTRYPOINT [\"/y\", \"z\"]\n";
    assert_eq!(
        final_stage(text).unwrap(),
        FinalStage {
            from: "distroless/cc".into(),
            user: "1:2".into(),
            entrypoint: vec!["/y".into(), "z".into()],
            env: vec!["A=b".into()],
            working_dir: "/app".into(),
            copied: vec!["/app/a.js".into(), "/app/b.js".into(), "/y".into()],
        }
    );
}

#[test]
fn what_would_change_the_image_unnoticed_is_refused() {
    assert_eq!(final_stage("RUN x"), Err(Unreadable::NoStage));
    assert_eq!(final_stage("FROM a\nRUN x"), Err(Unreadable::Instruction("RUN".into())));
    assert_eq!(final_stage("FROM a\nENTRYPOINT /y z"), Err(Unreadable::Entrypoint("/y z".into())));
    assert_eq!(final_stage("FROM a\nCOPY /y"), Err(Unreadable::Copy("/y".into())));
}
