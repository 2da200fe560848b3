//! A form or a query as it was sent: a name may come several times.

use actix_web::HttpRequest;
use actix_web::http::header::CONTENT_TYPE;

const MOST: usize = 500;
const LONGEST: usize = 64 * 1024;

#[derive(Clone, Debug, Default)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Fails, and says why, if there is more than a form of ours has.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let mut fields = Vec::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if fields.len() == MOST || name.len() > 100 || value.len() > LONGEST {
                return Err(format!("A form has at most {MOST} fields of {LONGEST} characters."));
            }
            fields.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(fields))
    }

    /// The query of a request; nothing, if it can't be read.
    pub fn query(request: &HttpRequest) -> Self {
        Self::parse(request.query_string().as_bytes()).unwrap_or_default()
    }

    /// The body of a request, which must say that it is a form.
    pub fn body(request: &HttpRequest, body: &[u8]) -> Result<Self, String> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        match kind.split(';').next().unwrap_or_default().trim() {
            "application/x-www-form-urlencoded" => Self::parse(body),
            _ => Err("This is not a form.".to_owned()),
        }
    }

    /// The first value of this name, without spaces around it, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// As [`Form::get`]; an empty text if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_without_content_was_not_filled_in() {
        let form = Form::parse(b"a=+x+&b=&a=y&c=%20").unwrap();
        assert_eq!((form.get("a"), form.get("b"), form.get("c"), form.text("d")), (Some("x"), None, None, ""));
        assert_eq!(form.all("a").collect::<Vec<_>>(), [" x ", "y"]);
    }

    #[test]
    fn there_is_an_end_to_fields() {
        let many: String = (0..=MOST).map(|number| format!("p{number}=1&")).collect();
        assert!(Form::parse(many.as_bytes()).is_err());
    }
}
