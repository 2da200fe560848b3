//! Who is looked for: the words that name a person, and the ids by which a place is known to be about them.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::Value;

use super::shop::Shop;
use crate::audit::sql::Snapshot;
use crate::service::Service;

/// Ids in one statement.
const IDS: usize = 2_000;
/// A shorter word would be found everywhere.
const SHORTEST: usize = 3;
/// Where a person is named in an event.
const NAMED_AT: [&str; 6] =
    ["/customer/name", "/customer/email", "/delivery_address/line1", "/delivery_address/line2", "/name", "/email"];

const CONTACTS: [&str; 2] = ["/phone", "/push_token"];

/// The words that name a person: name, e-mail, phone, street. They are found in whatever case, as whole words.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Words(BTreeSet<String>);

impl Words {
    pub fn add(&mut self, word: &str) {
        let word = word.trim();
        // what stands where somebody was forgotten names nobody
        if word.chars().count() >= SHORTEST && !word.starts_with("forgotten") {
            self.0.insert(plain(&word.to_lowercase()));
        }
    }

    fn add_of(&mut self, event: &Value) {
        for place in NAMED_AT.into_iter().chain(CONTACTS) {
            if let Some(word) = event.pointer(place).and_then(Value::as_str) {
                self.add(word);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn stand_in(&self, text: &str) -> bool {
        let text = plain(&text.to_lowercase());
        self.0.iter().any(|word| stands_in(&text, word))
    }

    /// For PostgreSQL's `~*`: any of them as a whole word, or its bytes in hexadecimal digits, as a row shows them.
    pub fn pattern(&self) -> String {
        let escaped = |word: &String| {
            let each = word.chars().map(|c| match c {
                '"' => r#"[\\"]+"#.to_owned(),
                c if c.is_ascii() && !c.is_alphanumeric() => format!("\\{c}"),
                c => c.into(),
            });
            each.collect::<String>()
        };
        let words: Vec<_> = self.0.iter().map(escaped).collect();
        // small letters and capitals have other bytes
        let hex = |word: &String| {
            let each = word.chars().map(|c| {
                if c == '"' {
                    return "(5c|22)+".to_owned();
                }
                let (small, large) = (bytes_of(c.to_lowercase()), bytes_of(c.to_uppercase()));
                if small == large { small } else { format!("({small}|{large})") }
            });
            each.collect::<String>()
        };
        let bytes: Vec<_> = self.0.iter().map(hex).collect();
        format!("(^|[^[:alnum:]])({})($|[^[:alnum:]])|{}", words.join("|"), bytes.join("|")).replace('\'', "''")
    }
}

/// A text in which each run of quotes and backslashes is one quote, so it doesn't matter how often they are escaped.
fn plain(text: &str) -> String {
    let quotes = |c: char| c == '"' || c == '\\';
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match quotes(c) {
            true if plain.ends_with('"') => {}
            true => plain.push('"'),
            false => plain.push(c),
        }
    }
    plain
}

fn bytes_of(letters: impl Iterator<Item = char>) -> String {
    letters.collect::<String>().bytes().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a word stands in a text as a whole one.
fn stands_in(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.into_iter().chain(after).any(char::is_alphanumeric)
    })
}

/// What an id is of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Of {
    Customer,
    Order(String),
}

/// A customer, as far as anything still tells of them.
#[derive(Debug, Default)]
pub(super) struct Person {
    pub customer: String,
    pub words: Words,
    /// Phone numbers and devices, as they were written.
    pub contacts: BTreeSet<String>,
    /// Orders that go on.
    pub going_on: BTreeSet<String>,
    /// Orders that have ended, forgotten or not.
    pub ended: BTreeSet<String>,
    ids: HashMap<String, Of>,
}

/// Whom something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// The person, but for what is about an order that goes on.
    Person,
    /// Only orders of theirs that go on.
    OrderGoingOn,
    /// Nobody of whom that is known: it has the same words.
    SomebodyElse,
}

#[derive(Deserialize)]
struct OrderRow {
    id: String,
    status: String,
    words: Vec<Option<String>>,
}

#[derive(Deserialize)]
struct Word {
    word: Option<String>,
}

#[derive(Deserialize)]
struct Belongs {
    id: String,
    order_id: String,
}

