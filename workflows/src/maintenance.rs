//! `Maintain`: keeps every table within its bound.

use std::fmt;

use domain::maintenance::Rule;
use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_common::error::ApplicationFailure;
use temporalio_macros::{activity_definitions, workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::{NoInput, options};

/// The activities of this workflow; `activities::maintenance` implements them.
pub struct MaintenanceActivities;

#[expect(
    clippy::needless_pass_by_value,
    reason = "declarations only: this code never runs"
)]
#[activity_definitions]
impl MaintenanceActivities {
    /// Applies one rule, a bounded number of rows in each transaction.
    #[activity(name = "maintenance.apply")]
    pub fn apply(rule: Rule) -> Result<RuleApplied, ActivityError> {
        unimplemented!()
    }

    /// Records that all rules were applied, for the metrics.
    #[activity(name = "maintenance.record")]
    pub fn record(done: Maintained) -> Result<(), ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::maintenance_activities::{Apply, Record};
}

/// The result of one rule.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct RuleApplied {
    pub rule: Rule,
    /// The number of removed rows; of the rule `partitions`, that of added partitions.
    pub count: u64,
}

/// The result of a run, and its progress.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Maintained {
    pub applied: Vec<RuleApplied>,
}

impl fmt::Display for Maintained {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.applied.iter();
        let counts: Vec<_> = counts
            .map(|applied| format!("{}: {}", applied.rule, applied.count))
            .collect();
        formatter.write_str(&counts.join("; "))
    }
}

#[workflow]
#[derive(Default)]
pub struct Maintain {
    progress: Maintained,
}

#[workflow_methods]
impl Maintain {
    /// A failed rule does not affect the others: the run applies them, and then fails with the
    /// names of the failed rules.
    #[run(name = "Maintain")]
    pub async fn run(ctx: &mut WorkflowContext<Self>, _: NoInput) -> WorkflowResult<Maintained> {
        let mut failures = Vec::new();
        for rule in Rule::ALL {
            let options = options::retention(rule.summary());
            let apply = ctx.execute_activity(MaintenanceActivities::apply, rule, options);
            match apply.await {
                Ok(applied) => ctx.state_mut(|state| state.progress.applied.push(applied)),
                Err(error @ ActivityExecutionError::Cancelled(_)) => return Err(error.into()),
                Err(error) => failures.push(format!("{rule}: {}", options::reason(&error))),
            }
            ctx.set_current_details(ctx.state(|state| state.progress.to_string()));
        }
        let done = ctx.state(|state| state.progress.clone());
        if failures.is_empty() {
            let options = options::database("time of the last maintenance");
            let record = MaintenanceActivities::record;
            ctx.execute_activity(record, done.clone(), options).await?;
            return Ok(done);
        }
        let message = format!("not applied: {}; applied: {done}", failures.join("; "));
        Err(ApplicationFailure::builder(std::io::Error::other(message))
            .type_name("RulesFailed".to_owned())
            .non_retryable(true)
            .build()
            .into())
    }

    /// Returns the results of the rules that were applied so far.
    #[query(name = "progress")]
    pub fn progress(&self, _: &WorkflowContextView) -> Maintained {
        self.progress.clone()
    }
}
