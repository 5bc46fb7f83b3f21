//! Browser sessions and login links.
//!
//! A session is an opaque random id in a cookie. It refers to the API token that started it, and
//! ends when that token is revoked or expires.

use chrono::TimeDelta;
use domain::TenantId;
use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Access, Role, hash, object, seconds};
use crate::audit::{self, Act, Action, Object, ObjectType};
use crate::{Actor, RequestOrigin, Store, StoreError};

/// A session ends after this time without a request (our rule).
pub const IDLE: TimeDelta = TimeDelta::hours(8);

/// A session ends after this time in any case (our rule).
pub const LIFETIME: TimeDelta = TimeDelta::days(7);

/// How long a login link is valid (our rule).
const LINK_LIFETIME: TimeDelta = TimeDelta::hours(1);

/// The secret by which a person logs in.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    Token(&'a str),
    /// The code of a login link.
    Link(&'a str),
}

impl Store {
    /// Starts a session for the holder of a token, or of a login link, which it consumes. `session`
    /// is its id: long and random. Returns `None` if the token is not valid, or if the link
    /// is unknown, used or expired, or its token not valid.
    ///
    /// Removes the sessions and links that have ended.
    pub async fn log_in(
        &self,
        credential: Credential<'_>,
        session: &str,
        origin: RequestOrigin,
    ) -> Result<Option<Access>, StoreError> {
        let of_token = match credential {
            Credential::Token(token) => self.authenticate(token).await?,
            Credential::Link(_) => None,
        };
        let mut tx = self.pool.begin().await?;
        let (found, by) = match credential {
            Credential::Token(_) => (of_token, "token"),
            Credential::Link(code) => (use_login_link(&mut tx, code).await?, "login_link"),
        };
        let Some(access) = found else { return Ok(None) };
        remove_ended_sessions(&mut tx).await?;
        let id = sqlx::query_scalar!(
            "insert into web_sessions (session_sha256, token_id, expires_at)
             values ($1, $2, now() + make_interval(secs => $3)) returning id",
            hash(session),
            access.token_id,
            seconds(LIFETIME)
        )
        .fetch_one(&mut *tx)
        .await?;
        let access = Access {
            session_id: Some(id),
            ..access
        };
        let act = Act::new(Action::LoggedIn, Object::new(ObjectType::Session, &id));
        let act = act.after(json!({
            "credential": by,
            "role": access.role.name(),
            "tenant_id": access.role.tenant().map(TenantId::as_str),
        }));
        audit::commit(tx, &access.actor(origin), act).await?;
        Ok(Some(access))
    }

    /// Returns the access of a session; `None` if the session is unknown or has ended.
    pub async fn session(&self, session: &str) -> Result<Option<Access>, StoreError> {
        let found = sqlx::query!(
            r#"select t.id as "id!", t.name as "name!", t.role as "role!", t.tenant_id, t.costs as "costs!", s.id as session_id,
                   s.last_seen_at < now() - interval '1 minute' as "is_old!"
               from web_sessions s join valid_api_tokens t on t.id = s.token_id
               where s.session_sha256 = $1
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
            session_id: Some(found.session_id),
        }))
    }

    /// Ends a session; an unknown session is ignored.
    pub async fn log_out(&self, session: &str, origin: RequestOrigin) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let ended = sqlx::query!(
            "delete from web_sessions using api_tokens t where session_sha256 = $1 and t.id = token_id
             returning web_sessions.id, token_id, t.name",
            hash(session)
        )
        .fetch_optional(&mut *tx)
        .await?;
        let Some(ended) = ended else { return Ok(()) };
        let actor = Actor::of_token(&ended.name, ended.token_id, Some(ended.id), origin);
        let object = Object::new(ObjectType::Session, &ended.id);
        audit::commit(tx, &actor, Act::new(Action::LoggedOut, object)).await
    }

    /// Stores a link that logs the holder of a token in, once and within an hour.
    pub async fn create_login_link(
        &self,
        token_id: Uuid,
        code: &str,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin().await?;
        let name = sqlx::query_scalar!(
            "with link as (
                 insert into login_links (code_sha256, token_id, expires_at) values ($1, $2, now() + make_interval(secs => $3))
             )
             select name from api_tokens where id = $2",
            hash(code),
            token_id,
            seconds(LINK_LIFETIME)
        )
        .fetch_one(&mut *tx)
        .await?;
        let act = Act::new(Action::LoginLinkCreated, object(token_id, &name));
        audit::commit(tx, actor, act).await
    }
}

/// Removes the sessions and login links that have ended, and returns their number.
pub(crate) async fn remove_ended_sessions(tx: &mut PgConnection) -> Result<u64, StoreError> {
    let sessions = sqlx::query!(
        "delete from web_sessions
         where expires_at < now() or last_seen_at < now() - make_interval(secs => $1)
             or not exists (select 1 from valid_api_tokens t where t.id = token_id)",
        seconds(IDLE)
    )
    .execute(&mut *tx)
    .await?;
    let links = sqlx::query!("delete from login_links where expires_at < now()")
        .execute(tx)
        .await?;
    Ok(sessions.rows_affected() + links.rows_affected())
}

/// Consumes a login link. Returns the access of its token; `None` if the link is unknown, used or
/// expired, or if its token is not valid.
async fn use_login_link(tx: &mut PgConnection, code: &str) -> Result<Option<Access>, StoreError> {
    let found = sqlx::query!(
        r#"delete from login_links using valid_api_tokens t
           where code_sha256 = $1 and t.id = token_id and login_links.expires_at > now()
           returning t.id as "id!", t.name as "name!", t.role as "role!", t.tenant_id, t.costs as "costs!""#,
        hash(code)
    )
    .fetch_optional(tx)
    .await?;
    let Some(found) = found else { return Ok(None) };
    Ok(Some(Access {
        token_id: found.id,
        token_name: found.name,
        role: Role::from_columns(&found.role, found.tenant_id)?,
        costs: found.costs,
        session_id: None,
    }))
}
