//! Overrides of lines through corrections of their invoice.

use rust_decimal::Decimal;
use store::StoreError;
use store::audit::AuditFilter;
use store::costs::OrphanedOverride;
use store::inventory::Commit;
use store::invoices::CostLine;
use uuid::Uuid;

use super::bills::{
    april_lines, assert_balanced, correct, header, ingest, ingest_with, statements, uuid,
};
use super::support::{Fixture, by, droplet, fixture, members, project};

/// A line of the droplet `name` from the first of April to a day.
fn line(name: &str, to: u32, cents: i64) -> String {
    let amount = Decimal::new(cents, 2);
    format!(
        "Droplets,,{name} (s-1vcpu-1gb),1,2026-04-01 00:00:00 +0000,2026-04-{to:02} 00:00:00 +0000,${amount},,iaas\n"
    )
}

/// An invoice with these lines. The droplet `2` in the project of `acme` is the target of the
/// overrides.
async fn invoice(lines: &str) -> Fixture {
    let fixture = fixture().await;
    fixture.sweep_projects(&[project(1, "web")]).await;
    fixture
        .sweep(&[droplet(1, "web-1"), droplet(2, "target")])
        .await;
    fixture
        .store_members(&[members(1, &["do:droplet:2"])])
        .await;
    let change = store::projects::ProjectChange {
        tenant_id: Some(Some("acme".parse().unwrap())),
        tenant_since: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        purpose: None,
    };
    let web = fixture.project_row("web").await;
    fixture
        .change_project(web, &change, &by("ann"), Commit::Keep)
        .await
        .unwrap();
    fixture
        .discover_invoices(&[header(1, "2026-04", 0)])
        .await
        .unwrap();
    correct(&fixture, 1, lines).await;
    fixture
}

async fn target(fixture: &Fixture) -> Uuid {
    fixture.resource("2").await.id
}

/// Overrides the line at this position, and returns its id.
async fn set(fixture: &Fixture, place: usize) -> Uuid {
    let line = april_lines(fixture).await[place].id;
    let target = target(fixture).await;
    let actor = by("ann").because(Some("agreed".to_owned()));
    fixture
        .override_match(line, Some(target), true, &actor, Commit::Keep)
        .await
        .unwrap();
    line
}

async fn orphans(fixture: &Fixture) -> Vec<OrphanedOverride> {
    fixture.orphaned_overrides(None, None, 10).await.unwrap()
}

fn rules(lines: &[CostLine]) -> Vec<&str> {
    lines.iter().map(|line| line.match_rule.as_str()).collect()
}

#[tokio::test]
async fn an_override_moves_to_the_line_with_the_corrected_times() {
    let fixture = invoice(&(line("web-1", 20, 400) + &line("db-1", 20, 100))).await;
    let before = set(&fixture, 0).await;
    assert_eq!(
        statements(&fixture, "2026-04-01").await,
        [(None, 100, 0), (Some("acme".to_owned()), 400, 0)]
    );
    correct(
        &fixture,
        1,
        &(line("web-1", 15, 300) + &line("db-1", 20, 100)),
    )
    .await;
    let lines = april_lines(&fixture).await;
    assert_ne!(lines[0].id, before);
    assert_eq!(rules(&lines), ["operator", "unmatched"]);
    assert_eq!(lines[0].resource_id, Some(target(&fixture).await));
    let moved = fixture.override_of(lines[0].id).await.unwrap().unwrap();
    assert_eq!(
        (moved.set_by.as_str(), moved.reason.as_deref()),
        ("ann", Some("agreed"))
    );
    assert!(moved.moved_at.is_some());
    assert_eq!(orphans(&fixture).await, []);
    assert_eq!(
        statements(&fixture, "2026-04-01").await,
        [(None, 100, 0), (Some("acme".to_owned()), 300, 0)]
    );
    let changes = fixture.line_changes(lines[0].id).await.unwrap();
    assert_eq!(
        changes[0].changes["override_of"]["before"],
        before.to_string()
    );
    // And back.
    correct(
        &fixture,
        1,
        &(line("web-1", 20, 400) + &line("db-1", 20, 100)),
    )
    .await;
    let lines = april_lines(&fixture).await;
    assert_eq!(
        (lines[0].id, lines[0].match_rule.as_str()),
        (before, "operator")
    );
    assert_balanced(&fixture).await;
}

