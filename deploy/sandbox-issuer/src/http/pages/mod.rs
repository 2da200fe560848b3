//! The pages that people see. They have no script and no style, and may load nothing.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use url::Url;

const LOGIN: &str = "login.html";
const REFUSED: &str = "refused.html";

pub struct Pages(Environment<'static>);

/// What the page asks to sign in for.
#[derive(Debug)]
pub struct Login<'a> {
    pub client: &'a str,
    /// Where people are sent afterwards.
    pub redirect: &'a Url,
    /// What the form sends besides.
    pub hidden: &'a [(&'a str, &'a str)],
    pub email: &'a str,
    pub trouble: Option<&'a str>,
}

impl Pages {
    /// Fails if a page can't be parsed, which a test excludes.
    pub fn new() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.add_template(LOGIN, include_str!("login.html"))?;
        environment.add_template(REFUSED, include_str!("refused.html"))?;
        Ok(Self(environment))
    }

    pub fn login(&self, status: StatusCode, login: &Login<'_>) -> HttpResponse {
        let Login { client, redirect, hidden, email, trouble } = *login;
        let context = context! { client, hidden => Value::from(Serde(hidden)), email, trouble };
        // A browser holds the redirect that answers the form against this, too.
        let to = redirect.origin().ascii_serialization();
        self.page(status, LOGIN, context, &format!("form-action 'self' {to}"))
    }

    pub fn refused(&self, status: StatusCode, why: &str) -> HttpResponse {
        self.page(status, REFUSED, context! { why }, "form-action 'none'")
    }

    fn page(&self, status: StatusCode, name: &str, context: Value, form_action: &str) -> HttpResponse {
        let body = match self.0.get_template(name).and_then(|template| template.render(context)) {
            Ok(body) => body,
            Err(error) => {
                tracing::error!(%error, page = name, "a page can't be written");
                return HttpResponse::InternalServerError().finish();
            }
        };
        let policy = format!("default-src 'none'; base-uri 'none'; frame-ancestors 'none'; {form_action}");
        HttpResponse::build(status)
            .content_type("text/html; charset=utf-8")
            .insert_header((CONTENT_SECURITY_POLICY, policy))
            .insert_header((X_FRAME_OPTIONS, "DENY"))
            .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
            // The form must say where it comes from, and no other page may learn what stands in the address.
            .insert_header((REFERRER_POLICY, "same-origin"))
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(body)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    async fn text(response: HttpResponse) -> String {
        let body = to_bytes(response.into_body()).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn what_was_sent_is_shown_as_text_wherever_it_stands() {
        let (pages, evil) = (Pages::new().unwrap(), r#""><script>alert('x')</script>"#);
        let redirect = Url::parse("http://127.0.0.1:4321/callback").unwrap();
        let hidden = [("state", evil)];
        let login = Login { client: evil, redirect: &redirect, hidden: &hidden, email: evil, trouble: Some(evil) };
        let page = text(pages.login(StatusCode::OK, &login)).await;
        assert!(!page.contains("<script>") && page.matches("&lt;script&gt;").count() == 4, "{page}");
        let page = text(pages.refused(StatusCode::BAD_REQUEST, evil)).await;
        assert!(!page.contains("<script>"), "{page}");
    }

    #[test]
    fn the_form_may_be_sent_here_and_lead_to_the_program_alone() {
        let redirect = Url::parse("http://127.0.0.1:4321/callback").unwrap();
        let login = Login { client: "c", redirect: &redirect, hidden: &[], email: "", trouble: None };
        let page = Pages::new().unwrap().login(StatusCode::OK, &login);
        let policy = page.headers().get(CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap();
        assert!(policy.ends_with("form-action 'self' http://127.0.0.1:4321"), "{policy}");
    }
}
