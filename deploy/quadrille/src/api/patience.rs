//! Asking again while a service is away or busy.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

use super::Api;
use crate::service::Service;

impl Api {
    /// Asks until there is an answer that is good, or a refusal that stays.
    pub async fn surely(
        &self,
        method: Method,
        service: Service,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let mut patience = self.patience(path);
        loop {
            match answered(self.ask(method.clone(), service, path, body).await)
                .with_context(|| format!("{method} {path}"))?
            {
                Ok(value) => return Ok(value),
                Err(why) => patience.again(why).await?,
            }
        }
    }

    /// For asking again what is described by `what`, for as long as this client waits.
    pub fn patience(&self, what: impl Into<String>) -> Patience {
        let (within, wait) = (self.patience, Duration::from_millis(50));
        Patience { what: what.into(), until: Instant::now() + within, within, wait }
    }
}

/// A good answer, or why to ask again. Fails if it is refused for good.
pub fn answered(asked: anyhow::Result<(StatusCode, Value)>) -> anyhow::Result<Result<Value, String>> {
    match asked {
        Ok((status, value)) if status.is_success() => Ok(Ok(value)),
        Ok((status, value)) if is_passing(status) => Ok(Err(format!("{status}: {value}"))),
        Ok((status, value)) => bail!("answered {status}: {value}"),
        Err(error) => Ok(Err(format!("{error:#}"))),
    }
}

fn is_passing(status: StatusCode) -> bool {
    const PASSING: [StatusCode; 3] = [StatusCode::CONFLICT, StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || PASSING.contains(&status)
}

/// Waits longer from one try to the next, and gives up in the end.
#[derive(Debug)]
pub struct Patience {
    what: String,
    until: Instant,
    within: Duration,
    wait: Duration,
}

impl Patience {
    pub async fn again(&mut self, why: String) -> anyhow::Result<()> {
        if Instant::now() >= self.until {
            bail!("{}: given up after {} s; last: {why}", self.what, self.within.as_secs());
        }
        // no two of many clients in step
        sleep(self.wait.mul_f64(0.5 + rand::random::<f64>())).await;
        self.wait = (self.wait * 3 / 2).min(Duration::from_secs(2));
        Ok(())
    }
}
