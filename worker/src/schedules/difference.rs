//! Compares a schedule on the server with its definition in the table, field by field.
//!
//! Both are formatted as text first, equal text for equal meaning, since some servers omit defaults
//! and others fill them in. Pause, note and number of starts left are controlled by operators and
//! are not compared.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use temporalio_common::protos::temporal::api::common::v1::{
    Payload, Payloads, Priority, SearchAttributes,
};
use temporalio_common::protos::temporal::api::enums::v1::ScheduleOverlapPolicy;
use temporalio_common::protos::temporal::api::schedule::v1::{
    IntervalSpec, Range, Schedule as ScheduleProto, SchedulePolicies, ScheduleSpec,
    StructuredCalendarSpec, schedule_action::Action,
};
use temporalio_common::protos::temporal::api::workflow::v1::NewWorkflowExecutionInfo;

/// A field with its value on the server and its value in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub field: &'static str,
    pub actual: String,
    pub desired: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            field,
            actual,
            desired,
        } = self;
        write!(formatter, "{field}: {actual} -> {desired}")
    }
}

/// A schedule with the search attributes of the schedule itself, which are separate from those of
/// its runs.
pub(super) struct ScheduleState<'a> {
    pub(super) schedule: &'a ScheduleProto,
    pub(super) attributes: Option<&'a SearchAttributes>,
}

pub(super) fn differences(actual: &ScheduleState, desired: &ScheduleState) -> Vec<Difference> {
    let pairs = fields(actual).into_iter().zip(fields(desired));
    pairs
        .filter(|((_, actual), (_, desired))| actual != desired)
        .map(|((field, actual), (_, desired))| Difference {
            field,
            actual,
            desired,
        })
        .collect()
}

/// The text of an absent value.
const NONE: &str = "none";

fn fields(state: &ScheduleState) -> Vec<(&'static str, String)> {
    let schedule = state.schedule;
    let mut fields = times(&schedule.spec.clone().unwrap_or_default());
    let action = schedule.action.as_ref();
    let Some(Action::StartWorkflow(start)) = action.and_then(|action| action.action.as_ref())
    else {
        fields.push(("action", NONE.to_owned()));
        return fields;
    };
    fields.extend(starts(start));
    fields.extend(policies(&schedule.policies.unwrap_or_default()));
    fields.push((
        "search attributes of the schedule",
        attributes(state.attributes),
    ));
    fields
}

fn times(spec: &ScheduleSpec) -> Vec<(&'static str, String)> {
    let intervals = spec.interval.iter().map(interval);
    let calendars = spec.structured_calendar.iter().map(calendar);
    // Servers convert these two into structured calendars or intervals; compared nevertheless, so
    // that no difference is missed.
    let others = spec.calendar.iter().map(|calendar| format!("{calendar:?}"));
    let crons = spec.cron_string.iter().cloned();
    let excluded = spec.exclude_structured_calendar.iter().map(calendar);
    #[expect(
        deprecated,
        reason = "servers may still return a schedule that was created with this field"
    )]
    let excluded_before = spec
        .exclude_calendar
        .iter()
        .map(|calendar| format!("{calendar:?}"));
    let zone = match &*spec.timezone_name {
        "" => "UTC",
        zone => zone,
    };
    vec![
        (
            "when",
            list(intervals.chain(calendars).chain(others).chain(crons)),
        ),
        ("excluded", list(excluded.chain(excluded_before))),
        ("from", moment(spec.start_time)),
        ("until", moment(spec.end_time)),
        ("jitter", span(spec.jitter)),
        ("time zone", zone.to_owned()),
    ]
}

fn starts(start: &NewWorkflowExecutionInfo) -> Vec<(&'static str, String)> {
    let workflow_type = start.workflow_type.clone().unwrap_or_default();
    let task_queue = start.task_queue.clone().unwrap_or_default();
    let memo = start.memo.as_ref().map(|memo| &memo.fields);
    let header = start.header.as_ref().map(|header| &header.fields);
    let metadata = start.user_metadata.clone().unwrap_or_default();
    let priority = start.priority.clone().unwrap_or_default();
    vec![
        ("workflow id", start.workflow_id.clone()),
        ("workflow", workflow_type.name),
        ("task queue", task_queue.name),
        ("input", input(start.input.as_ref())),
        ("execution timeout", span(start.workflow_execution_timeout)),
        ("run timeout", span(start.workflow_run_timeout)),
        ("task timeout", span(start.workflow_task_timeout)),
        ("retry policy", debug(start.retry_policy.as_ref())),
        ("memo", values(memo)),
        ("header", values(header)),
        (
            "search attributes",
            attributes(start.search_attributes.as_ref()),
        ),
        ("summary", text(metadata.summary.as_ref())),
        ("details", text(metadata.details.as_ref())),
        (
            "priority",
            debug((priority != Priority::default()).then_some(&priority)),
        ),
        (
            "versioning override",
            debug(start.versioning_override.as_ref()),
        ),
    ]
}

