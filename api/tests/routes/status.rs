//! Tests of the status of the mirror: each reason, the order of reasons, and facts without a
//! reason.

use api::status::{Code, FIRST_SYNC_WITHIN, Schedules, Status, Verdict, verdict};
use api::{OnServer, ScheduleStatus, ScheduledRun, WorkflowRun};
use chrono::{DateTime, TimeDelta, Utc};
use store::projects::UnmatchedMembers;
use store::reallocations::OpenReallocations;
use store::status::{BooksCheck, HoldFacts, InvoiceFacts, KindFacts, StatusFacts};

fn at() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn ago(minutes: i64) -> DateTime<Utc> {
    at() - TimeDelta::minutes(minutes)
}

/// Returns a kind with a complete last listing, some minutes ago.
fn complete(kind: &str, minutes: i64) -> KindFacts {
    KindFacts {
        kind: kind.to_owned(),
        last_complete_at: Some(ago(minutes)),
        last_attempt_at: ago(minutes),
        last_state: "complete".to_owned(),
        last_reason: None,
        failing_since: None,
    }
}

/// Returns a kind with listings in this state for half an hour.
fn in_state(kind: &str, state: &str) -> KindFacts {
    KindFacts {
        last_complete_at: Some(ago(40)),
        last_attempt_at: ago(10),
        last_state: state.to_owned(),
        last_reason: Some("GET /v2/x returned 4xx".to_owned()),
        failing_since: Some(ago(30)),
        ..complete(kind, 0)
    }
}

fn books(discrepancies: i64) -> BooksCheck {
    BooksCheck {
        checked_at: ago(600),
        discrepancies,
    }
}

/// Returns the facts of an account without problems, installed a month ago.
fn healthy() -> StatusFacts {
    StatusFacts {
        at: at(),
        installed_at: at() - TimeDelta::days(30),
        kinds: vec![
            complete("droplet", 1),
            complete("project", 10),
            complete("project_member", 10),
            complete("volume", 5),
        ],
        holds: Vec::new(),
        invoices: InvoiceFacts::default(),
        reallocations: OpenReallocations::default(),
        balance_polled_at: Some(ago(50)),
        unmatched_members: Vec::new(),
        books: Some(books(0)),
    }
}

fn reallocating(minutes: i64) -> OpenReallocations {
    OpenReallocations {
        count: 1,
        since: Some(ago(minutes)),
    }
}

fn run(status: Option<&str>, minutes: i64) -> ScheduledRun {
    ScheduledRun {
        run: WorkflowRun {
            workflow_id: format!("sync-{minutes}"),
            run_id: "r".to_owned(),
        },
        started_at: Some(ago(minutes)),
        status: status.map(str::to_owned),
    }
}

/// Returns a schedule with these runs, the latest first.
fn with_runs(id: &str, last_runs: Vec<ScheduledRun>) -> ScheduleStatus {
    ScheduleStatus {
        id: id.to_owned(),
        when: "every 15 min".to_owned(),
        workflow_type: "SyncInventory".to_owned(),
        task_queue: "cloud-sync-full".to_owned(),
        on_server: Some(OnServer {
            is_current: true,
            last_runs,
            ..OnServer::default()
        }),
    }
}

fn active(id: &str) -> ScheduleStatus {
    with_runs(id, vec![run(Some("completed"), 5)])
}

fn schedules() -> Vec<ScheduleStatus> {
    ["sync-projects", "sync-inventory", "billing-history"]
        .map(active)
        .into()
}

/// Returns the same schedules with one of them changed.
fn with_schedule(change: impl FnOnce(&mut OnServer)) -> Vec<ScheduleStatus> {
    let mut schedules = schedules();
    change(schedules[1].on_server.as_mut().unwrap());
    schedules
}

fn of(facts: &StatusFacts) -> Verdict {
    verdict(facts, Schedules::Known(&schedules()))
}

#[track_caller]
fn assert_verdict(verdict: &Verdict, status: Status, codes: &[Code]) {
    let found: Vec<_> = verdict.reasons.iter().map(|reason| reason.code).collect();
    assert_eq!((verdict.status, &*found), (status, codes), "{verdict:#?}");
    for reason in &verdict.reasons {
        // The problem, then the fix.
        assert!(reason.detail.contains(": "), "{reason:?}");
    }
}

