//! `BillingHistory`: finds the account's invoices and has each ingested, keeps the ledger and the estimate of the open month, and
//! checks the books. `IngestInvoice`: stores the lines of one invoice.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use chrono::NaiveDate;
use domain::InvoiceUuid;
use serde::{Deserialize, Serialize};
use temporalio_common::ActivityError;
use temporalio_common::error::ApplicationFailure;
use temporalio_macros::{activity_definitions, workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, ChildWorkflowExecutionError, ChildWorkflowOptions,
    ChildWorkflowStartError, ContinueAsNewOptions, ParentClosePolicy,
    StartChildWorkflowExecutionFailedCause, WorkflowContext, WorkflowResult, WorkflowTermination,
    join_all,
};

use crate::costs::CostActivities;
use crate::ledger::{LedgerActivities, LedgerSynced};
use crate::{Input, options};

/// What these workflows ask of the outside; `activities::invoices` answers.
pub struct InvoiceActivities;

#[expect(
    clippy::needless_pass_by_value,
    reason = "a contract: nothing runs here"
)]
#[activity_definitions]
impl InvoiceActivities {
    /// Lists the account's invoices and writes them down.
    #[activity(name = "invoices.discover")]
    pub fn discover() -> Result<InvoicesDiscovered, ActivityError> {
        unimplemented!()
    }

    /// The next invoices without lines or to be looked at again, at most [`PAGE`] of them.
    #[activity(name = "invoices.list_pending")]
    pub fn list_pending(after: Option<Pending>) -> Result<Vec<Pending>, ActivityError> {
        unimplemented!()
    }

    /// How many invoices that is in all.
    #[activity(name = "invoices.count_pending")]
    pub fn count_pending() -> Result<usize, ActivityError> {
        unimplemented!()
    }

    /// Fetches the preview of the open month's invoice and replaces the month's estimate.
    #[activity(name = "invoices.estimate")]
    pub fn estimate() -> Result<EstimateStored, ActivityError> {
        unimplemented!()
    }

    /// Fetches one invoice's CSV, items and summary, and stores its lines.
    #[activity(name = "invoices.ingest")]
    pub fn ingest(invoice: InvoiceUuid) -> Result<InvoiceIngested, ActivityError> {
        unimplemented!()
    }

    /// Writes down why an invoice could not be ingested.
    #[activity(name = "invoices.mark_failed")]
    pub fn mark_failed(failure: IngestFailure) -> Result<(), ActivityError> {
        unimplemented!()
    }
}

/// The macro keeps its marker types in a private module; implementations need their names.
pub mod definitions {
    pub use super::invoice_activities::{
        CountPending, Discover, Estimate, Ingest, ListPending, MarkFailed,
    };
}

/// What a look at the list of invoices found.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct InvoicesDiscovered {
    pub listed: usize,
    pub new: usize,
    /// Whose amount has changed.
    pub corrected: usize,
    /// Why there may be more invoices than were listed; none if these are all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub incomplete: Option<String>,
}

/// An invoice that waits for its lines.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
pub struct Pending {
    pub period: NaiveDate,
    pub invoice_uuid: InvoiceUuid,
}

/// What an ingest stored; amounts are USD, as decimal strings.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct InvoiceIngested {
    pub lines: usize,
    pub matched: usize,
    pub line_total: String,
    /// The invoice's amount less the sum of its lines.
    pub off_by: String,
    /// Every sum of it agrees with every other.
    #[serde(default)]
    pub is_final: bool,
    /// 1 for the first; a corrected invoice counts up.
    #[serde(default)]
    pub version: i32,
    /// What the lines were read from, and why not from both.
    #[serde(default)]
    pub sources: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_note: Option<String>,
    /// How many lines each rule matched.
    #[serde(default)]
    pub rules: BTreeMap<String, usize>,
}

/// What storing the open month's preview came to; amounts are USD, as decimal strings.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum EstimateStored {
    Estimated {
        /// `YYYY-MM`
        period: String,
        lines: usize,
        line_total: String,
        /// The preview's amount less the sum of its lines.
        off_by: String,
    },
    /// The preview lags behind: its month has an invoice.
    AlreadyInvoiced {
        period: String,
    },
    NoPreview,
}

/// Why an invoice could not be ingested.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct IngestFailure {
    pub invoice_uuid: InvoiceUuid,
    pub reason: String,
}

/// How far a run over all invoices has come; one run hands it to the next when it continues as new.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct BillingProgress {
    /// The last invoice that was looked at; none before the first.
    pub after: Option<Pending>,
    pub listed: usize,
    /// Why there may be more invoices than were listed; none if these are all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// Why the list of invoices could not be read; none if it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_listed: Option<String>,
    /// How many invoices this run has to ingest or to look at again.
    pub pending: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerSynced>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<EstimateStored>,
    /// What else went wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    pub ingested: usize,
    pub failed: usize,
    /// Being ingested by another run.
    pub already_running: usize,
    /// The first that failed, with the reason: all of them have it in `cloud_invoices.last_error`.
    pub failures: Vec<IngestFailure>,
}

