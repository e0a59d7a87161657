//! The limits of a schema, and for each a value that breaks it and nothing else on the way there.

use serde_json::{Map, Value, json};

/// A limit of a field.
#[derive(Debug)]
pub(super) struct Limit {
    /// From `spec` on; `*` is an item of a list.
    fields: Vec<String>,
    keyword: &'static str,
    limit: Value,
}

/// All limits below the schema of `spec`.
pub(super) fn all(spec: &Value) -> Vec<Limit> {
    let mut limits = Vec::new();
    collect(spec, &mut Vec::new(), &mut limits);
    limits
}

fn collect(schema: &Value, fields: &mut Vec<String>, limits: &mut Vec<Limit>) {
    for keyword in ["minimum", "maximum", "minLength", "maxLength", "maxItems", "enum"] {
        if let Some(limit) = schema.get(keyword) {
            limits.push(Limit { fields: fields.clone(), keyword, limit: limit.clone() });
        }
    }
    let empty = Map::new();
    for (name, schema) in schema["properties"].as_object().unwrap_or(&empty) {
        // Kubernetes' own.
        if name != "resources" {
            fields.push(name.clone());
            collect(schema, fields, limits);
            fields.pop();
        }
    }
    if schema.get("items").is_some() {
        fields.push("*".to_owned());
        collect(&schema["items"], fields, limits);
        fields.pop();
    }
}

impl Limit {
    /// As the API server names it.
    pub(super) fn path(&self) -> String {
        format!("spec.{}", self.fields.join(".")).replace(".*", "[0]")
    }

    /// A part of what it says.
    pub(super) fn expected(&self) -> String {
        let limit = &self.limit;
        match self.keyword {
            "minimum" => format!("should be greater than or equal to {limit}"),
            "maximum" => format!("should be less than or equal to {limit}"),
            "minLength" => format!("should be at least {limit} chars long"),
            "maxLength" => format!("may not be more than {limit} bytes"),
            "maxItems" => format!("must have at most {limit} items"),
            _ => "Unsupported value: \"Nonsense\": supported values: ".to_owned(),
        }
    }

    /// Puts a value there that is just beyond it.
    pub(super) fn break_in(&self, spec: &mut Value) {
        let number = self.limit.as_i64().unwrap_or_default();
        let long = usize::try_from(number).unwrap_or_default() + 1;
        let value = match self.keyword {
            "minimum" => json!(number - 1),
            "maximum" => json!(number + 1),
            "minLength" => json!(""),
            "maxLength" => json!("c".repeat(long)),
            "maxItems" => json!(vec!["10.0.0.0/8"; long]),
            _ => json!("Nonsense"),
        };
        let mut place = spec;
        for field in &self.fields {
            place = if field == "*" { &mut place[0] } else { &mut place[field.as_str()] };
        }
        *place = value;
    }
}
