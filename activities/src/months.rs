//! The activities that read the state of a month before its close, and close it.

use std::sync::Arc;

use chrono::{NaiveDate, SecondsFormat};
use domain::focus::{BILLING_PERIOD, COST_AND_USAGE, Column, INVOICE_DETAIL, Rows, Version};
use domain::invoices::InvoicePeriod;
use export::{ExportError, Format};
use store::closing::{Approval, BegunClose, Closing, MonthReadiness};
use store::costs::MonthClose;
use store::{Actor, Run, Store, StoreError};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::months::{
    ApprovedClose, CloseOutcome, MonthClosed, MonthState, OpenItem, definitions,
};

use crate::failure::Failure;
use crate::heartbeat::heartbeating;
use crate::signing::SigningKey;
use crate::{blocking, run_of};

pub struct MonthActivities {
    pub store: Store,
    /// Signs the statements of closed months; none leaves them unsigned.
    pub signing_key: Option<SigningKey>,
}

/// The version of the files in the format of FOCUS.
const FOCUS: Version = Version::V1_4;
const CSV: &str = "text/csv; charset=utf-8";
const GZIP: &str = "application/gzip";
const JSON: &str = "application/json";

#[activities]
impl MonthActivities {
    #[activity(definition = definitions::Readiness)]
    pub async fn readiness(
        self: Arc<Self>,
        context: ActivityContext,
        period: InvoicePeriod,
    ) -> Result<MonthState, ActivityError> {
        let store = self.store.clone();
        heartbeating(&context, &store, async move {
            let readiness = self.store.month_readiness(period.first_day()).await?;
            self.state_of(readiness).await
        })
        .await
    }

    #[activity(definition = definitions::Close)]
    pub async fn close(
        self: Arc<Self>,
        context: ActivityContext,
        approved: ApprovedClose,
    ) -> Result<CloseOutcome, ActivityError> {
        let run = run_of(&context);
        let store = self.store.clone();
        heartbeating(&context, &store, async move {
            Box::pin(self.close_month(approved, run)).await
        })
        .await
    }
}

impl MonthActivities {
    async fn state_of(&self, readiness: MonthReadiness) -> Result<MonthState, Failure> {
        let close = match readiness.close {
            Some(close) => Some(self.closed(close).await?),
            None => None,
        };
        let open = readiness.open.into_iter().map(|open| OpenItem {
            item: open.item,
            count: open.count,
            amount: open.amount.map(|amount| amount.to_string()),
        });
        Ok(MonthState {
            is_final: readiness.is_final,
            reasons: readiness.reasons,
            open: open.collect(),
            close,
        })
    }

    async fn closed(&self, close: MonthClose) -> Result<MonthClosed, Failure> {
        let statements = self.store.statements(close.period).await?.rows.len();
        let files = self.store.close_files(close.id).await?.len();
        Ok(MonthClosed {
            number: close.number,
            closed_at: close.closed_at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            closed_by: close.closed_by,
            statements,
            files,
            is_signed: close.signature.is_some(),
        })
    }

    /// Closes a month. Of several attempts at the same time, one closes it.
    async fn close_month(
        &self,
        approved: ApprovedClose,
        run: Run,
    ) -> Result<CloseOutcome, Failure> {
        let period = approved.period.first_day();
        let actor = Actor::of_update(&approved.approval.by, run.clone());
        let actor = actor.because(approved.approval.reason);
        let approval = Approval {
            by: actor.name().to_owned(),
            reason: actor.reason().map(str::to_owned),
        };
        let close = match self.store.begin_close(period, &approval, &run).await? {
            BegunClose::Closed(close) => *close,
            BegunClose::NotFinal(reasons) => return Ok(CloseOutcome::NotFinal { reasons }),
            BegunClose::Begun(closing) => self.complete(*closing, period, &actor).await?,
        };
        Ok(CloseOutcome::Closed(self.closed(close).await?))
    }

    /// Adds the files to a draft, and closes the month with it.
    async fn complete(
        &self,
        closing: Closing,
        period: NaiveDate,
        actor: &Actor,
    ) -> Result<MonthClose, Failure> {
        let closing = with_costs(closing, "cost-and-usage.csv.gz", Rows::Lines).await?;
        let mut closing = with_costs(closing, "cost-and-usage-shares.csv.gz", Rows::Shares).await?;
        let details = closing.month().invoice_details().await?;
        let details = encoded(Format::Csv, INVOICE_DETAIL, details).await?;
        closing
            .add_file("invoice-detail.csv", CSV, &details)
            .await?;
        let month = vec![closing.month().billing_period()];
        let month = encoded(Format::Csv, BILLING_PERIOD, month).await?;
        closing.add_file("billing-period.csv", CSV, &month).await?;
        let checks = format!("{:#}\n", closing.checks().await?);
        closing
            .add_file("checks.json", JSON, checks.as_bytes())
            .await?;
        let sign = |message: &str| self.signing_key.as_ref()?.sign(message);
        match closing.store(actor, sign).await {
            Ok(close) => Ok(close),
            // Another attempt closed the month first.
            Err(error @ StoreError::MonthState { .. }) => {
                let close = self.store.close_in_force(period).await?;
                close.ok_or(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Adds a file with the rows of Cost and Usage.
async fn with_costs(closing: Closing, name: &str, rows: Rows) -> Result<Closing, Failure> {
    let (mut pages, draft) = closing.cost_rows(rows);
    let columns = Column::of(COST_AND_USAGE, FOCUS);
    let (written, pages) = blocking::on_thread(move || {
        let mut file = Vec::new();
        let rows = std::iter::from_fn(|| pages.blocking_next().transpose());
        let written = export::write(Format::CsvGzip, &columns, rows, &mut file);
        (written.map(|_| file), pages)
    })
    .await;
    let file = written.map_err(export_failure)?;
    let mut closing = draft.with(pages.into_month().await?);
    closing.add_file(name, GZIP, &file).await?;
    Ok(closing)
}

/// Encodes rows as a file.
async fn encoded<R: Send + 'static>(
    format: Format,
    columns: &'static [Column<R>],
    rows: Vec<R>,
) -> Result<Vec<u8>, Failure> {
    let columns = Column::of(columns, FOCUS);
    let written = blocking::on_thread(move || {
        let mut file = Vec::new();
        let page = std::iter::once(Ok::<_, StoreError>(rows));
        export::write(format, &columns, page, &mut file).map(|_| file)
    });
    written.await.map_err(export_failure)
}

/// An error of the database stays one, so that it is retried.
fn export_failure(error: ExportError) -> Failure {
    match error {
        ExportError::Rows(source) => match source.downcast::<StoreError>() {
            Ok(error) => Failure::Store(*error),
            Err(source) => Failure::Export(ExportError::Rows(source)),
        },
        error => Failure::Export(error),
    }
}
