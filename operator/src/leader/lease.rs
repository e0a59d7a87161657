//! Reading and writing the Lease. Each write carries the version that was read: the API server refuses it
//! with 409 if that is not the newest.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use kube::{Client, Error};
use tokio::time::Instant;

use super::LEASE;
use super::rule::Facts;

/// The Lease as it is after a successful write.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) lease: Lease,
    /// Before that write was sent.
    pub(super) since: Instant,
}

/// The Lease, in the operator's namespace.
#[derive(Debug, Clone)]
pub struct Leases {
    api: Api<Lease>,
    name: String,
}

impl Leases {
    /// The one of that name.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn client(&self) -> Client {
        self.api.clone().into_client()
    }

    pub(super) async fn read(&self) -> Result<Option<Lease>, Error> {
        self.api.get_opt(&self.name).await
    }

    /// Makes it this process's, anew or from what was read.
    pub(super) async fn take(&self, seen: Option<Lease>, identity: &str) -> Result<Lease, Error> {
        let Some(mut lease) = seen else {
            let mut lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: None,
            };
            hand_to(&mut lease, identity);
            return self.api.create(&PostParams::default(), &lease).await;
        };
        hand_to(&mut lease, identity);
        self.write(&lease).await
    }

    pub(super) async fn renew(&self, held: &Lease) -> Result<Lease, Error> {
        let mut lease = held.clone();
        spec(&mut lease).renew_time = Some(MicroTime(Timestamp::now()));
        self.write(&lease).await
    }

    pub(super) async fn release(&self, mut held: Lease) -> Result<(), Error> {
        spec(&mut held).holder_identity = None;
        self.write(&held).await.map(drop)
    }

    async fn write(&self, lease: &Lease) -> Result<Lease, Error> {
        self.api.replace(&self.name, &PostParams::default(), lease).await
    }
}

pub(super) fn holder(lease: &Lease) -> &str {
    lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

pub(super) fn facts(lease: &Lease) -> Facts<'_> {
    let seconds = lease.spec.as_ref().and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
    Facts {
        version: lease.metadata.resource_version.as_deref().unwrap_or_default(),
        holder: holder(lease),
        duration: Duration::from_secs(seconds.try_into().unwrap_or_default()),
    }
}

fn spec(lease: &mut Lease) -> &mut LeaseSpec {
    lease.spec.get_or_insert_default()
}

/// The times are for people who look at the Lease: nobody compares them with a clock.
fn hand_to(lease: &mut Lease, identity: &str) {
    let now = MicroTime(Timestamp::now());
    let changes_hands = holder(lease) != identity;
    let spec = spec(lease);
    if changes_hands {
        spec.lease_transitions = Some(spec.lease_transitions.map_or(0, |count| count.saturating_add(1)));
        spec.acquire_time = Some(now.clone());
    }
    spec.holder_identity = Some(identity.to_owned());
    spec.lease_duration_seconds = i32::try_from(LEASE.as_secs()).ok();
    spec.renew_time = Some(now);
}
