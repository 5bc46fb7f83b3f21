//! Authentication of callers by token, and their roles.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::TenantId;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use store::{Access, Actor, RequestOrigin, Role};

use crate::ApiState;
use crate::limits::Permit;
use crate::problem::Problem;
use crate::serving::Peer;

/// The header with the id of a request, by which the log and the audit are searched.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum length of a request id in the audit: clients may choose their own.
const MAX_REQUEST_ID: usize = 200;

/// Generates a token: the prefix `arc_`, by which leaked tokens can be recognised, 256 random bits,
/// and a checksum.
///
/// Panics if the operating system has no random source: there is no safe fallback.
pub fn generate_token() -> SecretString {
    let text = format!("arc_{}", generate_secret().expose_secret());
    format!("{text}{}", checksum(&text)).into()
}

/// The number of characters of a checksum.
const CHECKSUM: usize = 6;

/// Returns the start of the SHA-256 of a text.
fn checksum(text: &str) -> String {
    let mut encoded = URL_SAFE_NO_PAD.encode(Sha256::digest(text));
    encoded.truncate(CHECKSUM);
    encoded
}

/// Returns false for a text that is not a token of this system: a mistyped or truncated one, or one
/// of another system. It is refused without a lookup.
pub(crate) fn is_well_formed(token: &str) -> bool {
    let length = token.len().checked_sub(CHECKSUM);
    let parts = length.and_then(|length| token.split_at_checked(length));
    parts.is_some_and(|(text, sum)| text.starts_with("arc_") && checksum(text) == sum)
}

/// Generates the id of a session or the code of a login link: 256 random bits.
///
/// Panics if the operating system has no random source.
pub fn generate_secret() -> SecretString {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).expect("the operating system has a random source");
    URL_SAFE_NO_PAD.encode(bytes).into()
}

/// A caller with a valid token of any role.
///
/// No code compares tokens. The database looks up the SHA-256 of the sent token in an index of the
/// valid hashes, and the duration of the lookup can reveal how many leading bits of two hashes are
/// equal. Such a timing attack does not help: the attacker would have to find tokens with chosen
/// leading hash bits, and even a complete hash does not reveal the 256 random bits of its token.
pub(crate) struct Caller {
    access: Access,
    permit: Permit,
}

impl Caller {
    /// Returns the tenant that the caller is restricted to; none for an admin.
    pub(crate) fn tenant(&self) -> Option<&TenantId> {
        self.access.role.tenant()
    }
}

impl FromRequestParts<ApiState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let token = bearer_token(&parts.headers)?;
        let origin = origin(parts, state);
        let attempt = state.limiter.attempt(token, origin.address)?;
        let found = if is_well_formed(token) {
            state.store.authenticate(token).await?
        } else {
            None
        };
        let Some(access) = found else {
            attempt.failed();
            return Err(Problem::Unauthorized(
                "unknown, expired or revoked token: create one with `arcadia token create`",
            ));
        };
        let permit = attempt.succeeded().await?;
        Ok(Self { access, permit })
    }
}

/// The origin of a request, for the audit.
pub(crate) struct Origin(pub(crate) RequestOrigin);

impl FromRequestParts<ApiState> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Infallible> {
        Ok(Self(origin(parts, state)))
    }
}

/// Returns the origin of a request.
pub(crate) fn origin(parts: &Parts, state: &ApiState) -> RequestOrigin {
    let id = parts
        .headers
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok());
    RequestOrigin {
        request_id: id
            .filter(|id| id.len() <= MAX_REQUEST_ID)
            .map(str::to_owned),
        address: address(parts, state.trusted_proxies),
    }
}

/// Returns the address of the caller: the other end of the connection, or behind trusted proxies
/// the address that the first of them received the request from. Entries further left in
/// `x-forwarded-for` are not trusted, because the caller can set them.
fn address(parts: &Parts, trusted_proxies: usize) -> Option<IpAddr> {
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
    let fields = parts.headers.get_all("x-forwarded-for").iter();
    let addresses: Vec<&str> = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .collect();
    let forwarded = addresses
        .len()
        .checked_sub(trusted_proxies)
        .and_then(|index| addresses.get(index))
        .and_then(|text| read_address(text.trim()));
    forwarded.or(peer)
}

