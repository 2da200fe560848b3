use chrono::{DateTime, Utc};
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::Error as DieselError;
use diesel::sql_types::{Nullable, Timestamptz};
use serde_json::Value;
use shared_events::{CancelReason, OrderId, OrderPlaced};
use uuid::Uuid;

use crate::domain::{Destination, Order, Progress, Status};
use crate::schema::orders;

/// The columns that change.
#[derive(Queryable, Selectable)]
#[diesel(table_name = orders, check_for_backend(diesel::pg::Pg))]
pub struct RootRow {
    pub id: Uuid,
    pub pieces: i64,
    pub facts: Value,
    pub stock_rank: i64,
    pub payment_rank: i64,
    pub shipment_rank: i64,
    pub status: String,
    pub reason: Option<String>,
    pub version: i64,
    pub said: i64,
    pub recorded: i64,
    pub waiting_since: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    #[diesel(select_expression = ForgottenAt, select_expression_type = ForgottenAt)]
    pub forgotten_at: Option<DateTime<Utc>>,
    #[diesel(select_expression = OverdueNotBefore, select_expression_type = OverdueNotBefore)]
    pub overdue_not_before: Option<DateTime<Utc>>,
}

/// Columns of `orders` beyond the sixteen that a table of diesel has by default, each a time or null.
macro_rules! more_columns {
    ($($name:ident = $column:literal;)*) => { $(
        #[derive(Clone, Copy, QueryId, ValidGrouping)]
        pub struct $name;

        impl Expression for $name {
            type SqlType = Nullable<Timestamptz>;
        }

        impl<From> AppearsOnTable<From> for $name {}

        impl<From> SelectableExpression<From> for $name {}

        impl QueryFragment<Pg> for $name {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                out.push_sql(concat!("orders.", $column));
                Ok(())
            }
        }
    )* };
}

more_columns! {
    ForgottenAt = "forgotten_at";
    OverdueAt = "overdue_at";
    OverdueNotBefore = "overdue_not_before";
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = orders, check_for_backend(diesel::pg::Pg))]
pub struct OrderRow {
    #[diesel(embed)]
    pub root: RootRow,
    pub placed: Value,
    pub placed_at: DateTime<Utc>,
}

/// An order, where it goes if that is no longer what was placed, and where it was asked to go.
pub type Found = (OrderRow, Option<Value>, Option<Value>);

impl RootRow {
    pub fn progress(&self) -> QueryResult<Progress> {
        let reason = match self.reason.as_deref() {
            Some(name) => Some(CancelReason::from_name(name).ok_or_else(|| unreadable(name))?),
            None => None,
        };
        let status = Status::from_parts(&self.status, reason).ok_or_else(|| unreadable(&self.status))?;
        Ok(Progress { order_id: OrderId(self.id), pieces: self.pieces, status, facts: read(self.facts.clone())? })
    }
}

impl OrderRow {
    pub fn order((this, redirected, asked): Found) -> QueryResult<Order> {
        let placed: OrderPlaced = read(this.placed)?;
        Ok(Order {
            progress: this.root.progress()?,
            destination: destination(&placed, redirected, asked)?,
            placed,
            version: this.root.version,
            waiting_since: this.root.waiting_since,
            placed_at: this.placed_at,
            updated_at: this.root.updated_at,
            forgotten_at: this.root.forgotten_at,
        })
    }
}

pub fn destination(placed: &OrderPlaced, redirected: Option<Value>, asked: Option<Value>) -> QueryResult<Destination> {
    let address = redirected.map(read).transpose()?.unwrap_or_else(|| placed.delivery_address.clone());
    Ok(Destination { address, asked: asked.map(read).transpose()? })
}

/// A value as it goes into a `jsonb` column.
pub fn json(value: &impl serde::Serialize) -> QueryResult<Value> {
    serde_json::to_value(value).map_err(|error| DieselError::SerializationError(error.into()))
}

pub fn failed(error: impl std::error::Error + Send + Sync + 'static) -> DieselError {
    DieselError::DeserializationError(Box::new(error))
}

/// A name in a column that this build doesn't know.
pub fn unreadable(name: &str) -> DieselError {
    DieselError::DeserializationError(format!("{name:?} is not known").into())
}

pub fn read<T: serde::de::DeserializeOwned>(value: Value) -> QueryResult<T> {
    serde_json::from_value(value).map_err(failed)
}
