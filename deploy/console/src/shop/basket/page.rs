//! The basket's page, and what is put into it and taken out.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, ServiceConfig};
use shared_events::Sku;

use super::{Basket, BasketRefused, number, priced};
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit, shown};
use crate::pages::context;
use crate::shop::checkout;

pub fn routes(config: &mut ServiceConfig) {
    config.service(
        web::resource("/basket").get(|visit| shown(show(visit))).post(|visit, body| shown(change(visit, body))),
    );
}

async fn show(visit: Visit) -> Result<HttpResponse, Refusal> {
    let basket = Basket::of(&visit);
    Ok(page(visit, &basket, StatusCode::OK, None).await)
}

async fn page(visit: Visit, basket: &Basket, status: StatusCode, wrong: Option<String>) -> HttpResponse {
    let asked = priced::ask(&visit.state.services, basket).await;
    let own = context! { lines => basket.lines(), away => asked.is_err(), basket => asked.ok(), wrong };
    visit.page_as(status, "shop/basket.html", own)
}

async fn change(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (mut visit, form) = visit.form(&body)?;
    let mut basket = Basket::of(&visit);
    match changed(&mut basket, &form) {
        Ok(()) => {
            basket.keep(&mut visit);
            // Before any form is shown, so that all have the same.
            checkout::begin(&mut visit);
            Ok(visit.go("/basket"))
        }
        Err(why) => Ok(page(visit, &basket, StatusCode::UNPROCESSABLE_ENTITY, Some(why)).await),
    }
}

/// What the button says: `add`, `set` or `remove`.
fn changed(basket: &mut Basket, form: &Form) -> Result<(), String> {
    let Ok(sku) = form.text("sku").parse::<Sku>() else { return Err("There is no such product.".to_owned()) };
    let quantity = || number(form.text("quantity")).ok_or(BasketRefused::Quantity);
    let changed = match form.text("do") {
        "remove" => {
            basket.remove(&sku);
            Ok(())
        }
        "set" => quantity().and_then(|quantity| basket.set(sku, quantity)),
        _ => quantity().and_then(|quantity| basket.add(sku, quantity)),
    };
    changed.map_err(|refused| refused.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(basket: &str, form: &str) -> Result<String, String> {
        let mut basket = Basket::parse(basket).unwrap();
        changed(&mut basket, &Form::parse(form.as_bytes()).unwrap()).map(|()| basket.text())
    }

    #[test]
    fn buttons_add_change_and_take_out() {
        assert_eq!(after("TEA*1", "do=add&sku=TEA&quantity=2").unwrap(), "TEA*3");
        assert_eq!(after("TEA*1", "do=set&sku=TEA&quantity=2").unwrap(), "TEA*2");
        assert_eq!(after("TEA*1", "do=remove&sku=TEA&quantity=abc").unwrap(), "");
        assert!(after("TEA*1", "do=add&sku=TEA&quantity=abc").unwrap_err().contains("1 to 10000"));
        assert!(after("TEA*1", "do=add&sku=%3Cb%3E&quantity=1").is_err());
    }
}
