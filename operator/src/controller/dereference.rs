//! Step 1 of a pass, which needs a client: everything that a decision depends on is read here.
//!
//! All reads go out at once and change nothing, so a pass may be dropped here at any moment.

use futures::future::{try_join, try_join5};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::api::ListParams;
use kube::core::{DynamicObject, PartialObjectMeta, Selector, SelectorExt};
use kube::{Api, ResourceExt};

use super::cluster::Cluster;
use super::context::Context;
use super::error::Error;
use super::observed::ingress::class_of;
use super::observed::pods::Pods;
use super::observed::workload::Workload;
use super::observed::{NamedClass, Observed, reports, service};
use super::plan;
use super::revisions;
use crate::crd::v1alpha1::Step;

/// Reads it.
///
/// # Errors
/// The API server's.
pub(crate) async fn dereference(
    cluster: &Cluster,
    context: &Context,
    now: Timestamp,
) -> Result<Observed, Error> {
    let client = &context.client;
    let services: Api<Service> = Api::namespaced(client.clone(), &cluster.namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &cluster.namespace);
    let own_secrets: Api<Secret> = Api::namespaced(client.clone(), &context.settings.namespace);

    let reads = try_join5(
        fetch(&services, "Service", &cluster.client_service),
        fetch(&services, "Service", &cluster.peer_service),
        fetch(&secrets, "Secret", &cluster.sidecar_secret),
        fetch(&own_secrets, "Secret", &cluster.credentials_secret),
        fetch_endpoints(cluster, context),
    );
    let (workload, reads) = try_join(fetch_workload(cluster, context), reads).await?;
    let (client_service, peer_service, sidecar_secret, credentials_secret, endpoints) = reads;
    let mut observed = Observed {
        workload,
        client_service,
        endpoints,
        peer_service,
        sidecar_secret,
        credentials_secret,
        ..Observed::default()
    };
    if let Some(workload) = &observed.workload {
        observed.pods = fetch_pods(cluster, context, workload, now).await?;
        if reports::are_of_interest(cluster) {
            observed.reports = revisions::fetch(&observed.pods.with_sidecar).await;
        }
    }
    observed.other_pods = fetch_other_pods(cluster, context, &observed).await?;
    dereference_ingress(cluster, context, &mut observed).await?;
    Ok(observed)
}

async fn dereference_ingress(
    cluster: &Cluster,
    context: &Context,
    observed: &mut Observed,
) -> Result<(), Error> {
    let ingresses: Api<Ingress> = Api::namespaced(context.client.clone(), &cluster.namespace);
    let (asked_for, own) = (&cluster.ingress, &cluster.own_ingress);
    // One that is shown later makes another pass; at the end there is none.
    let may_be =
        cluster.metadata.deletion_timestamp.is_some() || context.ingresses.has(&cluster.namespace, own);
    if asked_for.as_ref() != Some(own) && may_be {
        observed.stale_ingress =
            fetch(&ingresses, "Ingress", own).await?.filter(|ingress| cluster.owns(ingress));
    }
    let Some(name) = asked_for else { return Ok(()) };
    observed.ingress = fetch(&ingresses, "Ingress", name).await?;
    if cluster.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let named = cluster.spec.edge.ingress.as_ref().and_then(|ingress| ingress.class_name.clone());
    let Some(class) = named.or_else(|| observed.ingress.as_ref().and_then(class_of)) else { return Ok(()) };
    let classes: Api<IngressClass> = Api::all(context.client.clone());
    let read = fetch(&classes, "IngressClass", &class).await.map_err(|error| error.to_string());
    observed.ingress_class = Some(NamedClass { name: class, read });
    Ok(())
}

async fn fetch<K>(api: &Api<K>, kind: &str, name: &str) -> Result<Option<K>, Error>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.get_opt(name).await.map_err(Error::api(format!("reading {kind} {name}")))
}

async fn fetch_workload(cluster: &Cluster, context: &Context) -> Result<Option<Workload>, Error> {
    let reference = &cluster.spec.workload_ref;
    let resource = reference.kind.resource();
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &cluster.namespace, &resource);
    let Some(mut object) = fetch(&api, &resource.kind, &reference.name).await? else { return Ok(None) };
    // The greater part of it, and of no use here.
    object.metadata.managed_fields = None;
    let what = || format!("{} {}", resource.kind, reference.name);
    Workload::read(reference.kind, &object).map(Some).map_err(Error::unreadable(what()))
}

