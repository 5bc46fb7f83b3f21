//! `arcadia doctor` on search attributes and schedules, and `arcadia schedules`, which corrects
//! them.

use super::{Healthy, Report};
use crate::support::{arcadia, eventually, output};
use store::Store;
use tokio::process::Command;

/// A new Temporal namespace without schedules and search attributes, used by one test.
pub(crate) struct Namespace {
    pub(crate) healthy: Healthy,
    pub(crate) name: String,
}

impl Namespace {
    pub(crate) async fn create(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let healthy = Healthy::start().await;
        let namespace = Self { healthy, name };
        namespace.cli("operator namespace create").await;
        // A new namespace is usable after some seconds.
        eventually("the namespace is usable", async || {
            let report = namespace.report().await;
            let has = |part: &str| report.lines.iter().any(|line| line.contains(part));
            (has("ok    namespace") && has("lacks")).then_some(())
        })
        .await;
        namespace
    }

    pub(crate) async fn cli(&self, arguments: &str) {
        let temporal = devstack::testing::temporal().await;
        let mut cli = Command::new(temporal.cli());
        cli.args(arguments.split(' '))
            .args(["--address", temporal.address()])
            .args(["--namespace", &self.name])
            .env("TEMPORAL_CONFIG_FILE", "/dev/null");
        let output = output(cli).await;
        assert!(output.status.success(), "{output:?}");
    }

    /// Runs `arcadia doctor` in this namespace.
    async fn report(&self) -> Report {
        self.healthy
            .report(&[("TEMPORAL_NAMESPACE", &self.name)])
            .await
    }

    /// Runs `arcadia schedules apply` and returns its exit code and stdout.
    pub(crate) async fn apply(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let arguments = [&["apply"], arguments].concat();
        self.schedules(&arguments).await
    }

    /// Runs `arcadia schedules` and returns its exit code and stdout.
    async fn schedules(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let (status, stdout, _) = self
            .schedules_of(&self.healthy.database.url(), arguments)
            .await;
        (status, stdout)
    }

    /// Runs `arcadia schedules` with a database and returns its exit code, stdout and stderr.
    async fn schedules_of(
        &self,
        database_url: &str,
        arguments: &[&str],
    ) -> (Option<i32>, String, String) {
        let temporal = devstack::testing::temporal().await;
        let mut schedules = arcadia(&["schedules"]);
        schedules
            .args(arguments)
            .env("TEMPORAL_ADDRESS", temporal.address())
            .env("TEMPORAL_NAMESPACE", &self.name)
            .env("DATABASE_URL", database_url);
        let output = output(schedules).await;
        let stdout = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), stdout, errors)
    }
}

