//! The base URL of an API, validated.

use reqwest::Url;

use crate::Error;

const DIGITALOCEAN_HOST: &str = "api.digitalocean.com";

/// The base URL of an API: `https://api.digitalocean.com` or another server, with an optional path.
#[derive(Debug, Clone)]
pub struct BaseUrl {
    url: Url,
    /// Without a trailing slash and without `/v2`, with which every path starts.
    text: String,
}

impl BaseUrl {
    /// The URL of DigitalOcean's API.
    pub const DIGITALOCEAN: &str = "https://api.digitalocean.com";

    /// Parses a base URL. Ignores surrounding white space and a trailing slash or `/v2`. The error
    /// of an invalid URL does not contain the URL, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |problem: &'static str| Error::InvalidBaseUrl { problem };
        let url = Url::parse(text.trim()).map_err(|_| invalid("it is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("it does not start with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it contains a user name or a password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("it contains a query (?) or a fragment (#)"));
        }
        let base = url.as_str().trim_end_matches('/');
        let base = base.strip_suffix("/v2").unwrap_or(base);
        let text = base.trim_end_matches('/').to_owned();
        Ok(Self { url, text })
    }

    /// Returns the URL without a trailing slash. It contains no secret.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns true for DigitalOcean itself, which has known limits.
    pub fn is_digitalocean(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        host.trim_end_matches('.') == DIGITALOCEAN_HOST
    }

    pub(crate) fn is_plain_http(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Returns true for an address of this machine, which is never behind a proxy.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_slash_and_version_are_removed() {
        for (given, expected) in [
            (
                "https://api.digitalocean.com",
                "https://api.digitalocean.com",
            ),
            (
                "https://api.digitalocean.com/",
                "https://api.digitalocean.com",
            ),
            (
                "https://api.digitalocean.com/v2/",
                "https://api.digitalocean.com",
            ),
            (
                " http://127.0.0.1:8080/mock// ",
                "http://127.0.0.1:8080/mock",
            ),
        ] {
            assert_eq!(BaseUrl::parse(given).unwrap().as_str(), expected, "{given}");
        }
    }

    #[test]
    fn an_invalid_url_is_refused_without_repeating_its_password() {
        for given in [
            "",
            "api.digitalocean.com",
            "ftp://example.com",
            "https://user:hunter2@example.com",
            "https://example.com/?token=hunter2",
            "https://example.com/#hunter2",
        ] {
            let error = BaseUrl::parse(given).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{given}");
            assert!(error.to_string().contains("DIGITALOCEAN_API_URL"));
        }
    }

    #[test]
    fn every_spelling_of_digitaloceans_address_is_recognised() {
        let is_digitalocean = |given: &str| BaseUrl::parse(given).unwrap().is_digitalocean();
        for given in [
            BaseUrl::DIGITALOCEAN,
            "https://api.digitalocean.com/",
            "https://api.digitalocean.com/v2",
            " https://api.digitalocean.com:443/v2/ ",
            "HTTPS://API.DigitalOcean.com.",
        ] {
            assert!(is_digitalocean(given), "{given}");
        }
        for given in [
            "https://api.digitalocean.com.example.com",
            "https://example.com/api.digitalocean.com",
            "http://127.0.0.1:8080",
        ] {
            assert!(!is_digitalocean(given), "{given}");
        }
    }

    #[test]
    fn loopback_addresses_are_recognised() {
        let is_loopback = |given: &str| BaseUrl::parse(given).unwrap().is_loopback();
        assert!(is_loopback("http://127.0.0.1:1"));
        assert!(is_loopback("http://[::1]:1"));
        assert!(is_loopback("http://localhost"));
        assert!(!is_loopback("https://api.digitalocean.com"));
    }
}
