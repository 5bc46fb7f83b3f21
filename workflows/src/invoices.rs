//! `BillingHistory`: finds the account's invoices and ingests each in a child workflow, syncs the
//! ledger, updates the estimate of the open month, and checks the books. `IngestInvoice`: stores
//! the lines of one invoice.

mod contract;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use domain::InvoiceUuid;
use temporalio_common::error::ApplicationFailure;
use temporalio_macros::{workflow, workflow_methods};
use temporalio_workflow::{
    ActivityExecutionError, ChildWorkflowExecutionError, ChildWorkflowOptions,
    ChildWorkflowStartError, ContinueAsNewOptions, ParentClosePolicy,
    StartChildWorkflowExecutionFailedCause, WorkflowContext, WorkflowResult, WorkflowTermination,
    join_all,
};

pub use contract::{
    BillingProgress, EstimateStored, IngestFailure, InvoiceActivities, InvoiceIngested,
    InvoicesDiscovered, Pending, definitions,
};

use crate::costs::CostActivities;
use crate::ledger::LedgerActivities;
use crate::rate_limit::{is_rate_limited, wait_for_requests};
use crate::{Input, options, search_attributes};

/// Invoices per run before it continues as new: at about four history events each, far below
/// Temporal's limits.
pub const PAGE: usize = 500;
/// Concurrent children. More would not be faster: these keep two cores busy.
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
    /// A failed child does not affect the others: this run completes, and the next one retries the
    /// failed invoices.
    #[run(name = "BillingHistory")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: Input<BillingProgress>,
    ) -> WorkflowResult<BillingProgress> {
        let progress = input.or_default("no input")?;
        let is_first_run = progress.after.is_none();
        ctx.state_mut(|state| state.progress = progress);
        if is_first_run {
            discover(ctx).await?;
            let pending = ctx
                .execute_activity(
                    InvoiceActivities::count_pending,
                    (),
                    options::database("number of invoices without lines or to recheck"),
                )
                .await?;
            ctx.state_mut(|state| state.progress.pending = pending);
        }
        let after = ctx.state(|state| state.progress.after);
        let page = ctx
            .execute_activity(
                InvoiceActivities::list_pending,
                after,
                options::database("next page of these invoices"),
            )
            .await?;
        let last = page.last().copied();
        let is_full_page = page.len() >= PAGE;
        ingest_all(ctx, page).await?;

        if is_full_page {
            ctx.state_mut(|state| state.progress.after = last);
            let progress = ctx.state(|state| state.progress.clone());
            ctx.continue_as_new(Input::Valid(progress), ContinueAsNewOptions::default())?;
        }
        // After the invoices, so that no failure delays them.
        sync_ledger(ctx).await?;
        estimate(ctx).await?;
        check_books(ctx).await?;
        let progress = ctx.state(|state| state.progress.clone());
        outcome(progress)
    }

    /// Returns the number of invoices in total and done.
    #[query(name = "progress")]
    pub fn progress(&self, _: &temporalio_workflow::WorkflowContextView) -> BillingProgress {
        self.progress.clone()
    }
}