fn contains_all(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[tokio::test]
async fn missing_search_attributes_and_schedules_are_reported_and_applied() {
    let namespace = Namespace::create("doctor-missing").await;
    let problems = async || -> Vec<String> {
        let lines = namespace.report().await.lines.into_iter();
        lines.filter(|line| !line.starts_with("ok")).collect()
    };
    let found = problems().await;
    let [attributes, schedules] = &found[..] else {
        panic!("{found:#?}");
    };
    contains_all(
        attributes,
        &[
            "warn  search attributes:",
            "ArcadiaKind",
            "run `arcadia schedules apply`",
            "temporal operator search-attribute create --namespace doctor-",
            "--name ArcadiaKind --type KeywordList",
        ],
    );
    contains_all(
        schedules,
        &[
            "FAIL  schedules:",
            "sync-projects",
            "run `arcadia schedules apply`",
        ],
    );

    let (status, stdout) = namespace.apply(&["--dry-run"]).await;
    assert_eq!(status, Some(3), "{stdout}");
    contains_all(
        &stdout,
        &[
            "search attribute ArcadiaKind (KeywordList) would be registered",
            "sync-projects    would be created",
        ],
    );
    assert_eq!(problems().await, found, "the dry run changed something");

    let (status, stdout) = namespace.apply(&[]).await;
    assert_eq!(status, Some(0), "{stdout}");
    contains_all(&stdout, &["sync-projects    created"]);
    let (status, stdout) = namespace.apply(&["--dry-run", "--prune"]).await;
    assert_eq!(status, Some(0), "{stdout}");
    assert_eq!(stdout.matches("unchanged").count(), 6, "{stdout}");
    assert_eq!(problems().await, Vec::<String>::new());
}

#[tokio::test]
async fn apply_keeps_a_pause_and_reverts_other_changes() {
    let namespace = Namespace::create("doctor-paused").await;
    namespace.apply(&[]).await;
    let pause = "schedule toggle --pause --schedule-id poll-balance --reason";
    namespace.cli(&format!("{pause} month-end")).await;
    let report = namespace.report().await;
    report.has_only(&["warn  schedules: paused: poll-balance;", "--unpause"]);

    let update = "schedule update --schedule-id poll-balance --interval 2h --type PollBalance";
    let run = "--task-queue cloud-billing --workflow-id poll-balance";
    namespace.cli(&format!("{update} {run}")).await;
    // The update removed the pause too.
    namespace.cli(&format!("{pause} month-end")).await;
    let (status, stdout) = namespace.apply(&["--dry-run"]).await;
    assert_eq!(status, Some(3), "{stdout}");
    contains_all(
        &stdout,
        &[
            "poll-balance     would be updated, stays paused: month-end",
            "    when: every 2 h -> every 1 h, offset 7 min",
            "    search attributes: none -> ",
        ],
    );
    let (status, stdout) = namespace.apply(&[]).await;
    assert_eq!(status, Some(0), "{stdout}");
    contains_all(
        &stdout,
        &["poll-balance     updated, stays paused: month-end"],
    );
    let (_, stdout) = namespace.apply(&[]).await;
    assert_eq!(stdout.matches("unchanged").count(), 6, "{stdout}");
    contains_all(&stdout, &["unchanged, stays paused: month-end"]);
}

#[tokio::test]
async fn a_schedule_without_remaining_actions_is_reported_and_recreated() {
    let namespace = Namespace::create("doctor-used-up").await;
    namespace.apply(&[]).await;
    let update = "schedule update --schedule-id poll-balance --interval 1s --remaining-actions 1";
    let run = "--type PollBalance --task-queue cloud-billing --workflow-id poll-balance";
    namespace.cli(&format!("{update} {run}")).await;
    let warning = eventually("the only action has been taken", async || {
        let mut lines = namespace.report().await.lines.into_iter();
        lines.find(|line| line.contains("no remaining actions"))
    })
    .await;
    let fix = "temporal schedule delete --schedule-id ID`, then `arcadia schedules apply";
    contains_all(&warning, &["warn  schedules:", "poll-balance", fix]);

    namespace
        .cli("schedule delete --schedule-id poll-balance")
        .await;
    namespace.apply(&[]).await;
    eventually("the schedule is active again", async || {
        let lines = namespace.report().await.lines;
        let is_ok = lines.iter().any(|line| line.starts_with("ok    schedules"));
        is_ok.then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_list_shows_pauses_and_obsolete_schedules() {
    let namespace = Namespace::create("schedules-listed").await;
    namespace.apply(&[]).await;
    let pause = "schedule toggle --pause --schedule-id poll-balance --reason month-end";
    namespace.cli(pause).await;
    let earlier = "schedule create --schedule-id poll-usage --interval 1h --type PollBalance";
    let run = "--task-queue cloud-billing --workflow-id poll-usage";
    let mark = "--schedule-search-attribute ArcadiaPurpose=\"cloud-billing\"";
    namespace.cli(&format!("{earlier} {run} {mark}")).await;
    let stdout = eventually("the schedule is listed", async || {
        let (status, stdout) = namespace.schedules(&["list"]).await;
        assert_eq!(status, Some(0), "{stdout}");
        stdout.contains("poll-usage").then_some(stdout)
    })
    .await;
    let line = |id: &str| stdout.lines().find(|line| line.starts_with(id)).unwrap();
    contains_all(line("poll-balance"), &["paused: month-end, 0 runs"]);
    contains_all(line("sync-projects"), &["active, "]);
    contains_all(
        line("poll-usage"),
        &["obsolete", "`arcadia schedules apply --prune`"],
    );
}

#[tokio::test]
async fn schedules_of_another_installation_are_reported_and_taken_over() {
    let namespace = Namespace::create("schedules-foreign").await;
    namespace.apply(&[]).await;
    let other = devstack::testing::database().await;
    let store = Store::connect(&other.url(), 1).await.unwrap();
    store.migrate().await.unwrap();
    store.mirrored_team_or("a1", "Kestrel").await.unwrap();

    let list = async || {
        let (status, stdout, _) = namespace.schedules_of(&other.url(), &["list"]).await;
        assert_eq!(status, Some(0), "{stdout}");
        stdout
    };
    let listed = list().await;
    let foreign = "belongs to another installation (team unknown, database 00000000-";
    assert_eq!(listed.matches(foreign).count(), 6, "{listed}");
    assert!(
        !listed.contains("run `arcadia schedules apply`"),
        "{listed}"
    );
    for arguments in [
        &["apply"][..],
        &["apply", "--prune"],
        &["apply", "--dry-run"],
    ] {
        let (status, stdout, errors) = namespace.schedules_of(&other.url(), arguments).await;
        assert_eq!(status, Some(1), "{stdout}{errors}");
        assert_eq!(stdout, "");
        contains_all(
            &errors,
            &["sync-projects", "TEMPORAL_NAMESPACE", "--take-over"],
        );
    }
    let url = other.url();
    let report = namespace
        .healthy
        .report(&[
            ("TEMPORAL_NAMESPACE", &namespace.name),
            ("DATABASE_URL", &url),
        ])
        .await;
    let schedules = report
        .lines
        .iter()
        .find(|line| line[6..].starts_with("schedules:"));
    contains_all(
        schedules.unwrap(),
        &["FAIL", "sync-projects", "another installation"],
    );
    let variables = [
        ("TEMPORAL_NAMESPACE", &*namespace.name),
        ("DATABASE_URL", &url),
    ];
    let status = output(namespace.healthy.run("status", &variables)).await;
    assert_eq!(status.status.code(), Some(2));
    let verdict = String::from_utf8(status.stdout).unwrap();
    let reason = "failing   schedule_foreign: sync-projects";
    assert!(verdict.contains(reason), "{verdict}");
    assert!(!verdict.contains("schedule_outdated"), "{verdict}");
    let (_, stdout) = namespace.apply(&["--dry-run"]).await;
    assert_eq!(stdout.matches("unchanged").count(), 6, "{stdout}");
    // An update by the CLI removes the memo of the runs but keeps that of the schedule.
    let update = "schedule update --schedule-id poll-balance --interval 1h --type PollBalance";
    let run = "--task-queue cloud-billing --workflow-id poll-balance";
    namespace.cli(&format!("{update} {run}")).await;
    let listed = list().await;
    assert_eq!(listed.matches(foreign).count(), 6, "{listed}");

    let take_over = ["apply", "--take-over"];
    let (status, stdout, errors) = namespace.schedules_of(&other.url(), &take_over).await;
    assert_eq!(status, Some(0), "{stdout}{errors}");
    assert_eq!(
        stdout.matches("updated, taken over from").count(),
        6,
        "{stdout}"
    );
    assert_eq!(list().await.matches("active, ").count(), 6);
    let (status, stdout) = namespace.apply(&[]).await;
    assert_eq!(status, Some(1), "{stdout}");
}

#[tokio::test]
async fn prune_keeps_the_schedules_of_another_installation() {
    let namespace = Namespace::create("schedules-prune-foreign").await;
    namespace.apply(&[]).await;
    for (id, memo) in [
        ("poll-usage", ""),
        (
            "poll-spend",
            "--schedule-memo ArcadiaInstallation={\"id\":\"00000000-0000-4000-8000-000000000002\"}",
        ),
    ] {
        let create = format!("schedule create --schedule-id {id} --interval 1h --type PollBalance");
        let run = format!("--task-queue cloud-billing --workflow-id {id}");
        let mark = "--schedule-search-attribute ArcadiaPurpose=\"cloud-billing\"";
        let create = format!("{create} {run} {mark} {memo}");
        namespace.cli(create.trim_end()).await;
    }
    eventually("the schedules are listed", async || {
        let (_, stdout) = namespace.schedules(&["list"]).await;
        ["poll-usage", "poll-spend"]
            .iter()
            .all(|id| stdout.contains(id))
            .then_some(())
    })
    .await;
    let (status, stdout) = namespace.apply(&["--prune"]).await;
    assert_eq!(status, Some(0), "{stdout}");
    let line = |id: &str| stdout.lines().find(|line| line.starts_with(id)).unwrap();
    contains_all(line("poll-usage"), &["removed"]);
    contains_all(line("poll-spend"), &["belongs to another installation"]);
    let described = ["schedule", "describe", "--schedule-id", "poll-spend"].join(" ");
    namespace.cli(&described).await;
}

#[tokio::test]
async fn without_a_database_schedules_are_listed_but_not_applied() {
    let healthy = Healthy::start().await;
    let run = |arguments: &[&str]| {
        let mut command = healthy.run("schedules", &[("DATABASE_URL", "")]);
        command.args(arguments);
        output(command)
    };
    let listed = run(&["list"]).await;
    assert_eq!(listed.status.code(), Some(0));
    let table = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(table.matches("active, ").count(), 6, "{table}");
    let errors = String::from_utf8(listed.stderr).unwrap();
    contains_all(&errors, &["another installation", "set DATABASE_URL"]);
    let applied = run(&["apply"]).await;
    assert_eq!(applied.status.code(), Some(1));
    let errors = String::from_utf8(applied.stderr).unwrap();
    contains_all(&errors, &["set DATABASE_URL"]);
}
