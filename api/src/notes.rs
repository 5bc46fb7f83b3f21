//! Notes beside an answer: why it has no data, or a filter that names something unknown.
//!
//! One rule for unknown values: what this system enumerates (kinds, states, rules) is refused with 400 and the list of values; what
//! the account's data holds (tenants, projects, resources, months) gets an answer, with a note.

use std::fmt;

use chrono::{Datelike as _, Months as MonthCount, NaiveDate};
use serde::Serialize;
use store::invoices::{ListedMonth, Months};
use store::{Store, StoreError};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::Problem;
use crate::words;

/// A remark about an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Note {
    /// `unknown_tenant`, `unknown_project`, `unknown_resource`, `unknown_type`; why a month has no lines, or not all:
    /// `period_in_future`, `no_invoices`, `period_before_first_invoice`, `period_after_last_invoice`, `period_without_invoice`,
    /// `invoice_not_ingested`; `no_estimates`, `no_entries`.
    #[schema(example = "unknown_tenant")]
    pub(crate) code: &'static str,
    /// For people: the remark, and what to do about it.
    pub(crate) detail: String,
}

/// What the books have of the months from one to another.
pub(crate) struct Coverage {
    /// Whether any of the months has lines.
    pub(crate) has_data: bool,
    /// Why months have no lines, or not all of them.
    pub(crate) notes: Vec<Note>,
}

impl Coverage {
    pub(crate) async fn of(store: &Store, from: NaiveDate, to: NaiveDate) -> Result<Self, Problem> {
        let months = store.listed_months(from, to).await?;
        Ok(Self {
            has_data: months.listed.values().any(ListedMonth::has_lines),
            notes: notes_on(&months, from, to),
        })
    }
}

/// A note for each run of months that lack lines for the same reason.
fn notes_on(months: &Months, from: NaiveDate, to: NaiveDate) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut run: Option<(Gap, Span)> = None;
    let mut month = from;
    while month <= to {
        let gap = Gap::of(months, month);
        match (&mut run, gap) {
            (Some((before, span)), Some(gap)) if *before == gap => span.last = month,
            (_, gap) => {
                let span = Span {
                    first: month,
                    last: month,
                };
                let ended = std::mem::replace(&mut run, gap.map(|gap| (gap, span)));
                notes.extend(ended.map(|(gap, span)| gap.note(months, span)));
            }
        }
        let Some(next) = month.checked_add_months(MonthCount::new(1)) else {
            break;
        };
        month = next;
    }
    notes.extend(run.map(|(gap, span)| gap.note(months, span)));
    notes
}

/// Why a month lacks lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Future,
    NoInvoices,
    BeforeFirst,
    AfterLast,
    WithoutInvoice,
    NotIngested(ListedMonth),
}

impl Gap {
    fn of(months: &Months, month: NaiveDate) -> Option<Self> {
        if let Some(listed) = months.listed.get(&month) {
            return (listed.without_lines > 0 && !listed.is_estimated)
                .then_some(Self::NotIngested(*listed));
        }
        if month > months.at.date_naive() {
            return Some(Self::Future);
        }
        let (Some(first), Some(last)) = (months.first_invoiced, months.last_invoiced) else {
            return Some(Self::NoInvoices);
        };
        Some(if month < first {
            Self::BeforeFirst
        } else if month > last {
            Self::AfterLast
        } else {
            Self::WithoutInvoice
        })
    }

    fn note(self, months: &Months, span: Span) -> Note {
        let first = months.first_invoiced.map(month_text).unwrap_or_default();
        let last = months.last_invoiced.map(month_text).unwrap_or_default();
        let is = if span.first == span.last { "is" } else { "are" };
        let (code, detail) = match self {
            Self::Future => (
                "period_in_future",
                format!("{span} {is} in the future: give a month up to the present one"),
            ),
            Self::NoInvoices => (
                "no_invoices",
                format!(
                    "there is no data for {span}: no invoice has been listed yet; the schedule billing-history lists them every day, \
                     and `temporal schedule trigger --schedule-id billing-history` starts it now"
                ),
            ),
            Self::BeforeFirst => (
                "period_before_first_invoice",
                format!(
                    "{span} {is} before the first invoice, which is for {first}: give a later month"
                ),
            ),
            Self::AfterLast => (
                "period_after_last_invoice",
                format!(
                    "{span} {is} after the last invoice, which is for {last}: DigitalOcean issues an invoice on the first of the next \
                     month, and the schedule billing-history reads it and the estimate of the open month every day"
                ),
            ),
            Self::WithoutInvoice => (
                "period_without_invoice",
                format!(
                    "DigitalOcean lists no invoice for {span}: it issues none for a month without charges"
                ),
            ),
            Self::NotIngested(listed) => (
                "invoice_not_ingested",
                format!(
                    "{span}: {} of {} invoices of the month have no lines yet, and the last ingest of {} failed: \
                     GET /api/v1/billing/invoices shows why; the schedule billing-history tries again every day",
                    listed.without_lines, listed.invoices, listed.failed
                ),
            ),
        };
        Note { code, detail }
    }
}

