//! Authentication of callers by token, and their roles.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::TenantId;
use secrecy::{ExposeSecret as _, SecretString};
use store::{Access, Role};
use uuid::Uuid;

use crate::ApiState;
use crate::limits::Permit;
use crate::problem::Problem;
use crate::serving::Peer;

/// Generates a token: the prefix `arc_`, by which leaked tokens can be recognised, and 256 random
/// bits.
///
/// Panics if the operating system has no random source: there is no safe fallback.
pub fn generate_token() -> SecretString {
    format!("arc_{}", generate_secret().expose_secret()).into()
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
        let address = address(parts, state.trusted_proxies);
        let attempt = state.limiter.attempt(token, address)?;
        let Some(access) = state.store.authenticate(token).await? else {
            attempt.failed();
            return Err(Problem::Unauthorized(
                "unknown or revoked token: create one with `arcadia token create`",
            ));
        };
        let permit = attempt.succeeded().await?;
        Ok(Self { access, permit })
    }
}

/// The address of the client, if it is known.
pub(crate) struct Origin(pub(crate) Option<IpAddr>);

impl FromRequestParts<ApiState> for Origin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Infallible> {
        Ok(Self(address(parts, state.trusted_proxies)))
    }
}

/// Returns the address of the caller: the other end of the connection, or behind trusted proxies
/// the address that the first of them received the request from. Entries further left in
/// `x-forwarded-for` are not trusted, because the caller can set them.
pub(crate) fn address(parts: &Parts, trusted_proxies: usize) -> Option<IpAddr> {
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
    /// Id of the token, for the log.
    pub(crate) token_id: Uuid,
    /// Name of the token, recorded with each change.
    pub(crate) token_name: String,
    _permit: Permit,
}

impl Admin {
    /// Returns the author of the caller's changes.
    pub(crate) fn author(&self) -> Author<'_> {
        Author {
            token_id: self.token_id,
            token_name: &self.token_name,
        }
    }
}

/// The token that makes a change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Author<'a> {
    /// For the log.
    pub(crate) token_id: Uuid,
    /// Recorded with the change.
    pub(crate) token_name: &'a str,
}

impl<'a> From<&'a Access> for Author<'a> {
    fn from(access: &'a Access) -> Self {
        Self {
            token_id: access.token_id,
            token_name: &access.token_name,
        }
    }
}

impl FromRequestParts<ApiState> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let Caller { access, permit } = Caller::from_request_parts(parts, state).await?;
        match access.role {
            Role::PlatformAdmin => Ok(Self {
                token_id: access.token_id,
                token_name: access.token_name,
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
    fn a_generated_token_has_the_prefix_and_256_random_bits() {
        let (first, second) = (generate_token(), generate_token());
        let encoded = first.expose_secret().strip_prefix("arc_").unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(encoded).unwrap().len(), 32);
        assert_ne!(first.expose_secret(), second.expose_secret());
    }
}
