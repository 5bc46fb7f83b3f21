//! The audit: the acts of people, each recorded in its own transaction.
//!
//! [`commit`] is the only writer: a transaction of an act ends with it.

mod actor;
mod chain;
mod reads;

use chrono::NaiveDate;
use serde::Serialize;
use serde_json::Value;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use crate::locks::{self, Lock};
use crate::{Run, Store, StoreError, reallocations};

pub use self::actor::{Actor, Channel, RequestOrigin};
pub use self::chain::{AuditChain, ChainBreak, ChainFault};
pub use self::reads::{AuditEntry, AuditFilter};

/// Declares a closed set of names with its Rust variants.
macro_rules! names {
    ($(#[$attribute:meta])* $type:ident { $($variant:ident = $name:literal,)* }) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type {
            $($variant,)*
        }

        impl $type {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Returns the name in the database and in the API.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

names! {
    /// The actions of people.
    Action {
        LoggedIn = "logged_in",
        LoggedOut = "logged_out",
        TokenCreated = "token_created",
        TokenRotated = "token_rotated",
        TokenRevoked = "token_revoked",
        LoginLinkCreated = "login_link_created",
        ProjectChanged = "project_changed",
        ResourceOverrideChanged = "resource_override_changed",
        CostLineMatchOverridden = "cost_line_match_overridden",
        CostLineMatchWithdrawn = "cost_line_match_withdrawn",
        OrphanedOverrideApplied = "orphaned_override_applied",
        OrphanedOverrideDismissed = "orphaned_override_dismissed",
        AllocationRuleSet = "allocation_rule_set",
        HeldDeletionApproved = "held_deletion_approved",
        HeldDeletionRejected = "held_deletion_rejected",
        RunRequested = "run_requested",
        RunStarted = "run_started",
        SchedulesApplyRequested = "schedules_apply_requested",
        SecretPurged = "secret_purged",
        MonthClosed = "month_closed",
        MonthReopened = "month_reopened",
        CorrectionAccepted = "correction_accepted",
    }
}

names! {
    /// The types of objects of an act.
    ObjectType {
        Session = "session",
        Token = "token",
        Project = "project",
        Resource = "resource",
        CostLine = "cost_line",
        AllocationRule = "allocation_rule",
        HeldDeletion = "held_deletion",
        Invoice = "invoice",
        Kind = "kind",
        Schedule = "schedule",
        Run = "run",
        Namespace = "namespace",
        Inventory = "inventory",
        Month = "month",
    }
}

/// The object of an act.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    of_type: ObjectType,
    id: String,
    /// The name at the time of the act, if the object has one.
    name: Option<String>,
}

impl Object {
    pub(crate) fn new(of_type: ObjectType, id: &impl ToString) -> Self {
        Self {
            of_type,
            id: id.to_string(),
            name: None,
        }
    }

    pub(crate) fn named(self, name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..self
        }
    }
}

/// An act to record: an action on an object, with the state of the object before and after it.
#[derive(Debug)]
pub(crate) struct Act {
    action: Action,
    object: Object,
    before: Option<Value>,
    after: Option<Value>,
    /// The reallocation of cost lines that it leaves to the workflow `Reallocate`.
    reallocation: Option<Uuid>,
}

impl Act {
    pub(crate) fn new(action: Action, object: Object) -> Self {
        Self {
            action,
            object,
            before: None,
            after: None,
            reallocation: None,
        }
    }

    pub(crate) fn leaving(self, reallocation: Option<Uuid>) -> Self {
        Self {
            reallocation,
            ..self
        }
    }

    pub(crate) fn before(self, state: Value) -> Self {
        Self {
            before: Some(state),
            ..self
        }
    }

    pub(crate) fn after(self, state: Value) -> Self {
        Self {
            after: Some(state),
            ..self
        }
    }

    /// Returns true if the object is in the same state as before.
    fn changes_nothing(&self) -> bool {
        self.before.is_some() && self.before == self.after
    }
}

/// Encodes a state of an object.
pub(crate) fn state(of: &impl Serialize) -> Result<Value, StoreError> {
    serde_json::to_value(of)
        .map_err(|error| StoreError::Database(sqlx::Error::Encode(error.into())))
}

/// Records an act as an entry of the audit, and commits its transaction. An act that changes
/// nothing leaves no entry.
///
/// The lock of the chain is the last lock of the transaction, because nothing follows but the
/// commit. So acts wait for each other only during the commit, and cannot deadlock here.
pub(crate) async fn commit(
    mut tx: Transaction<'_, Postgres>,
    actor: &Actor,
    act: Act,
) -> Result<(), StoreError> {
    if act.changes_nothing() {
        tx.commit().await?;
        return Ok(());
    }
    locks::acquire(&mut tx, Lock::Audit).await?;
    let Act {
        action,
        object,
        before,
        after,
        reallocation,
    } = act;
    let text = |state: Option<Value>| state.map(|state| state.to_string());
    let address = actor.address().map(|address| address.to_string());
    let entry = sqlx::query!(
        r#"insert into audit_entries (occurred_at, actor, token_id, session_id, channel, action, object_type, object_id,
               object_name, before, after, reason, request_id, address)
           values (clock_timestamp(), $1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10::text::jsonb, $11, $12,
               coalesce($13::text::inet, case when $4 = 'command' then inet_client_addr() end))
           returning number, encode(hash, 'hex') as "hash!""#,
        actor.name(),
        actor.token_id(),
        actor.session_id(),
        actor.channel().name(),
        action.name(),
        object.of_type.name(),
        object.id,
        object.name,
        text(before),
        text(after),
        actor.reason(),
        actor.request_id(),
        address,
    )
    .fetch_one(&mut *tx)
    .await?;
    if let Some(reallocation) = reallocation {
        reallocations::set_audit_entry(&mut tx, reallocation, entry.number).await?;
    }
    tx.commit().await?;
    // The log has the hashes outside the database: they show whether the end of the chain was cut.
    tracing::info!(
        number = entry.number,
        hash = entry.hash,
        actor = actor.name(),
        channel = actor.channel().name(),
        action = action.name(),
        object_type = object.of_type.name(),
        object = object.id,
        "audit entry"
    );
    Ok(())
}

