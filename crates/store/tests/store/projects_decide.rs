//! Lines that several resources fit by name: the project name on the line decides, if it can.

use domain::projects::ObservedProject;
use domain::{Completeness, ResourceKind};
use store::Run;
use store::inventory::Resource;
use store::invoices::CostLine;

use super::bills::{april_lines, assert_balanced, header, ingest};
use super::support::{Fixture, droplet, fixture, members, project, resource};

/// Returns a line of a month for a droplet `web` in a project.
fn line(month: u32, project: &str) -> String {
    let next = month + 1;
    format!(
        "Droplets,,web (s-1vcpu-1gb),744,2026-{month:02}-01 00:00:00 +0000,2026-{next:02}-01 00:00:00 +0000,$1.00,{project},iaas\n"
    )
}

fn projects() -> [ObservedProject; 3] {
    [
        project(1, "shop"),
        project(2, "blog"),
        project(3, "internal"),
    ]
}

/// Creates two droplets with the same name in the given projects.
async fn two_in(first: u128, second: u128) -> Fixture {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "web"), droplet(2, "web")]).await;
    store_members(&fixture, first, second).await;
    fixture
}

async fn store_members(fixture: &Fixture, first: u128, second: u128) {
    let of = |project| {
        let urns: Vec<&str> = [(first, "do:droplet:1"), (second, "do:droplet:2")]
            .into_iter()
            .filter(|(of, _)| *of == project)
            .map(|(_, urn)| urn)
            .collect();
        members(project, &urns)
    };
    fixture.store_members(&[of(1), of(2), of(3)]).await;
}

/// Replaces the memberships of a droplet by `(project, from, to)`.
async fn date(fixture: &Fixture, droplet: &str, stays: &[(&str, &str, Option<&str>)]) {
    let id = fixture.resource(droplet).await.id;
    sqlx::query("delete from cloud_project_memberships where resource_id = $1")
        .bind(id)
        .execute(&fixture.pool)
        .await
        .unwrap();
    for (project, from, to) in stays {
        sqlx::query(
            "insert into cloud_project_memberships (resource_id, cloud_project_id, valid_from, valid_to)
             values ($1, $2, $3::timestamptz, $4::timestamptz)",
        )
        .bind(id)
        .bind(fixture.project_row(project).await)
        .bind(*from)
        .bind(*to)
        .execute(&fixture.pool)
        .await
        .unwrap();
    }
}

async fn store(fixture: &Fixture, lines: &[String]) {
    let cents = i64::try_from(lines.len()).unwrap() * 100;
    fixture
        .discover_invoices(&[header(1, "2026-04", cents)])
        .await
        .unwrap();
    ingest(fixture, 1, &lines.concat()).await;
}

async fn droplet_row(fixture: &Fixture, id: &str) -> Resource {
    fixture.resource(id).await
}

/// Returns the rule of a line, and DigitalOcean's id of the droplet.
async fn matched(fixture: &Fixture, line: &CostLine) -> (String, Option<String>) {
    let mut found = None;
    for id in ["1", "2"] {
        if line.resource_id == Some(droplet_row(fixture, id).await.id) {
            found = Some(id.to_owned());
        }
    }
    (line.match_rule.clone(), found)
}

async fn all_matched(fixture: &Fixture) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    for line in april_lines(fixture).await {
        all.push(matched(fixture, &line).await);
    }
    all
}

fn by_project(id: &str) -> (String, Option<String>) {
    ("project".to_owned(), Some(id.to_owned()))
}

fn ambiguous() -> (String, Option<String>) {
    ("ambiguous".to_owned(), None)
}

#[tokio::test]
async fn the_project_that_contained_one_of_the_candidates_decides() {
    let fixture = two_in(1, 2).await;
    store(
        &fixture,
        &[
            line(4, "shop"),
            line(4, "BLOG"),
            line(4, ""),
            line(4, "elsewhere"),
        ],
    )
    .await;
    assert_eq!(
        all_matched(&fixture).await,
        [by_project("1"), by_project("2"), ambiguous(), ambiguous()]
    );
    let lines = april_lines(&fixture).await;
    let note = lines[0].match_note.as_deref().unwrap();
    assert!(note.contains("project shop"), "{note}");
    assert_eq!(lines[0].match_candidates.as_ref().unwrap().len(), 2);
    assert_balanced(&fixture).await;
}

