//! What is refused before or beside the pages is a page, too.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Console, between, issuer};
use reqwest::{Method, Response};

async fn page_of(answer: Response) -> (u16, String) {
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    let policy = answer.headers().contains_key("content-security-policy");
    let (status, page) = (answer.status().as_u16(), answer.text().await.unwrap());
    assert_eq!((kind.as_str(), policy), ("text/html; charset=utf-8", true), "{page}");
    assert!(page.contains("</html>"), "{page}");
    (status, page)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_what_takes_forms_alone_is_told_on_a_page() {
    let console = Console::start().await;
    let (status, page) = page_of(console.get("/no/such/page").await).await;
    assert_eq!((status, between(&page, "<h1>", "</h1>")), (404, "There is nothing here"));
    let (status, page) = page_of(console.get("/sign-out").await).await;
    assert_eq!((status, between(&page, "<h1>", "</h1>")), (405, "There is no page here"));
    assert!(page.contains("what a form sends"), "{page}");
    // For programs there is what programs read.
    assert_eq!(console.get("/healthz").await.headers()["content-type"], "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_site_sends_is_refused_on_a_page() {
    let console = Console::start().await;
    let request = console.served.request(Method::POST, "/basket").header("origin", "https://evil.example");
    let answer = request.header("sec-fetch-site", "cross-site").form(&[("do", "add")]).send().await.unwrap();
    let (status, page) = page_of(answer).await;
    assert_eq!((status, between(&page, "<h1>", "</h1>")), (403, "That did not come from here"));
    assert!(!page.contains("application/problem"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_to_sign_in_after_a_form_is_led_back_to_the_page_that_it_stood_on() {
    let console = Console::with_issuer(Some(issuer())).await;
    let proof = console.proof().await;
    let send = async |from: &str| {
        let cookie = format!("console_form={}", console.browser.cookie("console_form").unwrap());
        let request = console.served.request(Method::POST, "/control/dead-letters/stock-svc/7/edit");
        let request = request.header("referer", from).header("cookie", cookie).form(&[("proof", proof.as_str())]);
        page_of(request.send().await.unwrap()).await
    };
    let letter = "/control/dead-letters/stock-svc/7?x=1";
    let (status, page) = send(&format!("{}{letter}", console.served.root)).await;
    assert_eq!(status, 401);
    let to = between(&page, "/sign-in?to=", "\"");
    assert_eq!(percent(to), letter, "{page}");
    assert!(page.contains(r#">Back</a>"#), "{page}");
    // Another site's page is not where anybody is led.
    let (_, page) = send("https://evil.example/control").await;
    assert_eq!((percent(between(&page, "/sign-in?to=", "\"")), page.contains(">Back</a>")), ("/".to_owned(), false));
}

fn percent(text: &str) -> String {
    let pair = format!("to={}", text.replace("&#x2f;", "/").replace("&amp;", "&"));
    url::form_urlencoded::parse(pair.as_bytes()).next().unwrap().1.into_owned()
}
