//! Takes the person from orders that have ended.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Jsonb, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde_json::{Value, json};
use service_kit::{pool, prepared};
use shared_events::OrderId;
use uuid::Uuid;

use super::loaded::Loaded;
use super::rows::ForgottenAt;
use crate::domain::Status;
use crate::schema::orders;

/// Orders of a customer that have not been forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOrders {
    /// How many have ended and can be forgotten.
    pub ended: i64,
    /// How many go on.
    pub going_on: i64,
    /// The oldest of those that go on, with their statuses.
    pub oldest: Vec<(OrderId, String)>,
}

/// How many of the orders that go on are named.
const NAMED: i64 = 100;

/// The customer's ended orders after `after`, in the order of their ids, that have not been forgotten. None is locked.
pub async fn next(
    conn: &mut AsyncPgConnection,
    customer: &str,
    after: OrderId,
    limit: i64,
) -> QueryResult<Vec<OrderId>> {
    let of_customer = orders::table.filter(orders::customer_id.eq(customer)).filter(orders::id.gt(after.0));
    let ids: Vec<Uuid> = of_customer
        .filter(ForgottenAt.is_null().and(orders::status.eq_any(Status::ENDS)))
        .order(orders::id)
        .limit(limit)
        .select(orders::id)
        .load(conn)
        .await?;
    Ok(ids.into_iter().map(OrderId).collect())
}

/// What is left of a customer's orders.
pub async fn left(conn: &mut AsyncPgConnection, customer: &str) -> QueryResult<LeftOrders> {
    let [completed, cancelled] = Status::ENDS;
    let (all, ended): (i64, i64) = Count { completed, cancelled, customer }.get_result(conn).await?;
    let going_on = orders::table
        .filter(orders::customer_id.eq(customer))
        .filter(orders::status.ne_all(Status::ENDS))
        .order(orders::id)
        .limit(NAMED)
        .select((orders::id, orders::status));
    let oldest: Vec<(Uuid, String)> = going_on.load(conn).await?;
    let oldest = oldest.into_iter().map(|(id, status)| (OrderId(id), status)).collect();
    Ok(LeftOrders { ended, going_on: all - ended, oldest })
}

prepared! {
    struct Count<'a> {
        completed: &'a str as Text,
        cancelled: &'a str as Text,
        customer: &'a str as Text,
    } -> (BigInt, BigInt);
    "select count(*), count(*) filter (where status in (?, ?)) from orders where customer_id = ? and forgotten_at is null"
}

/// Whether the order's customer was forgotten; false if there is no such order.
pub async fn is_forgotten(mut conn: &AsyncPgConnection, id: OrderId) -> QueryResult<bool> {
    let forgotten = orders::table.find(id.0).select(ForgottenAt.is_not_null());
    let forgotten: Option<bool> = forgotten.first(&mut conn).await.optional()?;
    Ok(forgotten.unwrap_or_default())
}

/// Takes the person from the orders of which that was decided. Their rows must be locked.
pub(super) async fn save(mut conn: &AsyncPgConnection, loaded: &Loaded) -> QueryResult<()> {
    if loaded.forgotten.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = loaded.forgotten.iter().map(|id| id.0).collect();
    let (nobody, nowhere) = (nobody(), nowhere());
    let placed = TakePerson { at: loaded.now, nobody: &nobody, nowhere: &nowhere, ids: &ids };
    let (redirections, responses) = (TakeRedirections { ids: &ids }, TakeFromResponses { ids: &ids });
    let (mut second, mut third) = (conn, conn);
    let (placed, redirections, responses) = tokio::join!(
        biased;
        placed.execute(&mut conn),
        redirections.execute(&mut second),
        responses.execute(&mut third),
    );
    pool::first_cause([placed.map(drop), redirections.map(drop), responses.map(drop)])
}

/// What stands in `placed` where the person stood: values that can be read as any others, by a build that doesn't know
/// `forgotten_at` too.
fn nobody() -> Value {
    json!({"name": "forgotten", "email": "forgotten@forgotten.invalid"})
}

fn nowhere() -> Value {
    json!({"line1": "forgotten", "line2": null, "city": "forgotten", "postal_code": "forgotten", "country": "XX"})
}

prepared! {
    /// Keeps what is named here and nothing else, so that what `order.placed` tells of a person one day goes too.
    struct TakePerson<'a> {
        at: DateTime<Utc> as Timestamptz,
        nobody: &'a Value as Jsonb,
        nowhere: &'a Value as Jsonb,
        ids: &'a [Uuid] as Array<SqlUuid>,
    };
    "update orders set forgotten_at = ?, placed = jsonb_build_object( \
         'order_id', placed -> 'order_id', 'customer', ? || jsonb_build_object('id', customer_id), 'delivery_address', ?, \
         'lines', placed -> 'lines', 'total', placed -> 'total', 'payment_method', placed -> 'payment_method', \
         'deadline', placed -> 'deadline') \
     where id = any(?)"
}

prepared! {
    struct TakeRedirections<'a> { ids: &'a [Uuid] as Array<SqlUuid> };
    "delete from redirections where order_id = any(?)"
}

prepared! {
    /// A response is stored at the time at which its order was placed, by which it is found.
    struct TakeFromResponses<'a> { ids: &'a [Uuid] as Array<SqlUuid> };
    "update idempotency_keys stored set body = convert_to(((convert_from(stored.body, 'UTF8')::jsonb || jsonb_build_object( \
         'customer', jsonb_build_object('id', orders.customer_id, 'name', null, 'email', null), \
         'delivery_address', null, 'requested_address', null, 'forgotten_at', orders.forgotten_at)) \
         #- '{links,guest}')::text, 'UTF8') \
     from orders where orders.id = any(?) and stored.created_at = orders.placed_at and stored.order_id = orders.id"
}

#[cfg(test)]
mod tests {
    use shared_events::{Address, Customer};

    use super::*;

    #[test]
    fn nobody_and_nowhere_are_read_like_a_person_and_an_address() {
        let mut nobody = nobody();
        nobody["id"] = json!("c-1001");
        assert_eq!(serde_json::from_value::<Customer>(nobody).unwrap().id.as_str(), "c-1001");
        let nowhere: Address = serde_json::from_value(nowhere()).unwrap();
        assert!(!nowhere.country.is_a_country(), "no parcel can go there");
    }
}
