//! API tokens and their roles.

mod web_sessions;

use chrono::{DateTime, Utc};
use domain::TenantId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Store, StoreError};

pub use self::web_sessions::{IDLE, LIFETIME};

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
}

/// A stored token, without its secret.
#[derive(Debug, Clone)]
pub struct ApiToken {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    /// True if a tenant's token may read the costs of that tenant.
    pub costs: bool,
    pub created_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
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
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

impl Store {
    pub async fn create_token(&self, new: NewToken<'_>) -> Result<Uuid, StoreError> {
        let id = sqlx::query_scalar!(
            "insert into api_tokens (name, role, tenant_id, costs, token_sha256) values ($1, $2, $3, $4, $5) returning id",
            new.name,
            new.role.name(),
            new.role.tenant().map(TenantId::as_str),
            new.costs,
            hash(new.token),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(id)
    }

    /// Returns the identity for a token; `None` if it is unknown or revoked.
    ///
    /// Looks up the hash, never the token, so that the timing of comparisons reveals nothing about
    /// stored tokens.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Access>, StoreError> {
        let found = sqlx::query!(
            "select id, name, role, tenant_id, costs from api_tokens where token_sha256 = $1 and revoked_at is null",
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
        }))
    }

    /// Lists all tokens, newest first.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let rows = sqlx::query!(
            "select id, name, role, tenant_id, costs, created_at, last_used_at, revoked_at from api_tokens order by created_at desc, id"
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
                    created_at: row.created_at,
                    last_used_at: row.last_used_at,
                    revoked_at: row.revoked_at,
                })
            })
            .collect()
    }

    /// Revokes a token. If it is already revoked, nothing changes.
    pub async fn revoke_token(&self, id: Uuid) -> Result<(), StoreError> {
        let changed = sqlx::query!(
            "update api_tokens set revoked_at = coalesce(revoked_at, now()) where id = $1",
            id
        )
        .execute(&self.pool)
        .await?;
        match changed.rows_affected() {
            0 => Err(StoreError::NotFound {
                entity: "token",
                id,
            }),
            _ => Ok(()),
        }
    }
}
