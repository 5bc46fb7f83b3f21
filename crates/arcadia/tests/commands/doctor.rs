//! `arcadia doctor` reports each problem of a configuration in one line with its fix.

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

pub(crate) const SECRET: &str = "dop_v1_s3cr3t-never-shown";

const INTERNAL_PROJECT: &str = "skyai-internal";

/// Servers without problems, and the variables of their addresses and credentials.
pub(crate) struct Healthy {
    simulator: Simulator,
    variables: Vec<(&'static str, String)>,
    pub(crate) database: TestDatabase,
}

/// Returns the address of Temporal after applying the schedules in the namespace `default`, which
/// no other test of this process uses.
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

/// Gives all tests' databases the same installation id, because they share a namespace.
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

    /// Registers a team as the one that the database mirrors.
    pub(crate) async fn mirror_the_team(&self, team_uuid: &str, name: &str) {
        let store = Store::connect(&self.database.url(), 1).await.unwrap();
        let mirrored = store.mirrored_team_or(team_uuid, name).await.unwrap();
        assert_eq!(mirrored.team_uuid, team_uuid);
    }

    /// Returns `arcadia COMMAND` with these variables changed, or removed if empty.
    pub(crate) fn run(&self, command: &str, changes: &[(&str, &str)]) -> Command {
        let mut command = arcadia(&[command]);
        let variables = self.variables.iter();
        command.envs(variables.map(|(name, value)| (*name, value.as_str())));
        for (name, value) in changes {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        command
    }

    /// Runs `arcadia doctor` with these variables changed, and returns its report.
    async fn report(&self, changes: &[(&str, &str)]) -> Report {
        let output = output(self.run("doctor", changes)).await;
        let lines = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        for secret in [SECRET, DEMO_SPACES_SECRET, DEMO_TOKEN] {
            assert!(
                !lines.contains(secret) && !errors.contains(secret),
                "{lines}{errors}"
            );
        }
        let report = Report {
            lines: lines.lines().map(str::to_owned).collect(),
            status: output.status.code(),
        };
        let has_failed = report.lines.iter().any(|line| line.starts_with("FAIL"));
        let expected = Some(i32::from(has_failed));
        assert_eq!(report.status, expected, "{lines}{errors}");
        report
    }
}

struct Report {
    lines: Vec<String>,
    status: Option<i32>,
}

impl Report {
    /// Returns the lines that are not ok.
    fn problems(&self) -> Vec<&String> {
        let lines = self.lines.iter();
        lines.filter(|line| !line.starts_with("ok")).collect()
    }

    /// Asserts that exactly one line is not ok, and that it contains these parts.
    fn has_only(&self, expected: &[&str]) {
        let problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        for part in expected {
            assert!(problems[0].contains(part), "no {part:?} in {}", problems[0]);
        }
    }
}

#[tokio::test]
async fn a_complete_configuration_is_all_ok() {
    let healthy = Healthy::start().await;
    let report = healthy.report(&[]).await;
    assert_eq!(report.status, Some(0), "{:#?}", report.lines);
    for line in &report.lines {
        assert!(line.starts_with("ok    "), "{line}");
    }
    for check in [
        "log:",
        "traces:",
        "settings:",
        "temporal ui:",
        "database:",
        "schema:",
        "audit:",
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
        let lines = report.lines.iter();
        let lines = lines.filter(|line| line[6..].starts_with(check));
        assert_eq!(lines.count(), 1, "{check} {:#?}", report.lines);
    }
}

#[tokio::test]
async fn an_unset_unreachable_or_empty_database_is_reported() {
    let healthy = Healthy::start().await;
    let report = healthy.report(&[("DATABASE_URL", "")]).await;
    report.has_only(&["FAIL  database:", "set DATABASE_URL"]);

    let address = unused_address().to_string();
    let url = format!("postgres://arcadia:{SECRET}@{address}/arcadia");
    let report = healthy.report(&[("DATABASE_URL", &url)]).await;
    report.has_only(&["FAIL  database:", &address]);

    let empty = devstack::testing::database().await;
    let report = healthy.report(&[("DATABASE_URL", &empty.url())]).await;
    report.has_only(&["FAIL  schema:", "run `arcadia migrate`"]);
}

#[tokio::test]
async fn an_unreachable_temporal_or_a_missing_namespace_is_reported() {
    let healthy = Healthy::start().await;
    let address = unused_address().to_string();
    let report = healthy.report(&[("TEMPORAL_ADDRESS", &address)]).await;
    report.has_only(&["FAIL  temporal:", &address, "set TEMPORAL_ADDRESS"]);

    let report = healthy.report(&[("TEMPORAL_NAMESPACE", "elsewhere")]).await;
    report.has_only(&[
        "FAIL  namespace:",
        "temporal operator namespace create --namespace elsewhere",
    ]);
}

#[tokio::test]
async fn the_addresses_of_the_api_its_metrics_and_the_ui_are_checked() {
    let healthy = Healthy::start().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    healthy
        .report(&[("ARCADIA_API_BIND", &address)])
        .await
        .has_only(&["warn  api address:", &address, "ARCADIA_API_BIND"]);

    // An address reserved for documentation, which no machine has.
    healthy
        .report(&[("ARCADIA_API_BIND", "192.0.2.1:8080")])
        .await
        .has_only(&["FAIL  api address:", "192.0.2.1:8080", "ARCADIA_API_BIND"]);

    healthy
        .report(&[("ARCADIA_TEMPORAL_UI_URL", "")])
        .await
        .has_only(&["warn  temporal ui:", "ARCADIA_TEMPORAL_UI_URL"]);

    let metrics = ("ARCADIA_METRICS_BIND", address.as_str());
    let report = healthy.report(&[metrics]).await;
    report.has_only(&["warn  metrics address:", &address, "ARCADIA_METRICS_BIND"]);
}

#[tokio::test]
async fn invalid_variables_are_reported() {
    let healthy = Healthy::start().await;
    for (variable, value) in [
        ("ARCADIA_STRIKE_INTERVAL", "soon"),
        ("ARCADIA_QUEUE", "cloud-sync"),
        ("ARCADIA_METRICS_BIND", "9464"),
        ("ARCADIA_API_HTTPS_ONLY", "always"),
        ("ARCADIA_API_REQUESTS_PER_SECOND", "0"),
    ] {
        let report = healthy.report(&[(variable, value)]).await;
        report.has_only(&["FAIL  settings:", &format!("correct {variable}")]);
    }
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let report = healthy.report(&[endpoint, grpc]).await;
    report.has_only(&[
        "FAIL  traces:",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "http/protobuf",
    ]);
    let report = healthy.report(&[("ARCADIA_LOG_FORMAT", "jsno")]).await;
    report.has_only(&["warn  log:", "ARCADIA_LOG_FORMAT", "\"jsno\""]);
    let report = healthy.report(&[("RUST_LOG", "info,[")]).await;
    report.has_only(&["warn  log:", "RUST_LOG"]);
}
