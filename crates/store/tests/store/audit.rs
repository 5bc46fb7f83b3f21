//! The audit: one entry for each act, in its transaction, in a chain.

mod protection;

use chrono::{DateTime, TimeDelta, Utc};
use domain::costs::AllocationRule;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use store::access::Credential;
use store::audit::{Action, AuditEntry, AuditFilter, ChainBreak, ObjectType, RunRequest};
use store::inventory::{Commit, Decision, OverrideChange};
use store::projects::ProjectChange;
use store::{Actor, NewToken, RequestOrigin, Role, Run, Store, StoreError};
use uuid::Uuid;

use super::bills::{APRIL, april_lines, header, ingest};
use super::held_deletions::lose_droplets;
use super::support::{Fixture, by, fixture, project};

/// Every act of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Assign,
    Override,
    Match,
    Withdraw,
    Rule,
    Decide,
    CreateToken,
    RotateToken,
    RevokeToken,
    CreateLink,
    LogIn,
    LogInByLink,
    LogOut,
    RequestRun,
    StartRun,
    ApplySchedules,
    Purge,
}

use Act::{
    ApplySchedules, Assign, CreateLink, CreateToken, Decide, LogIn, LogInByLink, LogOut, Match,
    Override, Purge, RequestRun, RevokeToken, RotateToken, Rule, StartRun, Withdraw,
};

/// In an order in which each changes something.
const ACTS: [(Act, Action, ObjectType); 17] = [
    (Assign, Action::ProjectChanged, ObjectType::Project),
    (
        Override,
        Action::ResourceOverrideChanged,
        ObjectType::Resource,
    ),
    (Match, Action::CostLineMatchOverridden, ObjectType::CostLine),
    (
        Withdraw,
        Action::CostLineMatchWithdrawn,
        ObjectType::CostLine,
    ),
    (Rule, Action::AllocationRuleSet, ObjectType::AllocationRule),
    (
        Decide,
        Action::HeldDeletionApproved,
        ObjectType::HeldDeletion,
    ),
    (CreateToken, Action::TokenCreated, ObjectType::Token),
    (LogIn, Action::LoggedIn, ObjectType::Session),
    (LogOut, Action::LoggedOut, ObjectType::Session),
    (CreateLink, Action::LoginLinkCreated, ObjectType::Token),
    (LogInByLink, Action::LoggedIn, ObjectType::Session),
    (RotateToken, Action::TokenRotated, ObjectType::Token),
    (RevokeToken, Action::TokenRevoked, ObjectType::Token),
    (RequestRun, Action::RunRequested, ObjectType::Schedule),
    (StartRun, Action::RunStarted, ObjectType::Run),
    (
        ApplySchedules,
        Action::SchedulesApplyRequested,
        ObjectType::Namespace,
    ),
    (Purge, Action::SecretPurged, ObjectType::Inventory),
];

const SECRET: &str = "arc_secret-of-a-test";
const SESSION: &str = "session-of-a-test";
const CODE: &str = "code-of-a-test";

/// An account with an object for each act.
struct World {
    fixture: Fixture,
    project: Uuid,
    resource: Uuid,
    line: Uuid,
    hold: Uuid,
    /// A token that is not revoked, and has the secret.
    token: Uuid,
}

impl World {
    async fn new() -> Self {
        let fixture = fixture().await;
        fixture.sweep_projects(&[project(1, "web")]).await;
        let hold = lose_droplets(&fixture, 40, 28).await.held.unwrap().id;
        let invoice = [header(1, "2026-04", -99_501)];
        fixture.discover_invoices(&invoice).await.unwrap();
        ingest(&fixture, 1, APRIL).await;
        let token = NewToken {
            name: "ann's token",
            role: &Role::PlatformAdmin,
            costs: false,
            token: SECRET,
            lifetime: None,
        };
        let token = fixture.create_token(token, &by("ann")).await.unwrap();
        // Notes the use of the token: not an act.
        fixture.authenticate(SECRET).await.unwrap();
        Self {
            project: fixture.project_row("web").await,
            resource: fixture.resource("1").await.id,
            line: april_lines(&fixture).await[0].id,
            hold,
            token,
            fixture,
        }
    }

