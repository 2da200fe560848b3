//! The page to sign in at, as a browser has it.

use reqwest::Response;

use crate::Issuer;
use crate::code_flow::Flow;

/// A page that a browser was shown, with the cookie that came with it.
pub struct Page<'a> {
    issuer: &'a Issuer,
    cookie: String,
    hidden: Vec<(String, String)>,
    text: String,
}

impl<'a> Page<'a> {
    pub async fn of(issuer: &'a Issuer, response: Response) -> Self {
        let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let text = response.text().await.unwrap();
        let hidden = text.split("<input type=\"hidden\" name=\"").skip(1).map(|input| {
            let (name, rest) = input.split_once("\" value=\"").unwrap();
            (unescaped(name), unescaped(rest.split_once('"').unwrap().0))
        });
        Self { issuer, cookie, hidden: hidden.collect(), text }
    }

    /// Sends the form.
    pub async fn sign_in(&self, email: &str, password: &str) -> Response {
        let typed = [("email".to_owned(), email.to_owned()), ("password".to_owned(), password.to_owned())];
        let form: Vec<_> = self.hidden.iter().chain(&typed).collect();
        let post = self.issuer.client.post(format!("{}/authorize", self.issuer.url)).form(&form);
        let post = if self.cookie.is_empty() { post } else { post.header("Cookie", &self.cookie) };
        post.send().await.unwrap()
    }
}

fn unescaped(text: &str) -> String {
    let known = [("&#x2f;", "/"), ("&quot;", "\""), ("&#x27;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    known.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_has_no_script_may_load_nothing_and_is_in_nobody_s_frame() {
    let issuer = Issuer::start().await;
    let shown = Flow::new(&issuer).asks(&[]).await;
    let headers = shown.headers().clone();
    let policy = headers["content-security-policy"].to_str().unwrap();
    for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self' http://127.0.0.1:4321"] {
        assert!(policy.contains(part), "{policy}");
    }
    let cookie = headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert_eq!(headers["cache-control"], "no-store");
    assert!(!Page::of(&issuer, shown).await.text.contains("<script"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_shows_the_form_again_which_repeats_no_password() {
    let issuer = Issuer::start().await;
    let page = Flow::new(&issuer).page().await;
    let mut shown = Vec::new();
    for (email, password) in [("ann@example.com", "hunter2!"), ("nobody@example.com", "hunter2!"), ("no address", "x")]
    {
        let again = page.sign_in(email, password).await;
        assert_eq!((again.status().as_u16(), again.headers().get("location")), (403, None));
        let again = Page::of(&issuer, again).await;
        assert!(!again.text.contains("hunter2!"));
        shown.push(again.text.replace(&format!("value=\"{email}\""), ""));
        let signed_in = again.sign_in("ann@example.com", "sandbox-ann").await;
        assert_eq!(signed_in.status().as_u16(), 303);
    }
    shown.dedup();
    assert_eq!(shown.len(), 1, "whether there is such an account makes no difference");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_not_from_the_page_signs_nobody_in() {
    let issuer = Issuer::start().await;
    let flow = Flow::new(&issuer);
    let (page, other) = (flow.page().await, flow.page().await);
    for cookie in ["", other.cookie.as_str(), "sandbox_issuer_form=x"] {
        let forged = Page { cookie: cookie.to_owned(), ..flow.page().await };
        let refused = forged.sign_in("ann@example.com", "sandbox-ann").await;
        assert_eq!((refused.status().as_u16(), refused.headers().get("location")), (403, None), "{cookie}");
    }
    assert_eq!(page.sign_in("ann@example.com", "sandbox-ann").await.status().as_u16(), 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_at_the_page_is_slowed_down_too() {
    let issuer = Issuer::start().await;
    let page = Flow::new(&issuer).page().await;
    for _ in 0..5 {
        assert_eq!(page.sign_in("ann@example.com", "wrong").await.status().as_u16(), 403);
    }
    let slowed = page.sign_in("ann@example.com", "sandbox-ann").await;
    assert_eq!((slowed.status().as_u16(), slowed.headers()["retry-after"].to_str().unwrap()), (429, "30"));
}
