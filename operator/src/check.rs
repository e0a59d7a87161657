//! `socketio-operator check`: is the operator installed, and does it act?
//!
//! It acts if its Lease is renewed while this looks on; the times in the Lease are not compared with a clock.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use kube::{Client, Error, Resource};
use tokio::time::{Instant, sleep};

use crate::cli::Place;
use crate::client::explain;
use crate::crd::SocketIoCluster;

/// Time between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// Reasons for which the check fails.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The CRD is absent, or of another version.
    #[error(
        "the API server does not know {kind} in {api}; apply the CustomResourceDefinition that `socketio-operator crd` prints"
    )]
    NoApi {
        /// Kind of the API that the API server does not know.
        kind: String,
        /// Group and version of the API.
        api: String,
    },
    /// No operator ever led.
    #[error(
        "there is no Lease {lease} in the namespace {namespace}; see why the operator's pods do not start"
    )]
    NoLease {
        /// Name of the Lease.
        lease: String,
        /// Namespace of the Lease.
        namespace: String,
    },
    /// The last one has stopped.
    #[error(
        "the Lease {lease} in the namespace {namespace} is not renewed, so no operator acts; see the log of its pods"
    )]
    NotRenewed {
        /// Name of the Lease.
        lease: String,
        /// Namespace of the Lease.
        namespace: String,
    },
    /// The API server refused, or is away.
    #[error("the API server cannot be asked: {0}")]
    Unknown(String),
}

/// Waits until the API is served and the Lease is renewed.
///
/// # Errors
/// What is missing still, after `limit`.
pub async fn check(client: &Client, place: &Place, limit: Duration) -> Result<(), CheckError> {
    let deadline = Instant::now() + limit;
    let leases = Api::namespaced(client.clone(), &place.namespace);
    let mut first_seen = None;
    loop {
        let missing = match tokio::time::timeout_at(deadline, look(client, place, &leases)).await {
            Err(_) => CheckError::Unknown("it does not answer".to_owned()),
            Ok(Err(error)) => error,
            Ok(Ok(renewed)) => match &first_seen {
                Some(first) if *first != renewed => return Ok(()),
                Some(_) => not_renewed(place),
                None => {
                    first_seen = Some(renewed);
                    not_renewed(place)
                }
            },
        };
        if Instant::now() + LOOK >= deadline {
            return Err(missing);
        }
        sleep(LOOK).await;
    }
}

/// The holder of the Lease, and its time of renewal.
type Renewal = (Option<String>, Option<String>);

fn not_renewed(Place { namespace, lease_name }: &Place) -> CheckError {
    CheckError::NotRenewed { lease: lease_name.clone(), namespace: namespace.clone() }
}

async fn look(client: &Client, place: &Place, leases: &Api<Lease>) -> Result<Renewal, CheckError> {
    let unknown = |error: Error| CheckError::Unknown(explain(&error));
    let api = SocketIoCluster::api_version(&()).into_owned();
    let kind = SocketIoCluster::kind(&()).into_owned();
    let served = match client.list_api_group_resources(&api).await {
        Ok(list) => list.resources.iter().any(|resource| resource.kind == kind),
        Err(Error::Api(status)) if status.code == 404 => false,
        Err(error) => return Err(unknown(error)),
    };
    if !served {
        return Err(CheckError::NoApi { kind, api });
    }
    let lease = leases.get_opt(&place.lease_name).await.map_err(unknown)?;
    let spec = lease.and_then(|lease| lease.spec);
    match spec {
        None => {
            Err(CheckError::NoLease { lease: place.lease_name.clone(), namespace: place.namespace.clone() })
        }
        Some(spec) if spec.holder_identity.is_none() => Err(not_renewed(place)),
        Some(spec) => Ok((spec.holder_identity, spec.renew_time.map(|time| time.0.to_string()))),
    }
}
