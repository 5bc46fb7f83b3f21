//! Configures the HTTP client: timeouts, TLS, proxies and no redirects.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{ClientBuilder, redirect};

use crate::base_url::BaseUrl;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The timeout from the request to the last byte of the response.
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_mins(1);

/// Creates an HTTP client for a base URL that sends these headers with every request.
pub(crate) fn http_client(
    base: &BaseUrl,
    headers: HeaderMap,
    timeout: Duration,
) -> Result<reqwest::Client, reqwest::Error> {
    http_builder(base, headers, timeout).build()
}

/// Creates the builder of [`http_client`], for callers that add trusted certificates.
pub(crate) fn http_builder(base: &BaseUrl, headers: HeaderMap, timeout: Duration) -> ClientBuilder {
    // Fails if the process has already installed a provider, which is equally good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
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