#[test]
fn an_account_without_problems_is_ok() {
    assert_verdict(&of(&healthy()), Status::Ok, &[]);
}

#[test]
fn each_state_of_a_kind_has_its_reason() {
    for (state, status, code) in [
        ("unauthorized", Status::Failing, Code::TokenRefused),
        ("failed", Status::Degraded, Code::KindFailed),
        ("incomplete", Status::Degraded, Code::KindIncomplete),
        ("not_readable", Status::Degraded, Code::KindNotReadable),
    ] {
        let mut facts = healthy();
        facts.kinds.push(in_state("app", state));
        facts.kinds.push(in_state("vpc", state));
        let verdict = of(&facts);
        assert_verdict(&verdict, status, &[code]);
        let reason = &verdict.reasons[0];
        assert_eq!(reason.subjects, ["app", "vpc"]);
        assert_eq!(reason.since, Some(ago(30)));
        assert!(reason.detail.contains("app, vpc"), "{reason:?}");
        assert!(reason.detail.contains("4xx"), "{reason:?}");
    }
}

#[test]
fn a_held_kind_has_one_reason() {
    let mut facts = healthy();
    facts.kinds[3].last_state = "held".to_owned();
    facts.holds.push(HoldFacts {
        kind: "volume".to_owned(),
        held_at: ago(20),
        would_delete: 12,
    });
    let verdict = of(&facts);
    assert_verdict(&verdict, Status::Degraded, &[Code::DeletionsHeld]);
    assert_eq!(verdict.reasons[0].since, Some(ago(20)));
    assert_eq!(verdict.reasons[0].subjects, ["volume"]);
    assert!(verdict.reasons[0].detail.contains("12"));
}

#[test]
fn members_that_match_no_resource_are_counted() {
    let of_kind = |kind: &str, count| UnmatchedMembers {
        kind: kind.to_owned(),
        count,
    };
    let mut facts = healthy();
    facts.unmatched_members = vec![of_kind("droplet", 2), of_kind("volume", 1)];
    let verdict = of(&facts);
    assert_verdict(&verdict, Status::Degraded, &[Code::MembersUnmatched]);
    assert_eq!(verdict.reasons[0].subjects, ["droplet", "volume"]);
    assert!(verdict.reasons[0].detail.contains('3'));
}

#[test]
fn a_kind_is_stale_an_hour_after_its_last_listing() {
    for (minutes, status, codes) in [
        (60, Status::Ok, &[][..]),
        (61, Status::Degraded, &[Code::KindStale]),
    ] {
        let mut facts = healthy();
        facts.kinds.push(complete("vpc", minutes));
        assert_verdict(&of(&facts), status, codes);
    }
    // Droplets have a separate schedule, and the full sync lists them too.
    let mut facts = healthy();
    facts.kinds[0] = complete("droplet", 61);
    let verdict = of(&facts);
    assert_verdict(&verdict, Status::Degraded, &[Code::KindStale]);
    assert_eq!(verdict.reasons[0].subjects, ["droplet"]);
    // DNS records are listed only if configured.
    let mut facts = healthy();
    facts.kinds.push(complete("dns_record", 5000));
    assert_verdict(&of(&facts), Status::Ok, &[]);
}

#[test]
fn a_schedule_without_listings_for_an_hour_is_failing() {
    let mut facts = healthy();
    // The schedule of droplets still runs.
    facts.kinds[3] = complete("volume", 61);
    let verdict = of(&facts);
    assert_verdict(&verdict, Status::Failing, &[Code::SyncStopped]);
    assert_eq!(verdict.reasons[0].subjects, ["sync-inventory"]);
    assert_eq!(verdict.reasons[0].since, Some(ago(61)));

    // Only droplets have a listing.
    let mut facts = healthy();
    facts.kinds.retain(|kind| kind.kind != "volume");
    let verdict = of(&facts);
    assert_verdict(&verdict, Status::Failing, &[Code::SyncStopped]);
    assert_eq!(verdict.reasons[0].subjects, ["sync-inventory"]);

    let mut facts = healthy();
    facts.kinds.retain(|kind| !kind.kind.starts_with("project"));
    let verdict = of(&facts);
    assert_verdict(&verdict, Status::Failing, &[Code::SyncStopped]);
    assert_eq!(verdict.reasons[0].subjects, ["sync-projects"]);
}

