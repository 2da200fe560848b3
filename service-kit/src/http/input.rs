//! Extractors for HTTP requests, whose errors name the field.

use std::future::{Ready, ready};
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Problem;
use super::fields::{self, Given};
use super::problem::InputCode;
use crate::auth::{Caller, GuestLinks};
use crate::idempotency::IdempotentRequest;

type Later<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

/// A JSON body. The answer is 400 if it isn't JSON, 413 if it is too large, 415 if its content type isn't
/// `application/json`, and 422 with the field if it doesn't fit.
///
/// A body without a content type is refused too. A browser sends one for any site, as it does forms; it asks before it
/// sends `application/json`, and it is not let (see `origins`).
pub struct Json<T>(pub T);

impl<T> Json<T> {
    /// The content.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = Later<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = body(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let body = body.await?;
            let given = content_type(&request)?;
            expect_type(given == "application/json", &given, &request)?;
            read_json(&body).map(Json).map_err(|problem| problem.at(&request))
        })
    }
}

/// The body of an action without fields: empty, or `{}`. The answer is 415 to a body that doesn't say that it is JSON,
/// and to what a form sends, even if that is empty.
pub struct EmptyBody;

/// What a browser sends for any site without asking the service before.
const FORMS: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];

impl FromRequest for EmptyBody {
    type Error = Problem;
    type Future = Later<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let body = body(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let body = body.await?;
            let given = content_type(&request)?;
            expect_type(!FORMS.contains(&given.as_str()), &given, &request)?;
            if !body.is_empty() {
                expect_type(given == "application/json", &given, &request)?;
                read_json::<Nothing>(&body).map_err(|problem| problem.at(&request))?;
            }
            Ok(EmptyBody)
        })
    }
}

/// The body, which `super::body` has read into memory before any handler runs.
fn body(request: &HttpRequest, payload: &mut Payload) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    let bytes = Bytes::from_request(request, payload);
    let request = request.clone();
    async move { bytes.await.map_err(|_| Problem::malformed("The body could not be read to its end.").at(&request)) }
}

/// The content type in small letters and without its parameters; empty if there is none.
fn content_type(request: &HttpRequest) -> Result<String, Problem> {
    let given = the_one(request, CONTENT_TYPE.as_str())?.map(|given| String::from_utf8_lossy(given.as_bytes()));
    Ok(given.map_or_else(String::new, |given| given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()))
}

fn expect_type(fits: bool, given: &str, request: &HttpRequest) -> Result<(), Problem> {
    let told = match given {
        _ if fits => return Ok(()),
        "" => "Content-Type is missing; expected application/json.".to_owned(),
        given => format!("Content-Type is {given:?}; expected application/json."),
    };
    Err(Problem::unsupported_media_type(told).at(request))
}

/// Checks first that the whole body is JSON, and then reads the fields.
fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(body).map_err(|_| Problem::malformed("The body is not UTF-8."))?;
    let json: &RawValue = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    fields::read(&Given::Json(json.get()), "body").map_err(Problem::bad_fields)
}

/// A JSON merge patch (RFC 7396): an object with the fields to change.
pub struct MergePatch(Map<String, Value>);

impl FromRequest for MergePatch {
    type Error = Problem;
    type Future = Later<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = body(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let body = body.await?;
            let given = content_type(&request)?;
            let is_patch = given.starts_with("application/") && given.ends_with("+json");
            expect_type(is_patch || given == "application/json", &given, &request)?;
            match serde_json::from_slice(&body) {
                Ok(Value::Object(patch)) => Ok(Self(patch)),
                Ok(_) => Err(Problem::bad_input("body", "expected an object").at(&request)),
                Err(error) => Err(not_json(&error).at(&request)),
            }
        })
    }
}

impl MergePatch {
    /// Applies the patch to `current` and reads and checks the result as a whole.
    ///
    /// # Errors
    /// Fails with 422 if the result doesn't fit.
    pub fn applied<T: DeserializeOwned>(self, mut current: Value) -> Result<T, Problem> {
        merge(&mut current, Value::Object(self.0));
        fields::read(&Given::Json(&current.to_string()), "body").map_err(Problem::bad_fields)
    }
}

