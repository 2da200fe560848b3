use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::sql_types::{BigInt, Jsonb, Nullable, Text, Timestamptz, Uuid};
use serde_json::Value;

use super::Root;
use super::history::Append;
use super::rows::json;

/// Saves what changes of an order, and what its history gains by it. Written by hand with a static id, so that it stays prepared: it runs for every fact
/// that is heard, and an `update` of diesel's is parsed each time.
pub struct Save<'a> {
    root: &'a Root,
    facts: Value,
    status: &'static str,
    reason: Option<&'static str>,
    history: Append,
}

impl<'a> Save<'a> {
    pub fn new(root: &'a Root, history: Append) -> QueryResult<Self> {
        let status = root.progress.status;
        let reason = status.reason().map(|reason| reason.as_str());
        Ok(Self { root, facts: json(&root.progress.facts)?, status: status.name(), reason, history })
    }
}

impl QueryFragment<Pg> for Save<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let Root { progress, ranks, version, said, recorded, waiting_since, now, .. } = self.root;
        out.push_sql("with saved as (update orders set facts = ");
        out.push_bind_param::<Jsonb, _>(&self.facts)?;
        out.push_sql(", stock_rank = ");
        out.push_bind_param::<BigInt, _>(&ranks.stock)?;
        out.push_sql(", payment_rank = ");
        out.push_bind_param::<BigInt, _>(&ranks.payment)?;
        out.push_sql(", shipment_rank = ");
        out.push_bind_param::<BigInt, _>(&ranks.shipment)?;
        out.push_sql(", status = ");
        out.push_bind_param::<Text, _>(self.status)?;
        out.push_sql(", reason = ");
        out.push_bind_param::<Nullable<Text>, _>(&self.reason)?;
        out.push_sql(", version = ");
        out.push_bind_param::<BigInt, _>(version)?;
        out.push_sql(", said = ");
        out.push_bind_param::<BigInt, _>(said)?;
        out.push_sql(", updated_at = ");
        out.push_bind_param::<Timestamptz, _>(now)?;
        out.push_sql(", recorded = ");
        out.push_bind_param::<BigInt, _>(recorded)?;
        out.push_sql(", waiting_since = ");
        out.push_bind_param::<Timestamptz, _>(waiting_since)?;
        out.push_sql(" where id = ");
        out.push_bind_param::<Uuid, _>(&progress.order_id.0)?;
        out.push_sql(") ");
        self.history.walk_ast(out)
    }
}

impl QueryId for Save<'_> {
    type QueryId = Save<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}