impl Person {
    /// What databases know of the customer now.
    pub async fn of(shop: &Shop, customer: &str) -> anyhow::Result<Self> {
        let mut person = Self { customer: customer.to_owned(), ..Self::default() };
        person.ids.insert(customer.to_owned(), Of::Customer);
        let name = customer.replace('\'', "''");
        let mut orders = shop.snapshot(Service::OrderSvc).await?;
        for row in orders.rows::<OrderRow>(&ORDERS.replace("$customer", &name)).await? {
            row.words.iter().flatten().for_each(|word| person.words.add(word));
            let ends = order_svc::domain::Status::is_end(&row.status);
            if ends { &mut person.ended } else { &mut person.going_on }.insert(row.id.clone());
            person.ids.insert(row.id.clone(), Of::Order(row.id));
        }
        person.add_words(&mut orders, &PROFILE.replace("$customer", &name)).await?;
        let contacts = orders.rows::<Word>(&CONTACTS_OF.replace("$customer", &name)).await?;
        person.contacts.extend(contacts.into_iter().filter_map(|contact| contact.word));
        orders.end().await?;
        if let Some(mut accounts) = shop.snapshot_if_there(Service::SandboxIssuer).await? {
            person.add_words(&mut accounts, &ACCOUNT.replace("$customer", &name)).await?;
            accounts.end().await?;
        }
        for (service, query) in BELONGS {
            let mut snapshot = shop.snapshot(service).await?;
            let orders: Vec<_> = person.ended.iter().chain(&person.going_on).cloned().collect();
            for some in orders.chunks(IDS) {
                let ids = some.iter().map(|id| format!("'{id}'")).collect::<Vec<_>>().join(",");
                if service == Service::NotificationSvc {
                    for Word { word } in snapshot.rows(&RECIPIENTS.replace("$ids", &ids)).await? {
                        word.iter().for_each(|word| person.words.add(word));
                        person.contacts.extend(word.filter(|word| !word.contains('@')));
                    }
                }
                for Belongs { id, order_id } in snapshot.rows(&query.replace("$ids", &ids)).await? {
                    person.ids.insert(id, Of::Order(order_id));
                }
            }
            snapshot.end().await?;
        }
        Ok(person)
    }

    async fn add_words(&mut self, snapshot: &mut Snapshot, query: &str) -> anyhow::Result<()> {
        for Word { word } in snapshot.rows(query).await? {
            word.iter().for_each(|word| self.words.add(word));
        }
        Ok(())
    }

    /// Learns what an event of theirs names them by. Others' are no matter.
    pub fn learn_from(&mut self, key: &str, value: &[u8]) {
        if !self.ids.contains_key(key) {
            return;
        }
        if let Ok(event) = serde_json::from_slice::<Value>(value) {
            self.words.add_of(&event);
            let contacts = CONTACTS.into_iter().filter_map(|place| event.pointer(place)?.as_str());
            self.contacts.extend(contacts.map(str::to_owned));
        }
    }

    /// Whom a text is about that has one of the words; none if it has none. What stands in it as hexadecimal digits is read.
    pub fn named_in(&self, text: &str) -> Option<About> {
        let bytes = bytes_in(text);
        let texts = || std::iter::once(text).chain(bytes.iter().map(String::as_str));
        if !texts().any(|text| self.words.stand_in(text)) {
            return None;
        }
        Some(self.about(texts()))
    }

    fn about<'a>(&self, texts: impl Iterator<Item = &'a str>) -> About {
        let mut about = About::SomebodyElse;
        for text in texts {
            for id in uuids_in(text) {
                match self.ids.get(&id) {
                    Some(Of::Order(order)) if self.going_on.contains(order) => about = about.min(About::OrderGoingOn),
                    Some(_) => return About::Person,
                    None => {}
                }
            }
            if about == About::SomebodyElse && stands_in(&text.to_lowercase(), &self.customer.to_lowercase()) {
                about = About::Person;
            }
        }
        about
    }

    /// Whether there are orders of theirs, and nothing tells any more by what words to look for the person.
    pub fn is_unknown(&self) -> bool {
        self.words.is_empty() && !self.ended.is_empty()
    }

    /// Whether a name, as of a file, begins with an order of theirs that has ended.
    pub fn is_of_an_ended_order(&self, name: &str) -> bool {
        name.split('.').next().is_some_and(|order| self.ended.contains(order))
    }
}

/// All UUIDs of a text.
fn uuids_in(text: &str) -> impl Iterator<Item = String> {
    const LONG: usize = 36;
    text.as_bytes().windows(LONG).filter_map(|window| {
        let fits = window.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        });
        fits.then(|| String::from_utf8_lossy(window).to_lowercase())
    })
}

/// What PostgreSQL shows as `\x` and hexadecimal digits, as text.
fn bytes_in(text: &str) -> Vec<String> {
    let digits = text.split("\\x").skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len());
        &rest.as_bytes()[..end]
    });
    let value =
        |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).unwrap_or_default();
    let decoded = digits.map(|digits| {
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| value(pair[0]) * 16 + value(pair[1])).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    decoded.collect()
}

const ORDERS: &str = "select id::text as id, status, jsonb_build_array(
        placed #>> '{customer,name}', placed #>> '{customer,email}', placed #>> '{delivery_address,line1}',
        placed #>> '{delivery_address,line2}', r.delivery_address ->> 'line1', r.delivery_address ->> 'line2',
        r.asked ->> 'line1', r.asked ->> 'line2') as words
    from orders left join redirections r on r.order_id = orders.id where customer_id = '$customer'";
