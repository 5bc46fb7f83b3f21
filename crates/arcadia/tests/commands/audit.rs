//! Commands that change data leave an entry in the audit, and `arcadia doctor` verifies its chain.

use store::Store;
use store::audit::{AuditEntry, AuditFilter};
use tokio::process::Command;

use crate::dev::connection;
use crate::doctor::Healthy;
use crate::doctor::schedules::Namespace;
use crate::support::{arcadia, output, refusal};

/// Returns the entries of a database, the earliest first.
async fn entries(url: &str) -> Vec<AuditEntry> {
    let store = Store::connect(url, 1).await.unwrap();
    let all = store.audit(&AuditFilter::default(), None, 100).await;
    let mut entries = all.unwrap();
    entries.reverse();
    entries
}

#[tokio::test]
async fn token_commands_record_the_user_of_the_operating_system() {
    let database = devstack::testing::database().await;
    let store = Store::connect(&database.url(), 1).await.unwrap();
    store.migrate().await.unwrap();
    let token = |arguments: &[&str]| -> Command {
        let mut command = arcadia(&["token"]);
        command
            .args(arguments)
            .env("DATABASE_URL", database.url())
            .env_remove("SUDO_USER")
            .env("USER", "somebody-else");
        command
    };
    let refused = token(&["create", "--role", "tenant", "--name", "ci"]);
    refusal(refused).await;
    assert_eq!(entries(&database.url()).await, []);

    let create = [
        "create", "--role", "tenant", "--tenant", "acme", "--name", "ci",
    ];
    let reason = ["--reason", "new pipeline"];
    let created = output(token(&[&create[..], &reason[..]].concat())).await;
    let secret = String::from_utf8(created.stdout).unwrap();
    let id = store.tokens().await.unwrap()[0].id.to_string();
    let revoked = output(token(&["revoke", &id])).await;
    assert!(revoked.status.success(), "{revoked:?}");

    let user = Command::new("id").arg("-un").output().await.unwrap();
    let user = String::from_utf8(user.stdout).unwrap();
    let entries = entries(&database.url()).await;
    let found: Vec<_> = entries
        .iter()
        .map(|entry| {
            let (action, object) = (entry.action.as_str(), entry.object_id.as_str());
            assert_eq!(entry.actor, user.trim());
            assert_eq!((&*entry.channel, entry.token_id), ("command", None));
            assert!(!format!("{entry:?}").contains(secret.trim()));
            (action, object, entry.reason.as_deref())
        })
        .collect();
    assert_eq!(
        found,
        [
            ("token_created", &*id, Some("new pipeline")),
            ("token_revoked", &*id, None)
        ]
    );
}

#[tokio::test]
async fn applied_schedules_are_recorded_once_with_their_changes() {
    let namespace = Namespace::create("audit-apply").await;
    let url = namespace.healthy.database.url();
    let before = entries(&url).await.len();
    namespace.apply(&["--dry-run"]).await;
    assert_eq!(entries(&url).await.len(), before);
    namespace.apply(&["--reason", "first installation"]).await;
    namespace.apply(&[]).await;
    let entries = entries(&url).await;
    let [entry] = &entries[before..] else {
        panic!("{entries:?}");
    };
    assert_eq!(entry.action, "schedules_apply_requested");
    assert_eq!(entry.object_id, namespace.name);
    assert_eq!(entry.reason.as_deref(), Some("first installation"));
    let changes = entry.after.as_ref().unwrap();
    assert_eq!(changes["schedules"].as_object().unwrap().len(), 6);
    assert_eq!(changes["schedules"]["poll-balance"], "created");
    assert_eq!(changes["search_attributes"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn doctor_names_the_first_changed_entry() {
    let healthy = Healthy::start().await;
    let mut create = healthy.run("token", &[]);
    create.args(["create", "--role", "platform_admin", "--name", "ann"]);
    assert!(output(create).await.status.success());
    let line = async || {
        let printed = output(healthy.run("doctor", &[])).await.stdout;
        let printed = String::from_utf8(printed).unwrap();
        let line = printed.lines().find(|line| line[6..].starts_with("audit:"));
        line.unwrap().to_owned()
    };
    let intact = line().await;
    assert!(intact.starts_with("ok    audit: "), "{intact}");
    let number = entries(&healthy.database.url()).await.len();
    assert!(intact.contains(&format!("{number} entries")), "{intact}");

    let mut database = connection(&healthy.database.url()).await;
    for statement in [
        "alter table audit_entries disable trigger user",
        "update audit_entries set actor = 'bob' where action = 'token_created'",
    ] {
        sqlx::raw_sql(statement)
            .execute(&mut database)
            .await
            .unwrap();
    }
    let broken = line().await;
    let expected = format!("FAIL  audit: entry {number} was changed");
    assert!(broken.starts_with(&expected), "{broken}");
}