#[tokio::test]
async fn two_candidates_in_the_project_stay_ambiguous() {
    let fixture = two_in(1, 1).await;
    store(&fixture, &[line(4, "shop"), line(4, "blog")]).await;
    assert_eq!(all_matched(&fixture).await, [ambiguous(), ambiguous()]);
}

#[tokio::test]
async fn only_memberships_in_the_charge_period_count() {
    let fixture = two_in(1, 2).await;
    // The first droplet moved from shop to blog in April; the second was always in blog.
    let since = "2026-01-01T00:00:00Z";
    date(
        &fixture,
        "1",
        &[
            ("shop", since, Some("2026-04-10T00:00:00Z")),
            ("blog", "2026-04-10T00:00:00Z", None),
        ],
    )
    .await;
    date(&fixture, "2", &[("blog", since, None)]).await;
    store(
        &fixture,
        &[
            line(3, "shop"),
            line(3, "blog"),
            line(4, "shop"),
            line(4, "blog"),
            line(5, "shop"),
        ],
    )
    .await;
    assert_eq!(
        all_matched(&fixture).await,
        [
            by_project("1"),
            by_project("2"),
            by_project("1"),
            ambiguous(),
            ambiguous()
        ]
    );
}

#[tokio::test]
async fn memberships_that_only_adjoin_the_period_do_not_count() {
    let fixture = two_in(1, 2).await;
    let (begin, end) = ("2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z");
    date(
        &fixture,
        "1",
        &[
            ("shop", "2026-01-01T00:00:00Z", Some(begin)),
            ("internal", begin, Some(end)),
            ("shop", end, None),
        ],
    )
    .await;
    date(&fixture, "2", &[("blog", "2026-01-01T00:00:00Z", None)]).await;
    store(&fixture, &[line(4, "shop"), line(4, "internal")]).await;
    assert_eq!(all_matched(&fixture).await, [ambiguous(), by_project("1")]);
}

#[tokio::test]
async fn the_first_membership_counts_for_earlier_times_and_is_noted() {
    let fixture = two_in(1, 2).await;
    date(&fixture, "1", &[("shop", "2026-06-15T00:00:00Z", None)]).await;
    date(
        &fixture,
        "2",
        &[
            ("blog", "2026-06-15T00:00:00Z", Some("2026-06-20T00:00:00Z")),
            ("shop", "2026-06-20T00:00:00Z", None),
        ],
    )
    .await;
    store(&fixture, &[line(4, "shop")]).await;
    assert_eq!(all_matched(&fixture).await, [by_project("1")]);
    let note = april_lines(&fixture).await.remove(0).match_note.unwrap();
    assert!(note.contains("2026-06-15"), "{note}");
    // A membership within the period counts as much as a first known one: with both, the line is
    // ambiguous.
    date(&fixture, "2", &[("shop", "2026-01-01T00:00:00Z", None)]).await;
    ingest(&fixture, 1, &line(4, "shop")).await;
    assert_eq!(all_matched(&fixture).await, [ambiguous()]);
}

#[tokio::test]
async fn a_candidate_without_memberships_leaves_the_line_ambiguous() {
    let fixture = two_in(1, 2).await;
    date(&fixture, "2", &[]).await;
    store(&fixture, &[line(4, "shop")]).await;
    assert_eq!(all_matched(&fixture).await, [ambiguous()]);
}

