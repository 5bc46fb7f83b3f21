//! Converts a schedule of the table into the types of Temporal's API.

use digitalocean::ResourceListing;
use temporalio_common::protos::temporal::api::common::v1::{
    Payloads, SearchAttributes, WorkflowType,
};
use temporalio_common::protos::temporal::api::enums::v1::ScheduleOverlapPolicy;
use temporalio_common::protos::temporal::api::schedule::v1::{
    IntervalSpec, Range, Schedule as ScheduleProto, ScheduleAction, SchedulePolicies, ScheduleSpec,
    ScheduleState, StructuredCalendarSpec, schedule_action::Action,
};
use temporalio_common::protos::temporal::api::sdk::v1::UserMetadata;
use temporalio_common::protos::temporal::api::taskqueue::v1::TaskQueue;
use temporalio_common::protos::temporal::api::workflow::v1::NewWorkflowExecutionInfo;
use workflows::search_attributes;

use super::payload::{json_payload, text_payload};
use super::{Installation, Kinds, Schedule, When};

impl Schedule {
    pub(super) fn to_proto(self, installation: &Installation) -> ScheduleProto {
        let input = self.kinds.input().map(|json| Payloads {
            payloads: vec![json_payload(&json)],
        });
        let attributes = search_attributes::of_run(self.task_queue, self.kinds.names());
        ScheduleProto {
            spec: Some(self.when.to_proto()),
            action: Some(ScheduleAction {
                action: Some(Action::StartWorkflow(NewWorkflowExecutionInfo {
                    // The server appends the time of the start.
                    workflow_id: self.id.to_owned(),
                    workflow_type: Some(WorkflowType {
                        name: self.workflow_type.to_owned(),
                    }),
                    task_queue: Some(TaskQueue {
                        name: self.task_queue.to_owned(),
                        ..Default::default()
                    }),
                    input,
                    workflow_run_timeout: self.run_timeout.try_into().ok(),
                    search_attributes: Some(attributes.into_proto()),
                    memo: Some(installation.memo()),
                    user_metadata: Some(UserMetadata {
                        summary: Some(text_payload(self.note)),
                        details: Some(text_payload(&self.details())),
                    }),
                    ..Default::default()
                })),
            }),
            policies: Some(SchedulePolicies {
                overlap_policy: ScheduleOverlapPolicy::Skip.into(),
                catchup_window: self.catchup_window.try_into().ok(),
                ..Default::default()
            }),
            state: Some(ScheduleState {
                notes: self.note.to_owned(),
                ..Default::default()
            }),
        }
    }

    /// Returns the search attributes of the schedule itself, which are separate from those of its
    /// runs. `apply` recognizes schedules of this program by them.
    pub(super) fn schedule_attributes(&self) -> SearchAttributes {
        search_attributes::of_run(self.task_queue, Vec::new()).into_proto()
    }

    /// Returns the details of every run for the Temporal UI, as Markdown.
    fn details(&self) -> String {
        format!(
            "Started by schedule `{id}`, {when} (UTC). Each run mirrors the full state: after a \
             missed, failed or duplicate run, the next one corrects the mirror.\n\nRun now: \
             `temporal schedule trigger --schedule-id {id}`.",
            id = self.id,
            when = self.when
        )
    }
}

impl Kinds {
    /// Returns the workflow's input as JSON.
    fn input(&self) -> Option<String> {
        match self {
            Self::None | Self::All => None,
            Self::Only { kinds, repeats } => {
                let scope = serde_json::json!({ "kinds": kinds, "repeats": repeats });
                Some(scope.to_string())
            }
        }
    }

    fn names(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::All => {
                let listed = digitalocean::kinds::listings().iter();
                let kinds = listed.flat_map(ResourceListing::kinds);
                let mut names: Vec<_> = kinds.map(|kind| kind.as_str().to_owned()).collect();
                names.sort_unstable();
                names.dedup();
                names
            }
            Self::Only { kinds, .. } => kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        }
    }
}

impl When {
    fn to_proto(self) -> ScheduleSpec {
        match self {
            Self::Every { every, offset } => ScheduleSpec {
                interval: vec![IntervalSpec {
                    interval: every.try_into().ok(),
                    phase: offset.try_into().ok(),
                }],
                ..Default::default()
            },
            Self::Daily { hour, minute } => ScheduleSpec {
                structured_calendar: vec![StructuredCalendarSpec {
                    second: range(0, 0),
                    minute: range(minute, minute),
                    hour: range(hour, hour),
                    day_of_month: range(1, 31),
                    month: range(1, 12),
                    day_of_week: range(0, 6),
                    ..Default::default()
                }],
                ..Default::default()
            },
        }
    }
}

fn range(start: u8, end: u8) -> Vec<Range> {
    vec![Range {
        start: start.into(),
        end: end.into(),
        step: 1,
    }]
}
