//! API tokens and their roles.

mod web_sessions;

use chrono::{DateTime, TimeDelta, Utc};
use domain::TenantId;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::audit::{self, Act, Action, Object, ObjectType};
use crate::{Actor, RequestOrigin, Store, StoreError};

pub(crate) use self::web_sessions::remove_ended_sessions;
pub use self::web_sessions::{Credential, IDLE, LIFETIME};

/// The permissions of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Full access.
    PlatformAdmin,
    /// Read access to the tenant's own inventory, and to its own costs if the token permits it; no
    /// access to billing.
    Tenant(TenantId),
}

impl Role {
    pub fn name(&self) -> &'static str {
        match self {
            Self::PlatformAdmin => "platform_admin",
            Self::Tenant(_) => "tenant",
        }
    }

    pub fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::PlatformAdmin => None,
            Self::Tenant(tenant) => Some(tenant),
        }
    }

    fn from_columns(role: &str, tenant_id: Option<String>) -> Result<Self, StoreError> {
        match (role, tenant_id) {
            ("platform_admin", None) => Ok(Self::PlatformAdmin),
            ("tenant", Some(tenant)) => tenant
                .parse()
                .map(Self::Tenant)
                .map_err(|error| StoreError::Database(sqlx::Error::Decode(Box::new(error)))),
            (role, _) => Err(StoreError::Database(sqlx::Error::Decode(
                format!("unknown role {role}").into(),
            ))),
        }
    }
}

/// A token to be created. Only its hash is stored.
pub struct NewToken<'a> {
    /// A name that distinguishes the token from others.
    pub name: &'a str,
    pub role: &'a Role,
    /// True if a tenant's token may read the costs of that tenant; false for other roles.
    pub costs: bool,
    /// The secret: long and random, so that its plain SHA-256 hash cannot be reversed by guessing.
    pub token: &'a str,
    /// The time until it expires; `None` if it never does.
    pub lifetime: Option<TimeDelta>,
}

/// The validity of a stored token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    Valid,
    /// Valid, in the last tenth of its lifetime or its last thirty days.
    ExpiresSoon,
    /// Valid until it expires; a rotation created another token.
    Replaced,
    Expired,
    Revoked,
}

impl Validity {
    pub fn name(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::ExpiresSoon => "expires soon",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// Returns true if the token authenticates a caller.
    pub fn is_valid(self) -> bool {
        matches!(self, Self::Valid | Self::ExpiresSoon | Self::Replaced)
    }
}

/// A stored token, without its secret.
#[derive(Debug, Clone)]
pub struct ApiToken {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    /// True if a tenant's token may read the costs of that tenant.
    pub costs: bool,
    /// The first characters of the token.
    pub prefix: String,
    pub created_at: DateTime<Utc>,
    /// `None` for a token that never expires.
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// The token that a rotation created.
    pub replaced_by: Option<Uuid>,
    pub validity: Validity,
}

/// A token that expires soon; see [`Validity::ExpiresSoon`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiringToken {
    pub name: String,
    pub expires_at: DateTime<Utc>,
}

/// The identity of a caller with a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub token_id: Uuid,
    /// The name of the token, recorded with each change that the caller makes.
    pub token_name: String,
    pub role: Role,
    /// True if a tenant's token may read the costs of that tenant.
    pub costs: bool,
    /// The session of a caller on a page; none if the token itself was sent.
    pub session_id: Option<Uuid>,
}

impl Access {
    /// Returns the caller as the author of an act.
    pub fn actor(&self, origin: RequestOrigin) -> Actor {
        Actor::of_token(&self.token_name, self.token_id, self.session_id, origin)
    }
}

/// Returns a token as the object of an act.
fn object(id: Uuid, name: &str) -> Object {
    Object::new(ObjectType::Token, &id).named(name)
}

