//! The command line as a person reads it.

use std::process::Output;

use support::harness::sidecar::program;
use support::harness::{Config, Place, Sidecar, repository};
use tokio::process::Command;

async fn run(arguments: &[&str]) -> Output {
    Command::new(program()).env_clear().args(arguments).output().await.unwrap()
}

/// The one sentence that a wrong call ends with.
async fn complaint(arguments: &[&str], code: i32) -> String {
    let output = run(arguments).await;
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn the_sidecar_knows_every_variable_that_the_operator_sets() {
    let help = String::from_utf8(run(&["--help"]).await.stdout).unwrap();
    let injected = repository().join("operator/src/controller/build/resource/injection");
    for file in ["default.yaml", "everything.yaml", "limits.yaml"] {
        let injected = std::fs::read_to_string(injected.join(file)).unwrap();
        let names = injected.lines().filter_map(|line| line.trim().strip_prefix("- name: "));
        let names: Vec<_> = names.filter(|name| name.starts_with("SOCKETIO_SIDECAR_")).collect();
        assert!(!names.is_empty(), "{file}");
        for name in names {
            assert!(help.contains(&format!("[env: {name}=")), "{file}: {name}");
        }
    }
}

#[tokio::test]
async fn help_fits_a_terminal_and_names_every_option() {
    for arguments in [&["--help"][..], &["init", "--help"]] {
        let output = run(arguments).await;
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        assert!(help.contains("Usage: socketio-sidecar"), "{help}");
    }
    let help = String::from_utf8(run(&["--help"]).await.stdout).unwrap();
    for option in [
        "init",
        "--app",
        "--pod-ip",
        "--pod-uid",
        "--config-dir",
        "--listen",
        "--peer-port",
        "--admin-listen",
        "--max-connections",
        "--threads",
        "--head-timeout",
        "--idle-timeout",
        "--stall-timeout",
        "--drain",
        "--shutdown-timeout",
        "--log-format",
        "--log",
    ] {
        assert!(help.contains(option), "{option} in {help}");
    }
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_said_in_a_sentence() {
    let place = ["--pod-ip", "127.0.0.1", "--pod-uid", "a"];
    let with = |more: &[&'static str]| [&place[..], more].concat();
    for (arguments, code, says) in [
        (vec![], 2, "--pod-ip <IP>"),
        (vec!["--pod-ip", "here", "--pod-uid", "a"], 2, "invalid value 'here' for '--pod-ip <IP>'"),
        (with(&["--app", "3000"]), 2, "give HOST:PORT, such as 127.0.0.1:3000"),
        (
            with(&["--max-connections", "0"]),
            2,
            "'--max-connections <COUNT>': give a whole number from 1 to 1000000\n",
        ),
        (
            with(&["--drain", "5s"]),
            2,
            "'5s' for '--drain <SECONDS>': give a whole number from 0 to 4294967295",
        ),
        (with(&["--drain", "-1"]), 2, "'-1' for '--drain <SECONDS>': give a whole number"),
        (with(&["--peer-port", "0"]), 2, "'--peer-port <PORT>': give a whole number from 1 to 65535"),
        (with(&["--listen", "7900"]), 2, "'--listen <IP:PORT>': give IP:PORT, such as 0.0.0.0:7900"),
        (vec!["--pod-ip", "127.0.0.1", "--pod-uid", ""], 2, "a value is required for '--pod-uid <UID>'"),
        (vec!["init", "d", "--cluster", ""], 2, "a value is required for '--cluster <NAME>'"),
        (with(&["--mode", "off"]), 2, "unexpected argument '--mode'"),
        (
            with(&["--log", "loud=very=much"]),
            2,
            "'--log <LEVEL>': give off, error, warn, info, debug or trace, or",
        ),
        (with(&["--log", "info,verbose"]), 2, "'--log <LEVEL>': give off, error, warn,"),
        (
            with(&["--config-dir", "/nonexistent"]),
            1,
            "socketio-sidecar: /nonexistent/config.json: No such file or directory (os error 2); `socketio-sidecar init DIR` makes a directory with all files\n",
        ),
        (vec!["init", "/nonexistent/a"], 1, "socketio-sidecar: /nonexistent/a: No such file or directory"),
        (vec!["init"], 2, "<DIRECTORY>"),
    ] {
        let said = complaint(&arguments, code).await;
        assert!(said.contains(says), "{arguments:?} says {said:?}, not {says:?}");
        assert!(code == 2 || said.lines().count() == 1, "one sentence: {said}");
    }
}

#[tokio::test]
async fn init_makes_a_private_directory_and_never_replaces_one() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("cluster");
    let name = directory.to_str().unwrap();
    let made = run(&["init", name]).await;
    assert!(made.status.success(), "{made:?}");
    let said = String::from_utf8(made.stdout).unwrap();
    assert!(said.starts_with(&format!("made {name}; ")), "{said}");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    for file in ["config.json", "tag-keys.json", "ca.crt", "tls.crt", "tls.key"] {
        assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
    }
    let before = std::fs::read(directory.join("tls.key")).unwrap();
    let said = complaint(&["init", name], 1).await;
    let sentence = "exists already; name another directory, or remove it first: its keys would be lost";
    assert_eq!(said, format!("socketio-sidecar: {name} {sentence}\n"));
    assert_eq!(std::fs::read(directory.join("tls.key")).unwrap(), before);
}

#[tokio::test]
async fn advice_for_a_file_fits_what_is_wrong_with_it() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("cluster");
    let name = directory.to_str().unwrap().to_owned();
    assert!(run(&["init", &name, "--mode", "Observe"]).await.status.success());
    let start = async |directory: &str| {
        complaint(&["--pod-ip", "127.0.0.1", "--pod-uid", "a", "--config-dir", directory], 1).await
    };
    let said = start(&format!("{name}/config.json")).await;
    assert!(said.contains("name the directory, not a file in it"), "{said}");
    std::fs::remove_file(directory.join("tls.key")).unwrap();
    let said = start(&name).await;
    assert!(said.contains("tls.key: ") && said.contains("copy the file from another sidecar"), "{said}");
    assert!(!said.contains("init"), "{said}");
}

#[tokio::test]
async fn a_sidecar_that_would_be_its_own_application_does_not_start() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let (ip, listen) = (place.ip.to_string(), place.clients().to_string());
    let directory = config.path();
    let place = ["--pod-ip", &ip, "--pod-uid", "b", "--config-dir", directory.to_str().unwrap()];
    for own in [vec!["--listen", &listen, "--app", &listen], vec!["--app", "127.0.0.1:7900"]] {
        let said = complaint(&[&place[..], &own].concat(), 1).await;
        assert!(said.contains("--app and --listen name the same port"), "{said}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_option() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _first = Sidecar::start(&config, &place).await;
    let (ip, listen, directory) = (place.ip.to_string(), place.clients().to_string(), config.path());
    let arguments =
        ["--pod-ip", &ip, "--pod-uid", "b", "--listen", &listen, "--config-dir", directory.to_str().unwrap()];
    let said = complaint(&arguments, 1).await;
    assert_eq!(
        said,
        format!(
            "socketio-sidecar: cannot listen on {listen} (--listen): Address already in use (os error 98); another program or another option has it: name another port\n"
        )
    );
}
