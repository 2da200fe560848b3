//! Lists of orders, and the one box that people look for an order with.

use std::ops::RangeInclusive;

use actix_web::HttpResponse;
use actix_web::web::Data;
use chrono::{DateTime, Datelike, Utc};
use serde::Deserialize;
use service_kit::auth::Caller;
use service_kit::http::{Cursor, Limit, Paged, Problem, Query};
use shared_events::{CustomerId, EmailAddress, OrderId, OrderNumber, Sku};
use utoipa::openapi::Schema;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, Type};
use utoipa::{IntoParams, PartialSchema};

use super::AppState;
use super::names::StatusNames;
use super::view::OrderView;
use crate::domain::Order;
use crate::store::search::{self, Filter, Listed};

/// The parameters of a list of orders. `limit` and `cursor` are those of every list. An order is listed if all that is given fits.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// An order's id or number, an e-mail address, a SKU or a customer's id: which of them, its form says. What is in capitals is a
    /// SKU.
    #[param(schema_with = sought)]
    q: Option<Sought>,
    #[param(inline)]
    number: Option<OrderNumber>,
    #[param(inline)]
    customer_id: Option<CustomerId>,
    /// Large and small letters are the same.
    #[param(inline)]
    email: Option<EmailAddress>,
    /// One of its lines is of this.
    #[param(inline)]
    sku: Option<Sku>,
    /// One or several, with commas between.
    #[param(inline)]
    status: Option<StatusNames>,
    /// Whether it waits longer than it should.
    overdue: Option<bool>,
    placed_from: Option<DateTime<Utc>>,
    /// Before that time.
    placed_to: Option<DateTime<Utc>>,
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<Cursor<OrderId>>,
}

/// When an order may have been placed.
const YEARS: RangeInclusive<i32> = 1970..=9999;

/// What somebody looks for, by its form.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
enum Sought {
    Id(OrderId),
    Number(OrderNumber),
    Email(EmailAddress),
    Sku(Sku),
    Customer(CustomerId),
}

impl TryFrom<String> for Sought {
    type Error = &'static str;

    fn try_from(given: String) -> Result<Self, &'static str> {
        let given = given.trim();
        let sku = || given.parse().ok().filter(|_| given.contains(|letter: char| letter.is_ascii_uppercase()));
        let forms = [
            given.parse().ok().map(Self::Id),
            given.to_uppercase().parse().ok().map(Self::Number),
            given.parse().ok().map(Self::Email),
            sku().map(Self::Sku),
            given.parse().ok().map(Self::Customer),
        ];
        forms.into_iter().flatten().next().ok_or(
            "expected an order's id or number (Q-2026-000123), an e-mail address, a SKU (in capitals) or a customer's id",
        )
    }
}

/// For the document: what a customer's id may be made of, which takes in ids, numbers and SKUs, or an e-mail address.
fn sought() -> Schema {
    let name = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^\s*[A-Za-z0-9._:@|-]{1,255}\s*$"));
    AnyOfBuilder::new().item(name).item(EmailAddress::schema()).into()
}

impl ListQuery {
    /// What is asked for, by whoever sees this customer's orders or everybody's.
    fn filter(self, caller: &Caller) -> Result<Filter, Problem> {
        let Self { q, number, customer_id, email, sku, status, overdue, placed_from, placed_to, cursor, .. } = self;
        for (field, time) in [("placed_from", placed_from), ("placed_to", placed_to)] {
            if let Some(time) = time.filter(|time| !YEARS.contains(&time.year())) {
                return Err(Problem::bad_input(
                    field,
                    format!("{time} is not in the years {} to {}", YEARS.start(), YEARS.end()),
                ));
            }
        }
        if let (Some(from), Some(to)) = (placed_from, placed_to)
            && from >= to
        {
            return Err(Problem::bad_input("placed_to", format!("{to} is not after placed_from, {from}")));
        }
        let statuses = status.map(|StatusNames(names)| names).unwrap_or_default();
        let before = cursor.map(|Cursor(before)| before);
        let mut filter =
            Filter { number, email, sku, statuses, overdue, placed_from, placed_to, before, ..Filter::default() };
        let (mut whose, mut by) = (customer_id, "customer_id");
        match q {
            Some(Sought::Id(id)) => filter.id = Some(id),
            Some(Sought::Number(number)) => once("number", &mut filter.number, number)?,
            Some(Sought::Email(email)) => once("email", &mut filter.email, email)?,
            Some(Sought::Sku(sku)) => once("sku", &mut filter.sku, sku)?,
            Some(Sought::Customer(id)) => {
                once(by, &mut whose, id)?;
                by = "q";
            }
            None => {}
        }
        filter.customer_id = caller.only(by, whose.as_ref().map(CustomerId::as_str))?.map(str::to_owned);
        Ok(filter)
    }
}

/// Takes what `q` says, unless the parameter for that says something too.
fn once<T>(parameter: &str, known: &mut Option<T>, said: T) -> Result<(), Problem> {
    match known.replace(said) {
        Some(_) => Err(Problem::bad_input("q", format!("says the same as {parameter}: expected one of the two"))),
        None => Ok(()),
    }
}

/// Lists orders, the newest first
///
/// Customers find their own, and staff everybody's. A page may have fewer than asked for and a `next_cursor` all the same: one request
/// looks through some thousand orders, and the next goes on behind them.
#[utoipa::path(
    get, path = "/api/v1/orders", tag = "orders", operation_id = "list_orders", params(ListQuery),
    responses((status = 200, description = "A page of them.", body = Paged<OrderView>))
)]
pub async fn list(state: Data<AppState>, caller: Caller, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let limit = query.0.limit.unwrap_or_default().get();
    let filter = query.0.filter(&caller)?;
    let mut conn = state.pool.get().await?;
    let Listed { orders, looked_to } = search::list(&mut conn, &filter, limit + 1).await?;
    let page = Paged::from_rows(orders, limit, |order: &Order| order.placed.order_id.to_string());
    let next_cursor = page.next_cursor.clone().or(looked_to.map(|order| order.to_string()));
    let items = page.items.iter();
    let items = items.map(|order| OrderView::for_eyes_of(&caller, order)).collect();
    Ok(HttpResponse::Ok().json(Paged { items, next_cursor }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_box_takes_whatever_people_know_an_order_by() {
        let sought = |given: &str| Sought::try_from(given.to_owned());
        let id = "01980a10-7c00-7000-8000-0000000000a1";
        assert_eq!(sought(id), Ok(Sought::Id(id.parse().unwrap())));
        for number in ["Q-2026-000123", " q-2026-000123 "] {
            assert_eq!(sought(number), Ok(Sought::Number("Q-2026-000123".parse().unwrap())));
        }
        assert_eq!(sought("Ann@example.com"), Ok(Sought::Email("Ann@example.com".parse().unwrap())));
        for sku in ["TEA", "TEA-EARL-GREY-250", "M.1_B"] {
            assert_eq!(sought(sku), Ok(Sought::Sku(sku.parse().unwrap())));
        }
        for customer in ["c-1001", "1001", "auth0|5f7c8ec7"] {
            assert_eq!(sought(customer), Ok(Sought::Customer(customer.parse().unwrap())));
        }
        for nothing in ["", "  ", "Ann Lee", "<script>", &"a".repeat(300)] {
            assert!(sought(nothing).unwrap_err().contains("Q-2026-000123"), "{nothing}");
        }
    }
}
