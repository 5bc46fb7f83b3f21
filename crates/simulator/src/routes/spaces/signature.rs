//! Verifies AWS Signature Version 4 of a request without a body, in the query or in a header, as
//! for S3.

use std::fmt::Write as _;

use axum::{extract::Request, http::header};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// The signature of a request and its parameters.
pub(super) struct Signature {
    pub(super) access_key_id: String,
    pub(super) region: String,
    /// `YYYYMMDD`
    day: String,
    /// `YYYYMMDDTHHMMSSZ`
    moment: String,
    signed_headers: Vec<String>,
    hex: String,
}

impl Signature {
    /// Parses a request's signature. Returns None if it is missing or invalid.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let query = request.uri().query().unwrap_or_default();
        let in_query = |name: &str| {
            let (_, value) = parameters(query).find(|(known, _)| *known == name)?;
            Some(value.replace("%2F", "/").replace("%3B", ";"))
        };
        let (credential, signed_headers, hex, moment) =
            if let Some(credential) = in_query("X-Amz-Credential") {
                (
                    credential,
                    in_query("X-Amz-SignedHeaders")?,
                    in_query("X-Amz-Signature")?,
                    in_query("X-Amz-Date")?,
                )
            } else {
                let header = text_header(request, header::AUTHORIZATION.as_str())?;
                let fields = header.strip_prefix("AWS4-HMAC-SHA256 ")?;
                let field = |name: &str| {
                    let mut fields = fields.split(',');
                    let value = fields.find_map(|field| field.trim().strip_prefix(name))?;
                    Some(value.to_owned())
                };
                (
                    field("Credential=")?,
                    field("SignedHeaders=")?,
                    field("Signature=")?,
                    text_header(request, "x-amz-date")?.to_owned(),
                )
            };
        let scope: Vec<&str> = credential.split('/').collect();
        let [access_key_id, day, region, "s3", "aws4_request"] = scope[..] else {
            return None;
        };
        Some(Self {
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            day: day.to_owned(),
            moment,
            signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
            hex,
        })
    }

    /// Returns true if the request was signed with this secret. The date is not checked.
    pub(super) fn is_by(&self, secret: &str, request: &Request) -> bool {
        let scope = format!("{}/{}/s3/aws4_request", self.day, self.region);
        let to_sign = format!(
            "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
            self.moment,
            hex(&Sha256::digest(self.canonical(request)))
        );
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [&self.day, &self.region, "s3", "aws4_request", &to_sign] {
            key = hmac(&key, part);
        }
        hex(&key) == self.hex
    }

    /// Returns the canonical request, which is signed.
    fn canonical(&self, request: &Request) -> String {
        let uri = request.uri();
        let query = uri.query().unwrap_or_default();
        let mut signed: Vec<(&str, &str)> = parameters(query)
            .filter(|(name, _)| *name != "X-Amz-Signature")
            .collect();
        signed.sort_unstable();
        let signed: Vec<String> = signed
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut canonical = format!(
            "{}\n{}\n{}\n",
            request.method(),
            uri.path(),
            signed.join("&")
        );
        for name in &self.signed_headers {
            let value = text_header(request, name).unwrap_or_default().trim();
            // Writing to a string cannot fail.
            let _ = writeln!(canonical, "{name}:{value}");
        }
        let payload = text_header(request, "x-amz-content-sha256").unwrap_or("UNSIGNED-PAYLOAD");
        let _ = write!(canonical, "\n{}\n{payload}", self.signed_headers.join(";"));
        canonical
    }
}

fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty());
    parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
}

fn text_header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // Keys of any length are valid.
    let Ok(mut hmac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    hmac.update(text.as_bytes());
    hmac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    /// The secret of all examples in the Amazon S3 API Reference.
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn amazons_own_example_in_the_query_is_accepted_and_nothing_else() {
        let uri = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
                   &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
                   &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
                   &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        let of = |uri: &str| {
            let request = Request::get(uri).header("host", "examplebucket.s3.amazonaws.com");
            request.body(Body::empty()).unwrap()
        };
        let request = of(uri);
        let signature = Signature::of(&request).unwrap();
        assert_eq!(signature.access_key_id, "AKIAIOSFODNN7EXAMPLE");
        assert_eq!(signature.region, "us-east-1");
        assert!(signature.is_by(SECRET, &request));
        assert!(!signature.is_by("another", &request));
        assert!(!signature.is_by(SECRET, &of("/other.txt")));
        assert!(Signature::of(&of("/test.txt")).is_none());
    }

    #[test]
    fn amazons_own_example_in_a_header_is_accepted() {
        // "GET Bucket Lifecycle"
        let request = Request::get("/?lifecycle")
            .header("host", "examplebucket.s3.amazonaws.com")
            .header("x-amz-content-sha256", EMPTY)
            .header("x-amz-date", "20130524T000000Z")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
                 SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
                 Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            )
            .body(Body::empty())
            .unwrap();
        let signature = Signature::of(&request).unwrap();
        assert!(signature.is_by(SECRET, &request));
        assert!(!signature.is_by("another", &request));
    }
}
