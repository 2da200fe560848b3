//! Turns refusals of commands into problems.

use service_kit::http::{FieldError, Problem};
use shared_events::NotChargeable;
use uuid::Uuid;

use crate::commands::{ChangeOrderError, PlaceOrderError};
use crate::domain::DraftRefused;
use crate::store::AnnounceError;

service_kit::problem_codes! {
    /// The codes of problems that only this service has.
    pub enum OrderCode {
        /// 422: the order has no lines.
        NoLines = "no_lines",
        /// 422: the order has more than 100 lines.
        TooManyLines = "too_many_lines",
        /// 422: a SKU occurs in two lines.
        SkuTwice = "sku_twice",
        /// 422: the catalogue has no such SKU.
        UnknownSku = "unknown_sku",
        /// 422: the product is no longer sold.
        WithdrawnSku = "withdrawn_sku",
        /// 422: the product is sold in another currency.
        OtherCurrency = "other_currency",
        /// 422: it costs more than one payment can be.
        TooDear = "too_dear",
        /// 422: it costs less than a payment must be.
        TooCheap = "too_cheap",
        /// 422: no payment can be made in this currency, or of this fraction of it.
        NotChargeable = "not_chargeable",
        /// 422: there is no such country.
        UnknownCountry = "unknown_country",
        /// 409: it has left, or the order has ended.
        TooLate = "too_late",
        /// 503: the catalogue is still being read.
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
            PlaceOrderError::OtherRequest => Problem::key_reused(),
            PlaceOrderError::InFlight => Problem::key_in_flight(),
            PlaceOrderError::PricesUnknown => {
                Problem::unavailable("Prices are not known yet: the catalogue is still being read.")
                    .code(OrderCode::PricesUnknown)
            }
            PlaceOrderError::Pool(error) => error.into(),
            PlaceOrderError::Announce(error) => error.into(),
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
