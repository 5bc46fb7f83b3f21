//! Lists the entries of the audit.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Action, ObjectType};
use crate::{Store, StoreError};

/// An entry of the audit: one act of a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// 1, 2, 3 ... in the order of the acts, without gaps.
    pub number: i64,
    pub occurred_at: DateTime<Utc>,
    /// The name of the access token; for `command` the user of the operating system; for `temporal`
    /// the name that the update of the workflow states.
    pub actor: String,
    /// The access token; null for `command` and `temporal`.
    pub token_id: Option<Uuid>,
    /// The session of an act on a page. All acts of a session have the same id.
    pub session_id: Option<Uuid>,
    /// `api`, a request with a token; `page`, a request with a session; `command`, the `arcadia`
    /// program; `temporal`, an update of a workflow.
    pub channel: String,
    #[cfg_attr(feature = "openapi", schema(example = "project_changed"))]
    pub action: String,
    #[cfg_attr(feature = "openapi", schema(example = "project"))]
    pub object_type: String,
    /// The id of the object; for an allocation rule its first month, for a run
    /// `WORKFLOW_ID/RUN_ID`.
    pub object_id: String,
    /// The name of the object at the time of the act; null if it has none.
    pub object_name: Option<String>,
    /// The state of the object before the act; null if there was none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub before: Option<Value>,
    /// The state of the object after the act; null if there is none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub after: Option<Value>,
    /// The reason that the person stated.
    pub reason: Option<String>,
    /// The `x-request-id` of the request; for `temporal` the id of the run.
    pub request_id: Option<String>,
    /// The address of the caller; for `command` the address from which it was connected to the
    /// database. Null if it is unknown.
    pub address: Option<String>,
    /// The hash of the entry before, in hexadecimal digits; null for the first entry.
    pub previous_hash: Option<String>,
    /// SHA-256 of the entry, in hexadecimal digits.
    pub hash: String,
}

/// The conditions of a list of entries; all have to be met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// The name of the actor.
    pub actor: Option<String>,
    pub token_id: Option<Uuid>,
    pub action: Option<Action>,
    pub object_type: Option<ObjectType>,
    /// Together with `object_type`.
    pub object_id: Option<String>,
    pub from: Option<DateTime<Utc>>,
    /// Excluded.
    pub to: Option<DateTime<Utc>>,
}

impl Store {
    /// Lists the entries of the audit, the latest first. `before` is the number of the last entry
    /// of the previous page.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let entries = sqlx::query_as!(
            AuditEntry,
            r#"select number, occurred_at, actor, token_id, session_id, channel, action, object_type, object_id, object_name,
                   before, after, reason, request_id, host(address) as address,
                   encode(previous_hash, 'hex') as previous_hash, encode(hash, 'hex') as "hash!"
               from audit_entries
               where ($1::text is null or actor = $1) and ($2::uuid is null or token_id = $2)
                   and ($3::text is null or action = $3) and ($4::text is null or object_type = $4)
                   and ($5::text is null or object_id = $5)
                   and ($6::timestamptz is null or occurred_at >= $6) and ($7::timestamptz is null or occurred_at < $7)
                   and ($8::bigint is null or number < $8)
               order by number desc limit $9"#,
            filter.actor,
            filter.token_id,
            filter.action.map(Action::name),
            filter.object_type.map(ObjectType::name),
            filter.object_id,
            filter.from,
            filter.to,
            before,
            limit,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(entries)
    }

    /// Lists the names of all actors.
    pub async fn audit_actors(&self) -> Result<Vec<String>, StoreError> {
        let names = sqlx::query_scalar!("select distinct actor from audit_entries order by actor")
            .fetch_all(&self.pool)
            .await?;
        Ok(names)
    }
}
