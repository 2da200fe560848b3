//! Whose order it is that somebody places; guests have no account.

use service_kit::auth::{Caller, GUEST, GuestLinks, Sees};
use service_kit::http::{FieldError, InputCode, Problem};
use shared_events::CustomerId;

/// The customer whose order the caller places, who may be named, and must be where it isn't the caller. Returns what signs
/// the order's link, too, if they are a guest.
pub fn whose<'a>(
    caller: &Caller,
    named: Option<CustomerId>,
    guests: Option<&'a GuestLinks>,
) -> Result<(CustomerId, Option<&'a GuestLinks>), Problem> {
    let missing = |expected: &str| {
        let error = FieldError::new("customer.id", format!("is missing; expected {expected}"));
        Problem::bad_fields(vec![error.code(InputCode::Missing)])
    };
    match (caller.sees(), named) {
        (Sees::Everything, Some(customer)) => Ok((customer, None)),
        (Sees::Everything, None) => Err(missing("the id of the customer whose order it is")),
        (Sees::Customer(own), Some(customer)) if customer.as_str() != own => {
            Err(Problem::bad_input("customer.id", format!("{:?} is not you: expected {own:?}", customer.as_str())))
        }
        (Sees::Customer(_), Some(customer)) => Ok((customer, None)),
        (Sees::Customer(own), None) => match own.parse() {
            Ok(own) => Ok((own, None)),
            Err(_) => Err(missing("a customer's id, which the subject of this token can't be")),
        },
        (Sees::Nothing, named) if guests.is_some() => match named {
            Some(customer) if is_guest(&customer) => Ok((customer, guests)),
            Some(customer) => {
                let (customer, expected) = (customer.as_str(), format!("{GUEST} and more, or a token of theirs"));
                let message = format!("{customer:?} can't be a guest's: expected {expected}");
                Err(Problem::bad_input("customer.id", message))
            }
            None => Err(missing(&format!("{GUEST} and more, or a customer's token"))),
        },
        (Sees::Nothing | Sees::Order(_), _) => Err(Problem::forbidden("This needs a customer's token.")),
    }
}

/// Whether this is a guest's id. Guests have no profile.
pub fn is_guest(customer: &CustomerId) -> bool {
    customer.as_str().strip_prefix(GUEST).is_some_and(|rest| !rest.is_empty())
}
