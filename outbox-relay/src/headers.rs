//! Headers as they lie in the tables: a JSON array of pairs.

use std::io::Write;

use diesel::pg::Pg;
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Json;

/// Headers on their way into a table.
#[derive(Debug, diesel::expression::AsExpression)]
#[diesel(sql_type = Json)]
pub(crate) struct HeaderJson<'a>(pub &'a [(String, String)]);

impl ToSql<Json, Pg> for HeaderJson<'_> {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        out.write_all(&serde_json::to_vec(self.0)?)?;
        Ok(IsNull::No)
    }
}
