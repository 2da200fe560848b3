//! Pages are written by templates, which escape everything, and may load what is here alone.

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_FRAME_OPTIONS};
use chrono::{DateTime, Utc};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};

/// Nothing runs or is drawn that does not come from here, and no other page may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Like `minijinja::context!`, for whatever can be serialised, which stays its owner's.
macro_rules! context {
    (@value $key:ident) => {
        minijinja::value::Value::from(minijinja::value::Serde(&$key))
    };
    (@value $key:ident => $value:expr) => {
        minijinja::value::Value::from(minijinja::value::Serde(&$value))
    };
    ($(..$more:expr),+ $(,)?) => {
        // of two that have the same name the first counts
        minijinja::value::merge_maps([$(minijinja::value::Value::from($more)),+].into_iter().rev())
    };
    ($($key:ident $(=> $value:expr)?),* $(,)?) => {
        minijinja::value::Value::from(minijinja::value::Serde(std::collections::BTreeMap::<&str, minijinja::value::Value>::from(
            [$((stringify!($key), $crate::pages::context!(@value $key $(=> $value)?))),*],
        )))
    };
    ($($key:ident $(=> $value:expr)?),* $(, ..$more:expr)+ $(,)?) => {
        $crate::pages::context! { ..$crate::pages::context! { $($key $(=> $value)?),* } $(, ..$more)+ }
    };
}
pub(crate) use context;

macro_rules! templates {
    ($($name:literal),+ $(,)?) => {
        const TEMPLATES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../templates/", $name)))),+];
    };
}

// Every page and part of one, by its path below `templates/`.
templates! {
    "layout.html",
    "parts.html",
    "failed.html",
    "signed_out.html",
    "shop/fields.html",
    "shop/catalogue.html",
    "shop/product.html",
    "shop/basket.html",
    "shop/checkout.html",
    "shop/order.html",
    "shop/order_live.html",
    "shop/order_actions.html",
    "shop/account.html",
    "control/layout.html",
    "control/macros.html",
    "control/now.html",
    "control/now_live.html",
    "control/stuck.html",
    "control/orders.html",
    "control/order.html",
    "control/dead_letters.html",
    "control/dead_letter.html",
    "control/dead_letter_job.html",
    "control/dead_letter_job_live.html",
    "control/dead_letter_jobs.html",
    "control/topics.html",
    "control/topics_rows.html",
    "control/map.html",
    "control/holds.html",
    "control/holds_live.html",
    "control/holds_faults.html",
    "control/holds_parts.html",
    "control/warehouse.html",
    "control/money.html",
    "control/payment.html",
    "control/reconciliation.html",
    "control/actions.html",
}

pub struct Pages(Environment<'static>);

impl Pages {
    /// Fails if a template can't be parsed, which a test excludes.
    pub fn new() -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_formatter(|out, state, value| match value.is_none() {
            true => Ok(()),
            false => minijinja::escape_formatter(out, state, value),
        });
        environment.add_filter("money", money);
        environment.add_filter("when", when);
        environment.add_filter("ago", ago);
        for (name, text) in TEMPLATES {
            environment.add_template(name, text)?;
        }
        Ok(Self(environment))
    }

    /// The text of a page or of a part of one.
    pub fn render(&self, name: &str, context: Value) -> Result<String, Error> {
        self.0.get_template(name)?.render(context)
    }

    pub fn answer(&self, status: StatusCode, name: &str, context: Value) -> HttpResponse {
        match self.render(name, context) {
            Ok(body) => Self::html(status, body),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), page = name, "a page can't be written");
                HttpResponse::InternalServerError().content_type("text/plain").body("This page can't be written.")
            }
        }
    }

    pub fn html(status: StatusCode, body: String) -> HttpResponse {
        HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((CONTENT_SECURITY_POLICY, POLICY))
            .insert_header((X_FRAME_OPTIONS, "DENY"))
            .insert_header((REFERRER_POLICY, "same-origin"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(body)
    }
}

/// `{"amount": 1299, "currency": "EUR"}` as people write it.
fn money(money: Value) -> String {
    let amount = money.get_attr("amount").ok().and_then(|amount| i64::try_from(amount).ok());
    let currency = money.get_attr("currency").ok().filter(|currency| !currency.is_undefined());
    match (amount, currency) {
        (Some(amount), Some(currency)) => amount_in(amount, &currency.to_string()),
        _ => "–".to_owned(),
    }
}

/// An amount in minor units.
pub fn amount_in(amount: i64, currency: &str) -> String {
    let digits = currency.parse::<shared_events::Currency>().map_or(2, shared_events::Currency::exponent);
    let (sign, amount) = (if amount < 0 { "−" } else { "" }, amount.unsigned_abs());
    let unit = 10_u64.pow(u32::try_from(digits).unwrap_or_default());
    let (whole, part) = (amount / unit, amount % unit);
    let symbol = HashMap::from([("EUR", "€"), ("USD", "$"), ("GBP", "£")]).get(currency).copied();
    let number = if digits == 0 { whole.to_string() } else { format!("{whole}.{part:0digits$}") };
    match symbol {
        Some(symbol) => format!("{sign}{symbol}{number}"),
        None => format!("{sign}{number} {currency}"),
    }
}

/// A time as people read it.
fn when(time: Value) -> String {
    let parsed = time.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    parsed.map_or_else(|| "–".to_owned(), |time| time.format("%-d %b %Y, %H:%M:%S UTC").to_string())
}

/// How long ago a time was.
fn ago(time: Value) -> String {
    let parsed = time.as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    parsed.map_or_else(|| "–".to_owned(), |time| span((Utc::now() - time).num_seconds()))
}

/// A span of time in its largest two units.
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn every_template_can_be_read() {
        Pages::new().unwrap();
    }

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        assert_eq!(amount_in(1299, "EUR"), "€12.99");
        assert_eq!(amount_in(1299, "JPY"), "1299 JPY");
        assert_eq!(amount_in(-5, "CHF"), "−0.05 CHF");
    }

    #[test]
    fn spans_are_told_in_two_units() {
        assert_eq!(
            [span(5), span(65), span(3_660), span(90_000), span(-3)],
            ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h", "0 s"]
        );
    }

    #[test]
    fn a_page_that_fails_shows_what_was_typed_as_text() {
        let evil = "<script>alert(1)</script>";
        let page = Pages::new().unwrap().render("failed.html", context! { title => evil, why => evil }).unwrap();
        assert!(!page.contains("<script>alert"), "{page}");
    }
}
