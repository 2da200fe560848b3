//! Tables for others (RFC 4180).

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use actix_web::web::Bytes;
use futures_util::Stream;

use crate::http::visit::Visit;

/// A file that is sent as it is made.
pub fn file(
    visit: Visit,
    name: &str,
    body: impl Stream<Item = Result<Bytes, actix_web::Error>> + 'static,
) -> HttpResponse {
    let answer = HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")))
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming::<_, actix_web::Error>(Box::pin(body));
    visit.answer(answer)
}

pub fn row(fields: impl IntoIterator<Item = String>) -> String {
    let fields: Vec<_> = fields.into_iter().map(|field| quoted(&field)).collect();
    fields.join(",") + "\r\n"
}

/// A field that no spreadsheet takes for a formula.
fn quoted(field: &str) -> String {
    let is_number = field.strip_prefix('-').is_some_and(|rest| {
        rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && rest.starts_with(|it: char| it.is_ascii_digit())
    });
    let guard = if field.starts_with(['=', '+', '-', '@', '\t', '\r']) && !is_number { "'" } else { "" };
    match guard.is_empty() && !field.contains([',', '"', '\n', '\r']) {
        true => field.to_owned(),
        false => format!("\"{guard}{}\"", field.replace('"', "\"\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_text_and_no_formula() {
        let fields = ["plain", "a,b", "say \"x\"", "=1+1", "@x", "-1+1", "-0.50"].map(quoted);
        let expected = ["plain", "\"a,b\"", "\"say \"\"x\"\"\"", "\"'=1+1\"", "\"'@x\"", "\"'-1+1\"", "-0.50"];
        assert_eq!(fields, expected);
    }
}
