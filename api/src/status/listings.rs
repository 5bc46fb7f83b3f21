//! Reasons from the listings of kinds, from project members without a resource, and from held
//! deletions.

use chrono::{DateTime, SecondsFormat, Utc};
use store::projects::UnmatchedMembers;
use store::status::{HoldFacts, KindFacts, StatusFacts};

use super::schedules::has_ended;
use super::{Code, FIRST_SYNC_WITHIN, LISTING_STALE_AFTER, Reason, Schedules, names};

/// The kinds that one schedule lists. Droplets are in neither, because two schedules list them.
struct ScheduleKinds<'a> {
    schedule: &'static str,
    kinds: Vec<&'a KindFacts>,
}

impl ScheduleKinds<'_> {
    fn of(facts: &StatusFacts) -> [ScheduleKinds<'_>; 2] {
        let kinds = facts.kinds.iter().filter(|kind| kind.kind != "droplet");
        let (projects, inventory) =
            kinds.partition(|kind| matches!(&*kind.kind, "project" | "project_member"));
        [
            ScheduleKinds {
                schedule: "sync-projects",
                kinds: projects,
            },
            ScheduleKinds {
                schedule: "sync-inventory",
                kinds: inventory,
            },
        ]
    }

    fn last_attempt_at(&self) -> Option<DateTime<Utc>> {
        self.kinds.iter().map(|kind| kind.last_attempt_at).max()
    }

    fn was_ever_complete(&self) -> bool {
        self.kinds
            .iter()
            .any(|kind| kind.last_complete_at.is_some())
    }
}

/// Kinds that are listed only if configured: they become stale when the setting is removed.
const OPTIONAL_KINDS: [&str; 1] = ["dns_record"];

fn is_new(facts: &StatusFacts) -> bool {
    facts.at - facts.installed_at < FIRST_SYNC_WITHIN
}

/// Returns true if the first complete listing of a kind is expected from the first sync: buckets
/// are known only after the projects are listed, which the first runs do concurrently.
fn is_awaited(facts: &StatusFacts, kind: &KindFacts) -> bool {
    is_new(facts) && kind.last_complete_at.is_none() && kind.last_state == "incomplete"
}

/// Returns the reasons for missing and stale listings.
pub(super) fn reasons_of_listings(facts: &StatusFacts, schedules: Schedules<'_>) -> Vec<Reason> {
    let schedule_kinds = ScheduleKinds::of(facts);
    let awaited: Vec<&str> = facts
        .kinds
        .iter()
        .filter(|kind| is_awaited(facts, kind))
        .map(|kind| &*kind.kind)
        .collect();
    let is_first_running = !awaited.is_empty()
        || schedule_kinds.iter().any(|listed| {
            !listed.was_ever_complete() || is_in_first_run(schedules, listed.schedule)
        });
    if is_new(facts) && is_first_running {
        let first = Reason::new(
            Code::FirstSyncRunning,
            "the first sync is in progress, and data that it has not listed yet is missing: wait \
             for it, up to half an hour for most accounts",
        );
        return vec![first.since(Some(facts.installed_at)).about(awaited)];
    }
    if !schedule_kinds.iter().any(ScheduleKinds::was_ever_complete) {
        let no_sync = Reason::new(
            Code::NoSync,
            format!(
                "no complete listing since the installation at {}: run `arcadia doctor`, which \
                 checks tokens and schedules, and check that `arcadia worker` runs",
                time_text(facts.installed_at)
            ),
        );
        return vec![no_sync.since(Some(facts.installed_at))];
    }
    let is_old = |time: DateTime<Utc>| facts.at - time > LISTING_STALE_AFTER;
    let stopped: Vec<_> = schedule_kinds
        .iter()
        .map(|listed| (listed.schedule, listed.last_attempt_at()))
        .filter(|(_, attempt)| attempt.is_none_or(is_old))
        .collect();
    let is_stopped = |kind: &KindFacts| {
        let mut of_kind = schedule_kinds
            .iter()
            .filter(|listed| listed.kinds.contains(&kind));
        of_kind.any(|listed| listed.last_attempt_at().is_none_or(is_old))
    };
    let stale: Vec<&KindFacts> = facts
        .kinds
        .iter()
        // Failed and incomplete attempts have separate reasons.
        .filter(|kind| is_old(kind.last_attempt_at) && !is_stopped(kind))
        .filter(|kind| !OPTIONAL_KINDS.contains(&&*kind.kind))
        .collect();
    let mut reasons = Vec::new();
    if !stopped.is_empty() {
        let ids: Vec<&str> = stopped.iter().map(|(schedule, _)| *schedule).collect();
        let since = stopped.iter().filter_map(|(_, attempt)| *attempt).min();
        reasons.push(
            Reason::new(
                Code::SyncStopped,
                format!(
                    "{} has not listed any kind for more than {} min: check that it is active with \
                     `arcadia schedules list`, and that `arcadia worker` runs",
                    names(&ids),
                    LISTING_STALE_AFTER.num_minutes()
                ),
            )
            .since(since)
            .about(ids),
        );
    }
    if !stale.is_empty() {
        let kinds: Vec<&str> = stale.iter().map(|kind| &*kind.kind).collect();
        let since = stale.iter().map(|kind| kind.last_attempt_at).min();
        reasons.push(
            Reason::new(
                Code::KindStale,
                format!(
                    "{} not listed for more than {} min, unlike other kinds: check the last run of \
                     sync-inventory in the Temporal UI",
                    names(&kinds),
                    LISTING_STALE_AFTER.num_minutes()
                ),
            )
            .since(since)
            .about(kinds),
        );
    }
    reasons
}

