use service_kit::http::{FieldError, InputCode, Problem};
use shared_events::NotChargeable;
use uuid::Uuid;

use crate::commands::{ChangeOrderError, ForgetCustomerError, PlaceOrderError};
use crate::domain::{DraftRefused, ProfileRefused};
use crate::store::AnnounceError;

service_kit::problem_codes! {
    /// The codes of problems that only this service has: 422, but 409 for `TooLate` and 503 for `PricesUnknown`.
    pub enum OrderCode {
        NoLines = "no_lines",
        TooManyLines = "too_many_lines",
        SkuTwice = "sku_twice",
        UnknownSku = "unknown_sku",
        WithdrawnSku = "withdrawn_sku",
        OtherCurrency = "other_currency",
        /// It costs more than one payment can be.
        TooDear = "too_dear",
        /// It costs less than a payment must be.
        TooCheap = "too_cheap",
        /// No payment can be made in this currency, or of this fraction of it.
        NotChargeable = "not_chargeable",
        UnknownCountry = "unknown_country",
        /// Neither the order says it nor the customer's profile.
        NotInProfile = "not_in_profile",
        /// It has left, or the order has ended.
        TooLate = "too_late",
        /// The catalogue is still being read.
        PricesUnknown = "prices_unknown",
    }
}

/// All problems, each with its field.
pub fn refused(refused: Vec<DraftRefused>) -> Problem {
    let error = |why: &DraftRefused| FieldError::new(why.field(), why.to_string()).code(code(why));
    Problem::bad_fields(refused.iter().map(error).collect())
}

fn code(refused: &DraftRefused) -> OrderCode {
    match refused {
        DraftRefused::NoLines => OrderCode::NoLines,
        DraftRefused::TooManyLines(_) => OrderCode::TooManyLines,
        DraftRefused::Twice { .. } => OrderCode::SkuTwice,
        DraftRefused::Unknown { .. } => OrderCode::UnknownSku,
        DraftRefused::Withdrawn { .. } => OrderCode::WithdrawnSku,
        DraftRefused::OtherCurrency { .. } => OrderCode::OtherCurrency,
        DraftRefused::LineTooDear { .. }
        | DraftRefused::TotalTooDear
        | DraftRefused::NotChargeable(NotChargeable::TooMuch { .. }) => OrderCode::TooDear,
        DraftRefused::NotChargeable(NotChargeable::TooLittle { .. }) => OrderCode::TooCheap,
        DraftRefused::NotChargeable(NotChargeable::Currency(_) | NotChargeable::Step { .. }) => {
            OrderCode::NotChargeable
        }
        DraftRefused::NoCountry(_) => OrderCode::UnknownCountry,
        DraftRefused::NotInProfile { .. } | DraftRefused::GuestWithout { .. } => OrderCode::NotInProfile,
    }
}

/// What is wrong with a profile, with its field.
pub fn of_profile(refused: &ProfileRefused) -> FieldError {
    let error = FieldError::new(refused.field(), refused.to_string());
    match refused {
        ProfileRefused::NoCountry(_) => error.code(OrderCode::UnknownCountry),
        ProfileRefused::NoPhone(_) | ProfileRefused::NoPushToken(_) => error.code(InputCode::Missing),
    }
}

pub fn no_order(id: Uuid) -> Problem {
    Problem::not_found(format!("There is no order {id}."))
}

pub fn not_changed(id: Uuid, error: ChangeOrderError) -> Problem {
    match error {
        ChangeOrderError::NotFound => no_order(id),
        ChangeOrderError::Refused(refused) => {
            Problem::conflict(format!("Order {id} was not changed: {refused}.")).code(OrderCode::TooLate)
        }
        ChangeOrderError::Pool(error) => error.into(),
        ChangeOrderError::Announce(error) => error.into(),
    }
}

impl From<PlaceOrderError> for Problem {
    fn from(error: PlaceOrderError) -> Self {
        match error {
            PlaceOrderError::Refused(why) => refused(why),
            PlaceOrderError::Key(refused) => refused.into(),
            PlaceOrderError::PricesUnknown => {
                Problem::unavailable("Prices are not known yet: the catalogue is still being read.")
                    .code(OrderCode::PricesUnknown)
            }
            PlaceOrderError::Pool(error) => error.into(),
            PlaceOrderError::Announce(error) => error.into(),
        }
    }
}

impl From<ForgetCustomerError> for Problem {
    fn from(error: ForgetCustomerError) -> Self {
        match error {
            ForgetCustomerError::Pool(error) => error.into(),
            ForgetCustomerError::Announce(error) => error.into(),
        }
    }
}

impl From<AnnounceError> for Problem {
    fn from(error: AnnounceError) -> Self {
        match error {
            AnnounceError::Database(error) => error.into(),
            unsayable @ AnnounceError::Unsayable(_) => Self::internal(unsayable),
        }
    }
}
