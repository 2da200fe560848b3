use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};
use shared_events::{Language, OrderId};

use super::{Channel, LetterContent, Template};

/// The suffix of HTML templates, whose values are escaped.
const HTML: &str = ".html";
const LAYOUT: &str = "layout.html";
/// What stands below a mail to a guest.
const LINK: &str = "link.txt";
/// How a text begins: a line each, and an empty one.
const HEAD: [&str; 3] = ["Subject: ", "Title: ", "Short: "];

/// What a customer reads, and where. A text message has no subject; mails alone have HTML.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    pub recipient: String,
    pub subject: Option<String>,
    pub body: String,
    pub html: Option<String>,
}

/// What a text says, for each channel.
pub struct Written {
    pub subject: String,
    /// The title of a push message, without the order's id, which is too long for it.
    pub title: String,
    /// The text message, which is also the body of a push message.
    pub short: String,
    pub body: String,
    pub html: String,
}

impl Written {
    pub fn for_channel(self, channel: Channel, recipient: String) -> Letter {
        let Self { subject, title, short, body, html } = self;
        match channel {
            Channel::Email => Letter { recipient, subject: Some(subject), body, html: Some(html) },
            Channel::Sms => Letter { recipient, subject: None, body: short, html: None },
            Channel::Push => Letter { recipient, subject: Some(title), body: short, html: None },
        }
    }
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
        for language in Language::ALL {
            let (layout, link) = match language {
                Language::En => {
                    (include_str!("../../templates/en/layout.html"), include_str!("../../templates/en/link.txt"))
                }
                Language::De => {
                    (include_str!("../../templates/de/layout.html"), include_str!("../../templates/de/link.txt"))
                }
            };
            environment.add_template_owned(named(language, LAYOUT), layout)?;
            environment.add_template_owned(named(language, LINK), link)?;
            for template in Template::ALL {
                environment.add_template_owned(named(language, template.name()), template.text(language))?;
                environment.add_template_owned(html(language, *template), template.html(language))?;
            }
        }
        Ok(Self(environment))
    }

    /// Writes to `name` what `content` says. Mails have `link`, if there is one. Fails if a text asks for what its content
    /// doesn't have, or doesn't begin as it must.
    pub fn write(
        &self,
        order: OrderId,
        name: &str,
        link: Option<&str>,
        language: Language,
        content: &LetterContent,
    ) -> Result<Written, minijinja::Error> {
        let (template, said) = (content.template(), content.said_in(language));
        let context = context! { order_id => order.to_string(), name, link, ..Value::from(Serde(&said)) };
        let render = |name: &str| self.0.get_template(name)?.render(&context);
        let text = render(&named(language, template.name()))?;
        let (Some([subject, title, short]), Some((_, body))) = (head(&text), text.split_once("\n\n")) else {
            let why = "a text begins with the lines Subject, Title and Short, and an empty one";
            return Err(minijinja::Error::new(minijinja::ErrorKind::SyntaxError, why));
        };
        let below = match link {
            Some(_) => format!("\n{}\n", render(&named(language, LINK))?),
            None => String::new(),
        };
        let content = render(&html(language, template))?;
        let whole = context! { subject, content, ..context.clone() };
        Ok(Written {
            subject: subject.to_owned(),
            title: title.to_owned(),
            short: short.to_owned(),
            body: format!("{}\n{below}", body.trim_end()),
            html: self.0.get_template(&named(language, LAYOUT))?.render(whole)?,
        })
    }
}

fn named(language: Language, name: &str) -> String {
    format!("{}/{name}", language.as_str())
}

fn html(language: Language, template: Template) -> String {
    named(language, &format!("{template}{HTML}"))
}