/// Returns true if a schedule has started runs and none has ended.
fn is_in_first_run(schedules: Schedules<'_>, id: &str) -> bool {
    let Schedules::Known(schedules) = schedules else {
        return false;
    };
    let runs = schedules
        .iter()
        .find(|schedule| schedule.id == id)
        .and_then(|schedule| schedule.on_server.as_ref())
        .map(|server| server.last_runs.as_slice())
        .unwrap_or_default();
    !runs.is_empty() && !runs.iter().any(has_ended)
}

/// Returns the reasons from last attempts that were not complete.
pub(super) fn reasons_of_states(facts: &StatusFacts) -> Vec<Reason> {
    let of_state = |state: &str, code, text: &dyn Fn(&str, &str) -> String| {
        let kinds: Vec<_> = facts
            .kinds
            .iter()
            .filter(|kind| kind.last_state == state && !is_awaited(facts, kind))
            .collect();
        let first = kinds.first()?;
        let reason = first
            .last_reason
            .as_deref()
            .unwrap_or("no reason is recorded");
        let subjects: Vec<&str> = kinds.iter().map(|kind| &*kind.kind).collect();
        let since = kinds.iter().filter_map(|kind| kind.failing_since).min();
        let detail = text(&names(&subjects), &format!("{}: {reason}", first.kind));
        Some(Reason::new(code, detail).since(since).about(subjects))
    };
    let reasons = [
        of_state("unauthorized", Code::TokenRefused, &|kinds, reason| {
            format!(
                "DigitalOcean refused the token that lists {kinds} ({reason}): replace it with a \
                 valid token of the mirrored team; `arcadia doctor` checks it"
            )
        }),
        of_state("failed", Code::KindFailed, &|kinds, reason| {
            format!(
                "the last listing of {kinds} failed ({reason}): the next run retries; \
                 `workflow_url` of the kind links to the last one"
            )
        }),
        of_state("incomplete", Code::KindIncomplete, &|kinds, reason| {
            format!(
                "the last listing of {kinds} is incomplete, so that it detects no deletions \
                 ({reason}): the next run retries"
            )
        }),
        of_state("not_readable", Code::KindNotReadable, &|kinds, reason| {
            format!(
                "{kinds} is not readable and not mirrored ({reason}): grant the token the scope \
                 that `arcadia doctor` prints"
            )
        }),
    ];
    reasons.into_iter().flatten().collect()
}

/// Returns a reason if project members match no resource.
pub(super) fn reason_of_members(unmatched: &[UnmatchedMembers]) -> Option<Reason> {
    let count: i64 = unmatched.iter().map(|of_kind| of_kind.count).sum();
    let kinds: Vec<&str> = unmatched.iter().map(|of_kind| &*of_kind.kind).collect();
    let detail = format!(
        "{count} project members ({}) match no resource, so that nothing is attributed by them: \
         compare the project in DigitalOcean's control panel with GET /api/v1/inventory; \
         DigitalOcean removes recently deleted resources from their project",
        names(&kinds)
    );
    (count > 0).then(|| Reason::new(Code::MembersUnmatched, detail).about(kinds))
}

/// Returns a reason if deletions wait for an operator.
pub(super) fn reason_of_holds(holds: &[HoldFacts]) -> Option<Reason> {
    let kinds: Vec<&str> = holds.iter().map(|hold| &*hold.kind).collect();
    let rows: i64 = holds.iter().map(|hold| i64::from(hold.would_delete)).sum();
    let detail = format!(
        "{rows} deletions of {} wait for an operator: GET /api/v1/held-deletions lists them, PATCH \
         /api/v1/held-deletions/ID decides on them",
        names(&kinds)
    );
    (!holds.is_empty()).then(|| {
        Reason::new(Code::DeletionsHeld, detail)
            .since(holds.iter().map(|hold| hold.held_at).min())
            .about(kinds)
    })
}

fn time_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
