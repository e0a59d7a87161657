//! Descriptions of the fields whose types other crates define. `kubectl explain` prints them.
//!
//! # Invariants
//! - Of the schema, descriptions change and nothing else does.

use serde_json::{Value, json};

const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema/properties";

/// Pointers into the schema of `spec.sidecar.resources`, each with the description of the field there.
const RESOURCES: [(&str, &str); 8] = [
    (
        "limits",
        "Maximum amount of each resource that the sidecar may use. A key is the name of a resource, such as memory.",
    ),
    ("limits/additionalProperties", "Amount of the resource as a Kubernetes quantity, such as 50m or 256Mi."),
    (
        "requests",
        "Amount of each resource that the scheduler reserves for the sidecar. The default is the amount in limits.",
    ),
    (
        "requests/additionalProperties",
        "Amount of the resource as a Kubernetes quantity, such as 50m or 32Mi.",
    ),
    (
        "claims",
        "Resource claims of the pod that the sidecar uses. Kubernetes needs the feature gate DynamicResourceAllocation.",
    ),
    ("claims/items", "Reference to a resource claim of the pod."),
    ("claims/items/properties/name", "Name of an entry in spec.resourceClaims of the pod."),
    (
        "claims/items/properties/request",
        "Name of a request in the claim. The default is every request of the claim.",
    ),
];

/// Pointers into the schema of `status`, each with the description of the field there.
const STATUS: [(&str, &str); 9] = [
    (
        "mode",
        "Mode of the sidecars' newest configuration. It differs from spec.mode while this object is installed or deleted.",
    ),
    ("injectionReverts/items", "Time of one such removal."),
    ("conditions/items", "Condition of the object."),
    ("conditions/items/properties/type", "Type of the condition, such as Ready."),
    ("conditions/items/properties/status", "Status of the condition: True, False or Unknown."),
    (
        "conditions/items/properties/reason",
        "Reason for the status, as one word. The page docs/conditions.md lists them.",
    ),
    ("conditions/items/properties/message", "Message for people, which explains the status."),
    (
        "conditions/items/properties/observedGeneration",
        "Generation of the object that the condition describes.",
    ),
    ("conditions/items/properties/lastTransitionTime", "Time at which the status changed last."),
];

/// Replaces the descriptions in the CustomResourceDefinition.
pub(super) fn replace(definition: &mut Value) {
    let resources = format!("{SCHEMA}/spec/properties/sidecar/properties/resources/properties");
    let status = format!("{SCHEMA}/status/properties");
    let tables = [(resources, RESOURCES.as_slice()), (status, STATUS.as_slice())];
    for (parent, table) in tables {
        for (field, description) in table {
            if let Some(Value::Object(field)) = definition.pointer_mut(&format!("{parent}/{field}")) {
                field.insert("description".to_owned(), json!(description));
            }
        }
    }
    join_lines(definition);
}

/// Joins the lines of each description, which `kubectl explain` wraps to the width of the terminal.
fn join_lines(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(description)) = fields.get_mut("description") {
                *description = description.replace('\n', " ");
            }
            fields.values_mut().for_each(join_lines);
        }
        Value::Array(values) => values.iter_mut().for_each(join_lines),
        _ => {}
    }
}
