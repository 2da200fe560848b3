//! The page of the customer's bank, where they approve or refuse a payment (3-D Secure). It has no script and no style, and may load
//! nothing; whoever closes it has done nothing.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::web::{self, Data, ServiceConfig};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use reqwest::Url;
use serde::Deserialize;
use service_kit::http::Json;

use crate::http::{AppState, Body, connection, intent_id};
use crate::intents::Intent;
use crate::params::Params;
use crate::{StripeError, currencies, operations, store};

const PAGE: &str = "page.html";

/// A length that browsers surely take.
const LONGEST_URL: usize = 2048;

/// The bank's page, parsed.
pub struct Pages(Environment<'static>);

impl Pages {
    /// Fails if the page can't be parsed, which a test excludes.
    pub fn new() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.add_template(PAGE, include_str!("page.html"))?;
        Ok(Self(environment))
    }

    /// What a customer sees of their payment: what is to be decided, or that nothing is, since `told`.
    fn of(&self, intent: &Intent, status: StatusCode, told: Option<&str>) -> Result<HttpResponse, StripeError> {
        let (waits, back) = (intent.waits_for_customer(), back(intent));
        let context = context! {
            waits,
            amount => currencies::for_people(intent.amount, &intent.currency),
            order => intent.metadata["order_id"].as_str(),
            action => format!("/sandbox/3ds/{}", intent.id),
            told => told.unwrap_or("This payment doesn't wait for you."),
            back => back.as_ref().map(Url::as_str),
        };
        let page = self.0.get_template(PAGE).and_then(|page| page.render(context)).map_err(|error| {
            tracing::error!(%error, "the bank's page can't be written");
            StripeError::internal()
        })?;
        // A browser holds the redirect that answers the form against this, too.
        let to = back.map(|back| format!(" {}", back.origin().ascii_serialization())).unwrap_or_default();
        let policy = format!("default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'{to}");
        Ok(HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((CONTENT_SECURITY_POLICY, policy))
            .insert_header((X_FRAME_OPTIONS, "DENY"))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            // The form must say where it comes from, and the shop needn't know.
            .insert_header((REFERRER_POLICY, "same-origin"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(page))
    }
}

pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/sandbox/3ds/{id}", web::get().to(show))
        .route("/sandbox/3ds/{id}", web::post().to(choose))
        .route("/sandbox/payment_intents/{id}/authenticate", web::get().to(show))
        .route("/sandbox/payment_intents/{id}/authenticate", web::post().to(authenticate));
}

/// Where a customer may be sent back to: what a confirmation named, if it is an address of the web.
pub fn return_url(text: &str) -> Result<String, StripeError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let is_plain = |url: &Url| url.username().is_empty() && url.password().is_none() && text.len() <= LONGEST_URL;
    match url.filter(is_plain) {
        Some(url) => Ok(url.into()),
        None => Err(StripeError::parameter("return_url", "url_invalid", "Not a valid URL.")),
    }
}

/// Where the customer came from, if the intent was confirmed with that, and what became of their payment.
fn back(intent: &Intent) -> Option<Url> {
    let mut url = Url::parse(intent.return_url.as_deref()?).ok()?;
    url.query_pairs_mut().append_pair("payment_intent", &intent.id);
    if let Some(outcome) = intent.outcome() {
        url.query_pairs_mut().append_pair("redirect_status", outcome);
    }
    Some(url)
}

async fn show(state: Data<AppState>, id: web::Path<String>) -> Result<HttpResponse, StripeError> {
    let id = intent_id(id.into_inner())?;
    let intent = store::find_intent(&mut *connection(&state).await?, &id).await?;
    state.pages.of(&intent, StatusCode::OK, None)
}

