//! The activities that find invoices, store their lines, and estimate the open month.

mod content;

use std::sync::Arc;
use std::time::Duration;

use chrono::{Datelike as _, Months, NaiveDate, Utc};
use digitalocean::{Client, InvoiceKey};
use domain::InvoiceUuid;
use domain::invoices::{InvoiceHeader, InvoiceSummary};
use store::Store;
use store::invoices::{AfterPending, EstimateOutcome, Recheck};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::invoices::{
    EstimateStored, IngestFailure, InvoiceIngested, InvoicesDiscovered, PAGE, Pending, definitions,
};

use crate::failure::Failure;
use crate::heartbeat::heartbeating;

pub struct InvoiceActivities {
    pub digitalocean: Client,
    pub store: Store,
    /// Invoices of this many months before the current one are rechecked every day.
    pub look_back_months: u32,
}

/// A little less than the day between two runs.
const RECHECK_AFTER: Duration = Duration::from_hours(20);

#[activities]
impl InvoiceActivities {
    #[activity(definition = definitions::Discover)]
    pub async fn discover(
        self: Arc<Self>,
        context: ActivityContext,
    ) -> Result<InvoicesDiscovered, ActivityError> {
        let store = self.store.clone();
        heartbeating(
            &context,
            &store,
            async move { self.discover_invoices().await },
        )
        .await
    }

    #[activity(definition = definitions::ListPending)]
    pub async fn list_pending(
        self: Arc<Self>,
        context: ActivityContext,
        after: Option<Pending>,
    ) -> Result<Vec<Pending>, ActivityError> {
        let after = after.map(|after| AfterPending {
            period: after.period,
            invoice_uuid: after.invoice_uuid,
        });
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let (store, recheck) = (self.store.clone(), self.recheck());
        let pending = heartbeating(&context, &self.store, async move {
            Ok(store.pending_invoices(after, recheck, limit).await?)
        })
        .await?;
        Ok(pending
            .into_iter()
            .map(|next| Pending {
                period: next.period,
                invoice_uuid: next.invoice_uuid,
            })
            .collect())
    }

    #[activity(definition = definitions::CountPending)]
    pub async fn count_pending(
        self: Arc<Self>,
        context: ActivityContext,
    ) -> Result<usize, ActivityError> {
        let (store, recheck) = (self.store.clone(), self.recheck());
        heartbeating(&context, &self.store, async move {
            Ok(store.count_pending_invoices(recheck).await?)
        })
        .await
    }

    #[activity(definition = definitions::Estimate)]
    pub async fn estimate(
        self: Arc<Self>,
        context: ActivityContext,
    ) -> Result<EstimateStored, ActivityError> {
        let attempt = context.info().attempt;
        let store = self.store.clone();
        heartbeating(&context, &store, async move {
            self.store_estimate(attempt).await
        })
        .await
    }

    #[activity(definition = definitions::Ingest)]
    pub async fn ingest(
        self: Arc<Self>,
        context: ActivityContext,
        invoice: InvoiceUuid,
    ) -> Result<InvoiceIngested, ActivityError> {
        let attempt = context.info().attempt;
        let store = self.store.clone();
        heartbeating(&context, &store, async move {
            self.ingest_invoice(invoice, attempt).await
        })
        .await
    }

    #[activity(definition = definitions::MarkFailed)]
    pub async fn mark_failed(
        self: Arc<Self>,
        context: ActivityContext,
        failure: IngestFailure,
    ) -> Result<(), ActivityError> {
        let store = self.store.clone();
        heartbeating(&context, &self.store, async move {
            let IngestFailure {
                invoice_uuid,
                reason,
            } = failure;
            let evidence = store.begin_fetch().await?;
            store.fail_invoice(invoice_uuid, evidence, &reason).await?;
            Ok(())
        })
        .await
    }
}

