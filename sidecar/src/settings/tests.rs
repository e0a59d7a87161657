use super::*;
use crate::init::{Init, init};
use socketio_sidecar_core::config::{Config, Mode};

fn identity() -> Identity {
    Identity { pod_ip: [127, 0, 0, 1].into(), pod_uid: "pod".into(), app_port: 3000 }
}

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    init(&Init {
        directory: directory.path().join("c"),
        cluster: "test".into(),
        mode: Mode::Enforce,
        valid_days: 1,
    })
    .unwrap();
    directory
}

fn set_mode(directory: &Path, mode: Mode) {
    let path = directory.join(CONFIG_FILE);
    let mut config: Config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config.mode = mode;
    fs::write(path, serde_json::to_vec(&config).unwrap()).unwrap();
}

#[test]
fn a_change_is_applied_and_nothing_else_is() {
    let directory = directory();
    let directory = directory.path().join("c");
    let source = Source::open(&directory, identity()).unwrap();
    assert_eq!(source.applied().settings.config.mode, Mode::Enforce);
    assert_eq!(source.reload(), Reload::Unchanged);
    set_mode(&directory, Mode::Observe);
    assert_eq!(source.reload(), Reload::Applied);
    assert_eq!(source.applied().settings.config.mode, Mode::Observe);
}

#[test]
fn a_close_begins_once_and_goes_on_through_later_settings() {
    let directory = directory();
    let directory = directory.path().join("c");
    let source = Source::open(&directory, identity()).unwrap();
    let apply = |revision: &str, close_over: Option<u32>| {
        let path = directory.join(CONFIG_FILE);
        let mut config: Config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        (config.revision, config.close_over) = (revision.to_owned(), close_over);
        fs::write(path, serde_json::to_vec(&config).unwrap()).unwrap();
        assert_eq!(source.reload(), Reload::Applied);
        assert_eq!(source.applied().rules().closing.is_some(), close_over.is_some());
        source.applied().close_window
    };
    assert_eq!(apply("2", None), None);
    let first = apply("3", Some(60)).expect("it begins");
    assert_eq!(first.length, Duration::from_secs(60));
    assert_eq!(source.applied().seconds_to_close(), Some(60));
    assert_eq!(source.reload(), Reload::Unchanged);
    assert_eq!(apply("4", Some(60)), Some(first));
    let longer = CloseWindow { length: Duration::from_secs(90), ..first };
    assert_eq!(apply("5", Some(90)), Some(longer));
    assert_eq!(apply("6", None), None);
    assert_eq!(source.applied().seconds_to_close(), None);
    let again = apply("7", Some(60)).expect("it begins again");
    assert!(again.began > first.began);
}

#[test]
fn what_is_refused_leaves_the_settings_in_force_and_is_said_once() {
    let directory = directory();
    let directory = directory.path().join("c");
    let source = Source::open(&directory, identity()).unwrap();
    let good = fs::read(directory.join(KEY_FILE)).unwrap();
    for (file, content, says) in [
        (CONFIG_FILE, &b"{"[..], "config.json: not JSON: EOF"),
        (KEY_FILE, b"nothing", "tls.key: "),
        (CA_FILE, b"", "ca.crt: there is no certificate in it"),
    ] {
        let before = fs::read(directory.join(file)).unwrap();
        fs::write(directory.join(file), content).unwrap();
        let Reload::Refused(refusal) = source.reload() else { panic!("{file} was not refused") };
        assert!(refusal.contains(says), "{refusal:?}");
        assert_eq!(source.reload(), Reload::Unchanged, "said once");
        assert_eq!(source.refusal(), Some(refusal));
        assert_eq!(source.applied().settings.config.mode, Mode::Enforce);
        fs::write(directory.join(file), before).unwrap();
        assert_eq!(source.reload(), Reload::Unchanged, "back to what is in force");
        assert_eq!(source.refusal(), None);
    }
    fs::remove_file(directory.join(KEY_FILE)).unwrap();
    assert!(matches!(source.reload(), Reload::Refused(refusal) if refusal.contains("tls.key: No such file")));
    fs::write(directory.join(KEY_FILE), good).unwrap();
    assert_eq!(source.reload(), Reload::Unchanged);
}

#[test]
fn a_volume_is_read_through_its_swapped_link() {
    let root = tempfile::tempdir().unwrap();
    let files = directory();
    for (version, mode) in [("..1", Mode::Observe), ("..2", Mode::Off)] {
        fs::create_dir(root.path().join(version)).unwrap();
        set_mode(&files.path().join("c"), mode);
        for file in FILES {
            fs::copy(files.path().join("c").join(file), root.path().join(version).join(file)).unwrap();
        }
    }
    let link = |version: &str| {
        std::os::unix::fs::symlink(version, root.path().join("..tmp")).unwrap();
        fs::rename(root.path().join("..tmp"), root.path().join("..data")).unwrap();
    };
    link("..1");
    let source = Source::open(root.path(), identity()).unwrap();
    assert_eq!(source.applied().settings.config.mode, Mode::Observe);
    link("..2");
    assert_eq!(source.reload(), Reload::Applied);
    assert_eq!(source.applied().settings.config.mode, Mode::Off);
}

#[test]
fn a_certificate_that_peers_would_refuse_is_refused() {
    let directory = directory();
    let directory = directory.path().join("c");
    let source = Source::open(&directory, identity()).unwrap();
    let path = directory.join(CONFIG_FILE);
    let config = fs::read_to_string(&path).unwrap();
    fs::write(&path, config.replace("\"test\"", "\"renamed\"")).unwrap();
    let Reload::Refused(why) = source.reload() else { panic!("the certificate is for another cluster") };
    assert!(why.contains("did `cluster` in config.json change?"), "{why}");
}

#[test]
fn the_days_that_are_left_are_counted_and_an_expired_certificate_does_not_stop_the_sidecar() {
    let directory = directory();
    let source = Source::open(&directory.path().join("c"), identity()).unwrap();
    let tls = &source.applied().tls;
    let (now, day) = (std::time::SystemTime::now(), Duration::from_secs(86_400));
    assert_eq!(tls.days_left(now - Duration::from_secs(60)), 1, "made for one day");
    assert_eq!(tls.days_left(now + day * 2), 0);

    let expired = tempfile::tempdir().unwrap().path().join("e");
    fs::create_dir_all(expired.parent().unwrap()).unwrap();
    init(&Init { directory: expired.clone(), cluster: "test".into(), mode: Mode::Off, valid_days: 0 })
        .unwrap();
    assert_eq!(Source::open(&expired, identity()).unwrap().applied().tls.days_left(now), 0);
}
