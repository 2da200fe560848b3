//! Checks that the examples in an OpenAPI document fit its schemas.

use serde_json::{Map, Value};

/// A request that is built from a document's examples.
#[derive(Debug)]
pub struct ExampleRequest {
    /// Its method, in capital letters.
    pub method: String,
    /// Its path, with the examples of its parameters.
    pub path: String,
    /// The required headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Value,
}

/// The ways in which the document's examples don't fit their schemas. It also reports JSON bodies and answers without
/// an example of their own: documentation tools would make one up field by field, and such fields need not be
/// consistent.
pub fn faults_of_examples(document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    each_schema(document, "", &mut |schema, at| {
        for example in examples_of(schema) {
            fits(document, schema, example, at, &mut faults);
        }
    });
    for (path, method, operation) in operations(document) {
        let body = operation.pointer("/requestBody/content/application~1json");
        let answers = operation["responses"].as_object().into_iter().flatten();
        let answers = answers.filter(|(status, _)| status.starts_with('2'));
        let answers = answers.filter_map(|(_, answer)| answer.pointer("/content/application~1json"));
        for content in body.into_iter().chain(answers) {
            if let Some(example) = content.get("example") {
                fits(document, &content["schema"], example, &format!("{method} {path}"), &mut faults);
            } else if !is_whole(document, &content["schema"]) && content["schema"] != free() {
                faults.push(format!("{method} {path}: {} has no example of its own", content["schema"]));
            }
        }
    }
    faults
}

/// The requests that the document's examples describe, where they have a JSON body.
pub fn example_requests(document: &Value) -> Vec<ExampleRequest> {
    let requests = operations(document).filter_map(|(path, method, operation)| {
        let content = operation.pointer("/requestBody/content/application~1json")?;
        let body = content.get("example").or_else(|| examples_of(resolved(document, &content["schema"])).next())?;
        let (mut path, mut headers) = (path.to_owned(), Vec::new());
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let schema = resolved(document, &parameter["schema"]);
            let example = parameter.get("example").or_else(|| examples_of(schema).next());
            let text = example.map_or_else(String::new, |text| text.as_str().unwrap_or_default().to_owned());
            let name = parameter["name"].as_str().unwrap_or_default();
            match parameter["in"].as_str() {
                Some("path") => path = path.replace(&format!("{{{name}}}"), &text),
                Some("header") if parameter["required"] == true => headers.push((name.to_owned(), text)),
                _ => {}
            }
        }
        Some(ExampleRequest { method: method.to_uppercase(), path, headers, body: body.clone() })
    });
    requests.collect()
}

/// The schema of an arbitrary object.
fn free() -> Value {
    serde_json::json!({"type": "object"})
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        item.as_object().into_iter().flatten().map(move |(method, operation)| (&**path, &**method, operation))
    })
}

fn examples_of(schema: &Value) -> impl Iterator<Item = &Value> {
    schema.get("example").into_iter().chain(schema.get("examples").and_then(Value::as_array).into_iter().flatten())
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap_or(schema),
        None => schema,
    }
}

/// Whether the schema has an example, or is a page whose items have one.
fn is_whole(document: &Value, schema: &Value) -> bool {
    let schema = resolved(document, schema);
    let items = schema.pointer("/properties/items/items");
    examples_of(schema).next().is_some() || items.is_some_and(|items| is_whole(document, items))
}

/// Calls `each` with every schema and its path. It doesn't descend into examples.
fn each_schema<'a>(part: &'a Value, at: &str, each: &mut impl FnMut(&'a Value, &str)) {
    if ["type", "$ref", "oneOf", "allOf"].iter().any(|word| part.get(word).is_some_and(|it| !it.is_object())) {
        each(part, at);
    }
    let fields = part.as_object().into_iter().flatten().filter(|(name, _)| !name.starts_with("example"));
    for (name, inner) in fields {
        each_schema(inner, &format!("{at}/{name}"), each);
    }
    for (number, inner) in part.as_array().into_iter().flatten().enumerate() {
        each_schema(inner, &format!("{at}/{number}"), each);
    }
}

