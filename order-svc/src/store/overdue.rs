//! Orders that wait longer than they should. Only those whose `overdue_not_before` has passed are looked at, by its index.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{Array, BigInt, Bool, Double, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use service_kit::prepared;
use uuid::Uuid;

use super::rows::RootRow;
use crate::domain::{PATIENCE, overdue_not_before};
use crate::schema::orders;

/// How many orders one look takes into account, the oldest first, of those that machines keep and of those that people keep. In an
/// outage that has lasted for hours there may be more.
pub const LOOKED_AT: i64 = 10_000;
/// How many rows are filled in at a time.
const FILLED_IN: i64 = 500;

/// Overdue orders that wait for the same.
#[derive(Clone, Debug, PartialEq, QueryableByName)]
pub struct Overdue {
    #[diesel(sql_type = Text)]
    pub waiting_for: String,
    #[diesel(sql_type = Text)]
    pub waiting_from: String,
    #[diesel(sql_type = BigInt)]
    pub orders: i64,
    /// Since when the one waits that has waited longest.
    #[diesel(sql_type = Timestamptz)]
    pub oldest_since: DateTime<Utc>,
    /// How long that is.
    #[diesel(sql_type = Double)]
    pub oldest_seconds: f64,
    /// The ten that should have gone on first.
    #[diesel(sql_type = Array<SqlUuid>)]
    pub first: Vec<Uuid>,
}

/// Overdue orders by what they wait for, of those that one look takes into account (`most` is [`LOOKED_AT`]).
pub async fn groups(conn: &mut AsyncPgConnection, most: i64) -> QueryResult<Vec<Overdue>> {
    let groups = format!(
        "select waiting_for, waiting_from, count(*) as orders, min(waiting_since) as oldest_since, \
             extract(epoch from now() - min(waiting_since))::float8 as oldest_seconds, \
             (array_agg(id order by overdue_at))[1:10] as first \
         from ({}) as looked_at where overdue_at < now() and not has_ended group by waiting_for, waiting_from",
        looked_at(most)
    );
    sql_query(groups).load(conn).await
}

fn looked_at(most: i64) -> String {
    let part = |needs_people: bool| {
        format!(
            "(select id, waiting_for, waiting_from, waiting_since, overdue_at, status in ('completed', 'cancelled') as has_ended \
             from orders where waits_for_people = {needs_people} and overdue_not_before < now() \
             order by overdue_not_before limit {most})"
        )
    };
    format!("{} union all {}", part(false), part(true))
}

/// [`PATIENCE`] as a list of values.
fn patience() -> String {
    let rows = PATIENCE.map(|(waiting, seconds)| format!("('{}', '{}', {seconds})", waiting.fact, waiting.from));
    format!("(values {}) as patience (waiting_for, waiting_from, seconds)", rows.join(", "))
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Notes what orders wait for that a version has written which doesn't know of it, and that it has ended or moved on: they would
/// be overdue before their time. Returns how many there were; a row that somebody has locked is left for the next time.
pub async fn fill_in(conn: &mut AsyncPgConnection) -> QueryResult<usize> {
    let found = format!(
        "select id from ({}) as looked_at left join {} using (waiting_for, waiting_from) \
         where waiting_for is null or has_ended \
             or overdue_at < waiting_since + (seconds - 1) * interval '1 second' limit {FILLED_IN}",
        looked_at(LOOKED_AT),
        patience()
    );
    let found: Vec<Id> = sql_query(found).load(conn).await?;
    if found.is_empty() {
        return Ok(0);
    }
    conn.transaction(async |conn| {
        let rows: Vec<RootRow> = orders::table
            .filter(orders::id.eq_any(found.iter().map(|found| found.id)))
            .order(orders::id)
            .select(RootRow::as_select())
            .for_update()
            .skip_locked()
            .load(conn)
            .await?;
        let mut filled = FillIn::default();
        for row in rows {
            let progress = match row.progress() {
                Ok(progress) => progress,
                Err(error) => {
                    tracing::warn!(order.id = %row.id, error = %error, "an order can't be read: it is not looked at");
                    continue;
                }
            };
            let (waiting, patience) = (progress.waiting_for(), progress.patience());
            let overdue_at = patience.map(|patience| row.waiting_since + patience);
            filled.ids.push(row.id);
            filled.waiting_for.push(waiting.map(|waiting| waiting.fact));
            filled.waiting_from.push(waiting.map(|waiting| waiting.from));
            filled.overdue_at.push(overdue_at);
            filled.waits_for_people.push(waiting.is_some_and(|waiting| waiting.needs_people()));
            filled.overdue_not_before.push(overdue_not_before(row.overdue_not_before, overdue_at));
        }
        filled.execute(conn).await
    })
    .await
}

prepared! {
    #[derive(Default)]
    struct FillIn<'a> {
        ids: Vec<Uuid> as Array<SqlUuid>,
        waiting_for: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        waiting_from: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        overdue_at: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
        waits_for_people: Vec<bool> as Array<Bool>,
        overdue_not_before: Vec<Option<DateTime<Utc>>> as Array<Nullable<Timestamptz>>,
    };
    "update orders set waiting_for = new.waiting_for, waiting_from = new.waiting_from, overdue_at = new.overdue_at, \
         waits_for_people = new.waits_for_people, overdue_not_before = new.overdue_not_before \
     from unnest(?, ?, ?, ?, ?, ?) as new (id, waiting_for, waiting_from, overdue_at, waits_for_people, overdue_not_before) \
     where orders.id = new.id"
}
