use std::collections::HashMap;

use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use shared_events::LineText;
use uuid::Uuid;

use super::parsed;
use crate::schema::categories;

#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = categories)]
pub struct Category {
    /// A UUID v7.
    pub id: Uuid,
    /// Unique.
    pub name: String,
    /// May be empty.
    pub description: String,
}

/// Adds a category; false if the name is taken.
pub async fn insert(conn: &mut AsyncPgConnection, category: &Category) -> QueryResult<bool> {
    let added = diesel::insert_into(categories::table)
        .values(category)
        .on_conflict(categories::name)
        .do_nothing()
        .execute(conn)
        .await?;
    Ok(added == 1)
}

pub async fn name(conn: &mut AsyncPgConnection, id: Uuid) -> QueryResult<Option<LineText>> {
    let name: Option<String> = categories::table.find(id).select(categories::name).first(conn).await.optional()?;
    name.as_deref().map(parsed).transpose()
}

pub async fn names(mut conn: &AsyncPgConnection, ids: &[Uuid]) -> QueryResult<HashMap<Uuid, LineText>> {
    let named: Vec<(Uuid, String)> = categories::table
        .filter(categories::id.eq_any(ids))
        .select((categories::id, categories::name))
        .load(&mut conn)
        .await?;
    named.into_iter().map(|(id, name)| Ok((id, parsed(&name)?))).collect()
}

/// Up to `limit` categories, newest first.
pub async fn list(conn: &mut AsyncPgConnection, after: Option<Uuid>, limit: i64) -> QueryResult<Vec<Category>> {
    let after = after.unwrap_or(Uuid::max());
    categories::table
        .filter(categories::id.lt(after))
        .select(Category::as_select())
        .order(categories::id.desc())
        .limit(limit)
        .load(conn)
        .await
}
