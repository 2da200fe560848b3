//! Headers as they lie in the tables: a JSON array of pairs.

use std::io::Write;

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
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
/// Headers read from a table, in order; none when they are not pairs of texts. Whoever wrote such a row by other means
/// than `append` shall not stop the others' rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, diesel::deserialize::FromSqlRow)]
#[diesel(sql_type = Json)]
pub(crate) struct Headers(pub Option<Vec<(String, String)>>);

impl FromSql<Json, Pg> for Headers {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Self(serde_json::from_slice(value.as_bytes()).ok()))
    }
}
