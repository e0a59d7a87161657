//! Compute resources of the sidecar that the API server would refuse in the pod template.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Reason, Refusal, refuse};
use crate::controller::quantity::amount;

/// Resources that a container may have on every node. Devices and huge pages are of no use to the sidecar.
const NAMES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Checks `sidecar.resources`.
pub(super) fn check(resources: &ResourceRequirements) -> Result<(), Refusal> {
    let invalid = |message| Err(refuse(Reason::ResourcesInvalid, message));
    if resources.claims.as_ref().is_some_and(|claims| !claims.is_empty()) {
        return invalid(
            "sidecar.resources.claims is for devices, which the sidecar does not use; remove it".to_owned(),
        );
    }
    let requests = amounts("requests", resources.requests.as_ref())?;
    let limits = amounts("limits", resources.limits.as_ref())?;
    for (name, (request, requested)) in requests {
        if let Some((limit, most)) = limits.get(name)
            && requested > *most
        {
            return invalid(format!(
                "sidecar.resources.requests.{name} is {request}, which is above the limit of {limit}; lower the \
                 request, or raise the limit"
            ));
        }
    }
    Ok(())
}

/// The amounts of one list, each with the quantity as it is written.
fn amounts<'r>(
    list: &str,
    quantities: Option<&'r BTreeMap<String, Quantity>>,
) -> Result<BTreeMap<&'r str, (&'r str, f64)>, Refusal> {
    let one = |(name, quantity): (&'r String, &'r Quantity)| {
        if !NAMES.contains(&name.as_str()) {
            let names = NAMES.join(", ");
            let message = format!("sidecar.resources.{list} has {name:?}; it can have {names}");
            return Err(refuse(Reason::ResourcesInvalid, message));
        }
        let quantity = quantity.0.as_str();
        match amount(quantity) {
            Some(amount) => Ok((name.as_str(), (quantity, amount))),
            None => Err(refuse(
                Reason::ResourcesInvalid,
                format!(
                    "sidecar.resources.{list}.{name} is {quantity:?}, which is no amount; write one such as 100m or 64Mi"
                ),
            )),
        }
    };
    quantities.into_iter().flatten().map(one).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn said(resources: Value) -> Option<String> {
        let refusal = check(&serde_json::from_value(resources).unwrap()).err()?;
        assert_eq!(refusal.reason, Reason::ResourcesInvalid);
        Some(refusal.message)
    }

    #[test]
    fn amounts_are_those_that_the_api_server_reads() {
        for amount in ["0", "1", "0.5", "1.", "100m", "64Mi", "1e3", "1E-3", "2E", "1.5Gi"] {
            assert_eq!(said(json!({"requests": {"cpu": amount}})), None, "{amount}");
        }
        assert_eq!(said(json!({"limits": {"memory": 1_000_000}})), None);
        for amount in
            ["", "-1", "+1", "much", "inf", "nan", "1e400", "1e3Mi", "1eMi", "1 Mi", "64MiB", ".", "é", "1_0"]
        {
            let message = said(json!({"limits": {"memory": amount}})).unwrap_or_else(|| panic!("{amount}"));
            assert!(message.contains("sidecar.resources.limits.memory is"), "{message}");
        }
    }

    #[test]
    fn a_request_is_within_its_limit() {
        let both = |request: &str, limit: &str| {
            said(json!({"requests": {"cpu": request}, "limits": {"cpu": limit}}))
        };
        assert_eq!(both("1000m", "1"), None);
        assert_eq!(said(json!({"requests": {"cpu": "2"}, "limits": {"memory": "1Mi"}})), None);
        let message = both("2", "1500m").unwrap();
        assert!(message.contains("requests.cpu is 2, which is above the limit of 1500m"), "{message}");
    }

    #[test]
    fn other_resources_and_claims_are_refused() {
        for resources in [
            json!({"limits": {"nvidia.com/gpu": "1"}}),
            json!({"requests": {"": "1"}}),
            json!({"requests": {"hugepages-2Mi": "2Mi"}}),
            json!({"claims": [{"name": "gpu"}]}),
        ] {
            assert!(said(resources.clone()).is_some(), "{resources}");
        }
        assert_eq!(said(json!({"claims": [], "requests": {"ephemeral-storage": "1Gi"}})), None);
    }
}
