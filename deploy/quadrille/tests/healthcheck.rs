//! `quadrille healthcheck` as a container's engine runs it.
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::process::{Command, Output};

use sandbox_gateway::{App, Config};
use service_kit::config::Reader;
use service_kit::testing::{Running, TestDb};

/// In an image that holds no certificates, with a proxy for the world outside.
async fn healthcheck(arguments: &[&str], http_addr: &str) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quadrille"));
    command.arg("healthcheck").args(arguments).env_clear().env("HTTP_ADDR", http_addr);
    command.envs([("http_proxy", "http://127.0.0.1:1"), ("SSL_CERT_FILE", "/nothing"), ("SSL_CERT_DIR", "/nothing")]);
    let ran = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let Output { status, stderr, .. } = ran.unwrap();
    (status.success(), String::from_utf8(stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_ready_is_well_and_one_that_is_not_there_is_not() {
    let db = TestDb::new(&[]).await;
    let variables = [("DATABASE_URL", db.url.as_str()), ("HTTP_ADDR", "127.0.0.1:0")];
    let gateway = App::build(Reader::from_pairs(variables).whole(Config::read).unwrap()).await.unwrap();
    let port = gateway.port();
    let running = Running::start(|stop| gateway.run_until(stop));
    assert_eq!(healthcheck(&[], &format!("0.0.0.0:{port}")).await, (true, String::new()));
    assert_eq!(healthcheck(&[&format!("http://127.0.0.1:{port}")], "").await, (true, String::new()));
    let (well, said) = healthcheck(&[&format!("http://127.0.0.1:{port}/nowhere")], "").await;
    assert!(!well && said.contains("/nowhere answers 404"), "{said}");
    running.end().await.unwrap();
    let (well, said) = healthcheck(&[], &format!("0.0.0.0:{port}")).await;
    assert!(!well && said.contains("does not answer") && said.lines().count() == 1, "{said}");
}
