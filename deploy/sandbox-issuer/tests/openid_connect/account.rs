//! The accounts' API, as a program without a browser uses it.

use serde_json::{Value, json};

use crate::Issuer;

const STRONG: &str = "correct horse battery staple";

#[tokio::test(flavor = "multi_thread")]
async fn whoever_registers_is_a_customer_and_can_log_in() {
    let issuer = Issuer::start().await;
    let new = json!({"email": "Zoe@Example.com", "password": STRONG, "name": "Zoë Zed"});
    let (status, account) = issuer.account("register", new).await;
    assert_eq!((status, &account["roles"]), (201, &json!(["customer"])), "{account}");
    let (status, tokens) = issuer.login("zoe@example.COM", STRONG).await;
    assert_eq!((status, &tokens["token_type"]), (200, &json!("Bearer")), "{tokens}");
    let claims = issuer.claims(&tokens["access_token"]).await;
    assert_eq!((&claims["sub"], &claims["roles"]), (&account["id"], &json!(["customer"])));
    assert_eq!((&claims["email"], &claims["name"]), (&json!("zoe@example.com"), &json!("Zoë Zed")));
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_are_there_from_the_start_have_their_roles_after_a_restart_too() {
    let issuer = Issuer::start().await;
    issuer.another().await;
    for (name, sub, roles) in [
        ("ann", "c-1001", &["customer"][..]),
        ("ben", "c-1002", &["customer"]),
        ("sam", "s-2001", &["staff"]),
        ("olga", "o-3001", &["operator"]),
        ("ada", "a-4001", &["customer", "staff", "operator"]),
    ] {
        let (status, tokens) = issuer.login(&format!("{name}@example.com"), &format!("sandbox-{name}")).await;
        assert_eq!(status, 200, "{tokens}");
        let claims = issuer.claims(&tokens["access_token"]).await;
        assert_eq!((&claims["sub"], &claims["roles"]), (&json!(sub), &json!(roles)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_registration_is_said_by_field_and_makes_no_account() {
    let issuer = Issuer::start().await;
    let good = json!({"email": "zoe@example.com", "password": STRONG, "name": "Zoe"});
    for (field, value, code) in [
        ("email", json!("zoe"), "invalid"),
        ("email", json!("z\u{0}@example.com"), "invalid"),
        ("email", json!(["zoe@example.com"]), "invalid"),
        ("password", json!("password1"), "weak_password"),
        ("password", json!("short"), "weak_password"),
        ("password", json!("zoe@example.com"), "weak_password"),
        ("password", json!(STRONG.repeat(9)), "weak_password"),
        ("name", json!(""), "invalid"),
        ("roles", json!(["operator"]), "unknown_field"),
    ] {
        let mut bad = good.clone();
        bad[field] = value.clone();
        let (status, problem) = issuer.account("register", bad).await;
        let told = (&problem["errors"][0]["field"], &problem["errors"][0]["code"]);
        assert_eq!((status, told), (422, (&json!(field), &json!(code))), "{problem}");
        assert!(field != "password" || !problem.to_string().contains(value.as_str().unwrap()), "{problem}");
    }
    assert_eq!(issuer.db.count("accounts").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn registering_twice_is_a_conflict_even_at_the_same_time_and_the_first_password_stays() {
    let issuer = Issuer::start().await;
    let new = |email: &str, password: &str| json!({"email": email, "password": password, "name": "Zoe"});
    let register = |email: &'static str| issuer.account("register", new(email, STRONG));
    let (one, other) = tokio::join!(register("zoe@example.com"), register("ZOE@example.com"));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    let (status, problem) = issuer.account("register", new("ann@example.com", STRONG)).await;
    assert_eq!((status, &problem["code"]), (409, &json!("email_taken")));
    assert!(problem["detail"].as_str().unwrap().starts_with("email"), "{problem}");
    assert_eq!(issuer.login("ann@example.com", STRONG).await.0, 401);
    assert_eq!(issuer.login("ann@example.com", "sandbox-ann").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_account_and_a_wrong_password_are_answered_alike() {
    let issuer = Issuer::start().await;
    let known = issuer.login("ann@example.com", "wrong").await;
    let unknown = issuer.login("nobody@example.com", "wrong").await;
    assert_eq!((known.0, &known.1["code"]), (401, &json!("wrong_credentials")));
    assert_eq!(known, unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_comes_again_ends_its_session_and_no_other() {
    let issuer = Issuer::start().await;
    let refresh =
        async |tokens: &Value| issuer.account("refresh", json!({"refresh_token": tokens["refresh_token"]})).await;
    let (_, elsewhere) = issuer.login("ann@example.com", "sandbox-ann").await;
    let (_, first) = issuer.login("ann@example.com", "sandbox-ann").await;
    let (status, second) = refresh(&first).await;
    assert_eq!(status, 200, "{second}");
    assert_eq!(issuer.claims(&second["access_token"]).await["sub"], "c-1001");
    let (status, reused) = refresh(&first).await;
    assert_eq!((status, &reused["code"]), (401, &json!("refresh_token_reused")));
    let (status, ended) = refresh(&second).await;
    assert_eq!((status, &ended["code"]), (401, &json!("refresh_token_unknown")));
    assert_eq!(refresh(&elsewhere).await.0, 200);
    for nonsense in ["", "a.b", "guest.x", &"x".repeat(10_000)] {
        let (status, unknown) = issuer.account("refresh", json!({"refresh_token": nonsense})).await;
        assert_eq!((status, &unknown["code"]), (401, &json!("refresh_token_unknown")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_refresh_at_the_same_time_one_is_the_second() {
    let issuer = Issuer::start().await;
    let (_, tokens) = issuer.login("ann@example.com", "sandbox-ann").await;
    let refresh = || issuer.account("refresh", json!({"refresh_token": tokens["refresh_token"]}));
    let (one, other) = tokio::join!(refresh(), refresh());
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    assert_eq!(issuer.db.count("sessions").await, 0, "two have the token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_by_logout_and_after_thirty_days() {
    let issuer = Issuer::start().await;
    let refresh = async |token: &Value| issuer.account("refresh", json!({"refresh_token": token})).await;
    let (_, first) = issuer.login("ann@example.com", "sandbox-ann").await;
    for _ in 0..2 {
        let (status, _) = issuer.account("logout", json!({"refresh_token": first["refresh_token"]})).await;
        assert_eq!(status, 204);
    }
    assert_eq!(refresh(&first["refresh_token"]).await.0, 401);
    let (_, second) = issuer.login("ann@example.com", "sandbox-ann").await;
    issuer.wait(29 * 24 * 3600);
    let (status, third) = refresh(&second["refresh_token"]).await;
    assert_eq!(status, 200);
    issuer.wait(2 * 24 * 3600);
    assert_eq!(refresh(&third["refresh_token"]).await.0, 401, "a session is not made longer by its use");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_ten_sessions_and_the_oldest_ends_for_another() {
    let issuer = Issuer::start().await;
    let mut sessions = Vec::new();
    for _ in 0..11 {
        sessions.push(issuer.login("ann@example.com", "sandbox-ann").await.1);
        issuer.wait(1);
    }
    assert_eq!(issuer.db.count("sessions").await, 10);
    let mut statuses = Vec::new();
    for session in &sessions {
        statuses.push(issuer.account("refresh", json!({"refresh_token": session["refresh_token"]})).await.0);
    }
    assert_eq!(statuses, [vec![401_u16], vec![200; 10]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_an_account_is_slowed_down_whether_or_not_there_is_one_and_other_accounts_go_on() {
    let issuer = Issuer::start().await;
    for email in ["ann@example.com", "nobody@example.com"] {
        for _ in 0..5 {
            assert_eq!(issuer.login(email, "wrong").await.0, 401);
        }
        let (status, problem) = issuer.login(email, "wrong").await;
        assert_eq!(status, 429, "{problem}");
    }
    let login = |password: &str| {
        let body = json!({"email": "ann@example.com", "password": password});
        issuer.client.post(format!("{}/api/v1/account/auth/login", issuer.url)).json(&body).send()
    };
    let slowed = login("sandbox-ann").await.unwrap();
    assert_eq!(slowed.status().as_u16(), 429, "the right one is not tried either");
    assert_eq!(slowed.headers()["retry-after"], "30");
    assert_eq!(issuer.login("ben@example.com", "sandbox-ben").await.0, 200);
    issuer.wait(31);
    assert_eq!(login("sandbox-ann").await.unwrap().status().as_u16(), 200);
    assert_eq!(login("wrong").await.unwrap().status().as_u16(), 401, "who has logged in begins anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_from_one_address_is_slowed_down_over_all_accounts_and_instances() {
    let issuer = Issuer::start().await;
    for number in 0..20 {
        assert_eq!(issuer.login(&format!("nobody-{number}@example.com"), "wrong").await.0, 401);
    }
    assert_eq!(issuer.login("ben@example.com", "sandbox-ben").await.0, 429);
    let body = json!({"email": "ben@example.com", "password": "sandbox-ben"});
    let other = format!("{}/api/v1/account/auth/login", issuer.another().await);
    let other = issuer.client.post(other).json(&body).send().await.unwrap();
    assert_eq!(other.status().as_u16(), 429, "another instance knows it, too");
    issuer.wait(6);
    assert_eq!(issuer.login("ben@example.com", "sandbox-ben").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_around_that_by_saying_where_they_come_from() {
    let issuer = Issuer::start().await;
    let guess = |number: usize| {
        let body = json!({"email": format!("nobody-{number}@example.com"), "password": "wrong"});
        let request = issuer.client.post(format!("{}/api/v1/account/auth/login", issuer.url)).json(&body);
        request.header("X-Forwarded-For", format!("10.0.0.{number}")).send()
    };
    let mut statuses = Vec::new();
    for number in 0..21 {
        statuses.push(guess(number).await.unwrap().status().as_u16());
    }
    assert_eq!(statuses, [vec![401_u16; 20], vec![429]].concat());
}
