//! Where the API is.

use reqwest::Url;

use crate::Error;

const DIGITALOCEAN_HOST: &str = "api.digitalocean.com";

/// The base of the API: `https://api.digitalocean.com`, or another server's, with a path in front if it has one.
#[derive(Debug, Clone)]
pub struct BaseUrl {
    url: Url,
    /// Without a slash at the end and without the `v2` that every path starts with.
    text: String,
}

impl BaseUrl {
    /// DigitalOcean's own.
    pub const DIGITALOCEAN: &str = "https://api.digitalocean.com";

    /// Takes space around it and a slash or `/v2` at its end for nothing; refuses what is no base, without repeating it.
    pub fn parse(given: &str) -> Result<Self, Error> {
        let invalid = |problem: &'static str| Error::InvalidBaseUrl { problem };
        let url = Url::parse(given.trim()).map_err(|_| invalid("it is no URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("it must start with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("it must hold no user name and no password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("it must hold no ? and no #"));
        }
        let text = url.as_str().trim_end_matches('/');
        let text = text.strip_suffix("/v2").unwrap_or(text);
        let text = text.trim_end_matches('/').to_owned();
        Ok(Self { url, text })
    }

    /// Without a slash at the end. Holds no secret.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is DigitalOcean itself, whose limits are known.
    pub fn is_digitaloceans(&self) -> bool {
        let host = self.url.host_str().unwrap_or_default();
        host.trim_end_matches('.') == DIGITALOCEAN_HOST
    }

    pub(crate) fn is_plain_http(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Whether it is on this machine, and so never behind a proxy.
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
    fn a_slash_a_path_and_the_version_at_the_end_are_tolerated() {
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
    fn what_is_no_base_is_refused_without_repeating_its_password() {
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
    fn digitalocean_is_recognised_however_its_address_is_written() {
        let is_digitaloceans = |given: &str| BaseUrl::parse(given).unwrap().is_digitaloceans();
        for given in [
            BaseUrl::DIGITALOCEAN,
            "https://api.digitalocean.com/",
            "https://api.digitalocean.com/v2",
            " https://api.digitalocean.com:443/v2/ ",
            "HTTPS://API.DigitalOcean.com.",
        ] {
            assert!(is_digitaloceans(given), "{given}");
        }
        for given in [
            "https://api.digitalocean.com.example.com",
            "https://example.com/api.digitalocean.com",
            "http://127.0.0.1:8080",
        ] {
            assert!(!is_digitaloceans(given), "{given}");
        }
    }

    #[test]
    fn this_machine_is_recognised() {
        let is_loopback = |given: &str| BaseUrl::parse(given).unwrap().is_loopback();
        assert!(is_loopback("http://127.0.0.1:1"));
        assert!(is_loopback("http://[::1]:1"));
        assert!(is_loopback("http://localhost"));
        assert!(!is_loopback("https://api.digitalocean.com"));
    }
}