    /// Performs an act; `variant` makes repeated acts differ.
    async fn perform(&self, act: Act, variant: u32, commit: Commit) -> Result<(), StoreError> {
        let store: &Store = &self.fixture;
        let ann = by("ann").because(Some("by mail".to_owned()));
        let tenant = Some(Some(format!("tenant-{variant}").parse().unwrap()));
        match act {
            Assign => {
                let change = ProjectChange {
                    tenant_id: tenant,
                    ..ProjectChange::default()
                };
                let changed = store.change_project(self.project, &change, &ann, commit);
                changed.await.map(drop)
            }
            Override => {
                let change = OverrideChange {
                    tenant_id: tenant,
                    ..OverrideChange::default()
                };
                let changed = store.change_override(self.resource, &change, &ann, commit);
                changed.await.map(drop)
            }
            Match => {
                let resource = Some(self.resource);
                let changed = store.override_match(self.line, resource, true, &ann, commit);
                changed.await.map(drop)
            }
            Withdraw => {
                let changed = store.withdraw_override(self.line, &ann, commit);
                changed.await.map(drop)
            }
            Rule => {
                let month = "2026-04-01".parse().unwrap();
                let rule = AllocationRule::Even;
                let changed = store.set_allocation_rule(month, &rule, &ann, commit);
                changed.await.map(drop)
            }
            Decide => {
                let decided = store.decide_held_deletion(self.hold, Decision::Approve, &ann);
                decided.await.map(drop)
            }
            CreateToken => {
                let token = format!("arc_{variant}");
                let new = NewToken {
                    name: "created",
                    role: &Role::Tenant("acme".parse().unwrap()),
                    costs: true,
                    token: &token,
                    lifetime: None,
                };
                store.create_token(new, &ann).await.map(drop)
            }
            RotateToken => {
                let (token, day) = (format!("arc_rotated-{variant}"), TimeDelta::days(1));
                let rotated = store.rotate_token(self.token, &token, Some(day), day, &ann);
                rotated.await.map(drop)
            }
            RevokeToken => store.revoke_token(self.token, &ann).await,
            CreateLink => {
                let code = format!("{CODE}-{variant}");
                store.create_login_link(self.token, &code, &ann).await
            }
            LogIn | LogInByLink => {
                let code = format!("{CODE}-{variant}");
                let (credential, session) = match act {
                    LogIn => (Credential::Token(SECRET), format!("{SESSION}-{variant}")),
                    _ => (
                        Credential::Link(&code),
                        format!("{SESSION}-by-link-{variant}"),
                    ),
                };
                let access = store.log_in(credential, &session, RequestOrigin::default());
                access.await.map(|access| assert!(access.is_some()))
            }
            LogOut => {
                let session = format!("{SESSION}-{variant}");
                store.log_out(&session, RequestOrigin::default()).await
            }
            RequestRun => {
                let request = RunRequest::Schedule("sync-projects");
                store.record_run_request(request, &ann).await
            }
            StartRun => {
                let run = self.fixture.new_run();
                store.record_run_start(&run, &ann).await
            }
            ApplySchedules => {
                let changes = json!({ "schedules": { "poll-balance": "created" } });
                store
                    .record_schedule_changes("default", changes, &ann)
                    .await
            }
            Purge => store.purge_secret("a-leaked-secret", &ann).await.map(drop),
        }
    }

    /// Returns the state of the object of an act, read apart from the audit; null without an
    /// object.
    async fn state(&self, act: Act) -> Value {
        let store: &Store = &self.fixture;
        match act {
            Assign => {
                let project = store.project(self.project, None).await.unwrap();
                let tenants = store.tenancies(self.project).await.unwrap();
                json!({ "purpose": project.purpose, "tenants": tenants })
            }
            Override => json!({ "overrides": self.overrides().await }),
            Match | Withdraw => {
                json!({ "override": store.override_of(self.line).await.unwrap() })
            }
            Rule => {
                let rules = store.allocation_rules().await.unwrap();
                rules.first().map_or(Value::Null, |stored| {
                    assert_eq!(stored.rule, AllocationRule::Even);
                    json!({
                        "rule": "even", "weights": null, "set_by": stored.set_by, "set_at": stored.set_at,
                    })
                })
            }
            Decide => {
                let hold = store.held_deletion(self.hold).await.unwrap();
                json!({ "state": hold.state, "would_delete": hold.would_delete, "deleted": hold.deleted })
            }
            CreateToken | RotateToken | RevokeToken => {
                let tokens = store.tokens().await.unwrap();
                let found = tokens.iter().find(|token| match act {
                    CreateToken => token.name == "created",
                    _ => token.id == self.token,
                });
                found.map_or(Value::Null, |token| {
                    json!({
                        "role": token.role.name(),
                        "tenant_id": token.role.tenant(),
                        "costs": token.costs,
                        "expires_at": token.expires_at,
                        "replaced_by": token.replaced_by,
                        "is_revoked": token.revoked_at.is_some(),
                    })
                })
            }
            CreateLink | LogIn | LogInByLink | LogOut | RequestRun | StartRun | ApplySchedules
            | Purge => Value::Null,
        }
    }