/// The values of a text's first lines.
fn head(text: &str) -> Option<[&str; 3]> {
    let mut lines = text.lines();
    let [subject, title, short] = HEAD.map(|field| lines.next().and_then(|line| line.strip_prefix(field)));
    if lines.next()?.is_empty() { Some([subject?, title?, short?]) } else { None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use shared_events::{CancelReason, OrderCancelled, RestockCause, StockLine, StockRestocked};

    use super::*;
    use crate::domain::{Line, ShortLine};

    fn written_in(language: Language, link: Option<&str>, content: &LetterContent) -> Written {
        let order = "01980a10-7c00-7000-8000-0000000000a1".parse().unwrap();
        Templates::new().unwrap().write(order, "Zoë <Lee> & {{ name }}", link, language, content).unwrap()
    }

    fn written(content: &LetterContent) -> Written {
        written_in(Language::En, None, content)
    }

    fn cancelled(reason: CancelReason) -> LetterContent {
        LetterContent::Cancelled { reason, short: vec![], payment: None, payment_code: None }
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
        let Written { body, html, .. } = written(&called_off());
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
        let told = written(&LetterContent::Cancelled {
            reason: CancelReason::OutOfStock,
            short,
            payment: None,
            payment_code: None,
        });
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
        let Written { body, html, .. } = written(&corrected());
        assert!(body.contains("Carrier: DPD\nTracking number: D1 (instead of CE1)\n\nOrder"), "{body}");
        assert!(html.contains("<b>D1</b> (instead of CE1)</p>"), "{html}");
        let carrier = written(&LetterContent::TrackingCorrected {
            carrier: "DPD".parse().unwrap(),
            tracking_number: "CE1".parse().unwrap(),
            instead_of: None,
        });
        assert!(carrier.body.contains("Carrier: DPD\nTracking number: CE1\n\nOrder"), "{}", carrier.body);
    }

    /// Of each template one, in their order.
    fn one_of_each() -> Vec<LetterContent> {
        let (carrier, tracking_number) = ("Deutsche Post".parse().unwrap(), "JJD000390007827012".parse().unwrap());
        vec![
            placed(),
            LetterContent::ActionRequired { until: None, deadline: Some(chrono::Utc::now()), url: None },
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
        ]
    }

    const ORDER: &str = "01980a10-7c00-7000-8000-0000000000a1";

    #[test]
    fn every_letter_names_its_order_in_each_language_and_reads_as_plain_lines() {
        assert_eq!(one_of_each().iter().map(LetterContent::template).collect::<Vec<_>>(), Template::ALL);
        for (language, order) in [(Language::En, "Order"), (Language::De, "Bestellung")] {
            for content in one_of_each() {
                let Written { subject, body, html, .. } = written_in(language, None, &content);
                assert!(subject.contains(ORDER), "{subject}");
                assert!(body.ends_with(&format!("\n{order} {ORDER}\n")), "{body}");
                assert!(
                    html.starts_with(&format!("<!doctype html>\n<html lang=\"{}\">\n", language.as_str())),
                    "{html}"
                );
                assert!(html.contains(&format!("<title>{subject}</title>")), "{html}");
                assert!(html.contains(&format!("{order} {ORDER}</p>")), "{html}");
                assert!(!body.contains("\n\n\n") && !body.contains(" \n"), "{body}");
            }
        }
    }

    #[test]
    fn what_a_letter_says_is_in_its_language_and_in_no_other() {
        for content in one_of_each() {
            let (english, german) =
                (written_in(Language::En, None, &content), written_in(Language::De, None, &content));
            for (english, german) in [
                (english.subject, german.subject),
                (english.title, german.title),
                (english.short, german.short),
                (english.body, german.body),
                (english.html, german.html),
            ] {
                assert_ne!(english, german);
                for word in ["Order ", "order ", "Your", "Hello"] {
                    assert!(!german.contains(word), "{word}: {german}");
                }
            }
        }
    }

    /// In septets, as GSM 03.38 has them; none if the text can't be sent so.
    fn septets(text: &str) -> Option<usize> {
        const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
        const EXTENDED: &str = "^{}\\[~]|€";
        let septets = |char| match (BASIC.contains(char), EXTENDED.contains(char)) {
            (true, _) => Some(1),
            (false, true) => Some(2),
            (false, false) => None,
        };
        text.chars().map(septets).sum()
    }

    #[test]
    fn a_text_message_fits_into_one_and_names_its_order_and_a_title_has_no_place_for_that() {
        for language in Language::ALL {
            for content in one_of_each() {
                let Written { title, short, .. } = written_in(language, None, &content);
                assert!(short.contains(ORDER) && !title.contains(ORDER), "{title}: {short}");
                assert!(septets(&short).is_some_and(|septets| septets <= 160), "{}: {short}", short.chars().count());
                assert!(title.chars().count() <= 50, "{title}");
            }
        }
    }

    #[test]
    fn a_link_stands_in_the_mail_as_text_and_as_html_and_nowhere_else() {
        for language in Language::ALL {
            let Written { body, html, short, .. } =
                written_in(language, Some("https://shop.example/x?token=t"), &LetterContent::Confirmed);
            assert!(body.ends_with(":\nhttps://shop.example/x?token=t\n"), "{body}");
            assert!(html.contains("<a href=\"https:&#x2f;&#x2f;shop.example&#x2f;x?token=t\">"), "{html}");
            assert!(!short.contains("https"), "{short}");
            assert!(!written_in(language, None, &LetterContent::Confirmed).html.contains("href"));
        }
    }

    #[test]
    fn words_times_and_amounts_are_the_languages_own() {
        let declined = LetterContent::Cancelled {
            reason: CancelReason::PaymentDeclined,
            short: vec![],
            payment: None,
            payment_code: Some("insufficient_funds".to_owned()),
        };
        let german = |content: &LetterContent| written_in(Language::De, None, content).body;
        assert!(german(&declined).contains("nicht genug Geld"));
        assert!(german(&placed()).contains("\nSumme: 33,98 EUR\n"));
        let deadline = Some(chrono::DateTime::UNIX_EPOCH);
        let asked = LetterContent::ActionRequired { until: None, deadline, url: None };
        assert!(german(&asked).contains("bis 1.1.1970, 00:00 UTC."));
        assert!(written(&asked).body.contains("until 00:00 UTC on 1 January 1970."));
        let stored = LetterContent::ActionRequired { until: Some("noon".to_owned()), deadline: None, url: None };
        assert!(written(&stored).body.contains("until noon."), "as an older build stored it");
    }

    #[test]
    fn who_has_to_confirm_a_payment_is_told_where_and_until_when_as_far_as_it_is_known() {
        let url = "https://bank.example.com/3ds?a=1&b=2".to_owned();
        let until = "09:44 UTC on 14 July 2026".to_owned();
        let known =
            written(&LetterContent::ActionRequired { until: Some(until), deadline: None, url: Some(url.clone()) });
        assert!(known.body.contains(&format!("\n{url}\n")) && known.body.contains("until 09:44 UTC on 14 July 2026."));
        assert!(
            known.html.contains("<a href=\"https:&#x2f;&#x2f;bank.example.com&#x2f;3ds?a=1&amp;b=2\">"),
            "{}",
            known.html
        );
        let unknown = written(&LetterContent::ActionRequired { until: None, deadline: None, url: None });
        assert!(unknown.body.contains("your bank's app") && !unknown.html.contains("href"), "{}", unknown.body);
    }

    #[test]
    fn content_is_stored_and_read_back_the_same_and_shows_no_address() {
        let stored = serde_json::to_value(placed()).unwrap();
        assert!(serde_json::from_value::<LetterContent>(stored).unwrap() == placed());
        assert_eq!(format!("{:?}", placed()), "LetterContent(order_placed)");
    }
}
