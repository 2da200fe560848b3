//! Refusals of commands as problems.

use service_kit::http::Problem;
use uuid::Uuid;

use crate::commands::{ChangeOrderError, PlaceOrderError};
use crate::domain::WishRefused;

pub fn refused(refused: WishRefused) -> Problem {
    Problem::bad_input(refused.field(), refused.to_string())
}

pub fn no_order(id: Uuid) -> Problem {
    Problem::not_found(format!("There is no order {id}."))
}

pub fn not_changed(id: Uuid, error: ChangeOrderError) -> Problem {
    match error {
        ChangeOrderError::NotFound => no_order(id),
        ChangeOrderError::Refused(refused) => Problem::conflict(format!("Order {id} stays as it is: {refused}.")),
        ChangeOrderError::Pool(error) => error.into(),
        ChangeOrderError::Announce(error) => error.into(),
    }
}

impl From<PlaceOrderError> for Problem {
    fn from(error: PlaceOrderError) -> Self {
        match error {
            PlaceOrderError::Refused(why) => refused(why),
            PlaceOrderError::OtherRequest => {
                Problem::bad_input("Idempotency-Key", "it was used for another order; take a new one for this")
            }
            PlaceOrderError::InFlight => Problem::conflict(
                "A request with this Idempotency-Key is being worked on. Send it again to get its answer.",
            ),
            PlaceOrderError::PricesUnknown => {
                Problem::unavailable("Prices are not known yet: the catalogue is still being read.")
            }
            PlaceOrderError::Pool(error) => error.into(),
            PlaceOrderError::Announce(error) => error.into(),
        }
    }
}
