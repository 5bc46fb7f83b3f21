//! `arcadia doctor` names what is wrong with a configuration, each in one line with its cure.

mod digitalocean;

use std::net::TcpListener;

use devstack::testing::TestDatabase;
use simulator::{Account, DEMO_SPACES_KEY, DEMO_SPACES_SECRET, DEMO_TOKEN, Scopes, Simulator};
use store::Store;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::support::{arcadia, output};

const SECRET: &str = "dop_v1_s3cr3t-that-nobody-may-see";

/// Servers that lack nothing, and the variables that lead there.
struct Healthy {
    simulator: Simulator,
    variables: Vec<(&'static str, String)>,
    _database: TestDatabase,
}

/// The schedules are those of the namespace `default`, which no other test of this process uses.
async fn temporal_with_schedules() -> String {
    static APPLIED: OnceCell<()> = OnceCell::const_new();
    let address = devstack::testing::temporal().await.address().to_owned();
    let apply = async || {
        let mut apply = arcadia(&["schedules", "apply"]);
        apply.env("TEMPORAL_ADDRESS", &address);
        let applied = output(apply).await;
        assert!(applied.status.success(), "{applied:?}");
    };
    APPLIED.get_or_init(apply).await;
    address
}

impl Healthy {
    async fn start() -> Self {
        let database = devstack::testing::database().await;
        let store = Store::connect(&database.url(), 1).await.unwrap();
        store.migrate().await.unwrap();
        let mut account = Account::everything();
        account.accept_token(SECRET, Scopes::all());
        let simulator = Simulator::start(account).await.unwrap();
        let free = closed_address();
        let variables = vec![
            ("DATABASE_URL", database.url()),
            ("TEMPORAL_ADDRESS", temporal_with_schedules().await),
            ("DIGITALOCEAN_API_URL", simulator.url()),
            ("DO_API_TOKEN", SECRET.to_owned()),
            ("SPACES_ACCESS_KEY_ID", DEMO_SPACES_KEY.to_owned()),
            ("SPACES_SECRET_ACCESS_KEY", DEMO_SPACES_SECRET.to_owned()),
            ("SPACES_ENDPOINT_URL", simulator.spaces_url()),
            ("ARCADIA_API_BIND", free),
            (
                "ARCADIA_TEMPORAL_UI_URL",
                "https://temporal.example.com".to_owned(),
            ),
        ];
        Self {
            simulator,
            variables,
            _database: database,
        }
    }

    fn doctor(&self, otherwise: &[(&str, &str)]) -> Command {
        let mut doctor = arcadia(&["doctor"]);
        let variables = self.variables.iter();
        doctor.envs(variables.map(|(name, value)| (*name, value.as_str())));
        for (name, value) in otherwise {
            if value.is_empty() {
                doctor.env_remove(name);
            } else {
                doctor.env(name, value);
            }
        }
        doctor
    }

