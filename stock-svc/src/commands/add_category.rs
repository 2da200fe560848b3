use service_kit::Pool;
use shared_events::LineText;
use uuid::Uuid;

use super::CommandError;
use crate::domain::Description;
use crate::store::categories::{self, Category};

/// Adds a category to the catalogue. Fails if there is one with this name.
pub async fn add_category(pool: &Pool, name: LineText, description: Description) -> Result<Category, CommandError> {
    let category = Category { id: Uuid::now_v7(), name: name.into(), description: description.into() };
    let mut conn = pool.get().await?;
    if categories::insert(&mut conn, &category).await? {
        Ok(category)
    } else {
        Err(CommandError::AlreadyThere(format!("There is a category {:?} already.", category.name)))
    }
}
