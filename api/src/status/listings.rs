//! Reasons that the listings of kinds give.

use chrono::{DateTime, SecondsFormat, Utc};
use store::projects::UnmatchedMembers;
use store::status::{HoldFacts, KindFacts, StatusFacts};

use super::schedules::has_ended;
use super::{Code, FIRST_SYNC_WITHIN, LISTING_STALE_AFTER, Reason, Schedules, names};

/// The kinds that one schedule lists. Droplets belong to none: two schedules list them.
struct Lane<'a> {
    schedule: &'static str,
    kinds: Vec<&'a KindFacts>,
}

impl Lane<'_> {
    fn of(facts: &StatusFacts) -> [Lane<'_>; 2] {
        let kinds = facts.kinds.iter().filter(|kind| kind.kind != "droplet");
        let (projects, inventory) =
            kinds.partition(|kind| matches!(&*kind.kind, "project" | "project_member"));
        [
            Lane {
                schedule: "sync-projects",
                kinds: projects,
            },
            Lane {
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

/// Kinds that are listed only where the configuration says so: they grow old when it no longer does.
const OPTIONAL_KINDS: [&str; 1] = ["dns_record"];

fn is_new(facts: &StatusFacts) -> bool {
    facts.at - facts.installed_at < FIRST_SYNC_WITHIN
}

/// Whether the first complete listing of a kind is yet to come, as a part of the first sync: buckets are known only once the projects
/// have been listed, which the first runs do side by side.
fn is_awaited(facts: &StatusFacts, kind: &KindFacts) -> bool {
    is_new(facts) && kind.last_complete_at.is_none() && kind.last_state == "incomplete"
}

/// Whether listings take place at all, and often enough.
pub(super) fn reasons_of_listings(facts: &StatusFacts, schedules: Schedules<'_>) -> Vec<Reason> {
    let lanes = Lane::of(facts);
    let awaited: Vec<&str> = facts
        .kinds
        .iter()
        .filter(|kind| is_awaited(facts, kind))
        .map(|kind| &*kind.kind)
        .collect();
    let is_first_running = !awaited.is_empty()
        || lanes
            .iter()
            .any(|lane| !lane.was_ever_complete() || is_in_first_run(schedules, lane.schedule));
    if is_new(facts) && is_first_running {
        let first = Reason::new(
            Code::FirstSyncRunning,
            "the first sync has not ended, and what it has not listed yet is missing: wait for it, up to half an hour for most accounts",
        );
        return vec![first.since(Some(facts.installed_at)).about(awaited)];
    }
    if !lanes.iter().any(Lane::was_ever_complete) {
        let nothing = Reason::new(
            Code::NoSync,
            format!(
                "nothing has been listed completely since the installation at {}: run `arcadia doctor`, which checks tokens and \
                 schedules, and check that `arcadia worker` runs",
                time_text(facts.installed_at)
            ),
        );
        return vec![nothing.since(Some(facts.installed_at))];
    }
    let is_old = |time: DateTime<Utc>| facts.at - time > LISTING_STALE_AFTER;
    let stopped: Vec<_> = lanes
        .iter()
        .map(|lane| (lane.schedule, lane.last_attempt_at()))
        .filter(|(_, attempt)| attempt.is_none_or(is_old))
        .collect();
    let is_stopped = |kind: &KindFacts| {
        let mut of_kind = lanes.iter().filter(|lane| lane.kinds.contains(&kind));
        of_kind.any(|lane| lane.last_attempt_at().is_none_or(is_old))
    };
    let stale: Vec<&KindFacts> = facts
        .kinds
        .iter()
        // Attempts that fall short have reasons of their own.
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
                    "{} has listed nothing for more than {} min: check with `arcadia schedules list` that it is active, and that \
                     `arcadia worker` runs",
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
                    "{} not listed for more than {} min, while other kinds are: open the last run of sync-inventory in the Temporal UI",
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

/// Whether a schedule has started runs of which none has ended.
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

/// How the last attempts went.
pub(super) fn reasons_of_states(facts: &StatusFacts) -> Vec<Reason> {
    let of_state = |state: &str, code, text: &dyn Fn(&str, &str) -> String| {
        let kinds: Vec<_> = facts
            .kinds
            .iter()
            .filter(|kind| kind.last_state == state && !is_awaited(facts, kind))
            .collect();
        let first = kinds.first()?;
        let why = first
            .last_reason
            .as_deref()
            .unwrap_or("no reason is recorded");
        let subjects: Vec<&str> = kinds.iter().map(|kind| &*kind.kind).collect();
        let since = kinds.iter().filter_map(|kind| kind.failing_since).min();
        let detail = text(&names(&subjects), &format!("{}: {why}", first.kind));
        Some(Reason::new(code, detail).since(since).about(subjects))
    };
    let reasons = [
        of_state("unauthorized", Code::TokenRefused, &|kinds, why| {
            format!(
                "DigitalOcean refuses the token that lists {kinds} ({why}): put a valid token of the mirrored team there; `arcadia doctor` checks it"
            )
        }),
        of_state("failed", Code::KindFailed, &|kinds, why| {
            format!(
                "the last listing of {kinds} failed ({why}): the next run tries again; `workflow_url` of the kind leads to the last one"
            )
        }),
        of_state("incomplete", Code::KindIncomplete, &|kinds, why| {
            format!(
                "the last listing of {kinds} did not see everything, so that nothing is found deleted by it ({why}): the next run lists again"
            )
        }),
        of_state("not_readable", Code::KindNotReadable, &|kinds, why| {
            format!(
                "{kinds} cannot be read and is not mirrored ({why}): grant the token the scope that `arcadia doctor` names"
            )
        }),
    ];
    reasons.into_iter().flatten().collect()
}

/// Members of projects that match no resource.
pub(super) fn reason_of_members(unmatched: &[UnmatchedMembers]) -> Option<Reason> {
    let count: i64 = unmatched.iter().map(|of_kind| of_kind.count).sum();
    let kinds: Vec<&str> = unmatched.iter().map(|of_kind| &*of_kind.kind).collect();
    let detail = format!(
        "{count} members of projects ({}) match no resource, so that nothing is attributed by them: compare the project in \
         DigitalOcean's control panel with GET /api/v1/inventory; a resource that was just deleted leaves its project by itself",
        names(&kinds)
    );
    (count > 0).then(|| Reason::new(Code::MembersUnmatched, detail).about(kinds))
}

/// Deletions that wait for an operator.
pub(super) fn reason_of_holds(holds: &[HoldFacts]) -> Option<Reason> {
    let kinds: Vec<&str> = holds.iter().map(|hold| &*hold.kind).collect();
    let rows: i64 = holds.iter().map(|hold| i64::from(hold.would_delete)).sum();
    let detail = format!(
        "{rows} deletions of {} wait for an operator: GET /api/v1/held-deletions lists them, PATCH /api/v1/held-deletions/ID decides",
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
