//! Browser sessions and login links.
//!
//! A session is an opaque random id in a cookie. It refers to the API token that started it, and
//! ends when that token is revoked.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Access, Role, hash};
use crate::{Store, StoreError};

/// A session ends after this time without a request (our rule).
pub const IDLE: TimeDelta = TimeDelta::hours(8);

/// A session ends after this time in any case (our rule).
pub const LIFETIME: TimeDelta = TimeDelta::days(7);

/// How long a login link is valid (our rule).
const LINK_LIFETIME: TimeDelta = TimeDelta::hours(1);

impl Store {
    /// Starts a session for the holder of a token. `session` is its id: long and random.
    ///
    /// Removes the sessions and links that have ended.
    pub async fn start_session(
        &self,
        token_id: Uuid,
        session: &str,
    ) -> Result<DateTime<Utc>, StoreError> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "delete from web_sessions using api_tokens t
             where t.id = token_id
                 and (expires_at < now() or last_seen_at < now() - make_interval(secs => $1) or t.revoked_at is not null)",
            seconds(IDLE)
        )
        .execute(&mut *tx)
        .await?;
        sqlx::query!("delete from login_links where expires_at < now()")
            .execute(&mut *tx)
            .await?;
        let expires_at = sqlx::query_scalar!(
            "insert into web_sessions (session_sha256, token_id, expires_at)
             values ($1, $2, now() + make_interval(secs => $3)) returning expires_at",
            hash(session),
            token_id,
            seconds(LIFETIME)
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(expires_at)
    }

    /// Returns the access of a session; `None` if the session is unknown or has ended.
    pub async fn session(&self, session: &str) -> Result<Option<Access>, StoreError> {
        let found = sqlx::query!(
            r#"select t.id, t.name, t.role, t.tenant_id, t.costs, s.last_seen_at < now() - interval '1 minute' as "is_old!"
               from web_sessions s join api_tokens t on t.id = s.token_id
               where s.session_sha256 = $1 and t.revoked_at is null
                   and s.expires_at > now() and s.last_seen_at > now() - make_interval(secs => $2)"#,
            hash(session),
            seconds(IDLE)
        )
        .fetch_optional(&self.pool)
        .await?;
        let Some(found) = found else { return Ok(None) };
        if found.is_old {
            sqlx::query!(
                "update web_sessions set last_seen_at = now() where session_sha256 = $1",
                hash(session)
            )
            .execute(&self.pool)
            .await?;
        }
        Ok(Some(Access {
            token_id: found.id,
            token_name: found.name,
            role: Role::from_columns(&found.role, found.tenant_id)?,
            costs: found.costs,
        }))
    }

    /// Ends a session; an unknown session is ignored.
    pub async fn end_session(&self, session: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "delete from web_sessions where session_sha256 = $1",
            hash(session)
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Stores a link that logs the holder of a token in, once and within an hour.
    pub async fn create_login_link(&self, token_id: Uuid, code: &str) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into login_links (code_sha256, token_id, expires_at) values ($1, $2, now() + make_interval(secs => $3))",
            hash(code),
            token_id,
            seconds(LINK_LIFETIME)
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Consumes a login link. Returns the id of its token; `None` if the link is unknown, used or
    /// expired, or if its token is revoked.
    pub async fn use_login_link(&self, code: &str) -> Result<Option<Uuid>, StoreError> {
        Ok(sqlx::query_scalar!(
            "delete from login_links using api_tokens t
             where code_sha256 = $1 and t.id = token_id and t.revoked_at is null and expires_at > now() returning token_id",
            hash(code)
        )
        .fetch_optional(&self.pool)
        .await?)
    }
}

fn seconds(time: TimeDelta) -> f64 {
    time.as_seconds_f64()
}
