//! Invoice items for the tests of this module.

use compact_str::CompactString;
use rust_decimal::Decimal;

use super::InvoiceItem;

/// Builds an item with these fields; all others are empty.
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
