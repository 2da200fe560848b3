use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{self, Data, ServiceConfig};
use serde::Deserialize;
use service_kit::http::{Cursor, Json, Limit, Paged, Problem, Query};
use shared_events::LineText;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::views::CategoryView;
use super::{AppState, FOR_ALL};
use crate::domain::Description;
use crate::{commands, store};

pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(web::resource("/categories").post(add).get(list));
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Green tea", "description": "Steamed or roasted, never oxidised."}))]
pub(super) struct CategoryRequest {
    name: LineText,
    description: Option<Description>,
}

/// Adds a category
#[utoipa::path(
    post, path = "/api/v1/categories", tag = "categories", operation_id = "add_category",
    request_body = CategoryRequest,
    responses(
        (status = 201, description = "The category is added.", body = CategoryView),
        (status = 409, description = "The name is taken.")
    )
)]
pub(super) async fn add(state: Data<AppState>, body: Json<CategoryRequest>) -> Result<HttpResponse, Problem> {
    let CategoryRequest { name, description } = body.into_inner();
    let category = commands::add_category(&state.pool, name, description.unwrap_or_default()).await?;
    Ok(HttpResponse::Created().json(CategoryView::from(category)))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    #[param(inline)]
    limit: Option<Limit>,
    /// The `next_cursor` of the previous answer.
    #[param(value_type = Option<Uuid>)]
    cursor: Option<Cursor<Uuid>>,
}

/// Lists categories, the newest first
#[utoipa::path(
    get, path = "/api/v1/categories", tag = "categories", operation_id = "list_categories",
    params(ListQuery),
    responses(
        (status = 200, description = "A page of them.", body = Paged<CategoryView>)
    )
)]
pub(super) async fn list(state: Data<AppState>, query: Query<ListQuery>) -> Result<HttpResponse, Problem> {
    let ListQuery { limit, cursor } = query.0;
    let (limit, after) = (limit.unwrap_or_default().get(), cursor.map(|Cursor(after)| after));
    let mut conn = state.pool.get().await?;
    let rows = store::categories::list(&mut conn, after, limit + 1).await?;
    let page = Paged::from_rows(rows, limit, |category| category.id.to_string());
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, FOR_ALL)).json(page.map(CategoryView::from)))
}
