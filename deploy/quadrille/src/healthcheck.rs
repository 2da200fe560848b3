//! `quadrille healthcheck`: asks a service whether it is ready, for images that hold no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::Value;
use url::Url;

use crate::http_client;

/// Somewhat more than `/readyz` takes to ask one thing that does not answer, and less than an engine waits for a check.
const PATIENCE: Duration = Duration::from_millis(3500);
/// Where a service says where it answers `/readyz`, in the order in which they are looked at.
const ADDRESSES: [&str; 3] = ["OPS_ADDR", "HTTP_ADDR", "METRICS_ADDR"];

/// Whom to ask.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// What to ask; `/readyz` where it has no path. Without it: the service of this environment's OPS_ADDR, HTTP_ADDR
    /// or METRICS_ADDR.
    #[arg(value_name = "URL")]
    url: Option<Url>,
}

/// Asks once. Fails, with the reason, if the service isn't ready or doesn't answer.
pub async fn healthcheck(arguments: &HealthcheckArgs) -> anyhow::Result<()> {
    let url = match &arguments.url {
        Some(url) => given(url.clone()),
        None => own(|name| std::env::var(name).ok())?,
    };
    let answer = http_client::client(&url, PATIENCE)?.get(url.clone()).send().await;
    let answer = answer.map_err(reqwest::Error::without_url);
    let answer = answer.with_context(|| format!("{url} does not answer"))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let told: Value = answer.json().await.unwrap_or_default();
    bail!("{url} answers {}{}", status.as_u16(), failing(&told))
}

fn given(mut url: Url) -> Url {
    if url.path() == "/" {
        url.set_path("/readyz");
    }
    url
}

/// The service that has the same environment, as a container's health check does.
fn own(variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Url> {
    let set = |name| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let (name, value) = ADDRESSES.into_iter().find_map(|name| Some((name, set(name)?))).with_context(|| {
        let [first, second, third] = ADDRESSES;
        format!("{first}, {second} and {third} are not set: say which URL to ask, or run it in a service's environment")
    })?;
    let expected = || format!("{name} is {value:?}; expected an address and a port, for example {name}=0.0.0.0:8080");
    let mut address: SocketAddr = value.parse().with_context(expected)?;
    if address.port() == 0 {
        bail!("{name} is {value}: which port is free is only known to the service; say which URL to ask");
    }
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Url::parse(&format!("http://{address}/readyz")).with_context(expected)
}

/// What `/readyz` says is not well.
fn failing(told: &Value) -> String {
    let Some(checks) = told["checks"].as_object() else { return String::new() };
    let failing = checks.iter().filter(|(_, state)| *state != "ok");
    let failing = failing.map(|(name, state)| format!("{name} {}", state.as_str().unwrap_or("failing")));
    format!(": {}", failing.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(variables: &[(&str, &str)]) -> Result<String, String> {
        let variable = |name: &str| variables.iter().find(|known| known.0 == name).map(|known| known.1.to_owned());
        own(variable).map(String::from).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_service_that_listens_everywhere_is_asked_on_loopback() {
        assert_eq!(asked(&[("HTTP_ADDR", "0.0.0.0:8080")]).unwrap(), "http://127.0.0.1:8080/readyz");
        let ops = [("HTTP_ADDR", "0.0.0.0:8080"), ("OPS_ADDR", "0.0.0.0:9180")];
        assert_eq!(asked(&ops).unwrap(), "http://127.0.0.1:9180/readyz");
        assert_eq!(asked(&[("HTTP_ADDR", "[::]:8080")]).unwrap(), "http://[::1]:8080/readyz");
        assert_eq!(
            asked(&[("HTTP_ADDR", " "), ("METRICS_ADDR", "10.0.0.7:9464")]).unwrap(),
            "http://10.0.0.7:9464/readyz"
        );
    }

    #[test]
    fn an_address_that_can_not_be_asked_is_named() {
        assert!(asked(&[]).unwrap_err().contains("OPS_ADDR, HTTP_ADDR and METRICS_ADDR are not set"));
        assert!(asked(&[("HTTP_ADDR", "here")]).unwrap_err().starts_with("HTTP_ADDR is \"here\"; expected"));
        assert!(asked(&[("METRICS_ADDR", "0.0.0.0:0")]).unwrap_err().contains("METRICS_ADDR is 0.0.0.0:0"));
    }

    #[test]
    fn a_url_without_a_path_means_readyz() {
        let asked = |url| given(Url::parse(url).unwrap()).to_string();
        assert_eq!(asked("http://order-svc:8080"), "http://order-svc:8080/readyz");
        assert_eq!(asked("http://order-svc:8080/healthz"), "http://order-svc:8080/healthz");
    }

    #[test]
    fn what_is_not_well_is_named() {
        let told = json!({"status": "not ready", "checks": {"broker": "failing", "database": "ok"}});
        assert_eq!(failing(&told), ": broker failing");
        assert_eq!(failing(&Value::Null), "");
    }
}
