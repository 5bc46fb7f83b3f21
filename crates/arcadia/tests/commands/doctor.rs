//! `arcadia doctor` names what is wrong with a configuration, each in one line with its cure.

mod digitalocean;
pub(crate) mod schedules;

use std::net::TcpListener;

use devstack::testing::{TestDatabase, unused_address};
use simulator::{Account, DEMO_SPACES_KEY, DEMO_SPACES_SECRET, DEMO_TOKEN, Scopes, Simulator};
use store::Store;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::dev::connection;
use crate::support::{arcadia, output};

pub(crate) const SECRET: &str = "dop_v1_s3cr3t-that-nobody-may-see";

const INTERNAL_PROJECT: &str = "skyai-internal";

/// Servers that lack nothing, and the variables that lead there.
pub(crate) struct Healthy {
    simulator: Simulator,
    variables: Vec<(&'static str, String)>,
    pub(crate) database: TestDatabase,
}

/// The schedules are those of the namespace `default`, which no other test of this process uses.
async fn temporal_with_schedules(database_url: &str) -> String {
    static APPLIED: OnceCell<()> = OnceCell::const_new();
    let address = devstack::testing::temporal().await.address().to_owned();
    let apply = async || {
        let mut apply = arcadia(&["schedules", "apply"]);
        apply
            .env("TEMPORAL_ADDRESS", &address)
            .env("DATABASE_URL", database_url);
        let applied = output(apply).await;
        assert!(applied.status.success(), "{applied:?}");
    };
    APPLIED.get_or_init(apply).await;
    address
}

/// Makes all tests' databases one installation: they share a namespace.
async fn make_same_installation(database: &TestDatabase) {
    let update = "update installation set id = '00000000-0000-4000-8000-000000000001'";
    let mut connection = connection(&database.url()).await;
    sqlx::raw_sql(update)
        .execute(&mut connection)
        .await
        .unwrap();
}

impl Healthy {
    pub(crate) async fn start() -> Self {
        let database = devstack::testing::database().await;
        let store = Store::connect(&database.url(), 1).await.unwrap();
        store.migrate().await.unwrap();
        make_same_installation(&database).await;
        let mut account = Account::everything();
        account.accept_token(SECRET, Scopes::all());
        account.add_project(INTERNAL_PROJECT);
        let simulator = Simulator::start(account).await.unwrap();
        let unused = unused_address().to_string();
        let variables = vec![
            ("DATABASE_URL", database.url()),
            (
                "TEMPORAL_ADDRESS",
                temporal_with_schedules(&database.url()).await,
            ),
            ("DIGITALOCEAN_API_URL", simulator.url()),
            ("DO_API_TOKEN", SECRET.to_owned()),
            ("SPACES_ACCESS_KEY_ID", DEMO_SPACES_KEY.to_owned()),
            ("SPACES_SECRET_ACCESS_KEY", DEMO_SPACES_SECRET.to_owned()),
            ("SPACES_ENDPOINT_URL", simulator.spaces_url()),
            ("ARCADIA_API_BIND", unused),
            (
                "ARCADIA_TEMPORAL_UI_URL",
                "https://temporal.example.com".to_owned(),
            ),
        ];
        Self {
            simulator,
            variables,
            database,
        }
    }

    /// Makes its database one in which that team's resources are.
    pub(crate) async fn mirror_the_team(&self, team_uuid: &str, name: &str) {
        let store = Store::connect(&self.database.url(), 1).await.unwrap();
        let mirrored = store.mirrored_team_or(team_uuid, name).await.unwrap();
        assert_eq!(mirrored.team_uuid, team_uuid);
    }

    /// `arcadia COMMAND` with these variables changed or, where empty, taken away.
    pub(crate) fn run(&self, command: &str, otherwise: &[(&str, &str)]) -> Command {
        let mut command = arcadia(&[command]);
        let variables = self.variables.iter();
        command.envs(variables.map(|(name, value)| (*name, value.as_str())));
        for (name, value) in otherwise {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        command
    }

    /// What the doctor says with these variables, as above.
    async fn says(&self, otherwise: &[(&str, &str)]) -> Said {
        let output = output(self.run("doctor", otherwise)).await;
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

#[tokio::test]
async fn a_configuration_that_lacks_nothing_is_all_ok() {
    let healthy = Healthy::start().await;
    let said = healthy.says(&[]).await;
    assert_eq!(said.status, Some(0), "{:#?}", said.lines);
    for line in &said.lines {
        assert!(line.starts_with("ok    "), "{line}");
    }
    for what in [
        "log:",
        "traces:",
        "settings:",
        "temporal ui:",
        "database:",
        "schema:",
        "temporal:",
        "namespace:",
        "team cloud-billing:",
        "search attributes:",
        "schedules:",
        "token cloud-sync-full:",
        "budget cloud-sync-fast:",
        "scopes cloud-billing:",
        "internal project:",
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

    let address = unused_address().to_string();
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
    let address = unused_address().to_string();
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

    let metrics = ("ARCADIA_METRICS_BIND", address.as_str());
    let said = healthy.says(&[metrics]).await;
    said.only(&["warn  metrics address:", &address, "ARCADIA_METRICS_BIND"]);
}

#[tokio::test]
async fn every_variable_that_a_command_would_stumble_over_is_told() {
    let healthy = Healthy::start().await;
    for (variable, value) in [
        ("ARCADIA_STRIKE_INTERVAL", "soon"),
        ("ARCADIA_QUEUE", "cloud-sync"),
        ("ARCADIA_METRICS_BIND", "9464"),
        ("ARCADIA_API_HTTPS_ONLY", "always"),
        ("ARCADIA_API_REQUESTS_PER_SECOND", "0"),
    ] {
        let said = healthy.says(&[(variable, value)]).await;
        said.only(&["FAIL  settings:", &format!("correct {variable}")]);
    }
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let said = healthy.says(&[endpoint, grpc]).await;
    said.only(&[
        "FAIL  traces:",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "http/protobuf",
    ]);
    let said = healthy.says(&[("ARCADIA_LOG_FORMAT", "jsno")]).await;
    said.only(&["warn  log:", "ARCADIA_LOG_FORMAT is \"jsno\""]);
    let said = healthy.says(&[("RUST_LOG", "info,[")]).await;
    said.only(&["warn  log:", "RUST_LOG"]);
}