/// Invoices a run handles before it continues as new: about four history events each, far below what Temporal bears.
pub const PAGE: usize = 500;
/// Children at a time. More gain nothing: two cores are busy with these.
const LANES: usize = 16;
const FAILURES_NAMED: usize = 20;
const LONGEST_REASON: usize = 500;

#[workflow]
#[derive(Default)]
pub struct BillingHistory {
    progress: BillingProgress,
}

#[workflow_methods]
impl BillingHistory {
    /// A child that fails harms no other: this run completes, and the next one tries again what has failed.
    #[run(name = "BillingHistory")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: Input<BillingProgress>,
    ) -> WorkflowResult<BillingProgress> {
        let progress = input.or_default("nothing")?;
        let is_first_run = progress.after.is_none();
        ctx.state_mut(|state| state.progress = progress);
        let keeps_books = ctx.patched("every-cent-2026-11");
        if is_first_run {
            discover(ctx).await?;
            if keeps_books {
                sync_ledger(ctx).await?;
                estimate(ctx).await?;
                let pending = ctx
                    .execute_activity(InvoiceActivities::count_pending, (), options::database())
                    .await?;
                ctx.state_mut(|state| state.progress.pending = pending);
            }
        }
        let after = ctx.state(|state| state.progress.after);
        let page = ctx
            .execute_activity(InvoiceActivities::list_pending, after, options::database())
            .await?;
        let last = page.last().copied();
        let is_full_page = page.len() >= PAGE;
        ingest_all(ctx, page).await?;

        if is_full_page {
            ctx.state_mut(|state| state.progress.after = last);
            let progress = ctx.state(|state| state.progress.clone());
            ctx.continue_as_new(Input::Given(progress), ContinueAsNewOptions::default())?;
        }
        if keeps_books {
            check_books(ctx).await?;
        }
        let progress = ctx.state(|state| state.progress.clone());
        outcome(progress)
    }

    /// How many invoices of how many are done.
    #[query(name = "progress")]
    pub fn progress(&self, _: &temporalio_workflow::WorkflowContextView) -> BillingProgress {
        self.progress.clone()
    }
}

/// Where the list cannot be read, the invoices known from earlier runs are still ingested; the run fails at its end.
async fn discover(ctx: &WorkflowContext<BillingHistory>) -> Result<(), WorkflowTermination> {
    let options = options::listing("GET /v2/customers/my/invoices");
    match ctx
        .execute_activity(InvoiceActivities::discover, (), options)
        .await
    {
        Ok(discovered) => ctx.state_mut(|state| {
            state.progress.listed = discovered.listed;
            state.progress.incomplete = discovered.incomplete;
        }),
        Err(error @ ActivityExecutionError::Cancelled(_)) => return Err(error.into()),
        Err(error) => {
            let reason = options::reason(&error);
            ctx.state_mut(|state| state.progress.not_listed = Some(reason));
        }
    }
    Ok(())
}

async fn sync_ledger(ctx: &WorkflowContext<BillingHistory>) -> Result<(), WorkflowTermination> {
    let options = options::listing("GET /v2/customers/my/billing_history");
    match ctx
        .execute_activity(LedgerActivities::sync, (), options)
        .await
    {
        Ok(synced) => ctx.state_mut(|state| state.progress.ledger = Some(synced)),
        Err(error) => note_problem(ctx, "the billing history was not read", error)?,
    }
    Ok(())
}

async fn estimate(ctx: &WorkflowContext<BillingHistory>) -> Result<(), WorkflowTermination> {
    let options = options::ingest("GET /v2/customers/my/invoices/preview");
    match ctx
        .execute_activity(InvoiceActivities::estimate, (), options)
        .await
    {
        Ok(stored) => ctx.state_mut(|state| state.progress.estimate = Some(stored)),
        Err(error) => note_problem(ctx, "the open month was not estimated", error)?,
    }
    Ok(())
}

async fn check_books(ctx: &WorkflowContext<BillingHistory>) -> Result<(), WorkflowTermination> {
    let checked = ctx
        .execute_activity(CostActivities::check, (), options::database())
        .await?;
    ctx.state_mut(|state| state.progress.problems.extend(checked.discrepancies));
    Ok(())
}

/// The rest of the run goes on; the run fails at its end.
fn note_problem(
    ctx: &WorkflowContext<BillingHistory>,
    what: &str,
    error: ActivityExecutionError,
) -> Result<(), WorkflowTermination> {
    if matches!(error, ActivityExecutionError::Cancelled(_)) {
        return Err(error.into());
    }
    let problem = format!("{what}: {}", options::reason(&error));
    ctx.state_mut(|state| state.progress.problems.push(problem));
    Ok(())
}

