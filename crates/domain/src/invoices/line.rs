//! Builds invoice lines from rows of the CSV and from JSON items.

use chrono::{DateTime, Utc};
use compact_str::CompactString;
use rust_decimal::Decimal;

use super::{Charge, ChargePart, InvoiceItem, InvoiceLine, ItemIds, charged_for};

/// The fields of a charge that a row of the CSV and a JSON item share.
pub(super) struct LineFields {
    pub(super) product: CompactString,
    pub(super) group_description: CompactString,
    pub(super) description: CompactString,
    pub(super) hours: Option<Decimal>,
    pub(super) start_at: Option<DateTime<Utc>>,
    pub(super) end_at: Option<DateTime<Utc>>,
    pub(super) amount: Decimal,
    pub(super) project_name: CompactString,
    pub(super) category: Option<CompactString>,
}

impl LineFields {
    /// Builds the line at this position, 1 for the first.
    pub(super) fn into_line(self, line_no: i32) -> InvoiceLine {
        let mut line = InvoiceLine {
            line_no,
            product: self.product,
            group_description: self.group_description,
            description: self.description,
            hours: self.hours,
            start_at: self.start_at,
            end_at: self.end_at,
            amount: self.amount,
            project_name: self.project_name,
            category: self.category,
            kind: None,
            identified_kind: None,
            resource_name: None,
            is_named_by_group: false,
            region: None,
            size: None,
            for_account: false,
            part: ChargePart::ProductCharges,
            item: ItemIds::default(),
        };
        line.read_charge();
        line
    }
}

impl InvoiceLine {
    /// Sets the fields that are read from the product and the descriptions.
    pub(super) fn read_charge(&mut self) {
        let Charge {
            kind,
            resource_name,
            is_named_by_group,
            region,
            size,
            identified_kind,
            for_account,
            part,
        } = charged_for(&self.product, &self.group_description, &self.description);
        self.kind = kind;
        self.identified_kind = identified_kind;
        self.resource_name = resource_name;
        self.is_named_by_group = is_named_by_group;
        self.region = region;
        self.size = size;
        self.for_account = for_account;
        self.part = part;
    }
}

impl InvoiceItem {
    /// The duration in hours; none if it is in another unit.
    pub(super) fn hours(&self) -> Option<Decimal> {
        self.duration.filter(|_| self.counts_hours())
    }

    /// Returns true if the duration is in hours: the unit of the spec's examples, and the default
    /// for a missing unit.
    pub(super) fn counts_hours(&self) -> bool {
        self.duration_unit
            .as_deref()
            .and_then(non_empty)
            .is_none_or(|unit| {
                ["hours", "hour"]
                    .iter()
                    .any(|hours| hours.eq_ignore_ascii_case(unit))
            })
    }

    /// The ids for the line of this item; an empty id is none.
    pub(super) fn ids(&self) -> ItemIds {
        let id =
            |id: &Option<CompactString>| id.as_deref().and_then(non_empty).map(CompactString::from);
        ItemIds {
            resource_uuid: id(&self.resource_uuid),
            resource_id: id(&self.resource_id),
        }
    }
}

/// Trims the text; none if nothing is left.
pub(super) fn non_empty(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// Builds the lines of an invoice without a CSV, in the order of its items.
pub fn lines_of_items(items: &[InvoiceItem]) -> Vec<InvoiceLine> {
    (1..).zip(items).map(line_of_item).collect()
}

fn line_of_item((line_no, item): (i32, &InvoiceItem)) -> InvoiceLine {
    let fields = LineFields {
        product: item.product.trim().into(),
        group_description: item.group_description.trim().into(),
        description: item.description.trim().into(),
        hours: item.hours(),
        start_at: item.start_time,
        end_at: item.end_time,
        amount: item.amount,
        project_name: item.project_name.trim().into(),
        category: item
            .category
            .as_deref()
            .and_then(non_empty)
            .map(CompactString::from),
    };
    let mut line = fields.into_line(line_no);
    line.item = item.ids();
    line
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;
    use crate::invoices::samples::item;
    use crate::kind::ResourceKind;

    #[test]
    fn items_become_lines_in_their_order() {
        let start = Utc.with_ymd_and_hms(2026, 4, 1, 0, 0, 0).unwrap();
        let items = [
            InvoiceItem {
                resource_id: Some("42".into()),
                resource_uuid: Some(" ".into()),
                duration: Some(Decimal::from(744)),
                duration_unit: Some("Hours".into()),
                start_time: Some(start),
                category: Some(CompactString::default()),
                ..item("Droplet Backups", " web-1 ", Decimal::new(120, 2))
            },
            item("Taxes", "GST (10%)", Decimal::new(12, 2)),
        ];
        let lines = lines_of_items(&items);
        let [backup, tax] = &lines[..] else {
            panic!("{lines:?}")
        };
        assert_eq!((backup.line_no, tax.line_no), (1, 2));
        assert_eq!(backup.resource_name.as_deref(), Some("web-1"));
        assert_eq!(
            (backup.hours, backup.start_at),
            (Some(744.into()), Some(start))
        );
        assert_eq!(backup.category, None);
        assert_eq!(
            backup.item,
            ItemIds {
                resource_uuid: None,
                resource_id: Some("42".into()),
            }
        );
        assert_eq!(backup.identified_kind, Some(ResourceKind::DROPLET));
        assert_eq!(
            (tax.part, tax.amount),
            (ChargePart::Taxes, Decimal::new(12, 2))
        );
        assert_eq!(tax.item, ItemIds::default());
    }

    #[test]
    fn a_duration_in_another_unit_has_no_hours() {
        for (unit, hours) in [
            (None, Some(60)),
            (Some("Hours"), Some(60)),
            (Some("hour"), Some(60)),
            (Some("Seconds"), None),
        ] {
            let item = InvoiceItem {
                duration: Some(60.into()),
                duration_unit: unit.map(CompactString::from),
                ..item("Droplets", "web", Decimal::ONE)
            };
            assert_eq!(
                lines_of_items(&[item])[0].hours,
                hours.map(Decimal::from),
                "{unit:?}"
            );
        }
    }
}
