//! `quadrille catalogue`: a tea and coffee shop's products, so that there is something to order. They come in through
//! stock-svc's HTTP interface like anybody's.

mod wait;

use std::{io::Write, time::Duration};

use anyhow::Context;
use clap::Args;
use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use self::wait::{Waiting, until_done};
use crate::http_client;
use crate::login::{self, Person};

/// How long each of the two services may stay away.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// Where the two services are that must know the catalogue.
#[derive(Debug, Args)]
pub struct CatalogueArgs {
    /// Where stock-svc is, which owns the catalogue.
    #[arg(long, env = "STOCK_URL", value_name = "URL", default_value = "http://127.0.0.1:8082")]
    pub stock_url: Url,
    /// Where order-svc is, which must have heard of it before anything can be ordered.
    #[arg(long, env = "ORDER_URL", value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub order_url: Url,
    /// A token of staff, where the shop asks for one.
    #[arg(long, env = "STAFF", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The sandbox issuer, which gives such a token when none is given.
    #[arg(long, env = "AUTH_ISSUER", value_name = "URL")]
    pub issuer: Option<Url>,
    /// How people log in there, for the last line.
    #[arg(long, env = "LOGIN_COMMAND", value_name = "COMMAND", default_value = "quadrille login")]
    pub login: String,
}

#[derive(Deserialize)]
struct Category {
    name: String,
    description: String,
    products: Vec<Product>,
}

#[derive(Deserialize)]
struct Product {
    sku: String,
    name: String,
    description: String,
    /// In cents of a euro.
    price: i64,
    on_hand: i64,
    low_stock_mark: i64,
}

/// What the shop sells.
fn catalogue_of_the_shop() -> anyhow::Result<Vec<Category>> {
    serde_json::from_str(include_str!("catalogue.json")).context("catalogue.json")
}

/// Adds the products that aren't there and waits until they can be ordered. May be run again at any time. Fails if one
/// of the services stays away for two minutes, or refuses.
pub async fn catalogue(arguments: &CatalogueArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let token = match (&arguments.token, &arguments.issuer) {
        (None, Some(issuer)) => Some(token_of_staff(issuer).await?),
        (token, _) => token.clone(),
    };
    let token = token.as_deref();
    let added = seed(&arguments.stock_url, token).await?;
    writeln!(out, "{added} products were added, {} were there", skus()?.len() - added)?;
    wait_until_heard(&arguments.order_url, token).await?;
    writeln!(out, "order-svc has heard of all of them")?;
    if arguments.issuer.is_some() {
        let login = &arguments.login;
        writeln!(out, "be somebody for ten minutes, as $CUSTOMER, $STAFF and $OPERATOR: eval \"$({login})\"")?;
    }
    Ok(())
}

/// A token of staff, once the issuer gives one.
async fn token_of_staff(issuer: &Url) -> anyhow::Result<String> {
    let mut token = String::new();
    until_done(&format!("the issuer at {issuer}"), PATIENCE, async || {
        token = login::token(issuer, Person::Sam).await.map_err(|error| Waiting::For(format!("{error:#}")))?;
        Ok(())
    })
    .await?;
    Ok(token)
}

/// Adds what isn't there yet, once stock-svc answers; leaves what is there as it is. Returns how many were added.
pub async fn seed(stock: &Url, token: Option<&str>) -> anyhow::Result<usize> {
    let client = http_client::client_with(stock, ANSWER, token)?;
    let (api, catalogue) = (api(stock), catalogue_of_the_shop()?);
    let mut added = 0;
    until_done(&format!("stock-svc at {stock}"), PATIENCE, async || {
        let known = json(client.get(format!("{api}/categories?limit=1000"))).await?;
        for category in &catalogue {
            let id = match find(&known, &category.name) {
                Some(id) => id,
                None => {
                    let made = json!({"name": category.name, "description": category.description});
                    json(client.post(format!("{api}/categories")).json(&made)).await?["id"].clone()
                }
            };
            for product in &category.products {
                added += usize::from(add(&client, &api, product, &id).await?);
            }
        }
        Ok(())
    })
    .await?;
    Ok(added)
}

