//! Customers' profiles.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpResponseBuilder};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use service_kit::auth::{Caller, Sees};
use service_kit::http::{Json, Path, Problem, etag};
use service_kit::versions::Expected;
use shared_events::{
    Address, Channels, CustomerId, EmailAddress, Invalid, Language, LineText, MessagePreferences, PhoneNumber,
    PushToken,
};
use utoipa::openapi::schema::ArrayBuilder;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::guests::is_guest;
use super::request::{AddressRequest, DeliverableAddress};
use super::{AppState, problem};
use crate::commands::{self, ChangeProfileError, ProfileChanged};
use crate::domain::Profile;
use crate::store::customers::{self, StoredProfile};

/// A customer's profile. What it leaves out is removed, or the default.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Ann Lee", "email": "ann@example.com", "phone": "+353861234567",
    "delivery_address": {"line1": "1 Quay St", "line2": null, "city": "Cork", "postal_code": "T12", "country": "IE"},
    "language": "en", "messages": {"order": ["email"], "payment": ["email"], "shipment": ["email", "sms"]}
}))]
pub struct ProfileRequest {
    name: LineText,
    #[schema(value_type = EmailAddress)]
    email: DeliverableAddress,
    /// Needed where messages go by `sms`.
    phone: Option<PhoneNumber>,
    /// Needed where messages go by `push`.
    push_token: Option<PushToken>,
    /// Where an order goes that names no address.
    delivery_address: Option<AddressRequest>,
    /// English if it is left out.
    language: Option<Language>,
    messages: Option<MessagesRequest>,
}

/// Which messages go by which channels.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"order": ["email"], "payment": [], "shipment": ["email", "sms"]}))]
struct MessagesRequest {
    #[schema(inline)]
    order: Option<AtLeastOne>,
    payment: Option<Channels>,
    shipment: Option<Channels>,
}

/// Channels for what everybody has to hear of.
#[derive(Default, Deserialize)]
#[serde(try_from = "Channels")]
struct AtLeastOne(Channels);

impl TryFrom<Channels> for AtLeastOne {
    type Error = &'static str;

    fn try_from(channels: Channels) -> Result<Self, &'static str> {
        if channels.as_slice().is_empty() {
            return Err("expected at least one channel: a customer has to hear of their orders");
        }
        Ok(Self(channels))
    }
}

impl PartialSchema for AtLeastOne {
    fn schema() -> RefOr<Schema> {
        match Channels::schema() {
            RefOr::T(Schema::Array(channels)) => ArrayBuilder::from(channels).min_items(Some(1)).into(),
            other => other,
        }
    }
}

impl ToSchema for AtLeastOne {}

impl ProfileRequest {
    fn into_profile(self) -> Result<Profile, Problem> {
        let Self { name, email, phone, push_token, delivery_address, language, messages } = self;
        let MessagesRequest { order, payment, shipment } = messages.unwrap_or_default();
        let AtLeastOne(order) = order.unwrap_or_default();
        let messages = MessagePreferences::new(order, payment.unwrap_or_default(), shipment.unwrap_or_default())
            .map_err(|Invalid { expected, .. }| Problem::bad_input("messages.order", format!("expected {expected}")))?;
        let delivery_address = delivery_address.map(Address::from);
        let (email, language) = (email.into(), language.unwrap_or_default());
        let profile = Profile { name, email, phone, push_token, delivery_address, language, messages };
        profile.checked().map_err(|refused| Problem::bad_fields(refused.iter().map(problem::of_profile).collect()))
    }
}

/// A customer's profile, as it is kept.
#[derive(Serialize, ToSchema)]
#[schema(as = Profile, example = json!(super::examples::profile()))]
pub struct ProfileView<'a> {
    id: &'a CustomerId,
    name: &'a LineText,
    email: &'a EmailAddress,
    phone: Option<&'a PhoneNumber>,
    push_token: Option<&'a PushToken>,
    delivery_address: Option<&'a Address>,
    language: Language,
    messages: &'a MessagePreferences,
    /// Counts its changes.
    version: i64,
    updated_at: DateTime<Utc>,
}

impl<'a> ProfileView<'a> {
    fn of(stored: &'a StoredProfile) -> Self {
        let StoredProfile { customer_id, profile, version, updated_at } = stored;
        Self {
            id: customer_id,
            name: &profile.name,
            email: &profile.email,
            phone: profile.phone.as_ref(),
            push_token: profile.push_token.as_ref(),
            delivery_address: profile.delivery_address.as_ref(),
            language: profile.language,
            messages: &profile.messages,
            version: *version,
            updated_at: *updated_at,
        }
    }
}

/// Answers with a profile and its version, which `If-Match` takes.
fn shown(mut answer: HttpResponseBuilder, stored: &StoredProfile) -> HttpResponse {
    answer.insert_header(etag(stored.version)).json(ProfileView::of(stored))
}

/// The customer who asks, by their token.
pub struct Me(CustomerId);

impl FromRequest for Me {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let caller = Caller::from_request(request, payload).into_inner();
        ready(caller.and_then(|caller| match caller.sees() {
            Sees::Customer(own) => own.parse().map(Self).map_err(|why: Invalid| Problem::not_found(format!("{why}."))),
            _ => Err(Problem::not_found(
                "It is not known who asks, since this service asks for no tokens: name the customer, as in /api/v1/customers/c-1001.",
            )),
        }))
    }
}

