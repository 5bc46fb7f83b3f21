//! Who may use the API.

use chrono::{DateTime, Utc};
use domain::TenantId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Store, StoreError};

/// What a token's holder may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    PlatformAdmin,
    /// The tenant's own inventory, and nothing of billing.
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

/// A token to be stored: only its hash is.
pub struct NewToken<'a> {
    /// What it is for, so that it can be told from others.
    pub name: &'a str,
    pub role: &'a Role,
    /// The token itself: long and random, so that a plain SHA-256 cannot be guessed back.
    pub token: &'a str,
}

/// A token as it can be shown: without its secret.
#[derive(Debug, Clone)]
pub struct ApiToken {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    pub created_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Who stands behind a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    pub token_id: Uuid,
    /// The token's name: it stands in the record of what its holder does.
    pub token_name: String,
    pub role: Role,
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}

impl Store {
    pub async fn create_token(&self, new: NewToken<'_>) -> Result<Uuid, StoreError> {
        let id = sqlx::query_scalar!(
            "insert into api_tokens (name, role, tenant_id, token_sha256) values ($1, $2, $3, $4) returning id",
            new.name,
            new.role.name(),
            new.role.tenant().map(TenantId::as_str),
            hash(new.token),
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(id)
    }

    /// Who a token stands for; none if it is unknown or revoked.
    ///
    /// The hash is looked up, never the token: what a comparison's timing gives away is a hash of what the caller sent.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Access>, StoreError> {
        let found = sqlx::query!(
            "select id, name, role, tenant_id from api_tokens where token_sha256 = $1 and revoked_at is null",
            hash(token)
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(found) = found else { return Ok(None) };
        // Once a minute is enough to see which tokens are in use, and spares a write on every request.
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
        }))
    }

    /// All tokens, the newest first.
    pub async fn tokens(&self) -> Result<Vec<ApiToken>, StoreError> {
        let rows = sqlx::query!(
            "select id, name, role, tenant_id, created_at, last_used_at, revoked_at from api_tokens order by created_at desc, id"
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(ApiToken {
                    id: row.id,
                    name: row.name,
                    role: Role::from_columns(&row.role, row.tenant_id)?,
                    created_at: row.created_at,
                    last_used_at: row.last_used_at,
                    revoked_at: row.revoked_at,
                })
            })
            .collect()
    }

    /// Ends a token; one that is revoked already stays as it is.
    pub async fn revoke_token(&self, id: Uuid) -> Result<(), StoreError> {
        let changed = sqlx::query!(
            "update api_tokens set revoked_at = coalesce(revoked_at, now()) where id = $1",
            id
        )
        .execute(&self.pool)
        .await?;
        match changed.rows_affected() {
            0 => Err(StoreError::NotFound { what: "token", id }),
            _ => Ok(()),
        }
    }
}