#[test]
fn a_kind_with_failed_attempts_is_not_also_stale() {
    let mut facts = healthy();
    let mut failing = in_state("vpc", "failed");
    failing.last_complete_at = Some(ago(600));
    facts.kinds.push(failing);
    assert_verdict(&of(&facts), Status::Degraded, &[Code::KindFailed]);
}

#[test]
fn a_first_sync_in_progress_is_degraded_and_not_failing() {
    let new = StatusFacts {
        installed_at: ago(2),
        kinds: Vec::new(),
        balance_polled_at: None,
        ..healthy()
    };
    let started =
        ["sync-projects", "sync-inventory"].map(|id| with_runs(id, vec![run(Some("running"), 1)]));
    let unstarted = ["sync-projects", "sync-inventory"].map(|id| with_runs(id, Vec::new()));
    for schedules in [&started, &unstarted] {
        let verdict = verdict(&new, Schedules::Known(schedules));
        assert_verdict(&verdict, Status::Degraded, &[Code::FirstSyncRunning]);
        assert_eq!(verdict.reasons[0].since, Some(ago(2)));
    }
    // Some kinds are listed, and the first run is in progress.
    let partly = StatusFacts {
        kinds: vec![complete("project", 1), complete("droplet", 1)],
        ..new.clone()
    };
    let all = StatusFacts {
        kinds: healthy().kinds,
        ..new.clone()
    };
    let verdict_of = |facts, schedules| verdict(facts, Schedules::Known(schedules));
    let ended = schedules();
    for (facts, schedules) in [(&partly, &*ended), (&all, &started)] {
        let verdict = verdict_of(facts, schedules);
        assert_verdict(&verdict, Status::Degraded, &[Code::FirstSyncRunning]);
    }
    // All kinds are listed, and the first runs have ended.
    assert_verdict(&verdict_of(&all, &ended), Status::Ok, &[]);
}

#[test]
fn a_kind_incomplete_after_the_first_sync_is_part_of_it() {
    let mut buckets = in_state("spaces_bucket", "incomplete");
    buckets.last_complete_at = None;
    let mut facts = healthy();
    facts.kinds.push(buckets);
    assert_verdict(&of(&facts), Status::Degraded, &[Code::KindIncomplete]);
    facts.installed_at = ago(20);
    let verdict = of(&facts);
    assert_verdict(&verdict, Status::Degraded, &[Code::FirstSyncRunning]);
    assert_eq!(verdict.reasons[0].subjects, ["spaces_bucket"]);
}

#[test]
fn a_refused_token_is_failing_during_the_first_sync_too() {
    let mut refused = in_state("droplet", "unauthorized");
    refused.last_complete_at = None;
    let facts = StatusFacts {
        installed_at: ago(2),
        kinds: vec![refused],
        ..healthy()
    };
    assert_verdict(
        &of(&facts),
        Status::Failing,
        &[Code::TokenRefused, Code::FirstSyncRunning],
    );
}

#[test]
fn no_complete_listing_an_hour_after_the_installation_is_failing() {
    let facts = StatusFacts {
        installed_at: at() - FIRST_SYNC_WITHIN,
        kinds: Vec::new(),
        ..healthy()
    };
    let verdict = of(&facts);
    assert_verdict(&verdict, Status::Failing, &[Code::NoSync]);
    assert_eq!(verdict.reasons[0].since, Some(facts.installed_at));
}

