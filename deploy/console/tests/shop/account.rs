//! Whoever is signed in.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_account_lists_orders_in_words() {
    let console = Console::start().await;
    let items = json!([order(json!({"number": "Q-2026-000123", "status": "partially_shipped"}))]);
    console.answers("GET", "/api/v1/orders", 200, json!({"items": items, "next_cursor": null})).await;
    let (status, page) = console.page("/account").await;
    assert_eq!(status, 200);
    assert!(page.contains("Q-2026-000123") && page.contains("A part of your order is on its way"), "{page}");
    assert!(!page.contains("partially_shipped"), "{page}");
}

const PROFILE: &str = "/api/v1/customers/me";

/// Ann is signed in, and has a profile.
async fn ann() -> Console {
    let console = Console::with_issuer(Some(issuer())).await;
    console.sign_in_as("c-1001", "customer").await;
    console.answers("GET", "/api/v1/orders", 200, json!({"items": [], "next_cursor": null})).await;
    let profile = json!({"id": "c-1001", "name": "Ann", "email": "ann@example.com", "phone": null, "delivery_address": null,
        "language": "de", "messages": null, "push_token": null, "version": 3});
    console.answers("GET", PROFILE, 200, profile).await;
    console
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_saved_as_of_the_version_that_was_shown() {
    let console = ann().await;
    let (_, page) = console.page("/account").await;
    assert!(page.contains(r#"value="ann@example.com""#), "{page}");
    let version = between(&page, r#"name="version" value=""#, "\"").to_owned();
    let profile = json!({"name": "Ann Lee", "email": "ann@example.com", "delivery_address": null, "language": "de"});
    let put = Mock::given(method("PUT")).and(path(PROFILE)).and(header("if-match", "\"3\"")).and(body_json(profile));
    let put = put.and(header("authorization", "Bearer token of c-1001"));
    put.respond_with(ResponseTemplate::new(200).set_body_json(json!({}))).expect(1).mount(&console.services).await;
    let typed = [("version", version.as_str()), ("name", "Ann Lee"), ("email", "ann@example.com")];
    let answer = console.send("/account", "/account", &typed).await;
    assert_eq!((answer.status().as_u16(), led_to(&answer)), (303, "/account?saved=1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_changed_meanwhile_or_is_refused_keeps_what_was_typed() {
    for (status, problem, told) in [
        (412, json!({"detail": "x"}), "Your details were changed elsewhere meanwhile."),
        (
            422,
            json!({"errors": [{"field": "email", "message": "expected an e-mail address", "code": "invalid"}]}),
            "Expected an e-mail address.",
        ),
        (503, json!({"detail": "x"}), "&lt;script&gt;"),
    ] {
        let console = ann().await;
        console.answers("PUT", PROFILE, status, problem).await;
        let typed = [("version", "3"), ("name", EVIL), ("email", "ann@example")];
        let answer = console.send("/account", "/account", &typed).await;
        assert_eq!(answer.status().as_u16(), status);
        let page = answer.text().await.unwrap();
        assert!(page.contains(told) && page.contains("&lt;script&gt;") && !page.contains("<script>alert"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_saves_a_profile_who_is_not_signed_in() {
    let console = shop().await;
    assert!(led_to(&console.get("/account").await).starts_with("/sign-in?to="));
    let answer = console.send("/", "/account", &[("name", "Ann")]).await;
    assert_eq!(answer.status(), 401);
    assert!(console.services.received_requests().await.unwrap().iter().all(|it| it.method.as_str() == "GET"));
}
