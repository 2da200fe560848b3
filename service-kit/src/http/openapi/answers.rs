//! Adds to an OpenAPI document the problems that any request may be answered with, whatever its handler.

use serde_json::{Map, Value, json};

use crate::auth::{Access, Who};

/// Paths that need no database and read no input, and so have no problems.
const PLAIN: [&str; 5] = ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"];

/// Says of every operation who may use it, and that tokens are how they show it.
pub fn say_who(document: &mut Value, access: Access) {
    let token = "A JWT of the issuer that the service trusts, or a guest's token for one order.";
    let link = "A guest's token, as the link to an order has it.";
    document["components"]["securitySchemes"] = json!({
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": token},
        "link": {"type": "apiKey", "in": "query", "name": "token", "description": link},
    });
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else { return };
    for (path, item) in paths.iter_mut().filter(|(path, _)| !PLAIN.contains(&path.as_str())) {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            say_who_may(operation, access.of(&method.to_uppercase(), path));
        }
    }
}

fn say_who_may(operation: &mut Value, who: &[Who]) {
    let names: Vec<_> = who.iter().map(ToString::to_string).collect();
    let told = operation["description"].as_str().unwrap_or_default();
    let said = format!("{told}\n\nFor: {}.", names.join(", "));
    operation["description"] = json!(said.trim_start());
    if who.contains(&Who::Anybody) {
        operation["security"] = json!([]);
        return;
    }
    let without = who.contains(&Who::Visitor).then(|| json!({}));
    let by_link = who.contains(&Who::Guest).then(|| json!({"link": []}));
    operation["security"] = without.into_iter().chain([json!({"token": []})]).chain(by_link).collect();
    let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    answers.entry("401").or_insert_with(|| problem("The token is missing or not valid."));
    answers.entry("403").or_insert_with(|| problem("The token is not for this; `detail` says what is missing."));
}

/// Takes it out again, for a service that asks nobody who they are.
pub fn forget_who(document: &mut Value) {
    if let Some(components) = document.get_mut("components").and_then(Value::as_object_mut) {
        components.remove("securitySchemes");
    }
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut);
    for operation in paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
        operation.remove("security");
    }
}

/// Adds to every operation the problems that its kind may be answered with, unless it lists them itself.
pub fn complete(document: &mut Value) {
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else { return };
    for (path, item) in paths.iter_mut().filter(|(path, _)| !PLAIN.contains(&path.as_str())) {
        for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
            may_be_left_out_but_not_null(operation);
            let problems = problems(path, operation);
            let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) else { continue };
            for (status, description) in problems {
                answers.entry(status).or_insert_with(|| problem(description));
            }
            // An error answer that a handler lists without a body has a problem as its body too.
            for (_, answer) in answers.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
                if answer.get("content").is_none() {
                    answer["content"] = content();
                }
            }
        }
    }
}

/// Lists the possible values of a schema's `code`.
pub fn list_codes(document: &mut Value, schema: &str, codes: &[&str]) {
    if let Some(code) = document.pointer_mut(&format!("/components/schemas/{schema}/properties/code")) {
        code["enum"] = json!(codes);
    }
}

/// An `Option<Body>` parameter means a body or none, but utoipa documents a body that may be `null`.
fn may_be_left_out_but_not_null(operation: &mut Value) {
    let Some(schema) = operation.pointer_mut("/requestBody/content/application~1json/schema") else { return };
    let some = schema.get_mut("oneOf").and_then(Value::as_array_mut);
    if let Some(body) = some.and_then(|some| some.iter_mut().find(|one| one.get("$ref").is_some())) {
        *schema = body.take();
    }
}

fn problems(path: &str, operation: &Value) -> Vec<(&'static str, &'static str)> {
    let mut problems = vec![("503", "The database can't do it now, or the service is overloaded; try again later.")];
    if path.contains('{') {
        problems.push(("404", "There is no such thing."));
    }
    let has_body = operation.get("requestBody").is_some();
    if has_body {
        problems.push(("400", "The body can't be read, or is not JSON."));
        problems.push(("408", "The body did not arrive in time."));
        problems.push(("413", "The body is too large."));
        problems.push(("415", "The body doesn't say that it is JSON."));
    }
    let parameters = operation.get("parameters").and_then(Value::as_array);
    let read = |parameter: &Value| parameter["in"] != "path";
    if has_body || parameters.is_some_and(|all| all.iter().any(read)) {
        problems.push(("422", "Some fields are wrong; `errors` names each of them."));
    }
    problems
}

fn problem(description: &str) -> Value {
    json!({"description": description, "content": content()})
}

fn content() -> Value {
    json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}})
}
