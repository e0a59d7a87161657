//! `docs/reference/api.md`, from the CustomResourceDefinition.

use std::fmt::Write;

use serde_json::{Map, Value};

const HEAD: &str = "\
# The API: SocketIoCluster

`socketio-affinity.dev/v1alpha1`, namespaced, short name `sio`. A test holds this page against the code.

The API server refuses what cannot work; the rules say with which words. Fields in bold are required.
";

/// The page.
pub(super) fn page(definition: &Value) -> String {
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut page = format!("{HEAD}\n```yaml\n{}```\n", socketio_operator::crd::EXAMPLE);
    for part in ["spec", "status"] {
        let _ = writeln!(page, "\n## {part}\n\n| field | type | default | |\n| --- | --- | --- | --- |");
        rows(&schema["properties"][part], "", &mut page);
    }
    page.push_str("\n## Rules\n\n| of | else the API server says |\n| --- | --- |\n");
    rules(schema, "", &mut page);
    page
}

fn rows(schema: &Value, prefix: &str, page: &mut String) {
    let empty = Map::new();
    for (name, field) in schema["properties"].as_object().unwrap_or(&empty) {
        let path = format!("{prefix}{name}");
        let required =
            schema["required"].as_array().is_some_and(|names| names.contains(&name.as_str().into()));
        let shown = if required { format!("**`{path}`**") } else { format!("`{path}`") };
        let description = field["description"].as_str().unwrap_or_default().replace('\n', " ");
        let (kind, default) = (kind(field), default(field));
        let _ = writeln!(page, "| {shown} | {kind} | {default} | {} |", escaped(&description));
        // Kubernetes' own types are described there.
        if !matches!(name.as_str(), "resources" | "conditions") {
            rows(field, &format!("{path}."), page);
            rows(&field["items"], &format!("{path}[]."), page);
        }
    }
}

/// The type with its limits.
fn kind(field: &Value) -> String {
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<_> =
            values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        return values.join(", ");
    }
    let name = field["type"].as_str().unwrap_or("any");
    let range = |least: &str, most: &str| match (field[least].as_f64(), field[most].as_f64()) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (None, Some(most)) => format!(", at most {most}"),
        (Some(least), None) => format!(", at least {least}"),
        (None, None) => String::new(),
    };
    match name {
        "string" if field["format"] == "date-time" => "time".to_owned(),
        "string" if field.get("maxLength").is_some() => {
            format!("string{} characters", range("minLength", "maxLength"))
        }
        "array" => match field["maxItems"].as_u64() {
            Some(most) => format!("list of at most {most} × {}", kind(&field["items"])),
            None => format!("list of {}", kind(&field["items"])),
        },
        "integer" => format!("integer{}", range("minimum", "maximum")),
        other => other.to_owned(),
    }
}

/// Default of a field. Objects have none here: theirs only repeats the defaults of their fields.
fn default(field: &Value) -> String {
    match &field["default"] {
        Value::Null | Value::Object(_) => String::new(),
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn rules(schema: &Value, path: &str, page: &mut String) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        let of = if path.is_empty() { "the object".to_owned() } else { format!("`{path}`") };
        let message = rule["message"].as_str().unwrap_or_default().replace('\n', " ");
        let _ = writeln!(page, "| {of} | {} |", escaped(&message));
    }
    let empty = Map::new();
    for (name, field) in schema["properties"].as_object().unwrap_or(&empty) {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        rules(field, &path, page);
    }
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
