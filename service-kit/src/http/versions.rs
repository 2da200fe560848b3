//! Versions in HTTP: an answer's `ETag` says which one it shows, `If-Match` which one is to be changed.

use actix_web::HttpRequest;
use actix_web::http::header::{ETag, EntityTag, Header, HeaderValue, IF_MATCH, IfMatch};

use super::Problem;
use crate::versions::{Changed, Expected};

impl Expected {
    /// The versions that `If-Match` names, if the request has it. The header may occur several times; together they are
    /// one list. `*` means any version and may only stand alone.
    ///
    /// # Errors
    /// Fails if `*` stands beside others.
    pub fn of(request: &HttpRequest) -> Result<Option<Self>, Problem> {
        let mut lines = request.headers().get_all(IF_MATCH);
        let any = |line: &HeaderValue| line.as_bytes().trim_ascii() == b"*";
        let (several, has_any) = (request.headers().get_all(IF_MATCH).count() > 1, lines.any(any));
        if several && has_any {
            return Err(Problem::bad_input("If-Match", "has * beside other versions; expected either"));
        }
        Ok(request.headers().contains_key(IF_MATCH).then(|| match IfMatch::parse(request) {
            Ok(IfMatch::Any) => Self::Any,
            Ok(IfMatch::Items(tags)) => {
                let strong = tags.iter().filter(|tag| !tag.weak);
                Self::OneOf(strong.filter_map(|tag| tag.tag().parse().ok()).collect())
            }
            Err(_) => Self::OneOf(Vec::new()),
        }))
    }
}

/// The header that says which version an answer shows.
pub fn etag(version: i64) -> ETag {
    ETag(EntityTag::new_strong(version.to_string()))
}

impl From<Changed> for Problem {
    fn from(changed: Changed) -> Self {
        Self::precondition_failed(format!("{changed}."))
    }
}
