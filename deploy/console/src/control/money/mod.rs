//! Payments and refunds, and a day of them as a table for others. payment-svc does what is asked for.

mod amount;
mod csv;
mod day;
mod reconciliation;

use crate::pages::context;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, ServiceConfig, resource};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use self::amount::minor_units;
use super::{Part, id_in_path, next_of, once, once_of};
use crate::http::form::Form;
use crate::http::visit::{Refusal, Visit, shown};
use crate::services::{Sent, Service};

pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/control/money").get(|visit| shown(list(visit))))
        .service(resource("/control/money/day.csv").get(|visit| shown(day::export(visit))))
        .service(resource("/control/money/reconciliation").get(|visit| shown(reconciliation::show(visit))))
        .service(resource("/control/money/reconciliation.csv").get(|visit| shown(reconciliation::export(visit))))
        .service(resource("/control/money/{id}").get(|visit| shown(show(visit))))
        .service(resource("/control/money/{id}/refund").post(|visit, body| shown(refund(visit, body))))
        .service(
            resource("/control/money/{id}/refunds/{refund}/settle").post(|visit, body| shown(settle(visit, body))),
        );
}

async fn list(visit: Visit) -> Result<HttpResponse, Refusal> {
    let visit = visit.for_workers()?;
    let asked = Form::query(&visit.request);
    let id = |name: &str| asked.get(name).and_then(|id| id.parse::<Uuid>().ok()).map(|id| id.to_string());
    let (order, cursor) = (id("order"), id("cursor"));
    let pairs = [("order_id", order.as_deref()), ("cursor", cursor.as_deref()), ("limit", Some("50"))];
    let pairs = pairs.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let path = format!("/api/v1/payments?{}", crate::services::query(pairs));
    let payments = Part::of(Service::Payments, visit.state.services.get(Service::Payments, &path, visit.token()).await);
    if let (Some(_), [only]) = (&order, payments.items())
        && let Some(id) = only["id"].as_str().and_then(|id| id.parse::<Uuid>().ok())
    {
        return Ok(visit.go(&format!("/control/money/{id}")));
    }
    let next = next_of("/control/money", &[("order", order.as_deref().unwrap_or_default())], &payments);
    let today = chrono::Utc::now().date_naive().to_string();
    Ok(visit.page("control/money.html", context! { payments, order, next, today }))
}

async fn show(visit: Visit) -> Result<HttpResponse, Refusal> {
    let (visit, id) = id_in_path(visit.for_workers()?, "payment")?;
    let services = &visit.state.services;
    let payment = match services.get(Service::Payments, &format!("/api/v1/payments/{id}"), visit.token()).await {
        Ok(payment) => payment,
        Err(failure) => return Err(visit.failed(&failure)),
    };
    let order = payment["order_id"].as_str().and_then(|order| order.parse::<Uuid>().ok());
    let order = match order {
        Some(order) => {
            let order = services.get(Service::Orders, &format!("/api/v1/orders/{order}"), visit.token()).await;
            Some(Part::of(Service::Orders, order))
        }
        None => None,
    };
    let remains = remaining(&payment);
    let once = once().to_string();
    Ok(visit.page("control/payment.html", context! { payment, order, remains, once }))
}

/// What of a payment can still be given back.
fn remaining(payment: &Value) -> Value {
    let amount = |name: &str| payment[name]["amount"].as_i64().unwrap_or_default();
    json!({"amount": (amount("captured") - amount("refunded")).max(0), "currency": payment["captured"]["currency"]})
}

async fn refund(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.for_workers()?.form(&body)?;
    let (visit, id) = id_in_path(visit, "payment")?;
    let asked = match what(&form) {
        Ok(asked) => asked,
        Err(why) => return Err(visit.refuse(StatusCode::UNPROCESSABLE_ENTITY, "That can't be given back", why)),
    };
    let key = Uuid::new_v5(&once_of(form.get("once")), form.text("by").as_bytes()).to_string();
    ask(visit, id, &format!("/api/v1/payments/{id}/refunds"), &asked, &key).await
}

/// A refund that failed at the gateway was given back outside of it.
async fn settle(visit: Visit, body: Bytes) -> Result<HttpResponse, Refusal> {
    let (visit, form) = visit.for_workers()?.form(&body)?;
    let (visit, id) = id_in_path(visit, "payment")?;
    let Some(refund) = visit.request.match_info().get("refund").and_then(|refund| refund.parse::<Uuid>().ok()) else {
        return Err(super::missing(visit, "refund"));
    };
    let asked = json!({"reason": form.text("reason"), "reference": form.text("reference")});
    let key = Uuid::new_v5(&once_of(form.get("once")), refund.as_bytes()).to_string();
    let path = format!("/api/v1/payments/{id}/refunds/{refund}/settle-outside");
    ask(visit, id, &path, &asked, &key).await
}

/// Has payment-svc do something once, and goes back to the payment.
async fn ask(visit: Visit, id: Uuid, path: &str, asked: &Value, key: &str) -> Result<HttpResponse, Refusal> {
    // payment-svc counts refunds by client.
    let (token, client, idempotency_key) = (visit.token(), visit.client(), Some(key));
    let sent = Sent { token, client, body: Some(asked), idempotency_key, ..Sent::default() };
    match visit.state.services.ask(Service::Payments, Method::POST, path, sent).await {
        Ok(_) => Ok(visit.go(&format!("/control/money/{id}"))),
        Err(failure) => Err(visit.failed(&failure)),
    }
}

/// What a form asks to be given back: pieces of lines, or else an amount.
fn what(form: &Form) -> Result<Value, String> {
    let reason = form.get("reason").ok_or("A refund needs a reason.")?;
    if form.get("by") == Some("line") {
        let quantities = form.all("quantity").map(|quantity| quantity.trim().parse::<i64>().unwrap_or(0));
        let lines = form.all("sku").zip(quantities).filter(|(_, quantity)| *quantity > 0);
        let lines: Vec<_> = lines.map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity})).collect();
        return match lines.is_empty() {
            true => Err("No pieces are given: say of which line how many go back.".to_owned()),
            false => Ok(json!({"lines": lines, "reason": reason})),
        };
    }
    let currency = form.get("currency").unwrap_or_default();
    let amount = minor_units(form.text("amount"), currency)?;
    Ok(json!({"amount": {"amount": amount, "currency": currency}, "reason": reason}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(form: &str) -> Result<Value, String> {
        what(&Form::parse(form.as_bytes()).unwrap())
    }

    #[test]
    fn an_amount_or_pieces_of_lines_go_back_and_never_without_a_reason() {
        let amount = json!({"amount": {"amount": 500, "currency": "EUR"}, "reason": "dented"});
        assert_eq!(asked("amount=5&currency=EUR&reason=dented"), Ok(amount));
        let lines = json!({"lines": [{"sku": "B", "quantity": 2}], "reason": "dented"});
        assert_eq!(asked("by=line&sku=A&quantity=0&sku=B&quantity=2&reason=dented"), Ok(lines));
        for bad in ["amount=5&currency=EUR", "by=line&sku=A&quantity=0&reason=x", "amount=-1&currency=EUR&reason=x"] {
            assert!(asked(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_given_back_does_not_remain() {
        let eur = |amount: i64| json!({"amount": amount, "currency": "EUR"});
        assert_eq!(remaining(&json!({"captured": eur(2598), "refunded": eur(500)})), eur(2098));
        assert_eq!(remaining(&json!({"captured": eur(0), "refunded": eur(500)})), eur(0));
    }
}
