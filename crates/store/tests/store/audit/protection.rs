//! The protection of the entries: append-only, and in a chain.

use std::sync::Arc;

use sqlx::error::DatabaseError;
use store::audit::{Action, ChainBreak, ChainFault, ObjectType};
use store::inventory::Commit;

use super::Act::{Assign, CreateToken, LogIn, Match, Override, RequestRun, Rule, StartRun};
use super::{ACTS, World, chain};
use crate::support::{fixture, project};

/// Disables the triggers that protect the entries, as an owner of the table may.
const UNPROTECT: &str = "alter table audit_entries disable trigger user";

#[tokio::test]
async fn entries_are_append_only() {
    let world = World::new().await;
    for statement in [
        "update audit_entries set actor = 'bob'",
        "delete from audit_entries",
        // Reallocations refer to entries.
        "truncate audit_entries cascade",
    ] {
        let refused = sqlx::query(statement).execute(&world.fixture.pool).await;
        let error = refused.unwrap_err();
        let code = error.as_database_error().and_then(DatabaseError::code);
        assert_eq!(code.as_deref(), Some("23001"), "{statement}: {error}");
    }
    assert_eq!(chain(&world).await, None);
}

#[tokio::test]
async fn concurrent_acts_form_one_chain_without_gaps() {
    let world = Arc::new(World::new().await);
    let first = world.entries(0).await.len();
    let repeated = [
        Assign,
        Override,
        Match,
        Rule,
        CreateToken,
        LogIn,
        RequestRun,
        StartRun,
    ];
    let acts = (0..64_u32).map(|number| {
        let (world, act) = (
            Arc::clone(&world),
            repeated[number as usize % repeated.len()],
        );
        tokio::spawn(async move { world.perform(act, number, Commit::Keep).await })
    });
    // Syncs acquire the other locks at the same time.
    let sweeps = (0..8).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            world.fixture.sweep_projects(&[project(1, "web")]).await;
            Ok(())
        })
    });
    let tasks: Vec<_> = acts.chain(sweeps).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let entries = world.entries(0).await;
    assert_eq!(entries.len(), first + 64);
    let expected = 1..=i64::try_from(entries.len()).unwrap();
    assert!(entries.iter().map(|entry| entry.number).eq(expected));
    assert!(entries.is_sorted_by_key(|entry| entry.occurred_at));
    assert_eq!(chain(&world).await, None);
}

#[tokio::test]
async fn a_changed_removed_or_replaced_entry_breaks_the_chain() {
    for (statement, number, fault) in [
        (
            "update audit_entries set reason = 'another' where number = 3",
            3,
            ChainFault::Changed,
        ),
        (
            "update audit_entries set occurred_at = occurred_at + interval '1 microsecond' where number = 3",
            3,
            ChainFault::Changed,
        ),
        (
            "update audit_entries set hash = sha256('x') where number = 3",
            3,
            ChainFault::Changed,
        ),
        (
            "delete from audit_entries where number = 3",
            3,
            ChainFault::Removed,
        ),
        (
            "delete from audit_entries where number <= 2",
            1,
            ChainFault::Removed,
        ),
        (
            "with changed as (
                 update audit_entries entry set actor = 'bob', hash = audit_entry_hash(
                     jsonb_populate_record(entry, '{\"actor\": \"bob\"}'))
                 where number = 3 returning number
             ) select number from changed",
            3,
            ChainFault::Replaced,
        ),
    ] {
        let world = World::new().await;
        for (act, ..) in ACTS.iter().take(4) {
            world.perform(*act, 1, Commit::Keep).await.unwrap();
        }
        assert_eq!(chain(&world).await, None);
        world.execute(UNPROTECT).await;
        world.execute(statement).await;
        let broken = Some(ChainBreak { number, fault });
        assert_eq!(chain(&world).await, broken, "{statement}");
    }
}

#[tokio::test]
async fn the_chain_depends_on_no_setting_and_on_no_later_column() {
    let world = World::new().await;
    world.perform(Assign, 1, Commit::Keep).await.unwrap();
    world
        .execute("alter table audit_entries add column added_later text")
        .await;
    world.perform(Assign, 2, Commit::Keep).await.unwrap();
    let verified = world.fixture.verify_audit().await.unwrap();
    assert_eq!(verified.broken_at, None);
    let mut session = world.fixture.pool.acquire().await.unwrap();
    for setting in [
        "set timezone = 'Asia/Kolkata'",
        "set bytea_output = 'escape'",
        "set datestyle = 'German'",
        "set extra_float_digits = 0",
    ] {
        sqlx::query(setting).execute(&mut *session).await.unwrap();
    }
    let differing: i64 = sqlx::query_scalar(
        "select count(*) from audit_entries entry where hash <> audit_entry_hash(entry)",
    )
    .fetch_one(&mut *session)
    .await
    .unwrap();
    assert_eq!(differing, 0);
}

#[tokio::test]
async fn the_database_has_the_names_of_actions_and_objects() {
    let fixture = fixture().await;
    for (column, names) in [
        (
            "action",
            Action::ALL.iter().map(|one| one.name()).collect::<Vec<_>>(),
        ),
        (
            "object_type",
            ObjectType::ALL.iter().map(|one| one.name()).collect(),
        ),
    ] {
        let constraint: String = sqlx::query_scalar(
            "select pg_get_constraintdef(oid) from pg_constraint where conname = $1",
        )
        .bind(format!("audit_entries_{column}_check"))
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
        let allowed: Vec<&str> = constraint.split('\'').skip(1).step_by(2).collect();
        assert_eq!(allowed, names, "{column}");
    }
}
