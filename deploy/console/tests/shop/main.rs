//! The shop window, as a browser without JavaScript sees it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod account;
mod buying;
#[path = "../common/mod.rs"]
mod common;
mod live;
mod order_page;

use common::shopping::*;
use common::{Console, between, issuer, led_to};
use reqwest::Response;
use serde_json::{Value, json};
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, ResponseTemplate};
