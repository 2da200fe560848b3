//! What comes in over HTTP, read so that every failure names the field.

use std::future::{Ready, ready};
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;

use super::Problem;
use super::strict::Strict;

/// The most that a body may hold, in bytes: 100 order lines take about a tenth of it.
pub(super) const BODY_LIMIT: usize = 256 * 1024;

type Later<T> = Pin<Box<dyn Future<Output = Result<T, Problem>>>>;

/// A JSON body. 400 when it isn't JSON, 413 when it is too large, 415 when it says it is something else, 422 with the
/// field when it doesn't fit.
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
            json_type(&request)?;
            read_json(&body).map(Json).map_err(|problem| problem.at(&request))
        })
    }
}

/// The body of an action that takes no fields: nothing, or `{}`.
pub struct EmptyBody;

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
            if !body.is_empty() {
                read_json::<Nothing>(&body).map_err(|problem| problem.at(&request))?;
            }
            Ok(EmptyBody)
        })
    }
}

fn body(request: &HttpRequest, payload: &mut Payload) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    let bytes = Bytes::from_request(request, payload);
    let request = request.clone();
    async move {
        bytes.await.map_err(|error| {
            let overflow = error.as_response_error().status_code() == actix_web::http::StatusCode::PAYLOAD_TOO_LARGE;
            if overflow {
                Problem::too_large(format!("The body may have {BODY_LIMIT} bytes at most.")).at(&request)
            } else {
                Problem::malformed("The body could not be read to its end.").at(&request)
            }
        })
    }
}

fn json_type(request: &HttpRequest) -> Result<(), Problem> {
    let Some(given) = request.headers().get(CONTENT_TYPE) else { return Ok(()) };
    let given = given.to_str().unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        Ok(())
    } else {
        Err(Problem::unsupported_media_type(format!("Content-Type is {given:?}; expected application/json."))
            .at(request))
    }
}

fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(Strict(&mut reader)).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        // A number that no type can hold is JSON all the same; serde_json counts it as syntax.
        let too_large = error.to_string().starts_with("number out of range");
        if too_large || error.classify() == serde_json::error::Category::Data {
            let message = without_place(&error.to_string());
            Problem::bad_input(field_of(&path, &message), message)
        } else {
            Problem::malformed(format!("The body is not JSON: {error}."))
        }
    })?;
    reader.end().map_err(|error| Problem::malformed(format!("The body has something after its JSON: {error}.")))?;
    Ok(value)
}

/// A missing field has no path of its own; serde names it in the message.
fn field_of(path: &str, message: &str) -> String {
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match (path, missing) {
        (".", None) => "body".to_owned(),
        (".", Some(field)) => field.to_owned(),
        (path, Some(field)) => format!("{path}.{field}"),
        (path, None) => path.to_owned(),
    }
}

/// serde_json says `... at line 1 column 7`; the field's path says it better.
fn without_place(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(what, _)| what).to_owned()
}

/// The variable parts of the path; 404 when they can't be what they stand for, since then nothing of that name exists.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Path<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let read = actix_web::web::Path::<T>::from_request(request, payload).into_inner();
        ready(read.map(|path| Path(path.into_inner())).map_err(|_| {
            Problem::not_found("There is nothing here: the path holds something that is not an id.").at(request)
        }))
    }
}

/// The query string; 422 with the field when it doesn't fit.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let reader = serde_urlencoded::Deserializer::new(form_urlencoded(request.query_string()));
        ready(serde_path_to_error::deserialize(reader).map(Query).map_err(|error| {
            let path = error.path().to_string();
            let message = error.into_inner().to_string();
            // An unknown or missing field has no path; serde names it in the message.
            let named = message.split('`').nth(1).map(str::to_owned);
            let field = if path == "." { named.unwrap_or_else(|| "query".to_owned()) } else { path };
            Problem::bad_input(field, message).at(request)
        }))
    }
}

fn form_urlencoded(query: &str) -> url::form_urlencoded::Parse<'_> {
    url::form_urlencoded::parse(query.as_bytes())
}

/// The optional header `Idempotency-Key`: 1 to 255 visible ASCII characters, as Stripe takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub String);

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        const HEADER: &str = "Idempotency-Key";
        let given = request.headers().get(HEADER).map(|value| value.to_str().unwrap_or_default());
        ready(match given {
            Some(key) if (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) => {
                Ok(Self(key.to_owned()))
            }
            Some(_) => {
                Err(Problem::bad_input(HEADER, "expected 1 to 255 visible ASCII characters without spaces").at(request))
            }
            None => Err(Problem::bad_input(HEADER, "is missing").at(request)),
        })
    }
}

impl IdempotencyKey {
    /// The key if the request has one.
    ///
    /// # Errors
    /// It has one that can't be a key.
    pub fn optional(request: &HttpRequest) -> Result<Option<Self>, Problem> {
        if request.headers().contains_key("Idempotency-Key") {
            Self::extract(request).into_inner().map(Some)
        } else {
            Ok(None)
        }
    }
}
