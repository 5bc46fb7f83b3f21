//! What the doctor says of search attributes and schedules, and what `arcadia schedules apply` makes of it.

use super::{Healthy, Said};
use crate::support::{arcadia, eventually, output};
use store::Store;
use tokio::process::Command;

/// A namespace of its own, in which nothing was applied yet.
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
        // A new namespace is known everywhere after some seconds.
        eventually("the namespace is known", async || {
            let said = namespace.says().await;
            let has = |part: &str| said.lines.iter().any(|line| line.contains(part));
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

    async fn says(&self) -> Said {
        self.healthy
            .says(&[("TEMPORAL_NAMESPACE", &self.name)])
            .await
    }

    /// `arcadia schedules apply`: its exit code, and what it told.
    pub(crate) async fn apply(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let arguments = [&["apply"], arguments].concat();
        self.schedules(&arguments).await
    }

    /// `arcadia schedules`, the same.
    async fn schedules(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let (status, told, _) = self
            .schedules_of(&self.healthy.database.url(), arguments)
            .await;
        (status, told)
    }

    /// `arcadia schedules` with another database, and its stderr.
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
        let told = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), told, errors)
    }
}

fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

#[tokio::test]
async fn missing_search_attributes_and_schedules_are_told_and_shown_before_they_are_applied() {
    let namespace = Namespace::create("doctor-missing").await;
    let wrong = async || -> Vec<String> {
        let said = namespace.says().await;
        let lines = said.lines.into_iter();
        lines.filter(|line| !line.starts_with("ok")).collect()
    };
    let found = wrong().await;
    let [attributes, schedules] = &found[..] else {
        panic!("{found:#?}");
    };
    holds(
        attributes,
        &[
            "warn  search attributes:",
            "ArcadiaKind",
            "run `arcadia schedules apply`",
            "temporal operator search-attribute create --namespace doctor-",
            "--name ArcadiaKind --type KeywordList",
        ],
    );
    holds(
        schedules,
        &[
            "FAIL  schedules:",
            "sync-projects",
            "run `arcadia schedules apply`",
        ],
    );

    let (status, told) = namespace.apply(&["--dry-run"]).await;
    assert_eq!(status, Some(3), "{told}");
    holds(
        &told,
        &[
            "search attribute ArcadiaKind (KeywordList) would be registered",
            "sync-projects    would be created",
        ],
    );
    assert_eq!(wrong().await, found, "it changed something");

    let (status, told) = namespace.apply(&[]).await;
    assert_eq!(status, Some(0), "{told}");
    holds(&told, &["sync-projects    created"]);
    let (status, told) = namespace.apply(&["--dry-run", "--prune"]).await;
    assert_eq!(status, Some(0), "{told}");
    assert_eq!(told.matches("unchanged").count(), 5, "{told}");
    assert_eq!(wrong().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_operators_pause_is_told_and_kept_and_any_other_change_of_a_schedule_is_shown_and_undone()
 {
    let namespace = Namespace::create("doctor-paused").await;
    namespace.apply(&[]).await;
    let pause = "schedule toggle --pause --schedule-id poll-balance --reason";
    namespace.cli(&format!("{pause} month-end")).await;
    let said = namespace.says().await;
    said.only(&["warn  schedules:", "poll-balance are paused", "--unpause"]);

    let update = "schedule update --schedule-id poll-balance --interval 2h --type PollBalance";
    let run = "--task-queue cloud-billing --workflow-id poll-balance";
    namespace.cli(&format!("{update} {run}")).await;
    // The update took the pause away too.
    namespace.cli(&format!("{pause} month-end")).await;
    let (status, told) = namespace.apply(&["--dry-run"]).await;
    assert_eq!(status, Some(3), "{told}");
    holds(
        &told,
        &[
            "poll-balance     would be updated, stays paused: month-end",
            "    when: every 2 h -> every 1 h, offset 7 min",
            "    search attributes: none -> ",
        ],
    );
    let (status, told) = namespace.apply(&[]).await;
    assert_eq!(status, Some(0), "{told}");
    holds(
        &told,
        &["poll-balance     updated, stays paused: month-end"],
    );
    let (_, told) = namespace.apply(&[]).await;
    assert_eq!(told.matches("unchanged").count(), 5, "{told}");
    holds(&told, &["unchanged, stays paused: month-end"]);
}

#[tokio::test]
async fn a_schedule_that_has_used_up_its_starts_is_told_with_what_begins_it_anew() {
    let namespace = Namespace::create("doctor-used-up").await;
    namespace.apply(&[]).await;
    let update = "schedule update --schedule-id poll-balance --interval 1s --remaining-actions 1";
    let run = "--type PollBalance --task-queue cloud-billing --workflow-id poll-balance";
    namespace.cli(&format!("{update} {run}")).await;
    let told = eventually("its only start is over", async || {
        let mut lines = namespace.says().await.lines.into_iter();
        lines.find(|line| line.contains("have used up"))
    })
    .await;
    let begin_anew = "temporal schedule delete --schedule-id ID` and `arcadia schedules apply";
    holds(&told, &["warn  schedules:", "poll-balance", begin_anew]);

    namespace
        .cli("schedule delete --schedule-id poll-balance")
        .await;
    namespace.apply(&[]).await;
    eventually("it starts runs again", async || {
        let lines = namespace.says().await.lines;
        let is_well = lines.iter().any(|line| line.starts_with("ok    schedules"));
        is_well.then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_list_shows_pauses_and_schedules_of_an_earlier_version() {
    let namespace = Namespace::create("schedules-listed").await;
    namespace.apply(&[]).await;
    let pause = "schedule toggle --pause --schedule-id poll-balance --reason month-end";
    namespace.cli(pause).await;
    let earlier = "schedule create --schedule-id poll-usage --interval 1h --type PollBalance";
    let run = "--task-queue cloud-billing --workflow-id poll-usage";
    let mark = "--schedule-search-attribute ArcadiaPurpose=\"cloud-billing\"";
    namespace.cli(&format!("{earlier} {run} {mark}")).await;
    let told = eventually("the schedule is listed", async || {
        let (status, told) = namespace.schedules(&["list"]).await;
        assert_eq!(status, Some(0), "{told}");
        told.contains("poll-usage").then_some(told)
    })
    .await;
    let line = |id: &str| told.lines().find(|line| line.starts_with(id)).unwrap();
    holds(line("poll-balance"), &["paused: month-end, 0 runs"]);
    holds(line("sync-projects"), &["active, "]);
    holds(
        line("poll-usage"),
        &[
            "is of an earlier version",
            "`arcadia schedules apply --prune`",
        ],
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
        let (status, told, _) = namespace.schedules_of(&other.url(), &["list"]).await;
        assert_eq!(status, Some(0), "{told}");
        told
    };
    let listed = list().await;
    let foreign = "belongs to another installation (team not known yet, database 00000000-";
    assert_eq!(listed.matches(foreign).count(), 5, "{listed}");
    assert!(
        !listed.contains("run `arcadia schedules apply`"),
        "{listed}"
    );
    for arguments in [
        &["apply"][..],
        &["apply", "--prune"],
        &["apply", "--dry-run"],
    ] {
        let (status, told, errors) = namespace.schedules_of(&other.url(), arguments).await;
        assert_eq!(status, Some(1), "{told}{errors}");
        assert_eq!(told, "");
        holds(
            &errors,
            &["sync-projects", "TEMPORAL_NAMESPACE", "--take-over"],
        );
    }
    let url = other.url();
    let said = namespace
        .healthy
        .says(&[
            ("TEMPORAL_NAMESPACE", &namespace.name),
            ("DATABASE_URL", &url),
        ])
        .await;
    let schedules = said
        .lines
        .iter()
        .find(|line| line[6..].starts_with("schedules:"));
    holds(
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
    let (_, told) = namespace.apply(&["--dry-run"]).await;
    assert_eq!(told.matches("unchanged").count(), 5, "{told}");
    // An update by the CLI removes the memo of the runs, and leaves the schedule's own.
    let update = "schedule update --schedule-id poll-balance --interval 1h --type PollBalance";
    let run = "--task-queue cloud-billing --workflow-id poll-balance";
    namespace.cli(&format!("{update} {run}")).await;
    let listed = list().await;
    assert_eq!(listed.matches(foreign).count(), 5, "{listed}");

    let take_over = ["apply", "--take-over"];
    let (status, told, errors) = namespace.schedules_of(&other.url(), &take_over).await;
    assert_eq!(status, Some(0), "{told}{errors}");
    assert_eq!(
        told.matches("updated, taken over from").count(),
        5,
        "{told}"
    );
    assert_eq!(list().await.matches("active, ").count(), 5);
    let (status, told) = namespace.apply(&[]).await;
    assert_eq!(status, Some(1), "{told}");
}

#[tokio::test]
async fn prune_leaves_the_schedules_of_another_installation() {
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
        let (_, told) = namespace.schedules(&["list"]).await;
        ["poll-usage", "poll-spend"]
            .iter()
            .all(|id| told.contains(id))
            .then_some(())
    })
    .await;
    let (status, told) = namespace.apply(&["--prune"]).await;
    assert_eq!(status, Some(0), "{told}");
    let line = |id: &str| told.lines().find(|line| line.starts_with(id)).unwrap();
    holds(line("poll-usage"), &["removed"]);
    holds(line("poll-spend"), &["belongs to another installation"]);
    let described = ["schedule", "describe", "--schedule-id", "poll-spend"].join(" ");
    namespace.cli(&described).await;
}

#[tokio::test]
async fn schedules_are_listed_without_a_database_and_not_applied() {
    let healthy = Healthy::start().await;
    let run = |arguments: &[&str]| {
        let mut command = healthy.run("schedules", &[("DATABASE_URL", "")]);
        command.args(arguments);
        output(command)
    };
    let listed = run(&["list"]).await;
    assert_eq!(listed.status.code(), Some(0));
    let table = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(table.matches("active, ").count(), 5, "{table}");
    let errors = String::from_utf8(listed.stderr).unwrap();
    holds(
        &errors,
        &[
            "of another installation are not recognised",
            "set DATABASE_URL",
        ],
    );
    let applied = run(&["apply"]).await;
    assert_eq!(applied.status.code(), Some(1));
    let errors = String::from_utf8(applied.stderr).unwrap();
    holds(&errors, &["set DATABASE_URL"]);
}
