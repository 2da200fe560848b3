//! Parameters as OAuth has them: in a query or a form, each once, and one without a value was not sent (RFC 6749, 3.1).

use std::collections::BTreeMap;

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;
use service_kit::http::the_one;

const MOST: usize = 40;
const LONGEST: usize = 4096;

#[derive(Clone, Default)]
pub struct Form(BTreeMap<String, String>);

impl Form {
    /// # Errors
    /// What is wrong with it, without what was sent.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if name.len() > 64 || value.len() > LONGEST {
                return Err(format!("a parameter has more than {LONGEST} characters, or its name more than 64"));
            }
            if parameters.len() == MOST {
                return Err(format!("there are more than {MOST} parameters"));
            }
            if parameters.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(format!("{name:?} is given twice"));
            }
        }
        Ok(Self(parameters))
    }

    /// The body of a request, which must say that it is a form.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn body(request: &HttpRequest, body: &[u8]) -> Result<Self, String> {
        let kind = the_one(request, CONTENT_TYPE.as_str()).map_err(|_| "Content-Type is given twice".to_owned())?;
        let kind = kind.and_then(|kind| kind.to_str().ok()).and_then(|kind| kind.split(';').next()).unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err("the body must be application/x-www-form-urlencoded, and its Content-Type say so".to_owned());
        }
        Self::parse(body)
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// # Errors
    /// It is missing.
    pub fn required(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| format!("{name} is missing"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_stands_there_once_and_without_a_value_not_at_all() {
        let form = Form::parse(b"a=1&b=&c=x%20y").unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c")), (Some("1"), None, Some("x y")));
        assert_eq!(form.required("b").unwrap_err(), "b is missing");
        assert!(Form::parse(b"a=1&a=1").is_err());
    }

    #[test]
    fn there_is_an_end_to_parameters() {
        let many: String = (0..=MOST).map(|number| format!("p{number}=1&")).collect();
        let long = format!("a={}", "1".repeat(LONGEST + 1));
        assert!(Form::parse(many.as_bytes()).is_err() && Form::parse(long.as_bytes()).is_err());
    }
}