/// A customer whose profile the caller may see, from the path. For whoever may not there is none.
pub struct Whose(CustomerId);

impl FromRequest for Whose {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let id = Path::<CustomerId>::from_request(request, payload).into_inner();
        let caller = Caller::from_request(request, payload).into_inner();
        ready(id.and_then(|Path(id)| match caller?.sees() {
            Sees::Everything if !is_guest(&id) => Ok(Self(id)),
            Sees::Customer(own) if own.as_str() == id.as_str() => Ok(Self(id)),
            Sees::Everything => Err(Problem::not_found(format!("There is no profile of {id}: guests have none."))),
            _ => Err(no_profile(&id)),
        }))
    }
}

fn no_profile(id: &CustomerId) -> Problem {
    Problem::not_found(format!("There is no profile of {id}."))
}

/// Shows your profile
#[utoipa::path(
    get, path = "/api/v1/customers/me", tag = "customers", operation_id = "get_my_profile",
    responses(
        (status = 200, description = "Your profile.", body = ProfileView,
            headers(("ETag" = String, description = "Its version, for `If-Match`."))),
        (status = 404, description = "You have none yet; PUT sets it.")
    )
)]
pub async fn get_mine(state: Data<AppState>, Me(id): Me) -> Result<HttpResponse, Problem> {
    let conn = state.pool.get().await?;
    let stored = customers::find(&conn, &id).await?.ok_or_else(|| {
        Problem::not_found(
            "You have no profile yet: set it by PUT /api/v1/customers/me, with a name and an e-mail address.",
        )
    })?;
    Ok(shown(HttpResponse::Ok(), &stored))
}

/// Sets your profile
///
/// Orders may leave out then what the profile has. It says which messages go by which channels, too.
#[utoipa::path(
    put, path = "/api/v1/customers/me", tag = "customers", operation_id = "set_my_profile",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is to be changed.", example = "\"1\"")),
    request_body = ProfileRequest,
    responses(
        (status = 200, description = "The profile as it is now.", body = ProfileView,
            headers(("ETag" = String, description = "Its version."))),
        (status = 201, description = "The first of this customer.", body = ProfileView,
            headers(("ETag" = String, description = "Its version."))),
        (status = 404, description = "The service asks for no tokens, so nobody is known as a customer."),
        (status = 412, description = "It has changed meanwhile, or there is none.")
    )
)]
pub async fn set_mine(
    state: Data<AppState>,
    Me(id): Me,
    http: HttpRequest,
    body: Json<ProfileRequest>,
) -> Result<HttpResponse, Problem> {
    change(&state, &id, &http, body).await
}

/// Shows a customer's profile
#[utoipa::path(
    get, path = "/api/v1/customers/{id}", tag = "customers", operation_id = "get_profile",
    params(("id" = inline(CustomerId), Path, description = "The customer.")),
    responses(
        (status = 200, description = "Their profile.", body = ProfileView,
            headers(("ETag" = String, description = "Its version, for `If-Match`.")))
    )
)]
pub async fn get(state: Data<AppState>, Whose(id): Whose) -> Result<HttpResponse, Problem> {
    let conn = state.pool.get().await?;
    let stored = customers::find(&conn, &id).await?.ok_or_else(|| no_profile(&id))?;
    Ok(shown(HttpResponse::Ok(), &stored))
}

/// Sets a customer's profile
#[utoipa::path(
    put, path = "/api/v1/customers/{id}", tag = "customers", operation_id = "set_profile",
    params(("id" = inline(CustomerId), Path, description = "The customer."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the version that is to be changed.", example = "\"1\"")),
    request_body = ProfileRequest,
    responses(
        (status = 200, description = "The profile as it is now.", body = ProfileView,
            headers(("ETag" = String, description = "Its version."))),
        (status = 201, description = "The first of this customer.", body = ProfileView,
            headers(("ETag" = String, description = "Its version."))),
        (status = 412, description = "It has changed meanwhile, or there is none.")
    )
)]
pub async fn set(
    state: Data<AppState>,
    Whose(id): Whose,
    http: HttpRequest,
    body: Json<ProfileRequest>,
) -> Result<HttpResponse, Problem> {
    change(&state, &id, &http, body).await
}

async fn change(
    state: &AppState,
    id: &CustomerId,
    http: &HttpRequest,
    body: Json<ProfileRequest>,
) -> Result<HttpResponse, Problem> {
    let (expected, profile) = (Expected::of(http)?, body.into_inner().into_profile()?);
    let changed = commands::change_profile(&state.pool, id, expected.as_ref(), profile).await?;
    state.nudge.nudge();
    let ProfileChanged { stored, is_new } = changed;
    Ok(shown(if is_new { HttpResponse::Created() } else { HttpResponse::Ok() }, &stored))
}

impl From<ChangeProfileError> for Problem {
    fn from(error: ChangeProfileError) -> Self {
        match error {
            absent @ ChangeProfileError::Absent => Self::precondition_failed(format!("{absent}.")),
            ChangeProfileError::Changed(changed) => changed.into(),
            ChangeProfileError::Pool(error) => error.into(),
            ChangeProfileError::Announce(error) => error.into(),
        }
    }
}