/// The customer approves or refuses, and goes back to where they came from: to nowhere else, whatever the request says.
async fn choose(state: Data<AppState>, id: web::Path<String>, body: Body) -> Result<HttpResponse, StripeError> {
    let id = intent_id(id.into_inner())?;
    let body = body.map_err(|_| StripeError::too_large())?;
    let not_text = |_| StripeError::parameter("", "parameter_invalid", "The body is not UTF-8.");
    let params = Params::parse(std::str::from_utf8(&body).map_err(not_text)?, &["outcome"])?;
    let passed = match params.required("outcome")? {
        "approve" => true,
        "refuse" => false,
        _ => {
            let message = "Expected approve or refuse.";
            return Err(StripeError::parameter("outcome", "parameter_invalid", message));
        }
    };
    let mut conn = connection(&state).await?;
    let intent = match operations::authenticate(&mut conn, &id, passed, state.tells()).await {
        Ok(intent) => intent,
        // Sent twice, or too late: the customer is told so, and how to go back.
        Err(error) if error.is_unexpected_state() => {
            let intent = store::find_intent(&mut conn, &id).await?;
            return state.pages.of(&intent, StatusCode::CONFLICT, None);
        }
        Err(error) => return Err(error),
    };
    state.nudge();
    match back(&intent) {
        Some(back) => Ok(HttpResponse::SeeOther()
            .insert_header((LOCATION, back.as_str()))
            .insert_header((CACHE_CONTROL, "no-store"))
            .finish()),
        None if passed => state.pages.of(&intent, StatusCode::OK, Some("Thank you: the payment is approved.")),
        None => state.pages.of(&intent, StatusCode::OK, Some("The payment is refused.")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Authentication {
    outcome: Outcome,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Succeed,
    Fail,
}

/// The customer's part of 3-D Secure, for programs.
async fn authenticate(
    state: Data<AppState>,
    id: web::Path<String>,
    body: Json<Authentication>,
) -> Result<HttpResponse, StripeError> {
    let id = intent_id(id.into_inner())?;
    let passed = body.into_inner().outcome == Outcome::Succeed;
    let mut conn = connection(&state).await?;
    let intent = operations::authenticate(&mut conn, &id, passed, state.tells()).await?;
    state.nudge();
    Ok(HttpResponse::Ok().json(intent.object()))
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use serde_json::json;

    use super::*;
    use crate::intents::waiting_intent;

    const EVIL: &str = r#""><script>alert('x')</script>"#;

    async fn text(response: HttpResponse) -> String {
        String::from_utf8(to_bytes(response.into_body()).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_an_intent_says_is_shown_as_text() {
        let return_url = Some("http://127.0.0.1:8070/orders/1?note=%22%3E%3Cscript%3E".to_owned());
        let intent = Intent { metadata: json!({"order_id": EVIL}), return_url, ..waiting_intent() };
        for status in ["requires_action", "canceled"] {
            let intent = Intent { status: status.to_owned(), ..intent.clone() };
            let page = text(Pages::new().unwrap().of(&intent, StatusCode::OK, Some(EVIL)).unwrap()).await;
            assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"), "{page}");
        }
    }

    #[test]
    fn the_form_may_be_sent_here_and_lead_back_to_the_shop_alone() {
        let policy = |return_url: Option<&str>| {
            let intent = Intent { return_url: return_url.map(str::to_owned), ..waiting_intent() };
            let page = Pages::new().unwrap().of(&intent, StatusCode::OK, None).unwrap();
            page.headers().get(CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap().to_owned()
        };
        let with_shop = policy(Some("https://shop.example/orders/1"));
        assert!(with_shop.ends_with("form-action 'self' https://shop.example"), "{with_shop}");
        assert!(with_shop.starts_with("default-src 'none'; "), "{with_shop}");
        assert!(policy(None).ends_with("form-action 'self'"));
    }

    #[test]
    fn only_an_address_of_the_web_is_returned_to() {
        assert_eq!(return_url("https://shop.example/orders/1#x").unwrap(), "https://shop.example/orders/1#x");
        let long = format!("https://shop.example/{}", "x".repeat(LONGEST_URL));
        for bad in
            ["javascript:alert(1)", "//shop.example", "data:text/html,x", "https://a:b@shop.example", "/x", &long]
        {
            assert!(return_url(bad).is_err(), "{bad}");
        }
    }
}