/// What the run comes to: a failure that tells all, where invoices could not be listed or anything else went wrong. An invoice that
/// could not be ingested is no failure of this run.
fn outcome(progress: BillingProgress) -> WorkflowResult<BillingProgress> {
    let mut problems = progress.problems.clone();
    let type_name = if let Some(reason) = &progress.not_listed {
        problems.insert(0, format!("the invoices could not be listed: {reason}"));
        "InvoicesNotListed"
    } else {
        "BillingIncomplete"
    };
    if problems.is_empty() {
        return Ok(progress);
    }
    let message = format!(
        "{}; of the invoices known, {} were ingested and {} failed",
        problems.join("; "),
        progress.ingested,
        progress.failed
    );
    Err(ApplicationFailure::builder(std::io::Error::other(message))
        .type_name(type_name.to_owned())
        .non_retryable(true)
        .build()
        .into())
}

async fn ingest_all(
    ctx: &WorkflowContext<BillingHistory>,
    invoices: Vec<Pending>,
) -> Result<(), WorkflowTermination> {
    let queue = Rc::new(RefCell::new(VecDeque::from(invoices)));
    let lanes: Vec<_> = (0..LANES)
        .map(|_| {
            let (ctx, queue) = (ctx.clone(), Rc::clone(&queue));
            async move {
                loop {
                    let next = queue.borrow_mut().pop_front();
                    let Some(invoice) = next else { return Ok(()) };
                    ingest_one(&ctx, invoice.invoice_uuid).await?;
                }
            }
        })
        .collect();
    join_all(lanes).await.into_iter().collect()
}

async fn ingest_one(
    ctx: &WorkflowContext<BillingHistory>,
    invoice: InvoiceUuid,
) -> Result<(), WorkflowTermination> {
    let options = ChildWorkflowOptions::builder()
        .workflow_id(format!("ingest-invoice-{invoice}"))
        // An ingest is worth finishing whatever becomes of the run that asked for it.
        .parent_close_policy(ParentClosePolicy::Abandon)
        .static_summary(format!("invoice {invoice}"))
        .build();
    let outcome = match ctx
        .start_child_workflow(IngestInvoice::run, Input::Given(invoice), options)
        .await
    {
        Ok(child) => child.result().await,
        Err(ChildWorkflowStartError::StartFailed {
            cause: StartChildWorkflowExecutionFailedCause::WorkflowAlreadyExists,
            ..
        }) => {
            ctx.state_mut(|state| state.progress.already_running += 1);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    ctx.state_mut(|state| match outcome {
        Ok(_) => state.progress.ingested += 1,
        Err(error) => {
            state.progress.failed += 1;
            if state.progress.failures.len() < FAILURES_NAMED {
                state.progress.failures.push(IngestFailure {
                    invoice_uuid: invoice,
                    reason: innermost_reason(&error),
                });
            }
        }
    });
    let done = ctx.state(|state| state.progress.clone());
    ctx.set_current_details(format!(
        "{} of {} ingested, {} failed",
        done.ingested, done.pending, done.failed
    ));
    Ok(())
}

fn innermost_reason(error: &ChildWorkflowExecutionError) -> String {
    let mut failure = error.failure();
    while let Some(cause) = failure.and_then(|failure| failure.cause.as_deref()) {
        failure = Some(cause);
    }
    let reason = failure.map_or_else(|| error.to_string(), |failure| failure.message.clone());
    reason.chars().take(LONGEST_REASON).collect()
}

const EXPECTED: &str =
    r#"the invoice's uuid as a JSON string, like "22737513-0ea7-4206-8ceb-98a575af7681""#;

#[workflow]
#[derive(Default)]
pub struct IngestInvoice;

#[workflow_methods]
impl IngestInvoice {
    /// Stores the lines of one invoice. One that cannot be read is marked as failed, and so is this run.
    #[run(name = "IngestInvoice")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: Input<InvoiceUuid>,
    ) -> WorkflowResult<InvoiceIngested> {
        let invoice_uuid = input.required(EXPECTED)?;
        let options = options::ingest(format!("GET /v2/customers/my/invoices/{invoice_uuid}"));
        match ctx
            .execute_activity(InvoiceActivities::ingest, invoice_uuid, options)
            .await
        {
            Ok(ingested) => Ok(ingested),
            // An operator's word is no failure of the invoice.
            Err(error @ ActivityExecutionError::Cancelled(_)) => Err(error.into()),
            Err(error) => {
                let reason = options::reason(&error);
                let failure = IngestFailure {
                    invoice_uuid,
                    reason: reason.clone(),
                };
                ctx.execute_activity(InvoiceActivities::mark_failed, failure, options::database())
                    .await?;
                Err(ApplicationFailure::builder(std::io::Error::other(reason))
                    .type_name("InvoiceNotIngested".to_owned())
                    .non_retryable(true)
                    .build()
                    .into())
            }
        }
    }
}
