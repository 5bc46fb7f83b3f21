//! Finding invoices and storing their lines.

use std::sync::Arc;

use digitalocean::Client;
use domain::InvoiceUuid;
use domain::invoices::read_invoice_csv;
use store::invoices::{AfterPending, InvoiceFile};
use store::{Store, StoreError};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use workflows::invoices::{
    IngestFailure, InvoiceIngested, InvoicesDiscovered, PAGE, Pending, definitions,
};

use crate::failure::Failure;
use crate::heartbeat::beating;

pub struct InvoiceActivities {
    pub digitalocean: Client,
    pub store: Store,
}

#[activities]
impl InvoiceActivities {
    #[activity(definition = definitions::Discover)]
    pub async fn discover(
        self: Arc<Self>,
        context: ActivityContext,
    ) -> Result<InvoicesDiscovered, ActivityError> {
        beating(&context, async move { self.discover_invoices().await }).await
    }

    #[activity(definition = definitions::ListPending)]
    pub async fn list_pending(
        self: Arc<Self>,
        _context: ActivityContext,
        after: Option<Pending>,
    ) -> Result<Vec<Pending>, ActivityError> {
        let after = after.map(|after| AfterPending {
            period: after.period,
            invoice_uuid: after.invoice_uuid,
        });
        let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
        let pending = self
            .store
            .pending_invoices(after, limit)
            .await
            .map_err(report)?;
        Ok(pending
            .into_iter()
            .map(|next| Pending {
                period: next.period,
                invoice_uuid: next.invoice_uuid,
            })
            .collect())
    }

    #[activity(definition = definitions::Ingest)]
    pub async fn ingest(
        self: Arc<Self>,
        context: ActivityContext,
        invoice: InvoiceUuid,
    ) -> Result<InvoiceIngested, ActivityError> {
        beating(&context, async move { self.ingest_invoice(invoice).await }).await
    }

    #[activity(definition = definitions::MarkFailed)]
    pub async fn mark_failed(
        self: Arc<Self>,
        _context: ActivityContext,
        failure: IngestFailure,
    ) -> Result<(), ActivityError> {
        self.store
            .fail_invoice(failure.invoice_uuid, &failure.reason)
            .await
            .map_err(report)?;
        Ok(())
    }
}

fn report(error: StoreError) -> ActivityError {
    Failure::from(error).report()
}

impl InvoiceActivities {
    async fn discover_invoices(&self) -> Result<InvoicesDiscovered, Failure> {
        let listed = self.digitalocean.list_invoices().await;
        // What was seen is kept even if the listing broke off: invoices are only ever added.
        let discovered = self.store.discover_invoices(&listed.items).await?;
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

    async fn ingest_invoice(&self, invoice: InvoiceUuid) -> Result<InvoiceIngested, Failure> {
        if !self.store.has_invoice(invoice).await? {
            // Started by hand for an invoice that no listing has shown yet.
            let header = self.digitalocean.get_invoice_summary(invoice).await?;
            self.store.discover_invoices(&[header]).await?;
        }
        let csv = self.digitalocean.fetch_invoice_csv(invoice).await?;
        let lines = read_invoice_csv(&csv)?;
        let stored = self
            .store
            .ingest_invoice(
                invoice,
                InvoiceFile {
                    csv: &csv,
                    lines: &lines,
                },
            )
            .await?;
        Ok(InvoiceIngested {
            lines: stored.lines,
            matched: stored.matched,
            line_total: stored.line_total.to_string(),
            off_by: stored.off_by.to_string(),
        })
    }
}
