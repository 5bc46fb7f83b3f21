//! Who calls, and what they may see.

use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::TenantId;
use secrecy::SecretString;
use store::{Access, Role};
use uuid::Uuid;

use crate::ApiState;
use crate::limits::Turn;
use crate::problem::Problem;
use crate::serving::Peer;

/// Makes a new token: `arc_`, so that a leaked one can be recognised, and 256 random bits, so that none can be guessed.
///
/// Panics where the operating system gives no randomness: nothing could go on safely there.
pub fn generate_token() -> SecretString {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    format!("arc_{}", URL_SAFE_NO_PAD.encode(bytes)).into()
}

/// Whoever holds a valid token.
///
/// Nothing here compares tokens. The database looks up the SHA-256 of what was sent among those of the valid ones, and how long it
/// takes may tell how many leading bits of the two agree. That leads nowhere: to go on from there, somebody would have to find tokens
/// whose hashes begin as they like, and a whole hash still would not say which 256 random bits it is of.
pub(crate) struct Caller {
    access: Access,
    turn: Turn,
}

impl Caller {
    /// The tenant that the caller is confined to; none for an admin.
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
                "the token is unknown or revoked: `arcadia token create` makes one",
            ));
        };
        let turn = attempt.succeeded().await?;
        Ok(Self { access, turn })
    }
}

/// Where a request comes from: the other end of its connection, or behind so many proxies the address that the first of them saw. What
/// stands further left in `x-forwarded-for` the caller may have written himself.
fn address(parts: &Parts, trusted_proxies: usize) -> Option<IpAddr> {
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
    let fields = parts.headers.get_all("x-forwarded-for").iter();
    let told: Vec<&str> = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .collect();
    let seen = told
        .len()
        .checked_sub(trusted_proxies)
        .and_then(|place| told.get(place))
        .and_then(|text| read_address(text.trim()));
    seen.or(peer)
}

/// An address as proxies write it, some with the port.
fn read_address(text: &str) -> Option<IpAddr> {
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    text.parse().ok().or_else(with_port)
}

/// The holder of an admin's token.
pub(crate) struct Admin {
    /// Which token it was, for the log.
    pub(crate) token_id: Uuid,
    /// Its name, for the record of who changed what.
    pub(crate) token_name: String,
    _turn: Turn,
}

impl FromRequestParts<ApiState> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let Caller { access, turn } = Caller::from_request_parts(parts, state).await?;
        match access.role {
            Role::PlatformAdmin => Ok(Self {
                token_id: access.token_id,
                token_name: access.token_name,
                _turn: turn,
            }),
            Role::Tenant(_) => Err(Problem::Forbidden(
                "only a token of the role platform_admin may do this",
            )),
        }
    }
}

fn bearer_token(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let (Some(header), None) = (given.next(), given.next()) else {
        return Err(Problem::Unauthorized(
            "send one header `authorization: Bearer TOKEN`; `arcadia token create` makes a token",
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
            "the authorization header is not of the form `Bearer TOKEN`",
        ))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn an_address_is_believed_as_far_as_proxies_are_trusted() {
        for (proxies, told, expected) in [
            (0, &["192.0.2.1"][..], "10.0.0.1"),
            (1, &["192.0.2.1"], "192.0.2.1"),
            (1, &["198.51.100.1, 192.0.2.1"], "192.0.2.1"),
            (2, &["198.51.100.1, 192.0.2.1", "10.0.0.2"], "192.0.2.1"),
            (1, &["[2001:db8::1]:1234"], "2001:db8::1"),
            (1, &["192.0.2.1:1234"], "192.0.2.1"),
            // Fewer than there should be, or none that can be read: it did not come that way.
            (2, &["192.0.2.1"], "10.0.0.1"),
            (1, &["unknown"], "10.0.0.1"),
            (1, &[], "10.0.0.1"),
        ] {
            let mut request = Request::new(());
            let peer = "10.0.0.1".parse().unwrap();
            request.extensions_mut().insert(Peer(peer));
            for field in told {
                let field = field.parse().unwrap();
                request.headers_mut().append("x-forwarded-for", field);
            }
            let (parts, ()) = request.into_parts();
            let seen = address(&parts, proxies).map(|address| address.to_string());
            assert_eq!(seen.as_deref(), Some(expected), "{proxies} {told:?}");
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
