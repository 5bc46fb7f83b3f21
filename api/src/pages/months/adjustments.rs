//! Adjustments for closed months, and their causes.

use store::costs::{Adjustment, AdjustmentCause};

use super::tenants::{name_of, statement_path};
use crate::pages::format::{Moment, Money, month_name};

/// An adjustment of a tenant for a closed month.
pub(super) struct AdjustmentRow {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) direct: Money,
    pub(super) shared: Money,
    pub(super) amount: Money,
}

impl From<Adjustment> for AdjustmentRow {
    fn from(adjustment: Adjustment) -> Self {
        let tenant = adjustment.tenant_id.as_deref();
        Self {
            name: format!("{}, {}", month_name(adjustment.period), name_of(tenant)),
            path: statement_path(adjustment.period, tenant),
            direct: Money(adjustment.direct),
            shared: Money(adjustment.shared),
            amount: Money(adjustment.amount),
        }
    }
}

/// A cause of adjustments.
pub(super) struct CauseRow {
    pub(super) month: String,
    pub(super) text: String,
    pub(super) by: String,
    pub(super) lines: Option<i64>,
    pub(super) at: Moment,
}

impl From<AdjustmentCause> for CauseRow {
    fn from(cause: AdjustmentCause) -> Self {
        let by = match (&*cause.cause, cause.by) {
            (_, Some(by)) => by,
            ("inventory", None) => "the inventory".to_owned(),
            ("ingest", None) => "an ingest of an invoice".to_owned(),
            (other, None) => other.replace('_', " "),
        };
        Self {
            month: month_name(cause.period),
            text: cause.description,
            by,
            lines: (cause.lines > 0).then_some(cause.lines),
            at: Moment(cause.at),
        }
    }
}