#[test]
fn each_problem_of_a_schedule_has_its_reason() {
    let failed =
        |status| with_schedule(move |server| server.last_runs.insert(0, run(Some(status), 1)));
    let mut missing = schedules();
    missing[1].on_server = None;
    for (schedules, status, code) in [
        (missing, Status::Failing, Code::ScheduleMissing),
        (
            with_schedule(|server| server.is_paused = true),
            Status::Degraded,
            Code::SchedulePaused,
        ),
        (
            with_schedule(|server| server.is_current = false),
            Status::Degraded,
            Code::ScheduleOutdated,
        ),
        (failed("failed"), Status::Degraded, Code::RunFailed),
        (failed("timed_out"), Status::Degraded, Code::RunFailed),
        (failed("terminated"), Status::Degraded, Code::RunFailed),
    ] {
        let verdict = verdict(&healthy(), Schedules::Known(&schedules));
        assert_verdict(&verdict, status, &[code]);
        assert_eq!(verdict.reasons[0].subjects, ["sync-inventory"]);
    }
}

#[test]
fn a_schedule_of_another_installation_has_no_other_reason() {
    let mut foreign = schedules();
    for schedule in &mut foreign[..2] {
        let server = schedule.on_server.as_mut().unwrap();
        server.foreign = Some("team Kestrel (a1), database 1".to_owned());
        server.is_current = false;
        server.is_paused = true;
        server.last_runs.insert(0, run(Some("failed"), 1));
    }
    let verdict = verdict(&healthy(), Schedules::Known(&foreign));
    assert_verdict(&verdict, Status::Failing, &[Code::ScheduleForeign]);
    let reason = &verdict.reasons[0];
    assert_eq!(reason.subjects, ["sync-projects", "sync-inventory"]);
    for part in ["team Kestrel (a1)", "TEMPORAL_NAMESPACE", "--take-over"] {
        assert!(reason.detail.contains(part), "{reason:?}");
    }
}

#[test]
fn a_failed_run_counts_until_a_later_one_completes() {
    let failed = |status| run(Some(status), 30);
    for (runs, since) in [
        (vec![run(Some("running"), 1), failed("failed")], Some(30)),
        (
            vec![
                run(Some("failed"), 5),
                run(Some("failed"), 20),
                run(Some("completed"), 35),
            ],
            Some(20),
        ),
        (vec![run(Some("completed"), 5), failed("failed")], None),
        (
            vec![run(Some("continued_as_new"), 5), failed("failed")],
            None,
        ),
        (
            vec![run(Some("running"), 5), run(Some("completed"), 20)],
            None,
        ),
        // Temporal no longer has the status of this run.
        (vec![run(None, 5), run(Some("completed"), 20)], None),
        (vec![], None),
    ] {
        let shown = format!("{runs:?}");
        let schedules = with_schedule(|server| server.last_runs = runs);
        let verdict = verdict(&healthy(), Schedules::Known(&schedules));
        let found = verdict.reasons.first().and_then(|reason| reason.since);
        assert_eq!(found, since.map(ago), "{shown}");
        assert_eq!(
            verdict.reasons.len(),
            usize::from(since.is_some()),
            "{shown}"
        );
    }
}

#[test]
fn an_unreachable_temporal_is_failing() {
    let unreachable = Schedules::Unreachable("connection refused");
    let verdict = verdict(&healthy(), unreachable);
    assert_verdict(&verdict, Status::Failing, &[Code::TemporalUnreachable]);
    assert!(verdict.reasons[0].detail.contains("connection refused"));
}

#[test]
fn unchecked_schedules_are_degraded() {
    let verdict = verdict(&healthy(), Schedules::NotChecked);
    assert_verdict(&verdict, Status::Degraded, &[Code::SchedulesNotChecked]);
}

