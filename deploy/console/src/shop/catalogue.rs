//! What is for sale.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Path, ServiceConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_events::Sku;
use uuid::Uuid;

use super::errors;
use super::product::{self, Product, Shown};
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit, shown};
use crate::pages::context;
use crate::services::{Failure, Service, query};

const PAGE: &str = "24";
/// The most characters that are looked for.
const LONGEST: usize = 200;

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(web::resource("/").get(|visit| shown(list(visit))))
        .service(web::resource("/products/{sku}").get(|visit, sku| shown(one(visit, sku))));
}

/// What is looked for in the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Search {
    q: Option<String>,
    category: Option<Uuid>,
    cursor: Option<String>,
}

impl Search {
    fn of(form: &Form) -> Self {
        Self {
            q: form.get("q").map(|text| text.chars().filter(|char| !char.is_control()).take(LONGEST).collect()),
            category: form.get("category").and_then(|id| id.parse().ok()),
            cursor: form.get("cursor").filter(|sku| sku.parse::<Sku>().is_ok()).map(str::to_owned),
        }
    }

    /// What stock-svc is asked, or this page.
    fn path(&self, base: &str, more: &[(&str, &str)]) -> String {
        let category = self.category.map(|id| id.to_string());
        let asked = [("q", &self.q), ("category", &category), ("cursor", &self.cursor)];
        let asked = asked.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let query = query(asked.chain(more.iter().copied()));
        if query.is_empty() { base.to_owned() } else { format!("{base}?{query}") }
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct Category {
    id: Uuid,
    name: String,
    #[serde(default)]
    description: String,
}

async fn list(visit: Visit) -> Result<HttpResponse, Refusal> {
    let search = Search::of(&Form::query(&visit.request));
    let services = &visit.state.services;
    let (path, of_categories) = (search.path("/api/v1/products", &[("limit", PAGE)]), "/api/v1/categories?limit=100");
    let (products, categories) =
        tokio::join!(services.get(Service::Stock, &path, None), services.get(Service::Stock, of_categories, None));
    let categories: Vec<Category> =
        categories.ok().and_then(|page| serde_json::from_value(page["items"].clone()).ok()).unwrap_or_default();
    let (products, next, failure) = match products {
        Ok(mut page) => {
            let next = page["next_cursor"].as_str().map(str::to_owned);
            let items = page.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
            let products = items.into_iter().filter_map(|item| product::read(item).ok());
            let sold: Vec<Shown> = products.filter(Product::is_sold).map(Product::shown).collect();
            (sold, next.map(|cursor| Search { cursor: Some(cursor), ..search.clone() }), None)
        }
        Err(failure) => (Vec::new(), None, Some(failure)),
    };
    let status = match failure {
        Some(Failure::Away { .. }) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let chosen = categories.iter().find(|category| Some(category.id) == search.category);
    let own = context! {
        products,
        categories,
        chosen,
        search,
        next => next.map(|next| next.path("/", &[])),
        away => failure.is_some(),
    };
    Ok(visit.page_as(status, "shop/catalogue.html", own))
}

async fn one(visit: Visit, sku: Path<String>) -> Result<HttpResponse, Refusal> {
    let Ok(sku) = sku.parse::<Sku>() else { return Err(nothing(visit)) };
    match product::find(&visit.state.services, &sku).await {
        Ok(Some(product)) => Ok(visit.page("shop/product.html", context! { product => product.shown() })),
        Ok(None) => Err(nothing(visit)),
        Err(failure) => Err(errors::not_now(visit, &failure)),
    }
}

fn nothing(visit: Visit) -> Refusal {
    let why = "We don't sell this, or not any more.".to_owned();
    visit.refuse(StatusCode::NOT_FOUND, "There is no such product", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(query: &str) -> Search {
        Search::of(&Form::parse(query.as_bytes()).unwrap())
    }

    #[test]
    fn what_is_typed_is_escaped_and_what_can_t_be_is_left_out() {
        let category = "01980a10-7c00-7000-8000-000000000011";
        let asked = search(&format!("q=tea+%26limit%3D1%0A&category={category}&cursor=TEA-1"));
        assert_eq!(
            asked.path("/p", &[("limit", "2")]),
            format!("/p?q=tea+%26limit%3D1&category={category}&cursor=TEA-1&limit=2")
        );
        assert_eq!(search("q=+&category=../x&cursor=%3Cb%3E"), Search::default());
        assert_eq!(Search::default().path("/", &[]), "/");
    }
}