#[tokio::test]
async fn an_override_without_a_certain_line_is_listed_until_it_is_applied() {
    let fixture = invoice(&line("web-1", 20, 400)).await;
    let before = set(&fixture, 0).await;
    // The correction has two lines of the droplet.
    correct(
        &fixture,
        1,
        &(line("web-1", 10, 200) + &line("web-1", 15, 250)),
    )
    .await;
    let lines = april_lines(&fixture).await;
    assert_eq!(rules(&lines), ["name", "name"]);
    let listed = orphans(&fixture).await;
    let [orphan] = &*listed else {
        panic!("{listed:?}")
    };
    assert_eq!(
        (orphan.id, orphan.amount, orphan.period.to_string()),
        (before, Decimal::new(400, 2), "2026-04-01".to_owned())
    );
    assert_eq!(orphan.invoice_uuid, uuid(1).as_uuid());
    let candidates: Vec<Uuid> = lines.iter().map(|line| line.id).collect();
    assert_eq!(orphan.candidates, candidates);
    let facts = fixture.status_facts().await.unwrap();
    assert_eq!(facts.invoices.orphaned_overrides, 1);
    let of_may = fixture.orphaned_overrides(Some("2026-05-01".parse().unwrap()), None, 10);
    assert_eq!(of_may.await.unwrap(), []);

    let bob = by("bob");
    let apply = |commit| fixture.apply_orphan(before, candidates[1], false, &bob, commit);
    let dry = apply(Commit::DryRun).await.unwrap();
    assert_eq!(dry.effect.moved(), Decimal::new(250, 2));
    assert_eq!(orphans(&fixture).await, listed);
    apply(Commit::Keep).await.unwrap();
    assert_eq!(orphans(&fixture).await, []);
    assert_eq!(rules(&april_lines(&fixture).await), ["name", "operator"]);
    let applied = fixture.override_of(candidates[1]).await.unwrap().unwrap();
    assert_eq!(
        (applied.set_by.as_str(), applied.reason.as_deref()),
        ("bob", Some("agreed"))
    );
    assert_balanced(&fixture).await;
    assert!(matches!(
        apply(Commit::Keep).await,
        Err(StoreError::NotFound { .. })
    ));
}

#[tokio::test]
async fn a_dismissed_override_is_recorded_and_changes_no_line() {
    let fixture = invoice(&line("web-1", 20, 400)).await;
    let before = set(&fixture, 0).await;
    let bob = by("bob");
    // An override with a line is not orphaned.
    assert!(matches!(
        fixture.dismiss_orphan(before, &bob, Commit::Keep).await,
        Err(StoreError::NotFound { .. })
    ));
    correct(&fixture, 1, &line("other", 20, 400)).await;
    assert_eq!(orphans(&fixture).await.len(), 1);
    let lines = april_lines(&fixture).await;
    fixture
        .dismiss_orphan(before, &bob, Commit::DryRun)
        .await
        .unwrap();
    assert_eq!(orphans(&fixture).await.len(), 1);
    fixture
        .dismiss_orphan(before, &bob, Commit::Keep)
        .await
        .unwrap();
    assert_eq!(orphans(&fixture).await, []);
    assert_eq!(april_lines(&fixture).await, lines);
    let entries = fixture.audit(&AuditFilter::default(), None, 1).await;
    let entry = entries.unwrap().remove(0);
    assert_eq!(
        (entry.actor.as_str(), entry.action.as_str()),
        ("bob", "orphaned_override_dismissed")
    );
    let before = &entry.before.as_ref().unwrap()["override"];
    assert_eq!(
        (&before["set_by"], &before["amount"]),
        (&"ann".into(), &"4.00".into())
    );
}

