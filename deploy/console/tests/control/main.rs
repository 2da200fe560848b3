//! The control room, as a browser without JavaScript sees it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod heard;
mod letters;
mod money;
mod orders;
mod reconciliation;
mod rooms;

use chrono::{TimeDelta, Utc};
use common::told::{Told, shown, with_empty_services};
use common::{Console, issuer, led_to};
use serde_json::{Value, json};
use uuid::Uuid;
use wiremock::matchers::{body_json, body_string, header_exists, method, path, query_param};
use wiremock::{Mock, ResponseTemplate};

const EVIL: &str = r#"<script>alert("x")</script><img src=x onerror=alert(1)>"#;
