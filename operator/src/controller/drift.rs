//! Compares a live object with the desired one. Pure.
//!
//! # Invariant
//! Nothing is written to the API server that it has already: at rest there are no writes.

use serde_json::Value;

use super::quantity::amount;

/// Returns true if `live` has all that `desired` says. Lists of named things are compared by name, other lists
/// element by element; what the API server added is no difference.
pub(crate) fn holds(desired: &Value, live: &Value) -> bool {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => {
            desired.iter().all(|(key, value)| match live.get(key) {
                None => is_empty(value),
                Some(live) if key == "requests" || key == "limits" => same_quantities(value, live),
                Some(live) => holds(value, live),
            })
        }
        (Value::Array(desired), Value::Array(live))
            if desired.iter().all(|one| one.get("name").is_some()) =>
        {
            desired.iter().all(|one| {
                live.iter().any(|candidate| candidate.get("name") == one.get("name") && holds(one, candidate))
            })
        }
        (Value::Array(desired), Value::Array(live)) => {
            desired.len() == live.len()
                && desired.iter().zip(live).all(|(desired, live)| holds(desired, live))
        }
        (desired, live) => desired == live,
    }
}

/// Returns true if amounts of resources are the same: the API server writes `1000m` as `1`.
fn same_quantities(desired: &Value, live: &Value) -> bool {
    let (Some(desired), Some(live)) = (desired.as_object(), live.as_object()) else { return desired == live };
    desired.iter().all(|(name, desired)| {
        live.get(name).is_some_and(|live| {
            match (desired.as_str().and_then(amount), live.as_str().and_then(amount)) {
                (Some(desired), Some(live)) => (desired - live).abs() <= f64::EPSILON * live.abs(),
                _ => desired == live,
            }
        })
    })
}

/// The API server leaves out what is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(value) => value.values().all(is_empty),
    }
}

/// Sixteen hexadecimal digits that stand for `content`.
pub(crate) fn digest(content: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_server_adds_is_no_difference_and_what_it_lacks_is() {
        let live = json!({
            "metadata": {"name": "a", "uid": "1", "labels": {"x": "1", "theirs": "2"}},
            "spec": {"containers": [
                {"name": "chat", "image": "c"},
                {"name": "socketio-sidecar", "image": "s", "terminationMessagePath": "/dev", "env": [{"name": "A", "value": "1"}]},
            ], "hosts": ["a", "b"]},
        });
        for (desired, expected) in [
            (json!({"metadata": {"labels": {"x": "1"}}}), true),
            (json!({"metadata": {"labels": {"x": "2"}}}), false),
            (json!({"metadata": {"labels": {"y": "2"}}}), false),
            (json!({"spec": {"containers": [{"name": "socketio-sidecar", "image": "s"}]}}), true),
            (json!({"spec": {"containers": [{"name": "socketio-sidecar", "image": "t"}]}}), false),
            (
                json!({"spec": {"containers": [{"name": "socketio-sidecar", "env": [{"name": "B", "value": "1"}]}]}}),
                false,
            ),
            (json!({"spec": {"volumes": [{"name": "socketio-sidecar"}]}}), false),
            (json!({"spec": {"volumes": [], "hostNetwork": false}}), true),
            (json!({"spec": {"hosts": ["a", "b"]}}), true),
            (json!({"spec": {"hosts": ["a"]}}), false),
            (json!({"spec": {"hosts": ["b", "a"]}}), false),
        ] {
            assert_eq!(holds(&desired, &live), expected, "{desired}");
        }
    }

    #[test]
    fn amounts_are_compared_however_they_are_written() {
        let with = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        for (desired, live, expected) in [
            ("1000m", "1", true),
            ("0.5", "500m", true),
            ("1024Mi", "1Gi", true),
            ("1e3", "1k", true),
            ("1", "2", false),
            ("1M", "1Mi", false),
            ("odd", "odd", true),
            ("odd", "1", false),
        ] {
            assert_eq!(holds(&with(desired), &with(live)), expected, "{desired} {live}");
        }
    }

    #[test]
    fn a_digest_is_short_and_tells_apart() {
        assert_eq!(digest(b"").len(), 16);
        assert_ne!(digest(b"a"), digest(b"b"));
    }
}
