//! Credentials that are lost, damaged, or written by a reconcile that did not come to its end.

use k8s_openapi::ByteString;
use socketio_sidecar_core::config::{CA_FILE, CERTIFICATE_FILE, TAG_KEYS_FILE};

use super::*;
use crate::controller::build;
use crate::controller::fixtures::{changed, cluster};
use crate::crd::v1alpha1::SocketIoClusterStatus;

const DAY: i64 = 86_400;

fn at(days: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + days * DAY).unwrap()
}

/// The state of the API server: the object, and the two Secrets.
struct World {
    cluster: Cluster,
    observed: Observed,
}

impl World {
    /// All is in place, and every sidecar has applied it.
    fn new() -> Self {
        let mut world = Self { cluster: cluster(), observed: Observed::default() };
        let made = Credentials::generate(terms(&world.cluster, at(0))).unwrap();
        let revision = world.write(&made);
        world.record(&revision);
        world
    }

    /// As a pass writes the Secrets, before it records that in the status. Returns the revision.
    fn write(&mut self, credentials: &Credentials) -> String {
        self.observed.credentials_secret =
            Some(build::build_credentials_secret(&self.cluster, credentials, "system").unwrap());
        self.write_for_pods(credentials, Step::Programmed)
    }

    fn write_for_pods(&mut self, credentials: &Credentials, step: Step) -> String {
        let (secret, revision) =
            build::build_secret(&self.cluster, &self.observed, step, credentials).unwrap();
        self.observed.sidecar_secret = Some(secret);
        revision
    }

    /// All sidecars have applied it.
    fn record(&mut self, revision: &str) {
        let status = SocketIoClusterStatus {
            step: Some(Step::Programmed),
            revision: Some(revision.to_owned()),
            applied_revision: Some(revision.to_owned()),
            ..SocketIoClusterStatus::default()
        };
        self.cluster = changed(&self.cluster, |object| object.status = Some(status));
    }

    fn lose_own_secret(&mut self) {
        self.observed.credentials_secret = None;
    }

    fn damage(&mut self, file: &str) {
        let data = self.observed.sidecar_secret.as_mut().unwrap().data.as_mut().unwrap();
        data.insert(file.to_owned(), ByteString(b"{}".to_vec()));
    }

    fn credentials(&self, day: i64) -> Credentials {
        due(&self.cluster, &self.observed, at(day)).unwrap()
    }

    fn in_force(&self, day: i64) -> Credentials {
        in_force(&self.cluster, &self.observed, at(day)).unwrap()
    }
}

fn cas(credentials: &Credentials) -> usize {
    String::from_utf8(credentials.files()[CA_FILE].0.clone()).unwrap().matches("BEGIN").count()
}

#[test]
fn killed_between_the_secrets_and_the_status_the_next_step_waits_for_the_pods() {
    let mut world = World::new();
    let year_8 = 8 * 365;
    // What was written is not recorded: the status says that all have applied the revision before it.
    world.write(&world.credentials(year_8));
    let written = world.credentials(year_8);
    assert_eq!(cas(&written), 2);
    let revision = world.write(&written);
    assert!(world.credentials(year_8) == written, "no sidecar is known to trust the new CA");
    world.record(&revision);
    let next = world.credentials(year_8);
    assert_ne!(next.files()[CERTIFICATE_FILE], written.files()[CERTIFICATE_FILE]);
    // Killed again: the old CA must not go before all show the new one's certificate.
    world.write(&next);
    assert!(world.credentials(year_8) == next);
    let revision = world.write(&next);
    world.record(&revision);
    assert_eq!(cas(&world.credentials(year_8)), 1);
}

#[test]
fn while_a_refusal_stands_which_records_no_revision_a_ca_is_replaced_by_no_more_than_its_first_step() {
    let mut world = World::new();
    let year_8 = 8 * 365;
    for day in 0..3 {
        world.write(&world.credentials(year_8 + day));
        assert_eq!(cas(&world.credentials(year_8 + day)), 2, "day {day}");
    }
    // A leaf under the CA that all trust does not wait.
    let mut world = World::new();
    let before = world.credentials(0);
    for day in [61, 122] {
        let renewed = world.credentials(day);
        assert_ne!(renewed.files()[CERTIFICATE_FILE], before.files()[CERTIFICATE_FILE]);
        world.write(&renewed);
        assert!(world.credentials(day) == renewed);
    }
}

#[test]
fn other_steps_than_programmed_replace_no_ca() {
    let mut world = World::new();
    world.cluster =
        changed(&world.cluster, |object| object.status.as_mut().unwrap().step = Some(Step::Settling));
    assert_eq!(cas(&world.credentials(8 * 365)), 1);
}

#[test]
fn a_deletion_goes_by_what_is_there_whatever_is_due_or_lost_and_tells_the_mode_all_the_same() {
    for lost in [false, true] {
        let mut world = World::new();
        let before = world.credentials(0);
        if lost {
            world.lose_own_secret();
        }
        let mut revisions = Vec::new();
        for day in [8 * 365, 8 * 365 + 1] {
            let now = world.in_force(day);
            assert_eq!(now.files(), before.files(), "lost: {lost}");
            revisions.push(world.write_for_pods(&now, Step::Closing));
        }
        assert_eq!(revisions[0], revisions[1], "lost: {lost}");
        assert_ne!(Some(&revisions[0]), world.cluster.status.as_ref().unwrap().revision.as_ref());
    }
    // With nothing usable left, what the first pass made is what the second goes by.
    let mut world = World::new();
    world.lose_own_secret();
    world.damage(CERTIFICATE_FILE);
    let revisions = [1, 2].map(|day| world.write_for_pods(&world.in_force(day), Step::Untagging));
    assert_eq!(revisions[0], revisions[1]);
}

#[test]
fn what_is_made_of_a_damaged_secret_of_the_pods_is_kept_from_then_on() {
    for file in [TAG_KEYS_FILE, CA_FILE, CERTIFICATE_FILE] {
        let mut world = World::new();
        world.lose_own_secret();
        world.damage(file);
        let made = world.credentials(1);
        assert_eq!(cas(&made), 1, "{file}");
        world.write(&made);
        assert!(world.credentials(1) == made, "{file}");
        // And is what a damage by whoever may write the pods' Secret is mended with.
        world.damage(file);
        assert!(world.credentials(1) == made, "{file}");
    }
}

#[test]
fn the_secret_of_an_earlier_object_of_that_name_is_not_recovered() {
    let mut world = World::new();
    let before = world.credentials(0);
    world.lose_own_secret();
    assert_eq!(world.credentials(1).files()[TAG_KEYS_FILE], before.files()[TAG_KEYS_FILE]);
    world.cluster = changed(&world.cluster, |object| object.metadata.uid = Some("1".to_owned()));
    assert_ne!(world.credentials(1).files()[TAG_KEYS_FILE], before.files()[TAG_KEYS_FILE]);
}
