//! A dozen products, so that there is something to order. They come in through stock-svc's HTTP interface like anybody's.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{plan::Plan, service::Service};

/// How long order-svc gets to hear of the catalogue.
const HEARD: Duration = Duration::from_secs(60);

struct Category {
    name: &'static str,
    description: &'static str,
    products: &'static [Product],
}

struct Product {
    sku: &'static str,
    name: &'static str,
    description: &'static str,
    /// In cents of a euro.
    price: i64,
    on_hand: i64,
}

const fn product(
    sku: &'static str,
    name: &'static str,
    description: &'static str,
    price: i64,
    on_hand: i64,
) -> Product {
    Product { sku, name, description, price, on_hand }
}

const CATALOGUE: [Category; 3] = [
    Category {
        name: "Tea",
        description: "Loose leaf, packed in Cork",
        products: &[
            product("TEA-EARL-GREY-250", "Earl Grey, 250 g", "Ceylon leaf with oil of bergamot", 1299, 1000),
            product("TEA-ASSAM-250", "Assam, 250 g", "Second flush, malty, takes milk", 1149, 800),
            product("TEA-SENCHA-100", "Sencha, 100 g", "Steamed green leaf from Kagoshima", 1490, 400),
            product("TEA-ROOIBOS-250", "Rooibos, 250 g", "No caffeine, mild and sweet", 899, 600),
        ],
    },
    Category {
        name: "Coffee",
        description: "Roasted in small batches",
        products: &[
            product("COF-HOUSE-500", "House blend, 500 g", "Brazil and Ethiopia, medium roast, whole bean", 1450, 700),
            product("COF-YIRGACHEFFE-250", "Yirgacheffe, 250 g", "Washed, floral, light roast, whole bean", 1395, 300),
            product("COF-ESPRESSO-1000", "Espresso, 1 kg", "Dark roast with a tenth of robusta", 2490, 500),
            product("COF-DECAF-500", "Decaf, 500 g", "Sugar-cane process from Colombia", 1595, 250),
        ],
    },
    Category {
        name: "Ware",
        description: "For making and drinking both",
        products: &[
            product("WARE-TEAPOT-900", "Teapot, 0.9 l", "Glazed stoneware with a steel strainer", 3900, 120),
            product("WARE-MUG-350", "Mug, 0.35 l", "Stoneware, for the dishwasher", 1250, 900),
            product("WARE-GRINDER-HAND", "Hand grinder", "Conical steel burrs, 25 g", 6900, 60),
            product("WARE-FILTER-100", "Paper filters, 100", "Size 02, unbleached", 590, 1500),
        ],
    },
];

/// Adds what isn't there yet; what is there is left as it is.
pub(super) async fn seed(plan: &Plan) -> anyhow::Result<()> {
    let client = Client::builder().timeout(Duration::from_secs(10)).build()?;
    let api = format!("{}/api/v1", plan.url(Service::StockSvc));
    let known = client.get(format!("{api}/categories?limit=1000")).send().await?.error_for_status()?;
    let known: Value = known.json().await?;
    for category in &CATALOGUE {
        let id = match find(&known, category.name) {
            Some(id) => id,
            None => {
                let made = json!({"name": category.name, "description": category.description});
                post(&client, &format!("{api}/categories"), &made).await?["id"].clone()
            }
        };
        for product in category.products {
            add(&client, &api, product, &id).await.with_context(|| format!("product {}", product.sku))?;
        }
    }
    Ok(())
}

/// Waits until order-svc has heard of the whole catalogue, so that whoever is told that the shop is open can order.
pub(super) async fn wait_until_heard(plan: &Plan) -> anyhow::Result<()> {
    let client = Client::builder().timeout(Duration::from_secs(10)).build()?;
    let orders = format!("{}/api/v1/orders", plan.url(Service::OrderSvc));
    let until = Instant::now() + HEARD;
    for product in CATALOGUE.iter().flat_map(|category| category.products) {
        while is_unknown(&client, &orders, product.sku).await? {
            if Instant::now() >= until {
                bail!("order-svc has not heard of {} within {} s", product.sku, HEARD.as_secs());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

/// Asks for it in another currency than the catalogue's, which is refused in any case: asking places nothing.
async fn is_unknown(client: &Client, orders: &str, sku: &str) -> anyhow::Result<bool> {
    let wish = json!({
        "customer": {"id": "catalogue", "name": "Catalogue", "email": "catalogue@example.com"},
        "delivery_address": {"line1": "-", "city": "-", "postal_code": "-", "country": "IE"},
        "currency": "USD", "lines": [{"sku": sku, "quantity": 1}], "payment_method": "pm_card_visa",
    });
    let answer = client.post(orders).json(&wish).send().await?;
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
        return Ok(true);
    }
    let problem: Value = answer.json().await?;
    Ok(problem["errors"][0]["message"].as_str().is_some_and(|told| told.starts_with("no product")))
}

fn find(categories: &Value, name: &str) -> Option<Value> {
    categories["items"]
        .as_array()?
        .iter()
        .find(|category| category["name"] == name)
        .map(|category| category["id"].clone())
}

async fn add(client: &Client, api: &str, product: &Product, category: &Value) -> anyhow::Result<()> {
    let known = client.get(format!("{api}/products/{}", product.sku)).send().await?;
    if known.status() != StatusCode::NOT_FOUND {
        known.error_for_status()?;
        return Ok(());
    }
    let body = json!({
        "sku": product.sku,
        "name": product.name,
        "description": product.description,
        "category": category,
        "price": {"amount": product.price, "currency": "EUR"},
        "on_hand": product.on_hand,
    });
    post(client, &format!("{api}/products"), &body).await.map(|_| ())
}

async fn post(client: &Client, url: &str, body: &Value) -> anyhow::Result<Value> {
    let answer = client.post(url).json(body).send().await?;
    let status = answer.status();
    if !status.is_success() {
        bail!("POST {url} answered {status}: {}", answer.text().await.unwrap_or_default());
    }
    Ok(answer.json().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tea_of_the_examples_is_in_the_catalogue_at_the_examples_price() {
        let mut products = CATALOGUE.iter().flat_map(|category| category.products);
        assert_eq!(products.find(|product| product.sku == "TEA-EARL-GREY-250").unwrap().price, 1299);
    }

    #[test]
    fn skus_are_unique_and_fit_the_shops_rules() {
        let mut skus: Vec<_> =
            CATALOGUE.iter().flat_map(|category| category.products).map(|product| product.sku).collect();
        assert!(skus.iter().all(|sku| sku.parse::<shared_events::Sku>().is_ok()));
        let all = skus.len();
        skus.sort_unstable();
        skus.dedup();
        assert_eq!((skus.len(), all), (12, 12));
    }
}
