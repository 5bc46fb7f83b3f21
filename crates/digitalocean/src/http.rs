//! The HTTP client.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{ClientBuilder, redirect};

use crate::base_url::BaseUrl;

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// From the request to the last byte of the answer.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// An HTTP client for a base URL that sends these headers with every request.
pub(crate) fn http_client(
    base: &BaseUrl,
    headers: HeaderMap,
    limit: Duration,
) -> Result<reqwest::Client, reqwest::Error> {
    http_builder(base, headers, limit).build()
}

/// The builder of [`http_client`], for callers that add trusted certificates.
pub(crate) fn http_builder(base: &BaseUrl, headers: HeaderMap, limit: Duration) -> ClientBuilder {
    // Fails when the process has chosen its provider already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_LIMIT)
        .timeout(limit)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("arcadia-cloud/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers);
    if base.is_plain_http() {
        // The simulator must be reachable from a machine without CA certificates.
        builder = builder.tls_certs_only([]);
    }
    if base.is_loopback() {
        builder = builder.no_proxy();
    }
    builder
}
