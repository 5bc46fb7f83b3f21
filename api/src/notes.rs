//! Notes in the `meta` of a response: reasons for missing data, and filters with an unknown value.
//!
//! Unknown values of an enumeration of this system (kinds, states, rules) are refused with 400 and
//! the list of values. Unknown values from the data of the account (tenants, projects, resources,
//! months) get a response with a note.

use std::fmt;

use chrono::{Datelike as _, Months as MonthCount, NaiveDate};
use serde::Serialize;
use store::invoices::{CostLineFilter, ListedMonth, Months};
use store::{Store, StoreError};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::choices;
use crate::problem::Problem;

/// A note about a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Note {
    /// For a filter with an unknown value: `unknown_tenant`, `unknown_project`, `unknown_resource`,
    /// `unknown_product`, `unknown_type`, `unknown_actor`. For a month without lines, or without
    /// all of them: `period_in_future`, `no_invoices`, `period_before_first_invoice`,
    /// `period_after_last_invoice`, `period_without_invoice`, `invoice_not_ingested`. For months
    /// with tenants of before and after a change: `reallocation_pending`. For other lists without
    /// rows: `no_estimates`, `no_entries`.
    #[schema(example = "unknown_tenant")]
    pub(crate) code: &'static str,
    /// Text for people: the fact, then the fix.
    pub(crate) detail: String,
}

/// The cost lines available for a range of months.
pub(crate) struct Coverage {
    /// True if any of the months has lines.
    pub(crate) has_data: bool,
    /// Reasons for months without lines, or without all of them.
    pub(crate) notes: Vec<Note>,
}

impl Coverage {
    pub(crate) async fn of(store: &Store, from: NaiveDate, to: NaiveDate) -> Result<Self, Problem> {
        Self::read(store, from, to, Gap::of).await
    }

    /// Returns the available lines with notes for tenants: without numbers of invoices, and without
    /// the months of the account.
    pub(crate) async fn for_tenant(
        store: &Store,
        from: NaiveDate,
        to: NaiveDate,
    ) -> Result<Self, Problem> {
        Self::read(store, from, to, Gap::for_tenant).await
    }

    async fn read(
        store: &Store,
        from: NaiveDate,
        to: NaiveDate,
        gap_of: impl Fn(&Months, NaiveDate) -> Option<Gap>,
    ) -> Result<Self, Problem> {
        let months = store.listed_months(from, to).await?;
        let mut notes = notes_on(&months, from, to, gap_of);
        notes.extend(on_reallocation(store, from, to).await?);
        Ok(Self {
            has_data: months.listed.values().any(ListedMonth::has_lines),
            notes,
        })
    }
}