/// The state of a token for the audit, without its secret and its hash.
#[derive(Debug, Clone, Serialize)]
struct State {
    role: String,
    tenant_id: Option<String>,
    costs: bool,
    expires_at: Option<DateTime<Utc>>,
    replaced_by: Option<Uuid>,
    is_revoked: bool,
}

/// Locks a token until the end of the transaction, and returns its name and its state.
async fn lock(tx: &mut PgConnection, id: Uuid) -> Result<(String, State), StoreError> {
    let found = sqlx::query!(
        r#"select name, role, tenant_id, costs, expires_at, replaced_by, revoked_at is not null as "is_revoked!"
           from api_tokens where id = $1 for no key update"#,
        id
    )
    .fetch_optional(tx)
    .await?
    .ok_or(StoreError::NotFound {
        entity: "token",
        id,
    })?;
    let state = State {
        role: found.role,
        tenant_id: found.tenant_id,
        costs: found.costs,
        expires_at: found.expires_at,
        replaced_by: found.replaced_by,
        is_revoked: found.is_revoked,
    };
    Ok((found.name, state))
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

/// The number of characters of a token that lists show.
const PREFIX: usize = 10;

fn prefix(token: &str) -> String {
    token.chars().take(PREFIX).collect()
}

impl Store {
    pub async fn create_token(&self, new: NewToken<'_>, actor: &Actor) -> Result<Uuid, StoreError> {
        let (role, tenant) = (new.role.name(), new.role.tenant().map(TenantId::as_str));
        let mut tx = self.pool.begin().await?;
        let created = sqlx::query!(
            "insert into api_tokens (name, role, tenant_id, costs, token_sha256, token_prefix, expires_at)
             values ($1, $2, $3, $4, $5, $6, now() + make_interval(secs => $7)) returning id, expires_at",
            new.name,
            role,
            tenant,
            new.costs,
            hash(new.token),
            prefix(new.token),
            new.lifetime.map(seconds),
        )
        .fetch_one(&mut *tx)
        .await?;
        let created_state = State {
            role: role.to_owned(),
            tenant_id: tenant.map(str::to_owned),
            costs: new.costs,
            expires_at: created.expires_at,
            replaced_by: None,
            is_revoked: false,
        };
        let act = Act::new(Action::TokenCreated, object(created.id, new.name));
        let act = act.after(audit::state(&created_state)?);
        audit::commit(tx, actor, act).await?;
        Ok(created.id)
    }

    /// Creates a token with the name and the access of a valid one, which stays valid for
    /// `overlap`, but not longer than before.
    pub async fn rotate_token(
        &self,
        id: Uuid,
        token: &str,
        lifetime: Option<TimeDelta>,
        overlap: TimeDelta,
        actor: &Actor,
    ) -> Result<Uuid, StoreError> {
        let mut tx = self.pool.begin().await?;
        // Locked, so that one of two rotations at once is refused.
        let (name, before) = lock(&mut tx, id).await?;
        if let Some(successor) = before.replaced_by {
            return Err(StoreError::Rotated { id, successor });
        }
        let new = sqlx::query_scalar!(
            "insert into api_tokens (name, role, tenant_id, costs, token_sha256, token_prefix, expires_at)
             select name, role, tenant_id, costs, $2, $3, now() + make_interval(secs => $4) from valid_api_tokens where id = $1
             returning id",
            id,
            hash(token),
            prefix(token),
            lifetime.map(seconds),
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or(StoreError::InvalidToken { id })?;
        let expires_at = sqlx::query_scalar!(
            "update api_tokens set replaced_by = $2, expires_at = least(expires_at, now() + make_interval(secs => $3))
             where id = $1 returning expires_at",
            id,
            new,
            seconds(overlap),
        )
        .fetch_one(&mut *tx)
        .await?;
        let after = State {
            expires_at,
            replaced_by: Some(new),
            ..before.clone()
        };
        let act = Act::new(Action::TokenRotated, object(id, &name));
        let act = act
            .before(audit::state(&before)?)
            .after(audit::state(&after)?);
        audit::commit(tx, actor, act).await?;
        Ok(new)
    }

    /// Returns the identity for a token; `None` if it is unknown, expired or revoked.
    ///
    /// Looks up the hash, never the token, so that the timing of comparisons reveals nothing about
    /// stored tokens.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Access>, StoreError> {
        let found = sqlx::query!(
            r#"select id as "id!", name as "name!", role as "role!", tenant_id, costs as "costs!"
               from valid_api_tokens where token_sha256 = $1"#,
            hash(token)
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(found) = found else { return Ok(None) };
        // Updating `last_used_at` once a minute is precise enough and avoids a write on every
        // request.
        sqlx::query!(
            "update api_tokens set last_used_at = now()
             where id = $1 and (last_used_at is null or last_used_at < now() - interval '1 minute')",
            found.id
        )
        .execute(&self.pool)
        .await?;
        Ok(Some(Access {
            token_id: found.id,
            token_name: found.name,
            role: Role::from_columns(&found.role, found.tenant_id)?,
            costs: found.costs,
            session_id: None,
        }))
    }

    /// Lists all tokens, newest first.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let rows = sqlx::query!(
            r#"select token.id, token.name, token.role, token.tenant_id, token.costs, token.token_prefix, token.created_at,
                   token.expires_at, token.last_used_at, token.revoked_at, token.replaced_by,
                   valid.id is not null as "is_valid!", valid.expires_soon as "expires_soon?"
               from api_tokens token left join valid_api_tokens valid on valid.id = token.id
               order by token.created_at desc, token.id"#
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ApiToken {
                    id: row.id,
                    name: row.name,
                    role: Role::from_columns(&row.role, row.tenant_id)?,
                    costs: row.costs,
                    prefix: row.token_prefix,
                    created_at: row.created_at,
                    expires_at: row.expires_at,
                    last_used_at: row.last_used_at,
                    revoked_at: row.revoked_at,
                    replaced_by: row.replaced_by,
                    validity: match (row.revoked_at, row.is_valid, row.replaced_by) {
                        (Some(_), ..) => Validity::Revoked,
                        (None, false, _) => Validity::Expired,
                        (None, true, Some(_)) => Validity::Replaced,
                        (None, true, None) if row.expires_soon == Some(true) => {
                            Validity::ExpiresSoon
                        }
                        (None, true, None) => Validity::Valid,
                    },
                })
            })
            .collect()
    }

    /// Revokes a token, which ends its sessions. If it is already revoked, nothing changes.
    pub async fn revoke_token(&self, id: Uuid, actor: &Actor) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let (name, before) = lock(&mut tx, id).await?;
        sqlx::query!(
            "update api_tokens set revoked_at = now() where id = $1 and revoked_at is null",
            id
        )
        .execute(&mut *tx)
        .await?;
        let after = State {
            is_revoked: true,
            ..before.clone()
        };
        let act = Act::new(Action::TokenRevoked, object(id, &name));
        let act = act
            .before(audit::state(&before)?)
            .after(audit::state(&after)?);
        audit::commit(tx, actor, act).await
    }

    /// Lists the tokens that expire soon, the next one first.
    pub async fn expiring_tokens(&self) -> Result<Vec<ExpiringToken>, StoreError> {
        expiring_tokens(&self.pool).await
    }
}

fn seconds(time: TimeDelta) -> f64 {
    time.as_seconds_f64()
}

/// Reads the result of [`Store::expiring_tokens`].
pub(crate) async fn expiring_tokens(
    executor: impl PgExecutor<'_>,
) -> Result<Vec<ExpiringToken>, StoreError> {
    let tokens = sqlx::query_as!(
        ExpiringToken,
        r#"select name as "name!", expires_at as "expires_at!" from valid_api_tokens
           where expires_soon order by expires_at, id"#
    )
    .fetch_all(executor)
    .await?;
    Ok(tokens)
}