#[tokio::test]
async fn a_project_is_identified_by_its_name_at_that_time() {
    let fixture = two_in(1, 2).await;
    for droplet in [("1", "shop"), ("2", "blog")] {
        date(
            &fixture,
            droplet.0,
            &[(droplet.1, "2026-01-01T00:00:00Z", None)],
        )
        .await;
    }
    // Before May, the project shop was named store, and blog was named shop.
    sqlx::raw_sql(
        "update cloud_project_names set valid_from = '2026-05-01T00:00:00Z' where name in ('shop', 'blog');
         insert into cloud_project_names (cloud_project_id, name, valid_from, valid_to)
         select id, case name when 'shop' then 'store' else 'shop' end, '2026-01-01T00:00:00Z', '2026-05-01T00:00:00Z'
         from cloud_projects where name in ('shop', 'blog')",
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    store(
        &fixture,
        &[
            line(4, "shop"),
            line(5, "shop"),
            line(4, "store"),
            line(5, "store"),
        ],
    )
    .await;
    assert_eq!(
        all_matched(&fixture).await,
        [
            by_project("2"),
            by_project("1"),
            by_project("1"),
            ambiguous()
        ]
    );
}

#[tokio::test]
async fn lines_are_rematched_after_changes_of_memberships_and_names() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "web"), droplet(2, "web")]).await;
    store(&fixture, &[line(4, "shop")]).await;
    assert_eq!(all_matched(&fixture).await, [ambiguous()]);
    store_members(&fixture, 1, 2).await;
    assert_eq!(all_matched(&fixture).await, [by_project("1")]);
    let changes = fixture
        .line_changes(april_lines(&fixture).await[0].id)
        .await
        .unwrap();
    assert_eq!(changes[0].changes["match_rule"]["after"], "project");

    // A third droplet with the name is discovered and found in another project.
    fixture
        .sweep(&[droplet(1, "web"), droplet(2, "web"), droplet(3, "web")])
        .await;
    assert_eq!(all_matched(&fixture).await, [ambiguous()]);
    fixture
        .store_members(&[
            members(1, &["do:droplet:1"]),
            members(2, &["do:droplet:2", "do:droplet:3"]),
            members(3, &[]),
        ])
        .await;
    assert_eq!(all_matched(&fixture).await, [by_project("1")]);
    // A project gets the name on the line for the first time.
    let fixture = two_in(1, 2).await;
    store(&fixture, &[line(4, "later")]).await;
    assert_eq!(all_matched(&fixture).await, [ambiguous()]);
    sqlx::query("delete from cloud_project_names where name = 'shop'")
        .execute(&fixture.pool)
        .await
        .unwrap();
    fixture
        .sweep_projects(&[
            project(1, "later"),
            project(2, "blog"),
            project(3, "internal"),
        ])
        .await;
    assert_eq!(all_matched(&fixture).await, [by_project("1")]);
}

#[tokio::test]
async fn rematches_after_moves_and_renames_record_the_run_of_the_sync() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    fixture.sweep(&[droplet(1, "web"), droplet(2, "web")]).await;
    store(&fixture, &[line(4, "shop")]).await;
    let id = april_lines(&fixture).await[0].id;
    // The latest change, with the number of changes so far.
    let latest = async || {
        let mut changes = fixture.line_changes(id).await.unwrap();
        let count = changes.len();
        let change = changes.swap_remove(0);
        (count, change.cause, change.workflow_id, change.run_id)
    };
    let by = |count: usize, run: &Run| {
        let (workflow, run) = (run.workflow_id.clone(), run.run_id.clone());
        (count, "inventory".to_owned(), Some(workflow), Some(run))
    };
    let facts = fixture.facts(Completeness::Complete).await;
    let moved = [members(1, &["do:droplet:1"]), members(2, &["do:droplet:2"])];
    fixture.store_members_of(&moved, &facts).await;
    assert_eq!(all_matched(&fixture).await, [by_project("1")]);
    assert_eq!(latest().await, by(1, &facts.run));

    let facts = fixture.facts(Completeness::Complete).await;
    let renamed = [
        project(1, "blog"),
        project(2, "shop"),
        project(3, "internal"),
    ];
    sqlx::query(
        "update cloud_project_names set valid_from = '2026-01-01Z', valid_to = '2026-02-01Z'",
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    fixture.sweep_projects_with(&renamed, &facts).await;
    assert_ne!(all_matched(&fixture).await, [by_project("1")]);
    assert_eq!(latest().await, by(2, &facts.run));
}

#[tokio::test]
async fn clusters_with_one_name_are_distinguished_by_project() {
    let fixture = fixture().await;
    fixture.sweep_projects(&projects()).await;
    let cluster = |id: &str| domain::inventory::ObservedResource {
        name: "prod".to_owned(),
        ..resource(ResourceKind::KUBERNETES_CLUSTER, id)
    };
    fixture.sweep_kind(&[cluster("k-1"), cluster("k-2")]).await;
    fixture
        .store_members(&[
            members(1, &["do:kubernetes:k-1"]),
            members(2, &["do:kubernetes:k-2"]),
            members(3, &[]),
        ])
        .await;
    let lines = line(4, "blog").replace(
        "Droplets,,web (s-1vcpu-1gb)",
        "Kubernetes Clusters,prod,3 nodes",
    );
    store(&fixture, &[lines]).await;
    let line = april_lines(&fixture).await.remove(0);
    assert_eq!(line.match_rule, "project");
    assert_eq!(line.resource_id, Some(fixture.resource("k-2").await.id));
}