impl InvoiceActivities {
    async fn discover_invoices(&self) -> Result<InvoicesDiscovered, Failure> {
        let evidence = self.store.begin_fetch().await?;
        let listed = self.digitalocean.list_invoices().await.invoices;
        // Invoices are stored even if the listing is incomplete. Only a complete listing proves
        // that an invoice is missing.
        let is_complete = listed.failure.is_none() && listed.completeness.is_complete();
        let discovered = self
            .store
            .store_invoice_list(&listed.items, evidence, is_complete)
            .await?;
        if discovered.missing > 0 {
            tracing::warn!(
                missing = discovered.missing,
                "DigitalOcean no longer lists invoices that were stored: their months are not final"
            );
        }
        if let Some(error) = listed.failure {
            return Err(error.into());
        }
        Ok(InvoicesDiscovered {
            listed: discovered.listed,
            new: discovered.new,
            corrected: discovered.corrected,
            incomplete: listed.completeness.reason().map(str::to_owned),
        })
    }

    fn recheck(&self) -> Recheck {
        let today = Utc::now().date_naive();
        let this_month = today.with_day(1).unwrap_or(today);
        Recheck {
            since: this_month
                .checked_sub_months(Months::new(self.look_back_months))
                .unwrap_or(NaiveDate::MIN),
            after: RECHECK_AFTER,
        }
    }

    async fn ingest_invoice(
        &self,
        invoice: InvoiceUuid,
        attempt: u32,
    ) -> Result<InvoiceIngested, Failure> {
        let key = InvoiceKey::Issued(invoice);
        let evidence = self.store.begin_fetch().await?;
        if !self.store.has_invoice(invoice).await? {
            // Started manually for an invoice that no listing has returned yet.
            let summary = self.digitalocean.get_invoice_summary(key).await?;
            let header = header_of(invoice, summary);
            self.store
                .store_invoice_list(&[header], evidence, false)
                .await?;
        }
        let Some(content) = content::read(&self.digitalocean, key, attempt).await? else {
            return Err(Failure::NoInvoice(invoice));
        };
        let stored = self
            .store
            .ingest_invoice(invoice, evidence, content.to_store())
            .await?;
        Ok(InvoiceIngested {
            lines: stored.lines,
            matched: WITH_RESOURCE
                .iter()
                .filter_map(|rule| stored.rules.get(*rule))
                .sum(),
            line_total: stored.line_total.to_string(),
            off_by: stored.off_by.to_string(),
            verification: stored.verification.as_str().to_owned(),
            is_final: stored.is_final,
            version: stored.version,
            sources: content.to_store().sources.as_str().to_owned(),
            source_note: content.to_store().source_note.map(str::to_owned),
            rules: stored.rules,
        })
    }

    async fn store_estimate(&self, attempt: u32) -> Result<EstimateStored, Failure> {
        // Months end without a change of their invoices.
        self.store.settle_months().await?;
        let key = InvoiceKey::Preview;
        let evidence = self.store.begin_fetch().await?;
        let Some(content) = content::read(&self.digitalocean, key, attempt).await? else {
            return Ok(EstimateStored::NoPreview);
        };
        let (period, amount) = if let Some(summary) = &content.summary {
            (summary.period, summary.amount)
        } else if let Some(preview) = self.digitalocean.list_invoices().await.preview {
            (preview.period, preview.amount)
        } else {
            return Ok(EstimateStored::NoPreview);
        };
        let outcome = self
            .store
            .store_estimate(period, amount, evidence, content.to_store())
            .await?;
        let period = period.to_string();
        Ok(match outcome {
            EstimateOutcome::Estimated {
                lines,
                line_total,
                off_by,
                ..
            } => EstimateStored::Estimated {
                period,
                lines,
                line_total: line_total.to_string(),
                off_by: off_by.to_string(),
            },
            EstimateOutcome::AlreadyInvoiced => EstimateStored::AlreadyInvoiced { period },
        })
    }
}

/// The match rules that find a resource. An override can also state that there is none.
const WITH_RESOURCE: [&str; 5] = ["uuid", "id", "group", "name", "project"];

fn header_of(invoice_uuid: InvoiceUuid, summary: InvoiceSummary) -> InvoiceHeader {
    InvoiceHeader {
        invoice_uuid,
        invoice_id: summary.invoice_id,
        period: summary.period,
        amount: summary.amount,
    }
}
