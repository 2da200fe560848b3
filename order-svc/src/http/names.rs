//! Words of requests and answers: statuses, and reasons of staff.

use serde::Deserialize;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::domain::{StaffReason, Status};

#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct StatusName(pub String);

impl TryFrom<String> for StatusName {
    type Error = String;

    fn try_from(given: String) -> Result<Self, String> {
        match Status::NAMES.contains(&&*given) {
            true => Ok(Self(given)),
            false => Err(format!("{given:?} is not one of {}", Status::NAMES.join(", "))),
        }
    }
}

/// One or several, with commas between.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct StatusNames(pub Vec<String>);

impl TryFrom<String> for StatusNames {
    type Error = String;

    fn try_from(given: String) -> Result<Self, String> {
        let names =
            given.split(',').map(|name| StatusName::try_from(name.trim().to_owned()).map(|StatusName(name)| name));
        let mut names = names.collect::<Result<Vec<_>, _>>()?;
        names.sort();
        names.dedup();
        Ok(Self(names))
    }
}

impl PartialSchema for StatusNames {
    fn schema() -> RefOr<Schema> {
        let one = Status::NAMES.join("|");
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(format!("^({one})(,({one}))*$")))
            .examples(["pending,confirmed"])
            .into()
    }
}

impl ToSchema for StatusNames {}

impl PartialSchema for StaffReason {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Why staff cancel an order."))
            .enum_values(Some(Self::ALL.map(Self::as_str)))
            .examples(["fraud_suspected"])
            .into()
    }
}

impl ToSchema for StaffReason {}

impl PartialSchema for StatusName {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).enum_values(Some(Status::NAMES)).into()
    }
}

impl ToSchema for StatusName {}