#[tokio::test]
async fn an_override_does_not_move_to_a_line_that_it_was_not_for() {
    // The second line was there before, and has no override.
    let fixture = invoice(&(line("web-1", 20, 400) + &line("web-1", 15, 300))).await;
    set(&fixture, 0).await;
    correct(&fixture, 1, &line("web-1", 15, 300)).await;
    assert_eq!(rules(&april_lines(&fixture).await), ["name"]);
    assert_eq!(orphans(&fixture).await.len(), 1);

    // Two overrides compete for one line.
    let fixture = invoice(&(line("web-1", 20, 400) + &line("web-1", 15, 300))).await;
    set(&fixture, 0).await;
    set(&fixture, 1).await;
    correct(&fixture, 1, &line("web-1", 10, 200)).await;
    assert_eq!(rules(&april_lines(&fixture).await), ["name"]);
    assert_eq!(orphans(&fixture).await.len(), 2);

    // The new line charges another resource.
    let fixture = invoice("").await;
    let with_id = async |lines: &str, id| {
        let mut header = header(1, "2026-04", 0);
        header.amount = Decimal::new(400, 2);
        fixture.discover_invoices(&[header]).await.unwrap();
        ingest_with(&fixture, 1, lines, &[Some(id)], None).await;
    };
    with_id(&line("web-1", 20, 400), "1").await;
    set(&fixture, 0).await;
    with_id(&line("web-1", 15, 400), "7").await;
    assert_eq!(orphans(&fixture).await.len(), 1);
    // A reading with the resource gets it back.
    with_id(&line("web-1", 16, 400), "1").await;
    assert_eq!(rules(&april_lines(&fixture).await), ["operator"]);
    assert_eq!(orphans(&fixture).await, []);
}

#[tokio::test]
async fn an_override_of_an_unchanged_line_survives_corrections_of_others() {
    let fixture = invoice(&(line("web-1", 20, 400) + &line("web-1", 15, 300))).await;
    set(&fixture, 0).await;
    correct(
        &fixture,
        1,
        &(line("web-1", 20, 450) + &line("web-1", 16, 310)),
    )
    .await;
    assert_eq!(rules(&april_lines(&fixture).await), ["operator", "name"]);
    ingest(
        &fixture,
        1,
        &(line("web-1", 20, 450) + &line("web-1", 16, 310)),
    )
    .await;
    assert_eq!(orphans(&fixture).await, []);
}

#[tokio::test]
async fn an_override_follows_its_item_among_lines_of_equal_text() {
    let fixture = invoice("").await;
    let (one, both) = (line("web-1", 20, 400), line("web-1", 20, 400).repeat(2));
    let read = async |lines: &str, cents, ids: &[&str]| {
        let ids: Vec<Option<&str>> = ids.iter().copied().map(Some).collect();
        fixture
            .discover_invoices(&[header(1, "2026-04", cents)])
            .await
            .unwrap();
        ingest_with(&fixture, 1, lines, &ids, None).await;
        let lines = april_lines(&fixture).await;
        rules(&lines)
            .iter()
            .map(|rule| *rule == "operator")
            .collect::<Vec<_>>()
    };
    read(&both, 800, &["1", "7"]).await;
    set(&fixture, 0).await;
    assert_eq!(read(&both, 801, &["1", "7"]).await, [true, false]);
    // The line of the other item gets the id of the line with the override.
    assert_eq!(read(&one, 400, &["7"]).await, [false]);
    assert_eq!(orphans(&fixture).await.len(), 1);
    assert_eq!(read(&both, 800, &["7", "1"]).await, [false, true]);
    assert_eq!(orphans(&fixture).await, []);
    set(&fixture, 0).await;
    assert_eq!(read(&both, 801, &["1", "7"]).await, [true, true]);
    assert_eq!(read(&one, 400, &["7"]).await, [true]);
    assert_eq!(orphans(&fixture).await.len(), 1);
}

#[tokio::test]
async fn an_override_does_not_move_to_a_kept_line_of_the_same_resource() {
    let fixture = invoice("").await;
    let read = async |days: &[u32], cents| {
        let lines: String = days.iter().map(|day| line("web-1", *day, 400)).collect();
        fixture
            .discover_invoices(&[header(1, "2026-04", cents)])
            .await
            .unwrap();
        let ids = vec![Some("1"); days.len()];
        ingest_with(&fixture, 1, &lines, &ids, None).await;
    };
    read(&[20, 15], 800).await;
    set(&fixture, 0).await;
    read(&[15], 400).await;
    assert_eq!(rules(&april_lines(&fixture).await), ["id"]);
    assert_eq!(orphans(&fixture).await.len(), 1);
    // The line of the override has other times, and the other one is kept.
    read(&[19, 15], 800).await;
    assert_eq!(rules(&april_lines(&fixture).await), ["operator", "id"]);
    assert_eq!(orphans(&fixture).await, []);
}