fn policies(policies: &SchedulePolicies) -> Vec<(&'static str, String)> {
    let overlap = match policies.overlap_policy() {
        ScheduleOverlapPolicy::Unspecified => ScheduleOverlapPolicy::Skip,
        overlap => overlap,
    };
    let name = overlap.as_str_name();
    let name = name
        .strip_prefix("SCHEDULE_OVERLAP_POLICY_")
        .unwrap_or(name);
    vec![
        ("overlap", name.to_lowercase()),
        ("catch-up window", span(policies.catchup_window)),
        ("pause on failure", yes_or_no(policies.pause_on_failure)),
        (
            "keep original workflow id",
            yes_or_no(policies.keep_original_workflow_id),
        ),
    ]
}

fn interval(interval: &IntervalSpec) -> String {
    let every = span(interval.interval);
    match &*span(interval.phase) {
        NONE => format!("every {every}"),
        offset => format!("every {every}, offset {offset}"),
    }
}

fn calendar(calendar: &StructuredCalendarSpec) -> String {
    let parts = [
        ("second", &calendar.second, (0, 0)),
        ("minute", &calendar.minute, (0, 0)),
        ("hour", &calendar.hour, (0, 0)),
        ("day", &calendar.day_of_month, (1, 31)),
        ("month", &calendar.month, (1, 12)),
        ("year", &calendar.year, (0, 0)),
        ("weekday", &calendar.day_of_week, (0, 6)),
    ];
    let parts = parts.into_iter().filter_map(|(name, ranges, usual)| {
        let ranges: Vec<_> = ranges.iter().map(bounds).collect();
        let is_usual = ranges.is_empty() || ranges == [(usual.0, usual.1, 1)];
        let ranges = ranges
            .into_iter()
            .map(|(start, end, step)| match (start == end, step) {
                (true, _) => start.to_string(),
                (false, 1) => format!("{start}-{end}"),
                (false, step) => format!("{start}-{end}/{step}"),
            });
        (!is_usual).then(|| format!("{name} {}", ranges.collect::<Vec<_>>().join(",")))
    });
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() {
        return "daily at midnight".to_owned();
    }
    parts.join(" ")
}

/// Normalizes a range to start, end and step: an end before the start equals the start, and a step
/// of 0 equals 1.
fn bounds(range: &Range) -> (i32, i32, i32) {
    (range.start, range.end.max(range.start), range.step.max(1))
}

fn input(input: Option<&Payloads>) -> String {
    list(
        input
            .into_iter()
            .flat_map(|input| &input.payloads)
            .map(json),
    )
}

fn attributes(attributes: Option<&SearchAttributes>) -> String {
    values(attributes.map(|attributes| &attributes.indexed_fields))
}

fn values(values: Option<&HashMap<String, Payload>>) -> String {
    let sorted: BTreeMap<_, _> = values.into_iter().flatten().collect();
    list(
        sorted
            .into_iter()
            .map(|(name, value)| format!("{name}={}", json(value))),
    )
}

fn text(payload: Option<&Payload>) -> String {
    payload.map_or_else(|| NONE.to_owned(), json)
}

fn json(payload: &Payload) -> String {
    String::from_utf8_lossy(&payload.data).into_owned()
}

fn moment<T>(time: Option<T>) -> String
where
    SystemTime: TryFrom<T>,
{
    let time = time.and_then(|time| SystemTime::try_from(time).ok());
    let text = |time| DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::AutoSi, true);
    time.map_or_else(|| NONE.to_owned(), text)
}

fn span<T>(span: Option<T>) -> String
where
    Duration: TryFrom<T>,
{
    let span = span.and_then(|span| Duration::try_from(span).ok());
    let Some(span) = span.filter(|span| !span.is_zero()) else {
        return NONE.to_owned();
    };
    match span.as_secs() {
        _ if span.subsec_nanos() != 0 => format!("{span:?}"),
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{} min", seconds / 60),
        seconds => format!("{seconds} s"),
    }
}

fn yes_or_no(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

fn debug(value: Option<&impl fmt::Debug>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| format!("{value:?}"))
}

fn list(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<_> = parts.collect();
    if parts.is_empty() {
        return NONE.to_owned();
    }
    parts.join("; ")
}