    async fn overrides(&self) -> Vec<Value> {
        type Row = (
            Option<String>,
            Option<Uuid>,
            DateTime<Utc>,
            Option<DateTime<Utc>>,
            String,
            DateTime<Utc>,
        );
        let rows: Vec<Row> = sqlx::query_as(
            "select tenant_id, cloud_project_id, valid_from, valid_to, set_by, set_at
             from cloud_resource_overrides where resource_id = $1 order by valid_from desc",
        )
        .bind(self.resource)
        .fetch_all(&self.fixture.pool)
        .await
        .unwrap();
        rows.into_iter()
            .map(|(tenant_id, project, valid_from, valid_to, set_by, set_at)| {
                json!({
                    "tenant_id": tenant_id, "cloud_project_id": project, "valid_from": valid_from,
                    "valid_to": valid_to, "set_by": set_by, "set_at": set_at,
                })
            })
            .collect()
    }

    /// Returns the entries after this number, the earliest first.
    async fn entries(&self, after: i64) -> Vec<AuditEntry> {
        let filter = AuditFilter::default();
        let mut entries = self.fixture.audit(&filter, None, 1_000).await.unwrap();
        entries.retain(|entry| entry.number > after);
        entries.reverse();
        entries
    }

    async fn execute(&self, statement: &'static str) {
        let done = sqlx::query(statement).execute(&self.fixture.pool).await;
        done.unwrap();
    }

    /// Returns the contents of all tables.
    async fn contents(&self) -> Vec<(String, Option<String>)> {
        let tables: Vec<String> = sqlx::query_scalar(
            "select table_name::text from information_schema.tables
             where table_schema = 'public' and table_type = 'BASE TABLE' order by 1",
        )
        .fetch_all(&self.fixture.pool)
        .await
        .unwrap();
        let mut contents = Vec::new();
        for table in tables {
            let rows =
                format!("select string_agg(t::text, chr(10) order by t::text) from {table} t");
            let rows = sqlx::query_scalar(AssertSqlSafe(rows));
            let rows = rows.fetch_one(&self.fixture.pool).await.unwrap();
            contents.push((table, rows));
        }
        contents
    }
}

async fn chain(world: &World) -> Option<ChainBreak> {
    world.fixture.verify_audit().await.unwrap().broken_at
}

#[tokio::test]
async fn each_act_has_one_entry_with_the_states_before_and_after() {
    let world = World::new().await;
    let mut last = world.entries(0).await.len().try_into().unwrap();
    for (act, action, object_type) in ACTS {
        let before = world.state(act).await;
        world.perform(act, 1, Commit::Keep).await.unwrap();
        let after = world.state(act).await;
        let entries = world.entries(last).await;
        let [entry] = entries.as_slice() else {
            panic!("{act:?}: {entries:?}");
        };
        last += 1;
        assert_eq!(entry.number, last, "{act:?}");
        assert_eq!(entry.action, action.name(), "{act:?}");
        assert_eq!(entry.object_type, object_type.name(), "{act:?}");
        let has_state = !matches!(act, LogIn | LogInByLink | ApplySchedules | Purge);
        if has_state {
            let recorded = |state: &Option<Value>| state.clone().unwrap_or_default();
            assert_eq!(recorded(&entry.before), before, "{act:?}");
            assert_eq!(recorded(&entry.after), after, "{act:?}");
        }
        let is_session = matches!(act, LogIn | LogInByLink | LogOut);
        let expected = if is_session {
            ("ann's token", "page", None)
        } else {
            ("ann", "command", Some("by mail"))
        };
        let found = (&*entry.actor, &*entry.channel, entry.reason.as_deref());
        assert_eq!(found, expected, "{act:?}");
        assert_eq!(entry.token_id.is_some(), is_session, "{act:?}");
    }
    let covered: Vec<&str> = ACTS.iter().map(|(_, action, _)| action.name()).collect();
    // A rejection differs from an approval in its name only. Overrides without a line are in the
    // tests of the routes (`api/tests/routes/audit/acts.rs`), months in `closes.rs`.
    let elsewhere = [
        Action::HeldDeletionRejected,
        Action::OrphanedOverrideApplied,
        Action::OrphanedOverrideDismissed,
        Action::MonthClosed,
        Action::MonthReopened,
        Action::CorrectionAccepted,
    ];
    for action in Action::ALL {
        assert!(
            elsewhere.contains(action) || covered.contains(&action.name()),
            "{action:?}"
        );
    }
    assert_eq!(chain(&world).await, None);
}

