//! The Ingress: the operator's own, or a user's that is annotated by consent, and the edge that serves its class.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;

use super::{Refusal, exists, refuse};
use crate::controller::cluster::Cluster;
use crate::controller::condition::Reason;
use crate::controller::edge::{Program, Provider, SNIPPET_ANNOTATION, program};
use crate::controller::observed::ingress::{self, leads_to};
use crate::controller::observed::{NamedClass, Observed};
use crate::crd::{Guarded, v1alpha1};

/// An Ingress, and what its edge is told.
#[derive(Debug, Clone)]
pub(crate) struct Edge<'v> {
    /// The name of the Ingress.
    pub(crate) name: &'v str,
    /// The annotations, and what they require.
    pub(crate) program: Program,
    /// The Ingress.
    pub(crate) ingress: EdgeIngress<'v>,
}

/// The Ingress that gets the annotations.
#[derive(Debug, Clone, Copy)]
pub(crate) enum EdgeIngress<'v> {
    /// The operator's own.
    Own {
        /// The IngressClass.
        class: &'v str,
        /// The hosts and the certificate.
        wanted: &'v v1alpha1::Ingress,
    },
    /// A user's, as it is.
    TakenOver(&'v Ingress),
}

/// Checks the Ingress that the spec asks for, and its class.
pub(super) fn check_edge<'v>(
    cluster: &'v Cluster,
    observed: &'v Observed,
    others: &[Arc<Guarded>],
) -> Option<Result<Edge<'v>, Refusal>> {
    let wanted = cluster.spec.edge.ingress.as_ref()?;
    let name = cluster.ingress.as_deref()?;
    let refuse = |reason, message| Some(Err(refuse(reason, message)));
    match (&observed.ingress, wanted.take_over) {
        (None, true) => {
            return refuse(
                Reason::IngressNotFound,
                format!(
                    "there is no Ingress {name} in this namespace to annotate; create it, or change edge.ingress"
                ),
            );
        }
        (Some(ingress), false) if !cluster.owns(ingress) => {
            return refuse(
                Reason::IngressExists,
                format!(
                    "Ingress {name} exists already and is not ours; set edge.ingress to {{name: {name}, takeOver: \
                     true}} to have it annotated, or remove it"
                ),
            );
        }
        (Some(ingress), true)
            if ingress::taken_by(ingress).is_some_and(|by| by != cluster.uid && exists(&by, others)) =>
        {
            return refuse(
                Reason::IngressTaken,
                format!("Ingress {name} was taken over by another SocketIoCluster; delete that one first"),
            );
        }
        (Some(ingress), true) if !leads_to(ingress, &cluster.client_service) => {
            return refuse(
                Reason::IngressElsewhere,
                format!(
                    "Ingress {name} does not lead to Service {}; let its backend be that Service, or take its own \
                     Service over with edge.service",
                    cluster.client_service
                ),
            );
        }
        _ => {}
    }
    let Some(NamedClass { name: class, read }) = &observed.ingress_class else {
        return refuse(
            Reason::NoIngressClass,
            format!("Ingress {name} names no IngressClass; set edge.ingress.className"),
        );
    };
    let found = match read {
        Ok(Some(found)) => found,
        Ok(None) => {
            return refuse(
                Reason::IngressClassNotFound,
                format!(
                    "there is no IngressClass {class}; name one that `kubectl get ingressclass` lists, or create it"
                ),
            );
        }
        Err(why) => return refuse(Reason::IngressClassUnreadable, format!("{why}; it is tried again")),
    };
    let controller = found.spec.as_ref().and_then(|spec| spec.controller.as_deref()).unwrap_or_default();
    let Some(provider) = Provider::of_controller(controller) else {
        return refuse(
            Reason::UnknownController,
            format!(
                "IngressClass {class} is of controller {controller}, for which there are no annotations yet; take \
                 edge.ingress out, and let an Ingress of your own lead to Service {}",
                cluster.client_service
            ),
        );
    };
    let program = program(provider, &cluster.spec.edge);
    let ingress = match &observed.ingress {
        // Drift of the snippet in the operator's own Ingress is repaired, as that of any annotation is.
        Some(ingress) if wanted.take_over && has_own_snippet(ingress, &program) => {
            return refuse(
                Reason::IngressHasSnippet,
                format!(
                    "Ingress {name} has a configuration-snippet of its own, which is not overwritten; remove it, \
                     or set edge.sessionAffinity.forwardedFor to Trusted"
                ),
            );
        }
        Some(ingress) if wanted.take_over => EdgeIngress::TakenOver(ingress),
        _ => EdgeIngress::Own { class, wanted },
    };
    Some(Ok(Edge { name, program, ingress }))
}

/// Returns true if the Ingress has a configuration-snippet of the user's own where `program` needs one.
fn has_own_snippet(ingress: &Ingress, program: &Program) -> bool {
    let live = ingress.annotations().get(SNIPPET_ANNOTATION);
    let written = ingress::original(ingress).unwrap_or_default().written;
    let wanted = program.annotations.get(SNIPPET_ANNOTATION);
    wanted.is_some() && live.is_some() && live != wanted && live != written.get(SNIPPET_ANNOTATION)
}