/// Finds the account's invoices. If the list cannot be read, the invoices known from earlier runs
/// are still ingested, and the run fails at its end.
async fn discover(ctx: &WorkflowContext<BillingHistory>) -> Result<(), WorkflowTermination> {
    let discover = || {
        let options = options::listing("GET /v2/customers/my/invoices");
        ctx.execute_activity(InvoiceActivities::discover, (), options)
    };
    match wait_for_requests(ctx, discover).await {
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
    let sync = || {
        let options = options::listing("GET /v2/customers/my/billing_history");
        ctx.execute_activity(LedgerActivities::sync, (), options)
    };
    match wait_for_requests(ctx, sync).await {
        Ok(synced) => ctx.state_mut(|state| state.progress.ledger = Some(synced)),
        Err(error) => note_problem(ctx, "billing history not read", error)?,
    }
    Ok(())
}

async fn estimate(ctx: &WorkflowContext<BillingHistory>) -> Result<(), WorkflowTermination> {
    let estimate = || {
        let options = options::ingest("GET /v2/customers/my/invoices/preview");
        ctx.execute_activity(InvoiceActivities::estimate, (), options)
    };
    match wait_for_requests(ctx, estimate).await {
        Ok(stored) => ctx.state_mut(|state| state.progress.estimate = Some(stored)),
        Err(error) => note_problem(ctx, "open month not estimated", error)?,
    }
    Ok(())
}

async fn check_books(ctx: &WorkflowContext<BillingHistory>) -> Result<(), WorkflowTermination> {
    let options = options::whole_bill("checks all sums against each other");
    match ctx
        .execute_activity(CostActivities::check, (), options)
        .await
    {
        Ok(checked) => {
            ctx.state_mut(|state| state.progress.problems.extend(checked.discrepancies));
        }
        Err(error) => note_problem(ctx, "books not checked", error)?,
    }
    Ok(())
}

/// Records a problem. The run continues, and fails at its end.
fn note_problem(
    ctx: &WorkflowContext<BillingHistory>,
    summary: &str,
    error: ActivityExecutionError,
) -> Result<(), WorkflowTermination> {
    if matches!(error, ActivityExecutionError::Cancelled(_)) {
        return Err(error.into());
    }
    let problem = format!("{summary}: {}", options::reason(&error));
    ctx.state_mut(|state| state.progress.problems.push(problem));
    Ok(())
}

/// The result of the run: a failure with all problems, if the invoices could not be listed or
/// another step failed. An invoice that could not be ingested does not fail this run.
fn outcome(progress: BillingProgress) -> WorkflowResult<BillingProgress> {
    let mut problems = progress.problems.clone();
    let type_name = if let Some(reason) = &progress.not_listed {
        problems.insert(0, format!("invoices not listed: {reason}"));
        "InvoicesNotListed"
    } else {
        "BillingIncomplete"
    };
    if problems.is_empty() {
        return Ok(progress);
    }
    let message = format!(
        "{}; of the known invoices, {} were ingested and {} failed",
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
                    ingest_one(&ctx, &invoice).await?;
                }
            }
        })
        .collect();
    join_all(lanes).await.into_iter().collect()
}

async fn ingest_one(
    ctx: &WorkflowContext<BillingHistory>,
    invoice: &Pending,
) -> Result<(), WorkflowTermination> {
    let uuid = invoice.invoice_uuid;
    let options = ChildWorkflowOptions::builder()
        .workflow_id(format!("ingest-invoice-{uuid}"))
        // An ingest is useful even if its parent ends.
        .parent_close_policy(ParentClosePolicy::Abandon)
        .static_summary(format!("invoice {uuid} of {}", invoice.month()))
        .static_details(format!("The lines: `GET /api/v1/billing/invoices/{uuid}`."))
        .maybe_search_attributes(search_attributes::of_ingest(ctx, invoice))
        .build();
    let outcome = match ctx
        .start_child_workflow(IngestInvoice::run, Input::Valid(uuid), options)
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
                    invoice_uuid: uuid,
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
    r#"the invoice's uuid as a JSON string, e.g. "22737513-0ea7-4206-8ceb-98a575af7681""#;

#[workflow]
#[derive(Default)]
pub struct IngestInvoice;

#[workflow_methods]
impl IngestInvoice {
    /// Stores the lines of one invoice. If it cannot be read, the invoice is marked as failed, and
    /// this run fails.
    #[run(name = "IngestInvoice")]
    pub async fn run(
        ctx: &mut WorkflowContext<Self>,
        input: Input<InvoiceUuid>,
    ) -> WorkflowResult<InvoiceIngested> {
        let invoice_uuid = input.required(EXPECTED)?;
        let ingest = || {
            let options = options::ingest(format!("GET /v2/customers/my/invoices/{invoice_uuid}"));
            ctx.execute_activity(InvoiceActivities::ingest, invoice_uuid, options)
        };
        match wait_for_requests(ctx, ingest).await {
            Ok(ingested) => Ok(ingested),
            // Neither a cancellation by an operator nor a rate limit is a failure of the invoice:
            // it stays without lines until the next run.
            Err(error @ ActivityExecutionError::Cancelled(_)) => Err(error.into()),
            Err(error) if is_rate_limited(&error) => Err(error.into()),
            Err(error) => {
                let reason = options::reason(&error);
                let failure = IngestFailure {
                    invoice_uuid,
                    reason: reason.clone(),
                };
                ctx.execute_activity(
                    InvoiceActivities::mark_failed,
                    failure,
                    options::database("stores the reason of the failed ingest"),
                )
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
