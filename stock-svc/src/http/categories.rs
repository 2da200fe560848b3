use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Deserialize;
use service_kit::http::{Json, Page, Paged, Problem, Query};
use shared_events::LineText;
use uuid::Uuid;

use super::AppState;
use super::views::CategoryView;
use crate::domain::Description;
use crate::{commands, store};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(web::resource("/categories").post(add).get(list));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CategoryRequest {
    name: LineText,
    #[serde(default)]
    description: Description,
}

async fn add(state: Data<AppState>, body: Json<CategoryRequest>) -> Result<HttpResponse, Problem> {
    let CategoryRequest { name, description } = body.into_inner();
    let category = commands::add_category(&state.pool, name, description).await?;
    Ok(HttpResponse::Created().json(CategoryView::from(category)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    limit: Option<String>,
    cursor: Option<String>,
}

async fn list(state: Data<AppState>, query: Query<Wanted>) -> Result<HttpResponse, Problem> {
    let page = Page { limit: query.0.limit, cursor: query.0.cursor };
    let (limit, after) = (page.limit()?, page.cursor::<Uuid>()?);
    let mut conn = state.pool.get().await?;
    let rows = store::categories::list(&mut conn, after, limit + 1).await?;
    let page = Paged::from_rows(rows, limit, |category| category.id.to_string());
    Ok(HttpResponse::Ok().json(page.map(CategoryView::from)))
}