#[tokio::test]
async fn an_update_of_a_workflow_records_the_stated_name_and_the_run() {
    let world = World::new().await;
    let run = Run {
        workflow_id: "held-deletion-1".to_owned(),
        run_id: "run-of-a-test".to_owned(),
    };
    let bob = Actor::of_update("bob", run).because(Some("moved".to_owned()));
    for _repetition in 0..2 {
        let decided = world
            .fixture
            .decide_held_deletion(world.hold, Decision::Reject, &bob);
        assert_eq!(decided.await.unwrap().decided_by.as_deref(), Some("bob"));
    }
    let filter = AuditFilter {
        actor: Some("bob".to_owned()),
        ..AuditFilter::default()
    };
    let entries = world.fixture.audit(&filter, None, 10).await.unwrap();
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}");
    };
    assert_eq!(entry.action, "held_deletion_rejected");
    assert_eq!(entry.channel, "temporal");
    assert_eq!(entry.request_id.as_deref(), Some("run-of-a-test"));
    assert_eq!(entry.reason.as_deref(), Some("moved"));
}

#[tokio::test]
async fn dry_runs_and_acts_without_a_change_leave_no_entry() {
    let world = World::new().await;
    let before = world.entries(0).await.len();
    for act in [Assign, Override, Match, Withdraw, Rule] {
        world.perform(act, 1, Commit::DryRun).await.unwrap();
        assert_eq!(world.entries(0).await.len(), before, "{act:?}");
    }
    // No override to withdraw, and no session to end.
    for act in [Withdraw, LogOut] {
        world.perform(act, 1, Commit::Keep).await.unwrap();
        assert_eq!(world.entries(0).await.len(), before, "{act:?}");
    }
    for act in [Assign, Override, Decide, RevokeToken] {
        world.perform(act, 1, Commit::Keep).await.unwrap();
        let after = world.entries(0).await.len();
        world.perform(act, 1, Commit::Keep).await.unwrap();
        assert_eq!(world.entries(0).await.len(), after, "{act:?}");
    }
}

#[tokio::test]
async fn an_act_without_its_entry_fails_and_changes_nothing() {
    let world = World::new().await;
    for act in [Match, LogIn, CreateLink] {
        world.perform(act, 1, Commit::Keep).await.unwrap();
    }
    // From now on, every entry is refused.
    world
        .execute("alter table audit_entries add constraint refused check (number < 0) not valid")
        .await;
    let before = world.contents().await;
    for (act, ..) in ACTS {
        // Another session and another link; the other acts need the objects from above.
        let variant = if matches!(act, LogIn | CreateLink) {
            2
        } else {
            1
        };
        let acted = world.perform(act, variant, Commit::Keep).await;
        let error = acted.expect_err(&format!("{act:?}"));
        let is_refused = matches!(&error, StoreError::Database(sqlx::Error::Database(error))
            if error.constraint() == Some("refused"));
        assert!(is_refused, "{act:?}: {error}");
        assert_eq!(world.contents().await, before, "{act:?}");
    }
}

#[tokio::test]
async fn an_act_that_fails_leaves_no_entry() {
    let world = World::new().await;
    let before = world.entries(0).await.len();
    let unknown = World {
        project: Uuid::nil(),
        resource: Uuid::nil(),
        hold: Uuid::nil(),
        token: Uuid::nil(),
        ..world
    };
    for act in [Assign, Override, Match, Decide, RevokeToken, CreateLink] {
        let failed = unknown.perform(act, 1, Commit::Keep).await;
        assert!(failed.is_err(), "{act:?}");
    }
    assert_eq!(unknown.entries(0).await.len(), before);
}