    /// What the doctor says with these variables changed or, where empty, taken away.
    async fn says(&self, otherwise: &[(&str, &str)]) -> Said {
        let output = output(self.doctor(otherwise)).await;
        let lines = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        for secret in [SECRET, DEMO_SPACES_SECRET, DEMO_TOKEN] {
            assert!(
                !lines.contains(secret) && !errors.contains(secret),
                "{lines}{errors}"
            );
        }
        let said = Said {
            lines: lines.lines().map(str::to_owned).collect(),
            status: output.status.code(),
        };
        let has_failed = said.lines.iter().any(|line| line.starts_with("FAIL"));
        assert_eq!(said.status, Some(i32::from(has_failed)), "{lines}{errors}");
        said
    }
}

struct Said {
    lines: Vec<String>,
    status: Option<i32>,
}

impl Said {
    /// Whatever is not ok, which must be this alone.
    fn only(&self, expected: &[&str]) {
        let wrong: Vec<_> = self
            .lines
            .iter()
            .filter(|line| !line.starts_with("ok"))
            .collect();
        assert_eq!(wrong.len(), 1, "{wrong:#?}");
        for part in expected {
            assert!(wrong[0].contains(part), "no {part:?} in {}", wrong[0]);
        }
    }
}

/// `HOST:PORT` where nobody listens.
fn closed_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_configuration_that_lacks_nothing_is_all_ok() {
    let healthy = Healthy::start().await;
    let said = healthy.says(&[]).await;
    assert_eq!(said.status, Some(0));
    for line in &said.lines {
        assert!(line.starts_with("ok    "), "{line}");
    }
    for what in [
        "settings:",
        "temporal ui:",
        "database:",
        "schema:",
        "temporal:",
        "namespace:",
        "search attributes:",
        "schedules:",
        "token cloud-sync-full:",
        "budget cloud-sync-fast:",
        "scopes cloud-billing:",
        "spaces:",
        "api address:",
    ] {
        let lines = said.lines.iter().filter(|line| line[6..].starts_with(what));
        assert_eq!(lines.count(), 1, "{what} {:#?}", said.lines);
    }
}

#[tokio::test]
async fn a_database_that_is_missing_away_or_without_the_schema_is_told() {
    let healthy = Healthy::start().await;
    let said = healthy.says(&[("DATABASE_URL", "")]).await;
    said.only(&["FAIL  database:", "set DATABASE_URL"]);

    let address = closed_address();
    let url = format!("postgres://arcadia:{SECRET}@{address}/arcadia");
    let said = healthy.says(&[("DATABASE_URL", &url)]).await;
    said.only(&["FAIL  database:", &address, "start PostgreSQL there"]);

    let empty = devstack::testing::database().await;
    let said = healthy.says(&[("DATABASE_URL", &empty.url())]).await;
    said.only(&["FAIL  schema:", "run `arcadia migrate`"]);
}

#[tokio::test]
async fn a_temporal_that_is_away_or_lacks_the_namespace_is_told() {
    let healthy = Healthy::start().await;
    let address = closed_address();
    let said = healthy.says(&[("TEMPORAL_ADDRESS", &address)]).await;
    said.only(&["FAIL  temporal:", &address, "set TEMPORAL_ADDRESS"]);

    let said = healthy.says(&[("TEMPORAL_NAMESPACE", "elsewhere")]).await;
    said.only(&[
        "FAIL  namespace:",
        "no namespace elsewhere",
        "temporal operator namespace create --namespace elsewhere",
    ]);
}

#[tokio::test]
async fn missing_search_attributes_and_missing_and_paused_schedules_are_told() {
    let healthy = Healthy::start().await;
    let temporal = devstack::testing::temporal().await;
    let namespace = format!("doctor-{}", std::process::id());
    let cli = async |arguments: &[&str]| {
        let mut cli = Command::new(temporal.cli());
        cli.args(arguments)
            .args(["--address", temporal.address()])
            .env("TEMPORAL_CONFIG_FILE", "/dev/null");
        let output = output(cli).await;
        assert!(output.status.success(), "{output:?}");
    };
    cli(&["operator", "namespace", "create", "--namespace", &namespace]).await;
    let there = [("TEMPORAL_NAMESPACE", namespace.as_str())];
    // A new namespace is known everywhere after some seconds.
    let said = crate::support::eventually("the namespace is known", async || {
        let said = healthy.says(&there).await;
        let is_known = said
            .lines
            .iter()
            .any(|line| line.contains("ok    namespace"))
            && said.lines.iter().any(|line| line.contains("lacks"));
        is_known.then_some(said)
    })
    .await;
    let wrong = |said: &Said| {
        let lines = said.lines.iter().filter(|line| !line.starts_with("ok"));
        lines.cloned().collect::<Vec<_>>()
    };
    let [attributes, schedules] = &wrong(&said)[..] else {
        panic!("{:#?}", said.lines);
    };
    for (line, parts) in [
        (
            attributes,
            &[
                "warn  search attributes:",
                "ArcadiaKind",
                "run `arcadia schedules apply`",
                "temporal operator search-attribute create --namespace doctor-",
                "--name ArcadiaKind --type KeywordList",
            ][..],
        ),
        (
            schedules,
            &[
                "FAIL  schedules:",
                "sync-projects",
                "run `arcadia schedules apply`",
            ],
        ),
    ] {
        for part in parts {
            assert!(line.contains(part), "no {part:?} in {line}");
        }
    }

    let apply = async |arguments: &[&str]| {
        let mut apply = arcadia(&["schedules", "apply"]);
        apply
            .args(arguments)
            .env("TEMPORAL_ADDRESS", temporal.address())
            .env("TEMPORAL_NAMESPACE", &namespace);
        let output = output(apply).await;
        let told = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), told)
    };
    let (status, told) = apply(&["--dry-run"]).await;
    assert_eq!(status, Some(3), "{told}");
    for part in [
        "search attribute ArcadiaKind (KeywordList) would be registered",
        "sync-projects    would be created",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(
        wrong(&healthy.says(&there).await).len(),
        2,
        "it changed something"
    );
    let (status, told) = apply(&[]).await;
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("sync-projects    created"), "{told}");
    let (status, told) = apply(&["--dry-run", "--prune"]).await;
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(told.matches("unchanged").count(), 5, "{told}");
    cli(&[
        "schedule",
        "toggle",
        "--pause",
        "--schedule-id",
        "poll-balance",
        "--reason",
        "test",
        "--namespace",
        &namespace,
    ])
    .await;
    let said = healthy.says(&there).await;
    said.only(&["warn  schedules:", "poll-balance are paused", "--unpause"]);

    // Both an operator's, but only the one is his to decide.
    cli(&[
        "schedule",
        "update",
        "--schedule-id",
        "poll-balance",
        "--interval",
        "2h",
        "--type",
        "PollBalance",
        "--task-queue",
        "cloud-billing",
        "--workflow-id",
        "poll-balance",
        "--namespace",
        &namespace,
    ])
    .await;
    cli(&[
        "schedule",
        "toggle",
        "--pause",
        "--schedule-id",
        "poll-balance",
        "--reason",
        "month end",
        "--namespace",
        &namespace,
    ])
    .await;
    let (status, told) = apply(&["--dry-run"]).await;
    assert_eq!(status, Some(3), "{told}");
    for part in [
        "poll-balance     would be updated, stays paused: month end",
        "    when: every 2 h -> every 1 h, offset 7 min",
        "    search attributes: none -> ",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let (status, told) = apply(&[]).await;
    assert_eq!(status, Some(0), "{told}");
    assert!(
        told.contains("poll-balance     updated, stays paused: month end"),
        "{told}"
    );
    let (_, told) = apply(&[]).await;
    assert_eq!(told.matches("unchanged").count(), 5, "{told}");
    assert!(
        told.contains("unchanged, stays paused: month end"),
        "{told}"
    );
}

#[tokio::test]
async fn the_addresses_of_the_api_and_of_the_ui_are_looked_at() {
    let healthy = Healthy::start().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    healthy
        .says(&[("ARCADIA_API_BIND", &address)])
        .await
        .only(&["warn  api address:", &address, "ARCADIA_API_BIND"]);

    // An address of the documentation, which no machine has.
    healthy
        .says(&[("ARCADIA_API_BIND", "192.0.2.1:8080")])
        .await
        .only(&["FAIL  api address:", "192.0.2.1:8080", "ARCADIA_API_BIND"]);

    healthy
        .says(&[("ARCADIA_TEMPORAL_UI_URL", "")])
        .await
        .only(&["warn  temporal ui:", "ARCADIA_TEMPORAL_UI_URL is not set"]);

    let said = healthy.says(&[("ARCADIA_STRIKE_INTERVAL", "soon")]).await;
    said.only(&["FAIL  settings:", "correct ARCADIA_STRIKE_INTERVAL"]);
}