/// Waits, two minutes at most, until order-svc has read the whole catalogue: whoever hears that the shop is open can
/// order.
pub async fn wait_until_heard(order: &Url, token: Option<&str>) -> anyhow::Result<()> {
    let client = http_client::client_with(order, ANSWER, token)?;
    let orders = format!("{}/orders", api(order));
    let skus = skus()?;
    let mut heard = 0;
    until_done(&format!("order-svc at {order}"), PATIENCE, async || {
        for sku in &skus[heard..] {
            if is_unknown(&client, &orders, sku).await? {
                return Err(Waiting::For(format!("it has not heard of {sku}")));
            }
            heard += 1;
        }
        Ok(())
    })
    .await
}

fn skus() -> anyhow::Result<Vec<String>> {
    Ok(catalogue_of_the_shop()?.into_iter().flat_map(|category| category.products).map(|product| product.sku).collect())
}

fn api(service: &Url) -> String {
    format!("{}/api/v1", service.as_str().trim_end_matches('/'))
}

/// Asks for it in another currency than the catalogue's, which is refused in any case: asking places nothing.
async fn is_unknown(client: &Client, orders: &str, sku: &str) -> Result<bool, Waiting> {
    let wish = json!({
        "customer": {"id": "catalogue", "name": "Catalogue", "email": "catalogue@example.com"},
        "delivery_address": {"line1": "-", "city": "-", "postal_code": "-", "country": "IE"},
        "currency": "USD", "lines": [{"sku": sku, "quantity": 1}], "payment_method": "pm_card_visa",
    });
    let answer = client.post(orders).json(&wish).send().await?;
    if answer.status() != StatusCode::UNPROCESSABLE_ENTITY {
        return Err(wait::refused(answer).await);
    }
    let problem: Value = answer.json().await?;
    Ok(problem["code"] == "unknown_sku")
}

fn find(categories: &Value, name: &str) -> Option<Value> {
    categories["items"]
        .as_array()?
        .iter()
        .find(|category| category["name"] == name)
        .map(|category| category["id"].clone())
}

/// Says whether it had to be added.
async fn add(client: &Client, api: &str, product: &Product, category: &Value) -> Result<bool, Waiting> {
    let known = client.get(format!("{api}/products/{}", product.sku)).send().await?;
    if known.status().is_success() {
        return Ok(false);
    }
    if known.status() != StatusCode::NOT_FOUND {
        return Err(wait::refused(known).await);
    }
    let body = json!({
        "sku": product.sku,
        "name": product.name,
        "description": product.description,
        "category": category,
        "price": {"amount": product.price, "currency": "EUR"},
        "on_hand": product.on_hand,
        "low_stock_mark": product.low_stock_mark,
    });
    json(client.post(format!("{api}/products")).json(&body)).await.map(|_| true)
}

async fn json(request: RequestBuilder) -> Result<Value, Waiting> {
    let answer = request.send().await?;
    if answer.status().is_success() { Ok(answer.json().await?) } else { Err(wait::refused(answer).await) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn products() -> Vec<Product> {
        catalogue_of_the_shop().unwrap().into_iter().flat_map(|category| category.products).collect()
    }

    #[test]
    fn the_tea_of_the_examples_is_in_the_catalogue_at_the_examples_price() {
        assert_eq!(products().iter().find(|product| product.sku == "TEA-EARL-GREY-250").unwrap().price, 1299);
    }

    #[test]
    fn skus_are_unique_and_fit_the_shops_rules_and_nothing_is_low_from_the_start() {
        let products = products();
        assert!(products.iter().all(|product| product.sku.parse::<shared_events::Sku>().is_ok()));
        assert!(products.iter().all(|product| 0 < product.low_stock_mark && product.low_stock_mark < product.on_hand));
        let distinct: BTreeSet<_> = products.iter().map(|product| &product.sku).collect();
        assert_eq!(distinct.len(), products.len());
    }
}
