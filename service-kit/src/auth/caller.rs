//! Who sent a request, as the guard found.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use std::future::{Ready, ready};
use std::time::Duration;
use uuid::Uuid;

use crate::http::Problem;

/// What a caller may see on the route that they were let in at, and change there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sees {
    /// Everybody's.
    Everything,
    /// What is this customer's.
    Customer(String),
    /// One order.
    Order(Uuid),
    /// Nothing that is anybody's.
    Nothing,
}

/// Whoever sent a request. Handlers take it as an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub(super) sees: Sees,
    /// Who it is, if the issuer said so.
    pub(super) sub: Option<String>,
    /// The role of staff or an operator that lets them in.
    pub(super) acts_as: Option<&'static str>,
    /// For how long their token is accepted, if it expires.
    pub(super) good_for: Option<Duration>,
}

impl Caller {
    /// Whoever comes where no token is asked for.
    pub(super) const fn everybody() -> Self {
        Self { sees: Sees::Everything, sub: None, acts_as: None, good_for: None }
    }

    pub(super) const fn of(sees: Sees) -> Self {
        Self { sees, sub: None, acts_as: None, good_for: None }
    }

    /// What they may see here.
    pub const fn sees(&self) -> &Sees {
        &self.sees
    }

    /// What tells them from other callers; none where nobody is asked who they are.
    pub(crate) fn name(&self) -> Option<&str> {
        match (&self.sub, &self.sees) {
            (Some(sub), _) => Some(sub),
            (None, Sees::Everything) => None,
            (None, _) => Some("guest"),
        }
    }

    /// For how long their token was accepted when the request came, if it expires. What goes on for longer must end then.
    pub const fn good_for(&self) -> Option<Duration> {
        self.good_for
    }

    /// Who it is, if the issuer said so.
    pub fn sub(&self) -> Option<&str> {
        self.sub.as_deref()
    }

    /// Whether this order, which is this customer's, is for their eyes.
    pub fn may_see(&self, order: Uuid, customer: Option<&str>) -> bool {
        match &self.sees {
            Sees::Everything => true,
            Sees::Customer(own) => customer == Some(own),
            Sees::Order(own) => order == *own,
            Sees::Nothing => false,
        }
    }

    /// Whose what they see has to be, if not everybody's.
    ///
    /// # Errors
    /// They are nobody's customer.
    pub fn customer(&self) -> Result<Option<&str>, Problem> {
        match &self.sees {
            Sees::Everything => Ok(None),
            Sees::Customer(own) => Ok(Some(own)),
            Sees::Order(_) | Sees::Nothing => Err(Problem::forbidden("This needs a customer's token.")),
        }
    }

    /// The same for a list that can be asked for one customer's.
    ///
    /// # Errors
    /// They ask for somebody else's.
    pub fn only<'a>(&'a self, field: &'static str, asked: Option<&'a str>) -> Result<Option<&'a str>, Problem> {
        match (self.customer()?, asked) {
            (Some(own), Some(asked)) if own != asked => {
                Err(Problem::bad_input(field, format!("{asked:?} is not you: expected {own:?}")))
            }
            (own, asked) => Ok(own.or(asked)),
        }
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Self>().cloned();
        ready(caller.ok_or_else(|| Problem::internal("a handler asks who calls, and its route is in no access table")))
    }
}