const PROFILE: &str = "select unnest(array[profile ->> 'name', profile ->> 'email', profile ->> 'phone',
        profile ->> 'push_token', profile #>> '{delivery_address,line1}', profile #>> '{delivery_address,line2}']) as word
    from customers where id = '$customer'";
const CONTACTS_OF: &str =
    "select unnest(array[profile ->> 'phone', profile ->> 'push_token']) as word from customers where id = '$customer'";
const ACCOUNT: &str = "select unnest(array[name, email]) as word from accounts where id = '$customer'";
const RECIPIENTS: &str = "select distinct recipient as word from notifications where order_id in ($ids)";
/// What belongs to an order and is known by an id of its own.
const BELONGS: [(Service, &str); 3] = [
    (Service::StockSvc, "select id::text as id, order_id::text as order_id from shipments where order_id in ($ids)"),
    (
        Service::PaymentSvc,
        "select payment_id::text as id, order_id::text as order_id from payments where order_id in ($ids)",
    ),
    (
        Service::NotificationSvc,
        "select id::text as id, order_id::text as order_id from notifications where order_id in ($ids)",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: &str = "01980a10-7c00-7000-8000-0000000000a1";
    const ON: &str = "01980a10-7c00-7000-8000-0000000000a2";
    const SHIPMENT: &str = "01980a10-7c00-7000-8000-0000000000b1";

    fn zoe() -> Person {
        let mut person = Person { customer: "c-7".to_owned(), ..Person::default() };
        person.ended.insert(ORDER.to_owned());
        person.going_on.insert(ON.to_owned());
        person.ids.insert("c-7".to_owned(), Of::Customer);
        for (id, order) in [(ORDER, ORDER), (ON, ON), (SHIPMENT, ORDER)] {
            person.ids.insert(id.to_owned(), Of::Order(order.to_owned()));
        }
        ["Zoë Quill", "zoe@example.org", "+353861234567"].into_iter().for_each(|word| person.words.add(word));
        person
    }

    #[test]
    fn a_word_is_found_whole_and_in_any_case() {
        let words = zoe().words;
        for text in ["(\"Zoë Quill\",1)", "dear ZOË QUILL,", "<zoe@example.org>", "tel:+353861234567;"] {
            assert!(words.stand_in(text), "{text}");
        }
        for text in ["Zoë Quilling", "xzoe@example.org", "Zoë", "+3538612345678", ""] {
            assert!(!words.stand_in(text), "{text}");
        }
    }

    #[test]
    fn what_is_found_is_about_the_person_an_order_that_goes_on_or_somebody_else_of_that_name() {
        let zoe = zoe();
        let about = |id: &str| zoe.named_in(&format!("({id},\"Zoë Quill\")"));
        assert_eq!(about(ORDER), Some(About::Person));
        assert_eq!(about(SHIPMENT), Some(About::Person));
        assert_eq!(about("c-7"), Some(About::Person));
        assert_eq!(about(ON), Some(About::OrderGoingOn));
        assert_eq!(about(&format!("{ON},{ORDER}")), Some(About::Person));
        for other in ["c-70", "01980a10-7c00-7000-8000-0000000000ff", ""] {
            assert_eq!(about(other), Some(About::SomebodyElse), "{other}");
        }
        assert_eq!(zoe.named_in(&format!("({ORDER},\"Ann Lee\")")), None);
    }

    #[test]
    fn what_a_row_shows_as_bytes_is_read_too() {
        let payload: String = format!(r#"{{"order_id":"{ORDER}","name":"Zoë Quill"}}"#)
            .bytes()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(zoe().named_in(&format!(r#"(7,"\\x{payload}",x)"#)), Some(About::Person));
    }

    #[test]
    fn a_word_with_quotes_is_found_however_it_is_escaped() {
        let mut words = Words::default();
        words.add(r#"Zoë "Zed" Quill"#);
        words.add(r"Mill\House 3");
        for text in [
            r#"Zoë "Zed" Quill"#,
            r#"{"name":"Zoë \"Zed\" Quill"}"#,
            r#"("{""name"": ""Zoë \\""Zed\\"" Quill""}")"#,
            r#"{"line1":"mill\\house 3"}"#,
        ] {
            assert!(words.stand_in(text), "{text}");
        }
        assert!(words.pattern().contains(r#"zoë\ [\\"]+zed[\\"]+\ quill"#), "{}", words.pattern());
    }

    #[test]
    fn what_stands_where_somebody_was_forgotten_names_nobody() {
        let mut words = Words::default();
        ["forgotten", "forgotten@forgotten.invalid", "", "ab"].into_iter().for_each(|word| words.add(word));
        assert!(words.is_empty());
    }
}
