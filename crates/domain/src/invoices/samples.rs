//! What the tests of this module start from.

use compact_str::CompactString;
use rust_decimal::Decimal;

use super::InvoiceItem;

/// An item that says no more than this.
pub(super) fn item(product: &str, description: &str, amount: Decimal) -> InvoiceItem {
    InvoiceItem {
        product: product.into(),
        group_description: CompactString::default(),
        description: description.into(),
        resource_uuid: None,
        resource_id: None,
        amount,
        duration: None,
        duration_unit: None,
        start_time: None,
        end_time: None,
        project_name: CompactString::default(),
        category: None,
    }
}