/// The subject of a run that a person requests.
#[derive(Debug, Clone, Copy)]
pub enum RunRequest<'a> {
    /// A run of a schedule.
    Schedule(&'a str),
    /// A sync of one kind.
    Kind(&'a str),
    /// The ingest of an invoice of this month.
    Invoice(Uuid, NaiveDate),
    /// The close of this month.
    Close(NaiveDate),
}

impl Store {
    /// Records that a person requests a run. Must precede the request to Temporal, which is in no
    /// transaction of this database.
    pub async fn record_run_request(
        &self,
        request: RunRequest<'_>,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let object = match request {
            RunRequest::Schedule(id) => Object::new(ObjectType::Schedule, &id),
            RunRequest::Kind(kind) => Object::new(ObjectType::Kind, &kind),
            RunRequest::Invoice(uuid, period) => {
                Object::new(ObjectType::Invoice, &uuid).named(period.format("%Y-%m").to_string())
            }
            RunRequest::Close(period) => Object::new(ObjectType::Month, &period.format("%Y-%m")),
        };
        let tx = self.pool.begin().await?;
        commit(tx, actor, Act::new(Action::RunRequested, object)).await
    }

    /// Records the run that Temporal started, or that was in progress already, for a request.
    pub async fn record_run_start(&self, run: &Run, actor: &Actor) -> Result<(), StoreError> {
        let id = format!("{}/{}", run.workflow_id, run.run_id);
        let object = Object::new(ObjectType::Run, &id);
        let tx = self.pool.begin().await?;
        commit(tx, actor, Act::new(Action::RunStarted, object)).await
    }

    /// Records that a person applies changes of the schedules to a namespace of Temporal. Must
    /// precede the first change.
    pub async fn record_schedule_changes(
        &self,
        namespace: &str,
        changes: Value,
        actor: &Actor,
    ) -> Result<(), StoreError> {
        let object = Object::new(ObjectType::Namespace, &namespace);
        let act = Act::new(Action::SchedulesApplyRequested, object).after(changes);
        let tx = self.pool.begin().await?;
        commit(tx, actor, act).await
    }
}