/// Returns a note if lines of any of these months wait for a reallocation.
pub(crate) async fn on_reallocation(
    store: &Store,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Option<Note>, Problem> {
    let months = store.reallocating_months(from, to).await?;
    let (Some(first), Some(last)) = (months.first(), months.last()) else {
        return Ok(None);
    };
    let span = Span {
        first: *first,
        last: *last,
    };
    Ok(Some(Note {
        code: "reallocation_pending",
        detail: format!(
            "tenants of {} months ({span}) are being updated after a change, so that their amounts mix \
             before and after: repeat the request later",
            months.len()
        ),
    }))
}

/// Returns a note for each run of months that lack lines for the same reason.
fn notes_on(
    months: &Months,
    from: NaiveDate,
    to: NaiveDate,
    gap_of: impl Fn(&Months, NaiveDate) -> Option<Gap>,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut run: Option<(Gap, Span)> = None;
    let mut month = from;
    while month <= to {
        let gap = gap_of(months, month);
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

/// The reason why a month lacks lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Future,
    NoInvoices,
    BeforeFirst,
    AfterLast,
    WithoutInvoice,
    NotIngested(ListedMonth),
    /// For a tenant: the account has no bill of the month, for any reason.
    NotBilled,
    /// For a tenant: the bill of the month has no lines, or not all of them.
    Incomplete,
}

impl Gap {
    /// Returns the reason why a month lacks lines, if it does.
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

    /// Returns the reason why a month lacks lines as far as a tenant may know it.
    fn for_tenant(months: &Months, month: NaiveDate) -> Option<Self> {
        Some(match Self::of(months, month)? {
            Self::Future => Self::Future,
            Self::NotIngested(_) => Self::Incomplete,
            _ => Self::NotBilled,
        })
    }

    /// Returns the note on a span of months with this gap.
    fn note(self, months: &Months, span: Span) -> Note {
        let first = months.first_invoiced.map(month_text).unwrap_or_default();
        let last = months.last_invoiced.map(month_text).unwrap_or_default();
        let is = if span.first == span.last { "is" } else { "are" };
        let (code, detail) = match self {
            Self::Future => (
                "period_in_future",
                format!("{span} {is} in the future: use a month up to the current one"),
            ),
            Self::NoInvoices => (
                "no_invoices",
                format!(
                    "no data for {span}: no invoice listed yet; the schedule billing-history lists \
                     invoices every day, and `temporal schedule trigger --schedule-id \
                     billing-history` starts it now"
                ),
            ),
            Self::BeforeFirst => (
                "period_before_first_invoice",
                format!(
                    "{span} {is} before the first invoice, which is for {first}: use a later month"
                ),
            ),
            Self::AfterLast => (
                "period_after_last_invoice",
                format!(
                    "{span} {is} after the last invoice, which is for {last}: DigitalOcean issues \
                     an invoice on the first of the next month; the schedule billing-history reads \
                     invoices and the estimate of the open month every day"
                ),
            ),
            Self::WithoutInvoice => (
                "period_without_invoice",
                format!(
                    "DigitalOcean lists no invoice for {span}: it issues none for a month without \
                     charges"
                ),
            ),
            Self::NotIngested(listed) => (
                "invoice_not_ingested",
                format!(
                    "{span}: {} of {} invoices of the month have no lines yet, and the last ingest \
                     of {} failed: `last_error` in GET /api/v1/billing/invoices has the reason; \
                     the schedule billing-history retries every day",
                    listed.without_lines, listed.invoices, listed.failed
                ),
            ),
            Self::NotBilled => (
                "period_without_invoice",
                format!(
                    "no bill is stored for {span}: costs appear with the estimate of the open \
                     month, or with the bill after its end"
                ),
            ),
            Self::Incomplete => (
                "invoice_not_ingested",
                format!(
                    "the bill of {span} is not stored completely: the amounts will change; an \
                     administrator can find the reason"
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

/// Returns a note if the tenant is unknown.
pub(crate) async fn on_tenant(store: &Store, tenant: &str) -> Result<Option<Note>, Problem> {
    let known = store.tenant_ids().await?;
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    if names.contains(&tenant) {
        return Ok(None);
    }
    Ok(Some(Note {
        code: "unknown_tenant",
        detail: format!(
            "unknown tenant {tenant:?}: no token, project, resource or cost has it; \
             GET /api/v1/tenants lists all tenants{}",
            choices::suggestion(tenant, &names)
        ),
    }))
}

/// Returns a note if no invoice is listed and no month is estimated, so that there is nothing to
/// reconcile.
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

/// Returns the note about a project that does not exist or is not visible to the caller.
pub(crate) fn unknown_project(id: Uuid) -> Note {
    Note {
        code: "unknown_project",
        detail: format!(
            "unknown project {id}: GET /api/v1/projects lists all projects with their ids"
        ),
    }
}

/// Returns a note if the mirror has no resource with this id.
pub(crate) async fn on_resource(store: &Store, id: Uuid) -> Result<Option<Note>, Problem> {
    match store.resource(id, None).await {
        Ok(_) => Ok(None),
        Err(StoreError::NotFound { .. }) => Ok(Some(Note {
            code: "unknown_resource",
            detail: format!(
                "unknown resource {id}: GET /api/v1/inventory?state=all lists all resources with \
                 their ids"
            ),
        })),
        Err(error) => Err(error.into()),
    }
}

/// Returns notes on unknown values of a filter of cost lines. `is_empty` is true if no line of the
/// month has them.
pub(crate) async fn on_lines(
    store: &Store,
    filter: &CostLineFilter,
    is_empty: bool,
) -> Result<Vec<Note>, Problem> {
    let mut notes = Vec::new();
    if let Some(tenant) = &filter.tenant_id {
        notes.extend(on_tenant(store, tenant).await?);
    }
    if let Some(resource) = filter.resource_id {
        notes.extend(on_resource(store, resource).await?);
    }
    if let Some(resource) = filter.historic_resource.as_ref().filter(|_| is_empty) {
        notes.push(Note {
            code: "unknown_resource",
            detail: format!("no line of the month is for the deleted resource {resource:?}"),
        });
    }
    let is_named = filter.product.is_some() || filter.project_name.is_some();
    if is_empty && is_named {
        let known = store.billed_names(None).await?;
        let (product, project) = (filter.product.as_ref(), filter.project_name.as_ref());
        let unknown = |code, noun, name: &String, known: &[String]| {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            (!known.contains(&name.as_str())).then(|| Note {
                code,
                detail: format!(
                    "unknown {noun} {name:?}: no invoice has it{}",
                    choices::suggestion(name, &known)
                ),
            })
        };
        notes.extend(
            product.and_then(|name| unknown("unknown_product", "product", name, &known.products)),
        );
        notes
            .extend(project.and_then(|name| {
                unknown("unknown_project", "project name", name, &known.projects)
            }));
    }
    Ok(notes)
}

/// Returns a note if the billing history has no entry of this type.
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
            "unknown entry type {entry_type:?}: the types are {}{}",
            names.join(", "),
            choices::suggestion(entry_type, &names)
        ),
    }))
}

/// Returns a note if the audit has no act of this actor.
pub(crate) async fn on_actor(store: &Store, actor: &str) -> Result<Option<Note>, Problem> {
    let known = store.audit_actors().await?;
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    if names.contains(&actor) {
        return Ok(None);
    }
    Ok(Some(Note {
        code: "unknown_actor",
        detail: format!(
            "unknown actor {actor:?}: the audit has no act of this name{}",
            choices::suggestion(actor, &names)
        ),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn codes(notes: &[Note]) -> Vec<&'static str> {
        notes.iter().map(|note| note.code).collect()
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
        let expected = [
            ("period_before_first_invoice", "2025-12 to 2026-01"),
            ("period_without_invoice", "2026-03"),
            ("invoice_not_ingested", "2026-04"),
            ("period_after_last_invoice", "2026-06"),
            ("period_in_future", "2026-08 to 2026-09"),
        ];
        let notes = notes_on(&months(), day("2025-12-01"), day("2026-09-01"), Gap::of);
        assert_eq!(codes(&notes), expected.map(|(code, _)| code));
        for (note, (_, span)) in notes.iter().zip(expected) {
            assert!(note.detail.contains(span), "{note:?}");
        }
    }

    #[test]
    fn without_invoices_each_past_month_has_the_same_reason() {
        let months = Months {
            first_invoiced: None,
            last_invoiced: None,
            listed: [].into(),
            ..months()
        };
        let notes = notes_on(&months, day("2026-06-01"), day("2026-08-01"), Gap::of);
        assert_eq!(codes(&notes), ["no_invoices", "period_in_future"]);
    }

    #[test]
    fn a_month_with_lines_needs_no_note() {
        for month in ["2026-05-01", "2026-07-01"] {
            assert_eq!(notes_on(&months(), day(month), day(month), Gap::of), []);
        }
    }

    #[test]
    fn a_tenant_gets_reasons_without_the_invoices_of_the_account() {
        let (from, to) = (day("2025-12-01"), day("2026-09-01"));
        let notes = notes_on(&months(), from, to, Gap::for_tenant);
        let expected = [
            ("period_without_invoice", "2025-12 to 2026-01"),
            ("period_without_invoice", "2026-03"),
            ("invoice_not_ingested", "2026-04"),
            ("period_without_invoice", "2026-06"),
            ("period_in_future", "2026-08 to 2026-09"),
        ];
        assert_eq!(codes(&notes), expected.map(|(code, _)| code));
        for (note, (_, span)) in notes.iter().zip(expected) {
            assert!(note.detail.contains(span), "{note:?}");
        }
    }
}