/// Notes where a value doesn't fit the schema.
fn fits(document: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let schema = resolved(document, schema);
    let part = |name: &str| schema.get(name).and_then(Value::as_array);
    if let Some(any) = part("oneOf").or_else(|| part("anyOf")) {
        let fits_one = |one: &Value| {
            let mut inside = Vec::new();
            fits(document, one, value, at, &mut inside);
            inside.is_empty()
        };
        if !any.iter().any(fits_one) {
            faults.push(format!("{at}: {value} is none of {}", Value::from(any.clone())));
        }
        return;
    }
    if let Some(names) = part("enum")
        && !names.contains(value)
    {
        faults.push(format!("{at}: {value} is not one of {}", Value::from(names.clone())));
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !kinds.is_empty() && !kinds.iter().any(|kind| is_a(value, kind)) {
        faults.push(format!("{at}: {value} is not {}", kinds.join(" or ")));
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let size = match value {
        Value::Number(number) => number.as_f64().map(|number| (number, bound("minimum"), bound("maximum"))),
        Value::String(text) => Some((text.chars().count() as f64, bound("minLength"), bound("maxLength"))),
        Value::Array(items) => Some((items.len() as f64, bound("minItems"), bound("maxItems"))),
        _ => None,
    };
    if size.is_some_and(|(size, least, most)| {
        least.is_some_and(|least| size < least) || most.is_some_and(|most| size > most)
    }) {
        faults.push(format!("{at}: {value} is too small, or too large"));
    }
    if let (Some(format), Some(text)) = (schema["format"].as_str(), value.as_str())
        && !has_format(text, format)
    {
        faults.push(format!("{at}: {value} is no {format}"));
    }
    if let Some(items) = value.as_array()
        && let Some(schema) = schema.get("items")
    {
        items.iter().for_each(|item| fits(document, schema, item, at, faults));
    }
    if let Some(object) = value.as_object() {
        fields_fit(document, schema, object, at, faults);
    }
}

fn fields_fit(document: &Value, schema: &Value, object: &Map<String, Value>, at: &str, faults: &mut Vec<String>) {
    let mut known = Map::new();
    let parts = schema.get("allOf").and_then(Value::as_array).into_iter().flatten().chain([schema]);
    for part in parts.map(|part| resolved(document, part)) {
        known.extend(part["properties"].as_object().into_iter().flatten().map(|(name, of)| (name.clone(), of.clone())));
        let required = part["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let lacking = required.filter(|name| !object.contains_key(*name));
        faults.extend(lacking.map(|name| format!("{at}: it lacks {name}")));
    }
    if known.is_empty() {
        return;
    }
    for (name, value) in object {
        match known.get(name) {
            Some(schema) => fits(document, schema, value, &format!("{at}.{name}"), faults),
            None => faults.push(format!("{at}: there is no {name}")),
        }
    }
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn has_format(text: &str, format: &str) -> bool {
    match format {
        "uuid" => text.parse::<uuid::Uuid>().is_ok(),
        "date-time" => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        "email" => text.contains('@'),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(example: &Value, answer: &Value) -> Value {
        json!({
            "paths": {"/tins/{id}": {"post": {
                "parameters": [{"name": "id", "in": "path", "schema": {"type": "string", "example": "t-1"}}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tin"}}}},
                "responses": {"200": {"content": {"application/json": {"schema": answer}}}}
            }}},
            "components": {"schemas": {"Tin": {
                "type": "object", "required": ["sku"], "example": example,
                "properties": {
                    "sku": {"type": "string", "maxLength": 5},
                    "left": {"type": ["integer", "null"], "minimum": 0},
                    "at": {"oneOf": [{"type": "null"}, {"type": "string", "format": "date-time"}]}
                }
            }}}
        })
    }

    #[test]
    fn examples_that_do_not_fit_are_told_and_those_that_do_are_not() {
        let tin = json!({"$ref": "#/components/schemas/Tin"});
        for good in [json!({"sku": "TEA"}), json!({"sku": "TEA", "left": null, "at": "2026-07-14T09:30:00Z"})] {
            assert_eq!(faults_of_examples(&document(&good, &tin)), Vec::<String>::new());
        }
        for (bad, told) in [
            (json!({}), "lacks sku"),
            (json!({"sku": "TOO-LONG"}), "too small, or too large"),
            (json!({"sku": "TEA", "left": -1}), "too small, or too large"),
            (json!({"sku": "TEA", "left": "1"}), "is not integer or null"),
            (json!({"sku": "TEA", "at": "noon"}), "is none of"),
            (json!({"sku": "TEA", "colour": "red"}), "there is no colour"),
        ] {
            let faults = faults_of_examples(&document(&bad, &tin));
            assert!(faults.len() == 1 && faults[0].contains(told), "{bad}: {faults:?}");
        }
        let loose = json!({"type": "object", "properties": {"sku": {"type": "string"}}});
        let faults = faults_of_examples(&document(&json!({"sku": "TEA"}), &loose));
        assert!(faults.len() == 1 && faults[0].contains("no example of its own"), "{faults:?}");
        let requests = example_requests(&document(&json!({"sku": "TEA"}), &tin));
        assert_eq!((&*requests[0].path, &requests[0].body), ("/tins/t-1", &json!({"sku": "TEA"})));
    }
}