/// Merges as RFC 7396 says. The recursion is bounded, because serde_json refuses input that is nested too deeply.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (field, value) in patch {
        if value.is_null() {
            target.remove(&field);
        } else {
            merge(target.entry(field).or_insert(Value::Null), value);
        }
    }
}

fn not_json(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    Problem::malformed(format!("The body is not JSON: it can't be read past line {line}, column {column}."))
}

/// The variable parts of the path. A part that can't be an id is answered with 404, since nothing can exist under
/// that name.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Path<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let read = actix_web::web::Path::<T>::from_request(request, payload).into_inner();
        ready(
            read.map(|path| Path(path.into_inner()))
                .map_err(|_| Problem::not_found("There is nothing here: a part of the path is not an id.").at(request)),
        )
    }
}

/// The query string. A parameter that doesn't fit is answered with 422 and its name.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let parameters = url::form_urlencoded::parse(request.query_string().as_bytes());
        // a guest's token in a link is the guard's
        let parameters = parameters.filter(|(name, value)| !(name == "token" && GuestLinks::is_one(value)));
        let parameters = parameters.map(|(name, value)| (name.into_owned(), Given::Text(value))).collect();
        let read = fields::read(&Given::Parameters(parameters), "query");
        ready(read.map(Query).map_err(|errors| Problem::bad_fields(errors).at(request)))
    }
}

/// The header `Idempotency-Key`: 1 to 255 visible ASCII characters, as at Stripe. It may occur only once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub String);

const KEY: &str = "Idempotency-Key";

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let missing = || Problem::bad_input(KEY, "is missing").code(InputCode::Missing).at(request);
        ready(Self::optional(request).and_then(|key| key.ok_or_else(missing)))
    }
}

impl IdempotencyKey {
    /// The request's key, if it has one, together with SHA-256 of what is asked for, which tells it from other requests
    /// however its JSON is laid out.
    ///
    /// # Errors
    /// Like [`Self::optional`].
    pub fn request(request: &HttpRequest, asked: &impl Serialize) -> Result<Option<IdempotentRequest>, Problem> {
        let Some(Self(key)) = Self::optional(request)? else { return Ok(None) };
        let content = serde_json::to_vec(asked).map_err(Problem::internal)?;
        Ok(Some(IdempotentRequest { key: of_caller(request, key), request: Sha256::digest(content).to_vec() }))
    }

    /// The key, if the request has one.
    ///
    /// # Errors
    /// Fails if the header occurs more than once or its value can't be a key.
    pub fn optional(request: &HttpRequest) -> Result<Option<Self>, Problem> {
        let Some(given) = the_one(request, KEY)? else { return Ok(None) };
        let key = given.to_str().unwrap_or_default();
        if (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Some(Self(key.to_owned())))
        } else {
            Err(Problem::bad_input(KEY, "expected 1 to 255 visible ASCII characters without spaces").at(request))
        }
    }
}

/// Keys of two callers are never the same: nobody gets another's answer, or learns that there is one.
fn of_caller(request: &HttpRequest, key: String) -> String {
    let extensions = request.extensions();
    match extensions.get::<Caller>() {
        Some(caller) => caller.name().map_or(key.clone(), |name| format!("{name} {key}")),
        None => key,
    }
}

/// The value of a header that may occur only once. If it occurs twice the request is ambiguous: proxies and servers
/// differ in which value they take.
///
/// # Errors
/// Fails if the header occurs more than once.
/// It stands there more than once.
pub fn the_one<'a>(request: &'a HttpRequest, header: &'static str) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut given = request.headers().get_all(header);
    let first = given.next();
    if given.next().is_some() {
        return Err(Problem::bad_input(header, "is given twice; expected one")
            .code(InputCode::DuplicateField)
            .at(request));
    }
    Ok(first)
}
