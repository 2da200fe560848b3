use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};
use shared_events::OrderId;

use super::{LetterContent, Template};

/// The suffix of HTML templates, whose values are escaped.
const HTML: &str = ".html";
const LAYOUT: &str = "layout.html";

/// What a customer reads: the body as plain text, and the same as HTML.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    pub subject: String,
    pub body: String,
    pub html: String,
}

/// All texts, parsed once.
pub struct Templates(Environment<'static>);

impl Templates {
    /// Fails if a text can't be parsed, which a test excludes.
    pub fn new() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        // a value that a text asks for and doesn't get must fail and not leave a gap in a letter
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| match name.strip_suffix(HTML) {
            Some(_) => minijinja::AutoEscape::Html,
            None => minijinja::AutoEscape::None,
        });
        environment.add_template(LAYOUT, include_str!("../../templates/layout.html"))?;
        for template in Template::ALL {
            environment.add_template(template.name(), template.text())?;
            environment.add_template_owned(format!("{template}{HTML}"), template.html())?;
        }
        Ok(Self(environment))
    }

    /// Writes the letter to `name` that says `content`. The first line of a text is its subject. Fails if a text asks
    /// for what its content doesn't have, or has no subject.
    pub fn write(&self, order: OrderId, name: &str, content: &LetterContent) -> Result<Letter, minijinja::Error> {
        let context = context! { order_id => order.to_string(), name, ..Value::from(Serde(content)) };
        let template = content.template();
        let text = self.0.get_template(template.name())?.render(&context)?;
        match text.strip_prefix("Subject: ").and_then(|rest| rest.split_once("\n\n")) {
            Some((subject, body)) if !subject.contains('\n') => {
                let html = self.0.get_template(&format!("{template}{HTML}"))?.render(&context)?;
                let whole = context! { subject, content => html, ..context };
                Ok(Letter {
                    subject: subject.to_owned(),
                    body: format!("{}\n", body.trim_end()),
                    html: self.0.get_template(LAYOUT)?.render(whole)?,
                })
            }
            _ => Err(minijinja::Error::new(
                minijinja::ErrorKind::SyntaxError,
                "a text starts with one line, Subject: ...",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use shared_events::{CancelReason, OrderCancelled, RestockCause, StockLine, StockRestocked};

    use super::*;
    use crate::domain::{Line, ShortLine};

    fn written(content: &LetterContent) -> Letter {
        let order = "01980a10-7c00-7000-8000-0000000000a1".parse().unwrap();
        Templates::new().unwrap().write(order, "Zoë <Lee> & {{ name }}", content).unwrap()
    }

    fn cancelled(reason: CancelReason) -> LetterContent {
        LetterContent::Cancelled { reason, short: vec![], payment: None }
    }

    fn placed() -> LetterContent {
        let line = |quantity, name: &str, price: &str| Line {
            quantity,
            name: name.parse().unwrap(),
            unit_price: price.to_owned(),
        };
        LetterContent::Placed {
            lines: vec![line(2, "Earl Grey, 250 g", "12.99 EUR"), line(1, "Mug", "8.00 EUR")],
            total: "33.98 EUR".to_owned(),
            address: vec!["1 Quay St".to_owned(), "T12 Cork".to_owned(), "IE".to_owned()],
        }
    }

    #[test]
    fn a_change_of_address_that_came_too_late_is_told_with_what_had_left() {
        let body = |left| written(&LetterContent::AddressChangeRefused { left }).body;
        assert!(body(0).contains("nothing more of it is going to be sent.\n\nOrder"), "{}", body(0));
        assert!(body(1).contains("A parcel of it had left before, and goes"), "{}", body(1));
        assert!(body(2).contains("2 parcels of it had left before, and go"), "{}", body(2));
    }

    fn called_off() -> LetterContent {
        let line =
            |sku: &str, quantity: i64| StockLine { sku: sku.parse().unwrap(), quantity: quantity.try_into().unwrap() };
        let lines = vec![line("MUG", 1), line("TEA", 2)];
        let order_id = "01980a10-7c00-7000-8000-0000000000a1".parse().unwrap();
        let restocked = StockRestocked { order_id, cause: RestockCause::CalledOff, lines };
        LetterContent::from(&restocked).named(&BTreeMap::from([("TEA".to_owned(), "Earl Grey, 250 g".to_owned())]))
    }

    #[test]
    fn what_was_called_off_is_told_line_by_line() {
        let Letter { body, html, .. } = written(&called_off());
        assert!(
            body.contains("will not be sent:\n\n1 x MUG\n2 x Earl Grey, 250 g\n\nWhat you paid for it goes back"),
            "{body}"
        );
        assert!(html.contains("<p>1 x MUG<br>2 x Earl Grey, 250 g<br></p>"), "{html}");
    }

    #[test]
    fn a_placed_order_is_told_with_its_lines_total_and_address() {
        let body = written(&placed()).body;
        assert!(
            body.contains("\n2 x Earl Grey, 250 g at 12.99 EUR\n1 x Mug at 8.00 EUR\n\nTotal: 33.98 EUR\n"),
            "{body}"
        );
        assert!(body.contains("\nIt goes to:\n1 Quay St\nT12 Cork\nIE\n\nOrder 01980a10"), "{body}");
    }

    #[test]
    fn a_name_is_text_and_nothing_else() {
        assert!(written(&LetterContent::Confirmed).body.starts_with("Hello Zoë <Lee> & {{ name }},\n\n"));
        let html = written(&LetterContent::Confirmed).html;
        assert!(html.contains("<p>Hello Zoë &lt;Lee&gt; &amp; {{ name }},</p>"), "{html}");
    }

    #[test]
    fn what_the_text_tells_the_html_tells_too() {
        let html = written(&placed()).html;
        for told in ["<td>2 x Earl Grey, 250 g</td>", "at 12.99 EUR", "33.98 EUR", "1 Quay St<br>T12 Cork<br>IE<br>"] {
            assert!(html.contains(told), "{told}: {html}");
        }
        let address = vec!["<script>alert(1)</script>".to_owned()];
        assert!(!written(&LetterContent::AddressChanged { address }).html.contains("<script>"));
    }

    #[test]
    fn every_reason_of_a_cancellation_has_words_of_its_own() {
        use CancelReason::*;
        let reasons = [OutOfStock, PaymentDeclined, Customer, Timeout, PaymentExpired];
        let mut bodies: Vec<String> = reasons.map(|reason| written(&cancelled(reason)).body).to_vec();
        assert!(bodies[0].contains("no longer in stock") && bodies[2].contains("as you asked"));
        bodies.sort();
        bodies.dedup();
        assert_eq!(bodies.len(), reasons.len());
    }

    #[test]
    fn what_was_short_is_told_with_how_many_are_left() {
        let line = |name: &str, wanted, left| ShortLine { name: name.to_owned(), wanted, left };
        let short = vec![line("Earl Grey, 250 g", 3, 1), line("Mug", 2, 0)];
        let told = written(&LetterContent::Cancelled { reason: CancelReason::OutOfStock, short, payment: None });
        assert!(
            told.body.contains("\n\nEarl Grey, 250 g: you wanted 3, 1 is left\nMug: you wanted 2, none is left\n\n"),
            "{}",
            told.body
        );
        assert!(told.html.contains("<li>Mug: you wanted 2, none is left</li>"), "{}", told.html);
    }

    #[test]
    fn why_a_payment_came_to_nothing_is_told_as_far_as_the_customer_may_know() {
        let told = |code: &str| {
            let cancelled = OrderCancelled {
                payment_code: Some(code.to_owned()),
                ..OrderCancelled::new(
                    "01980a10-7c00-7000-8000-0000000000a1".parse().unwrap(),
                    CancelReason::PaymentDeclined,
                )
            };
            written(&LetterContent::cancelled(&cancelled, &BTreeMap::new())).body
        };
        assert!(told("insufficient_funds").contains("not enough money"));
        assert!(told("authentication_timeout").contains("was not done in time"));
        assert!(told("payment_method_unknown").contains("your card was not declined"));
        for hidden in ["stolen_card", "fraudulent", "pickup_card"] {
            assert_eq!(told(hidden), told("card_declined"), "{hidden}");
        }
        assert!(told("stolen_card").contains("did not say why"));
    }

    #[test]
    fn a_dispatch_is_told_with_carrier_and_tracking_number_and_a_refund_with_its_amount() {
        let (carrier, tracking_number) = ("An Post".parse().unwrap(), "CE1".parse().unwrap());
        let dispatched = written(&LetterContent::Dispatched { carrier, tracking_number }).body;
        assert!(dispatched.contains("Carrier: An Post\nTracking number: CE1\n"), "{dispatched}");
        assert!(
            written(&LetterContent::Refunded { amount: "12.99 EUR".to_owned() })
                .body
                .contains("given back 12.99 EUR for")
        );
    }

    fn corrected() -> LetterContent {
        let (carrier, tracking_number, wrong) = ("DPD".parse().unwrap(), "D1".parse().unwrap(), "CE1".parse().unwrap());
        LetterContent::TrackingCorrected { carrier, tracking_number, instead_of: Some(wrong) }
    }

    #[test]
    fn a_corrected_tracking_number_is_told_with_the_one_that_it_takes_the_place_of() {
        let Letter { body, html, .. } = written(&corrected());
        assert!(body.contains("Carrier: DPD\nTracking number: D1 (instead of CE1)\n\nOrder"), "{body}");
        assert!(html.contains("<b>D1</b> (instead of CE1)</p>"), "{html}");
        let carrier = written(&LetterContent::TrackingCorrected {
            carrier: "DPD".parse().unwrap(),
            tracking_number: "CE1".parse().unwrap(),
            instead_of: None,
        });
        assert!(carrier.body.contains("Carrier: DPD\nTracking number: CE1\n\nOrder"), "{}", carrier.body);
    }

    #[test]
    fn every_letter_names_its_order_and_reads_as_plain_lines() {
        let (carrier, tracking_number) = ("A".parse().unwrap(), "B".parse().unwrap());
        let contents = [
            placed(),
            LetterContent::ActionRequired { until: None, url: None },
            LetterContent::Confirmed,
            LetterContent::AddressChanged { address: vec!["2 Quay St".to_owned()] },
            LetterContent::AddressChangeRefused { left: 1 },
            cancelled(CancelReason::Customer),
            LetterContent::CancelRefused,
            called_off(),
            LetterContent::CallOffRefused,
            LetterContent::Dispatched { carrier, tracking_number },
            corrected(),
            LetterContent::Delivered,
            LetterContent::Lost,
            LetterContent::Refunded { amount: "1.00 EUR".to_owned() },
        ];
        assert_eq!(contents.each_ref().map(LetterContent::template), Template::ALL);
        for content in contents {
            let Letter { subject, body, html } = written(&content);
            assert!(subject.contains("01980a10-7c00-7000-8000-0000000000a1"), "{subject}");
            assert!(body.ends_with("\nOrder 01980a10-7c00-7000-8000-0000000000a1\n"), "{body}");
            assert!(
                html.starts_with("<!doctype html>\n") && html.contains(&format!("<title>{subject}</title>")),
                "{html}"
            );
            assert!(html.contains("Order 01980a10-7c00-7000-8000-0000000000a1</p>"), "{html}");
            assert!(!body.contains("\n\n\n") && !body.contains(" \n"), "{body}");
        }
    }

    #[test]
    fn who_has_to_confirm_a_payment_is_told_where_and_until_when_as_far_as_it_is_known() {
        let url = "https://bank.example.com/3ds?a=1&b=2".to_owned();
        let until = "09:44 UTC on 14 July 2026".to_owned();
        let known = written(&LetterContent::ActionRequired { until: Some(until), url: Some(url.clone()) });
        assert!(known.body.contains(&format!("\n{url}\n")) && known.body.contains("until 09:44 UTC on 14 July 2026."));
        assert!(
            known.html.contains("<a href=\"https:&#x2f;&#x2f;bank.example.com&#x2f;3ds?a=1&amp;b=2\">"),
            "{}",
            known.html
        );
        let unknown = written(&LetterContent::ActionRequired { until: None, url: None });
        assert!(unknown.body.contains("your bank's app") && !unknown.html.contains("href"), "{}", unknown.body);
    }

    #[test]
    fn content_is_stored_and_read_back_the_same_and_shows_no_address() {
        let stored = serde_json::to_value(placed()).unwrap();
        assert!(serde_json::from_value::<LetterContent>(stored).unwrap() == placed());
        assert_eq!(format!("{:?}", placed()), "LetterContent(order_placed)");
    }
}
