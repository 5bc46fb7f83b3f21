//! Closed months for tests.

use chrono::NaiveDate;
use domain::InvoiceUuid;
use domain::focus::Rows;
use store::Run;
use store::closing::{Approval, BegunClose, RootSignature};
use store::costs::MonthClose;

use super::account::APRIL;
use super::bills::lines;
use super::{TestApi, operator};

/// Longer than two pieces of a file.
pub(crate) const LONG_FILE: usize = 2 * 1024 * 1024 + 17;

/// The lines of April after a correction by one dollar.
const CORRECTED: &str = "Droplets,,web-1 (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$7.00,alpha,iaas
Droplets,,db-1 (s-1vcpu-1gb),720,2026-04-01 00:00:00 +0000,2026-05-01 00:00:00 +0000,$24.50,beta,iaas
Droplets,,gone-1 (s-1vcpu-1gb),1,2026-04-01 00:00:00 +0000,2026-04-01 01:00:00 +0000,$0.10,alpha,iaas
Taxes,,GST (10%),,2026-04-01 00:00:00 +0000,2026-04-30 23:59:59 +0000,$3.06,,iaas";

impl TestApi {
    /// Closes a month by the store, as the activity of the workflow does, with two files in
    /// addition to the manifest.
    pub(crate) async fn close(&self, period: &str) -> MonthClose {
        self.close_signed(period, None).await
    }

    pub(crate) async fn close_signed(
        &self,
        period: &str,
        signature: Option<RootSignature>,
    ) -> MonthClose {
        let month: NaiveDate = format!("{period}-01").parse().unwrap();
        let approval = Approval {
            by: "ann".to_owned(),
            reason: Some("all checked".to_owned()),
        };
        let run = Run {
            workflow_id: format!("close-month-{period}"),
            run_id: uuid::Uuid::new_v4().to_string(),
        };
        let begun = self.store.begin_close(month, &approval, &run).await;
        let BegunClose::Begun(closing) = begun.unwrap() else {
            panic!("{period} is closed or not final");
        };
        let (mut pages, draft) = closing.cost_rows(Rows::Lines);
        while pages.next().await.unwrap().is_some() {}
        let mut closing = draft.with(pages.into_month().await.unwrap());
        let checks = closing.checks().await.unwrap().to_string();
        let files = [
            ("checks.json", "application/json", checks.into_bytes()),
            ("long.bin", "application/octet-stream", long_file()),
        ];
        for (name, media_type, content) in files {
            let added = closing.add_file(name, media_type, &content).await;
            added.unwrap();
        }
        let stored = closing.store(&operator(), |_| signature).await;
        stored.unwrap()
    }

    /// Attributes the costs of the project `alpha` to `globex` from the start, also those of April.
    pub(crate) async fn move_april(&self) {
        let path = format!("/api/v1/projects/{}", self.project_id("alpha").await);
        let change = r#"{"tenant_id": "globex", "since": "2015-01-01", "reason": "sold"}"#;
        self.patch(&self.admin, &path, change).await.ok();
    }

    /// Replaces the invoice of April by one with a dollar more for `web-1`.
    pub(crate) async fn correct_april(&self) {
        let invoice: InvoiceUuid = APRIL.parse().unwrap();
        self.ingested(invoice, "2026-04", "34.66", &lines(CORRECTED))
            .await;
    }
}

/// A file in three pieces, in which no piece equals another.
pub(crate) fn long_file() -> Vec<u8> {
    let bytes = (0_u32..).flat_map(u32::to_be_bytes);
    bytes.take(LONG_FILE).collect()
}
