//! The rows of Invoice Detail.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::focus::{DetailKey, InvoiceDetail, InvoiceFacts, classify};
use domain::invoices::ChargePart;
use rust_decimal::Decimal;

use super::month::FocusMonth;
use crate::StoreError;

impl FocusMonth {
    /// Returns the rows of Invoice Detail: for each invoice, the totals of its lines by part,
    /// product and category.
    pub async fn invoice_details(&mut self) -> Result<Vec<InvoiceDetail>, StoreError> {
        let mut details = Vec::new();
        for bill in &self.bills {
            let Some(invoice) = &bill.bill.invoice else {
                continue;
            };
            let times = sqlx::query!(
                r#"select min(version.ingested_at) as "created_at!", max(version.ingested_at) as "updated_at!",
                       (select min(entry.date) from cloud_billing_entries entry
                        where entry.invoice_uuid = $2 and entry.entry_type = 'Invoice') as issued_at
                   from cloud_invoice_versions version where version.invoice_id = $1"#,
                bill.id,
                invoice.uuid,
            )
            .fetch_one(&mut *self.snapshot)
            .await?;
            // The properties by which a charge is classified.
            let totals = sqlx::query!(
                r#"select product, coalesce(part, 'product_charges') as "part!", amount < 0 as "is_negative!",
                       end_at is not null and greatest(start_at, end_at) <= bill_period::timestamp at time zone 'UTC' as "is_earlier!",
                       case when part = 'credits_and_adjustments' then description end as description,
                       sum(amount) as "amount!"
                   from cloud_cost_lines where invoice_id = $1 group by 1, 2, 3, 4, 5"#,
                bill.id,
            )
            .fetch_all(&mut *self.snapshot)
            .await?;
            let mut by_key: BTreeMap<DetailKey<'static>, Decimal> = BTreeMap::new();
            for total in totals {
                let mut parts = ChargePart::ALL.into_iter();
                let part = parts.find(|part| part.as_str() == total.part);
                let part = part.unwrap_or(ChargePart::ProductCharges);
                let description = total.description.unwrap_or_default();
                let kind = classify(
                    &total.product,
                    &description,
                    part,
                    total.is_negative,
                    total.is_earlier,
                );
                let key = DetailKey {
                    part,
                    product: Cow::Owned(total.product),
                    category: kind.category,
                };
                *by_key.entry(key).or_default() += total.amount;
            }
            let facts = InvoiceFacts {
                account: &self.account,
                period: self.period,
                uuid: invoice.uuid,
                created_at: times.created_at,
                updated_at: times.updated_at,
                issued_at: times.issued_at,
            };
            let rows = by_key.into_iter();
            details.extend(rows.map(|(key, amount)| InvoiceDetail::new(&facts, key, amount)));
        }
        Ok(details)
    }
}