/// Parses an address in the formats of proxies, with or without a port.
fn read_address(text: &str) -> Option<IpAddr> {
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    text.parse().ok().or_else(with_port)
}

/// A caller with the role `platform_admin`.
pub(crate) struct Admin {
    /// The author of the caller's changes.
    pub(crate) actor: Actor,
    _permit: Permit,
}

impl FromRequestParts<ApiState> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let Caller { access, permit } = Caller::from_request_parts(parts, state).await?;
        match access.role {
            Role::PlatformAdmin => Ok(Self {
                actor: access.actor(origin(parts, state)),
                _permit: permit,
            }),
            Role::Tenant(_) => Err(Problem::Forbidden(
                "role platform_admin required: use a token with this role",
            )),
        }
    }
}

/// A caller with a token that permits the costs of its tenant.
pub(crate) struct CostReader {
    pub(crate) tenant: TenantId,
    _permit: Permit,
}

impl FromRequestParts<ApiState> for CostReader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let Caller { access, permit } = Caller::from_request_parts(parts, state).await?;
        match access.role {
            Role::Tenant(tenant) if access.costs => Ok(Self {
                tenant,
                _permit: permit,
            }),
            Role::Tenant(_) => Err(Problem::Forbidden(
                "this token may not read costs: use a token that was created with \
                 `arcadia token create --role tenant --tenant TENANT --costs`",
            )),
            Role::PlatformAdmin => Err(Problem::Forbidden(
                "a token of the role platform_admin has no tenant: read the costs of all tenants \
                 at /api/v1/billing/costs, /api/v1/billing/cost-lines and \
                 /api/v1/billing/statements",
            )),
        }
    }
}

fn bearer_token(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(header), None) = (values.next(), values.next()) else {
        return Err(Problem::Unauthorized(
            "expected exactly one authorization header: send `authorization: Bearer TOKEN`; \
             `arcadia token create` creates a token",
        ));
    };
    header
        .to_str()
        .ok()
        .and_then(|header| header.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .filter(|token| !token.is_empty())
        .ok_or(Problem::Unauthorized(
            "invalid authorization header: expected `Bearer TOKEN`",
        ))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn forwarded_addresses_are_used_for_trusted_proxies_only() {
        for (proxies, forwarded, expected) in [
            (0, &["192.0.2.1"][..], "10.0.0.1"),
            (1, &["192.0.2.1"], "192.0.2.1"),
            (1, &["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
            (2, &["198.51.100.1, 192.0.2.1", "10.0.0.2"], "192.0.2.1"),
            (1, &["[2001:db8::1]:1234"], "2001:db8::1"),
            (1, &["192.0.2.1:1234"], "192.0.2.1"),
            // Too few or invalid entries: the request did not pass the trusted proxies.
            (2, &["192.0.2.1"], "10.0.0.1"),
            (1, &["unknown"], "10.0.0.1"),
            (1, &[], "10.0.0.1"),
        ] {
            let mut request = Request::new(());
            let peer = "10.0.0.1".parse().unwrap();
            request.extensions_mut().insert(Peer(peer));
            for field in forwarded {
                let field = field.parse().unwrap();
                request.headers_mut().append("x-forwarded-for", field);
            }
            let (parts, ()) = request.into_parts();
            let found = address(&parts, proxies).map(|address| address.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{proxies} {forwarded:?}");
        }
    }

    #[test]
    fn a_generated_token_has_the_prefix_random_bits_and_a_checksum() {
        let (first, second) = (generate_token(), generate_token());
        let token = first.expose_secret();
        let encoded = &token.strip_prefix("arc_").unwrap()[..43];
        assert_eq!(URL_SAFE_NO_PAD.decode(encoded).unwrap().len(), 32);
        assert_ne!(token, second.expose_secret());
        assert!(is_well_formed(token));
        let mistyped = token.replacen(&encoded[..1], "!", 1);
        for other in [
            &mistyped,
            &token[1..],
            &token[..48],
            "arc_",
            "",
            "ärc_123456",
        ] {
            assert!(!is_well_formed(other), "{other}");
        }
    }
}