/// A run of months.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: NaiveDate,
    last: NaiveDate,
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&month_text(self.first))?;
        if self.first != self.last {
            write!(formatter, " to {}", month_text(self.last))?;
        }
        Ok(())
    }
}

fn month_text(month: NaiveDate) -> String {
    format!("{:04}-{:02}", month.year(), month.month())
}

/// A note if nothing names this tenant.
pub(crate) async fn on_tenant(store: &Store, tenant: &str) -> Result<Option<Note>, Problem> {
    let known = store.tenant_ids().await?;
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    if names.contains(&tenant) {
        return Ok(None);
    }
    Ok(Some(Note {
        code: "unknown_tenant",
        detail: format!(
            "unknown tenant {tenant:?}: no token, project, resource or cost names it; GET /api/v1/tenants lists the tenants{}",
            words::suggestion(tenant, &names)
        ),
    }))
}

/// A note if no invoice is listed and no month is estimated, so that there are no books to balance.
pub(crate) async fn on_books(store: &Store) -> Result<Option<Note>, Problem> {
    let month = store
        .now()
        .await?
        .date_naive()
        .with_day(1)
        .unwrap_or_default();
    let months = store.listed_months(month, month).await?;
    let has_books = months.first_invoiced.is_some() || !months.listed.is_empty();
    let gap = (!has_books).then_some(Gap::NoInvoices);
    let span = Span {
        first: month,
        last: month,
    };
    Ok(gap.map(|gap| gap.note(&months, span)))
}

/// The note on a project that is not there, or that the caller may not know.
pub(crate) fn unknown_project(id: Uuid) -> Note {
    Note {
        code: "unknown_project",
        detail: format!(
            "unknown project {id}: GET /api/v1/projects lists the projects with their ids"
        ),
    }
}

/// A note if the mirror has no resource of this id.
pub(crate) async fn on_resource(store: &Store, id: Uuid) -> Result<Option<Note>, Problem> {
    match store.resource(id, None).await {
        Ok(_) => Ok(None),
        Err(StoreError::NotFound { .. }) => Ok(Some(Note {
            code: "unknown_resource",
            detail: format!(
                "unknown resource {id}: GET /api/v1/inventory?state=all lists the resources with their ids"
            ),
        })),
        Err(error) => Err(error.into()),
    }
}

/// A note if the billing history has no entry of this type.
pub(crate) async fn on_entry_type(
    store: &Store,
    entry_type: &str,
) -> Result<Option<Note>, Problem> {
    let known = store.entry_types().await?;
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    if names.is_empty() || names.contains(&entry_type) {
        return Ok(None);
    }
    Ok(Some(Note {
        code: "unknown_type",
        detail: format!(
            "no entry has the type {entry_type:?}: the types are {}{}",
            names.join(", "),
            words::suggestion(entry_type, &names)
        ),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn codes(months: &Months, from: &str, to: &str) -> Vec<(&'static str, String)> {
        let notes = notes_on(months, day(from), day(to));
        let month = |note: &Note| note.detail.chars().take(18).collect();
        notes.iter().map(|note| (note.code, month(note))).collect()
    }

    fn months() -> Months {
        let ingested = ListedMonth {
            invoices: 1,
            ..ListedMonth::default()
        };
        let pending = ListedMonth {
            invoices: 2,
            without_lines: 1,
            ..ListedMonth::default()
        };
        let estimated = ListedMonth {
            is_estimated: true,
            ..ListedMonth::default()
        };
        Months {
            first_invoiced: Some(day("2026-02-01")),
            last_invoiced: Some(day("2026-05-01")),
            listed: [
                (day("2026-02-01"), ingested),
                (day("2026-04-01"), pending),
                (day("2026-05-01"), ingested),
                (day("2026-07-01"), estimated),
            ]
            .into(),
            at: "2026-07-15T12:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn each_month_without_lines_has_its_reason() {
        let found = codes(&months(), "2025-12-01", "2026-09-01");
        let found: Vec<_> = found.iter().map(|(code, text)| (*code, &**text)).collect();
        assert_eq!(
            found,
            [
                ("period_before_first_invoice", "2025-12 to 2026-01"),
                ("period_without_invoice", "DigitalOcean lists"),
                ("invoice_not_ingested", "2026-04: 1 of 2 in"),
                ("period_after_last_invoice", "2026-06 is after t"),
                ("period_in_future", "2026-08 to 2026-09"),
            ]
        );
    }

    #[test]
    fn without_any_invoice_only_the_future_has_another_reason() {
        let months = Months {
            first_invoiced: None,
            last_invoiced: None,
            listed: [].into(),
            ..months()
        };
        let found = codes(&months, "2026-06-01", "2026-08-01");
        let found: Vec<_> = found.iter().map(|(code, _)| *code).collect();
        assert_eq!(found, ["no_invoices", "period_in_future"]);
    }

    #[test]
    fn a_month_with_lines_needs_no_note() {
        assert_eq!(codes(&months(), "2026-05-01", "2026-05-01"), []);
        assert_eq!(codes(&months(), "2026-07-01", "2026-07-01"), []);
    }
}
