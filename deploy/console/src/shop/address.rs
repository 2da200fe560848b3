//! Where something goes, as it is typed.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::http::form::Form;

/// The fields of an address, by their names in forms and in the services' JSON.
pub const FIELDS: [&str; 5] = ["line1", "line2", "city", "postal_code", "country"];

const COUNTRIES: &str = include_str!("countries.txt");

/// What stands in a form's fields.
pub type Typed = BTreeMap<&'static str, String>;

/// A country that may be chosen.
#[derive(Debug, PartialEq, Serialize)]
pub struct Country {
    pub code: &'static str,
    pub name: &'static str,
}

/// All of them, sorted by name.
pub fn countries() -> Vec<Country> {
    COUNTRIES.lines().filter_map(|line| line.split_once(' ')).map(|(code, name)| Country { code, name }).collect()
}

/// What was typed into these fields.
pub fn typed(form: &Form, names: &[&'static str]) -> Typed {
    names.iter().map(|name| (*name, form.text(name).to_owned())).collect()
}

/// An address that a service tells, for a form.
pub fn known(address: &Value) -> Typed {
    FIELDS.iter().map(|name| (*name, address[*name].as_str().unwrap_or_default().to_owned())).collect()
}

/// The fields that were filled in, for a service, which says what is missing.
pub fn filled(typed: &Typed, names: &[&'static str]) -> Value {
    let filled = names.iter().filter_map(|name| Some((*name, typed.get(name).filter(|text| !text.is_empty())?)));
    filled.map(|(name, text)| (name.to_owned(), Value::from(text.as_str()))).collect::<Map<_, _>>().into()
}

/// An address in lines, as on a letter.
pub fn lines(address: &Value) -> Vec<String> {
    let text = |name: &str| address[name].as_str().unwrap_or_default().trim().to_owned();
    let country = text("country");
    let name = countries().into_iter().find(|known| known.code == country).map(|known| known.name.to_owned());
    let town = format!("{} {}", text("postal_code"), text("city")).trim().to_owned();
    let lines = [text("line1"), text("line2"), town, name.unwrap_or(country)];
    lines.into_iter().filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shared_events::CountryCode;

    use super::*;

    #[test]
    fn every_country_that_may_be_chosen_is_one_that_orders_may_go_to() {
        let countries = countries();
        assert_eq!(countries.len(), 250);
        for Country { code, name } in countries {
            let known = CountryCode::try_from(code.to_owned()).unwrap();
            assert!(known.is_a_country() && !name.is_empty(), "{code} {name}");
        }
    }

    #[test]
    fn an_address_is_read_in_lines() {
        let address =
            json!({"line1": "1 Quay St", "line2": null, "city": "Cork", "postal_code": "T12", "country": "IE"});
        assert_eq!(lines(&address), ["1 Quay St", "T12 Cork", "Ireland"]);
        assert_eq!(lines(&Value::Null), Vec::<String>::new());
    }

    #[test]
    fn what_was_left_empty_is_not_sent() {
        let form = Form::parse(b"line1=1+Quay+St&line2=+&city=&country=IE").unwrap();
        let typed = typed(&form, &FIELDS);
        assert_eq!(filled(&typed, &FIELDS), json!({"line1": "1 Quay St", "country": "IE"}));
        assert_eq!(known(&json!({"city": "Cork"}))["city"], "Cork");
    }
}
