//! How a program of ours asks another over HTTP.

use reqwest::{Client, ClientBuilder, RequestBuilder};
use url::{Host, Url};

use crate::trace;

/// A client for this address. A proxy that the environment names is for the world outside, and over plain HTTP nobody's
/// certificate is looked at, of which a small image may hold none.
pub fn builder(url: &Url) -> ClientBuilder {
    let client = Client::builder();
    let client = if is_on_this_machine(url) { client.no_proxy() } else { client };
    if url.scheme() == "http" { client.tls_certs_only([]) } else { client }
}

/// The request with the `traceparent` of the current work, if it runs within a trace, so that whoever answers can tell of it in
/// the same trace.
pub fn traced(request: RequestBuilder) -> RequestBuilder {
    match trace::current_traceparent() {
        Some(traceparent) => request.header("traceparent", traceparent),
        None => request,
    }
}

/// Whether whoever answers there is on this machine.
pub fn is_on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_and_no_name_that_only_looks_like_it() {
        let is_here = |url: &str| is_on_this_machine(&Url::parse(url).unwrap());
        for here in ["http://localhost:1", "http://127.0.0.1:1/x", "https://127.8.8.8", "http://[::1]:1"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in ["http://localhost.example", "http://127.0.0.1.example", "http://10.0.0.1", "http://[::2]"] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