#[test]
fn invoices_balance_and_stored_sums_have_their_reasons() {
    let hours = |hours| at() - TimeDelta::hours(hours);
    let invoices = |invoices| StatusFacts {
        invoices,
        ..healthy()
    };
    let waiting = |since| {
        invoices(InvoiceFacts {
            pending: 2,
            pending_since: Some(since),
            ..InvoiceFacts::default()
        })
    };
    let balance = |balance_polled_at| StatusFacts {
        balance_polled_at,
        ..healthy()
    };
    let failed = InvoiceFacts {
        failed: 1,
        ..InvoiceFacts::default()
    };
    let unreconciled = InvoiceFacts {
        unreconciled: 1,
        ..InvoiceFacts::default()
    };
    for (facts, status, codes) in [
        (
            invoices(failed),
            Status::Degraded,
            &[Code::InvoicesFailed][..],
        ),
        (
            invoices(unreconciled),
            Status::Degraded,
            &[Code::InvoicesUnreconciled],
        ),
        (
            invoices(InvoiceFacts {
                check_failed: 1,
                check_failed_since: Some(ago(5)),
                ..InvoiceFacts::default()
            }),
            Status::Degraded,
            &[Code::InvoicesCheckFailed],
        ),
        (
            invoices(InvoiceFacts {
                unverified: 1,
                orphaned_overrides: 1,
                orphaned_since: Some(ago(5)),
                ..InvoiceFacts::default()
            }),
            Status::Degraded,
            &[Code::InvoicesUnverified, Code::OverridesOrphaned],
        ),
        (
            StatusFacts {
                reallocations: reallocating(21),
                ..healthy()
            },
            Status::Degraded,
            &[Code::ReallocationPending],
        ),
        (
            StatusFacts {
                reallocations: reallocating(19),
                ..healthy()
            },
            Status::Ok,
            &[],
        ),
        (waiting(hours(25)), Status::Ok, &[]),
        (
            waiting(hours(27)),
            Status::Degraded,
            &[Code::InvoicesPending],
        ),
        (balance(Some(ago(179))), Status::Ok, &[]),
        (
            balance(Some(ago(181))),
            Status::Degraded,
            &[Code::BalanceStale],
        ),
        (balance(None), Status::Degraded, &[Code::BalanceStale]),
    ] {
        assert_verdict(&of(&facts), status, codes);
    }
}

#[test]
fn the_last_check_of_all_sums_is_a_reason_if_it_found_a_difference() {
    for (books, status, codes) in [
        (
            Some(books(3)),
            Status::Failing,
            &[Code::BooksDiscrepancy][..],
        ),
        (None, Status::Ok, &[]),
    ] {
        let facts = StatusFacts { books, ..healthy() };
        assert_verdict(&of(&facts), status, codes);
    }
}

#[test]
fn the_most_important_reason_is_the_first() {
    let mut facts = healthy();
    facts.kinds.push(in_state("app", "not_readable"));
    facts.kinds.push(in_state("certificate", "failed"));
    facts.kinds.push(in_state("image", "unauthorized"));
    facts.holds.push(HoldFacts {
        kind: "volume".to_owned(),
        held_at: ago(20),
        would_delete: 12,
    });
    facts.invoices.failed = 1;
    facts.balance_polled_at = None;
    facts.books = Some(books(1));
    let mut schedules = with_schedule(|server| {
        server.is_paused = true;
        server.last_runs.insert(0, run(Some("failed"), 1));
    });
    schedules[0].on_server = None;
    let verdict = verdict(&facts, Schedules::Known(&schedules));
    assert_verdict(
        &verdict,
        Status::Failing,
        &[
            Code::TokenRefused,
            Code::ScheduleMissing,
            Code::BooksDiscrepancy,
            Code::DeletionsHeld,
            Code::RunFailed,
            Code::KindFailed,
            Code::KindNotReadable,
            Code::SchedulePaused,
            Code::InvoicesFailed,
            Code::BalanceStale,
        ],
    );
    let severities: Vec<_> = verdict
        .reasons
        .iter()
        .map(|reason| reason.severity)
        .collect();
    assert!(
        severities.is_sorted_by(|one, next| one >= next),
        "{severities:?}"
    );
}

#[test]
fn the_text_has_some_of_many_subjects_and_the_list_has_all() {
    let mut facts = healthy();
    facts.kinds = (0..9)
        .map(|kind| in_state(&format!("kind_{kind}"), "failed"))
        .collect();
    facts.kinds.push(complete("project", 5));
    let verdict = of(&facts);
    let reason = &verdict.reasons[0];
    assert_eq!(reason.subjects.len(), 9);
    assert!(reason.detail.contains("kind_4 and 4 more"), "{reason:?}");
}