async fn fetch_pods(
    cluster: &Cluster,
    context: &Context,
    workload: &Workload,
    now: Timestamp,
) -> Result<Pods, Error> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &cluster.namespace);
    let params = ListParams::default().labels_from(&selector_of(cluster, workload)?);
    let pods = api.list(&params).await.map_err(Error::api("listing pods"))?;
    Ok(Pods::read(&pods.items, &cluster.name, cluster.spec.app.port, now))
}

/// The selector of the workload's pods. An empty selector would select every pod of the namespace.
fn selector_of(cluster: &Cluster, workload: &Workload) -> Result<Selector, Error> {
    let reference = &cluster.spec.workload_ref;
    let what = format!("the selector of {} {}", workload.kind.resource().kind, reference.name);
    let selector = Selector::try_from(workload.selector.clone()).map_err(Error::unreadable(what.as_str()))?;
    match selector.selects_all() {
        true => {
            Err(Error::unreadable(what)("it selects every pod; let it name labels of the workload's own"))
        }
        false => Ok(selector),
    }
}

async fn fetch_other_pods(
    cluster: &Cluster,
    context: &Context,
    observed: &Observed,
) -> Result<Vec<String>, Error> {
    let (Some(service), Some(workload)) = (&observed.client_service, &observed.workload) else {
        return Ok(Vec::new());
    };
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
    // Once it leads to sidecars, it selects none but this object's.
    let step = cluster.status.as_ref().and_then(|status| status.step);
    let done = step.is_some_and(|step| step > Step::Injecting) || service::is_routed(service, cluster);
    if !cluster.spec.edge.service.take_over || done || selector.is_empty() {
        return Ok(Vec::new());
    }
    let api: Api<PartialObjectMeta<Pod>> = Api::namespaced(context.client.clone(), &cluster.namespace);
    // Pods of a Job that is over get no traffic.
    let params = ListParams::default()
        .labels_from(&selector.into_iter().collect())
        .fields("status.phase!=Succeeded,status.phase!=Failed");
    let pods = api.list(&params).await.map_err(Error::api("listing the pods that the Service selects"))?;
    let own = selector_of(cluster, workload)?;
    Ok(pods.items.iter().filter(|pod| !own.matches(pod.labels())).map(ResourceExt::name_any).collect())
}

async fn fetch_endpoints(cluster: &Cluster, context: &Context) -> Result<Vec<EndpointSlice>, Error> {
    let recorded = cluster.status.as_ref().and_then(plan::recorded);
    if !plan::endpoints_are_of_interest(
        recorded.map(|(step, _)| step),
        cluster.metadata.deletion_timestamp.is_some(),
    ) {
        return Ok(Vec::new());
    }
    let api: Api<EndpointSlice> = Api::namespaced(context.client.clone(), &cluster.namespace);
    let params =
        ListParams::default().labels(&format!("kubernetes.io/service-name={}", cluster.client_service));
    Ok(api.list(&params).await.map_err(Error::api("listing EndpointSlices"))?.items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixtures::{cluster, workload_with};
    use serde_json::json;

    #[test]
    fn a_selector_that_names_no_pods_of_its_own_is_an_error_and_never_all_pods() {
        let with = |selector| selector_of(&cluster(), &workload_with(|it| it["spec"]["selector"] = selector));
        assert!(with(json!({"matchLabels": {"app": "chat"}})).is_ok());
        let odd = json!({"matchExpressions": [{"key": "app", "operator": "Like", "values": ["chat"]}]});
        for (selector, says) in
            [(json!({}), "it selects every pod; let it name labels"), (odd, "expression operator")]
        {
            let error = with(selector).unwrap_err();
            assert_eq!(error.category(), "Unreadable");
            let said = error.to_string();
            assert!(
                said.starts_with("the selector of Deployment chat is not what it should be: ")
                    && said.contains(says),
                "{said}"
            );
        }
    }
}
