//! The tenants of a line over time, drawn as a strip, with a table of the same shares.

use std::collections::BTreeMap;

use askama::Template;
use chrono::{DateTime, Months, NaiveDate, NaiveTime, Utc};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use store::invoices::{CostLine, OwnSpan, TenantSpan};

use super::explanation::basis;
use super::parts;
use crate::pages::chart::SERIES;
use crate::pages::format::{Moment, Money, percent};

const WIDTH: f64 = 960.0;

/// A drawn interval.
struct Segment {
    x: String,
    width: String,
    class: usize,
    label: String,
}

/// An interval of a tenant.
struct During {
    from: Moment,
    to: Moment,
    basis: &'static str,
}

/// A tenant with its share of the line.
struct Share {
    class: usize,
    /// Empty for the unallocated share.
    tenant: String,
    during: Vec<During>,
    time: String,
    amount: Money,
    of_amount: String,
}

/// The drawing and its table.
#[derive(Template)]
#[template(path = "strip.html")]
pub(super) struct Strip {
    title: String,
    segments: Vec<Segment>,
    shares: Vec<Share>,
    start: Moment,
    end: Moment,
    total: Money,
}

fn seconds(from: DateTime<Utc>, to: DateTime<Utc>) -> Decimal {
    Decimal::from((to - from).num_seconds().max(0))
}

/// Returns the place of a time on a strip that begins at `start` and has `whole` seconds.
fn position(start: DateTime<Utc>, whole: Decimal, at: DateTime<Utc>) -> f64 {
    let share = seconds(start, at).checked_div(whole).unwrap_or_default();
    share.to_f64().unwrap_or_default() * WIDTH
}

impl Strip {
    /// Draws the intervals of a line; none for a line without intervals, such as a shared cost.
    pub(super) fn new(line: &CostLine, spans: &[TenantSpan]) -> Option<Self> {
        let (start, end) = (spans.first()?.from, spans.last()?.to);
        let whole = seconds(start, end);
        let mut amounts: BTreeMap<Option<&str>, Decimal> = BTreeMap::new();
        for span in spans {
            amounts.entry(span.tenant_id.as_deref()).or_default();
        }
        for (tenant, amount) in parts(line) {
            *amounts.entry(tenant).or_default() += amount;
        }
        let of = |tenant: Option<&str>| {
            let known = amounts.keys().filter(|tenant| tenant.is_some());
            let place = known.clone().position(|known| *known == tenant);
            // The colour of unallocated costs is that of "other".
            place.map_or(SERIES, |place| place.min(SERIES - 1))
        };
        let position = |at| position(start, whole, at);
        // Adjacent spans of one tenant differ in their evidence only.
        let of_one_tenant = spans.chunk_by(|one, next| one.tenant_id == next.tenant_id);
        let segments = of_one_tenant.filter_map(|spans| {
            let (first, last) = (spans.first()?, spans.last()?);
            let (x, to) = (position(first.from), position(last.to));
            let is_moment = whole.is_zero();
            let tenant = first.tenant_id.as_deref();
            Some(Segment {
                x: format!("{x:.1}"),
                width: format!("{:.1}", if is_moment { WIDTH } else { to - x }),
                class: of(tenant),
                label: format!(
                    "{} from {} to {} UTC",
                    tenant.unwrap_or("unallocated"),
                    Moment(first.from),
                    Moment(last.to)
                ),
            })
        });
        let shares = amounts.iter().map(|(tenant, amount)| {
            let own = spans
                .iter()
                .filter(|span| span.tenant_id.as_deref() == *tenant);
            let time: Decimal = own.clone().map(|span| seconds(span.from, span.to)).sum();
            Share {
                class: of(*tenant),
                tenant: tenant.unwrap_or_default().to_owned(),
                during: own
                    .map(|span| During {
                        from: Moment(span.from),
                        to: Moment(span.to),
                        basis: basis(span.attributed_by),
                    })
                    .collect(),
                time: percent(time, whole),
                amount: Money(*amount),
                of_amount: percent(*amount, line.amount),
            }
        });
        let segments: Vec<Segment> = segments.collect();
        let labels: Vec<&str> = segments.iter().map(|one| one.label.as_str()).collect();
        Some(Self {
            title: labels.join("; "),
            shares: shares.collect(),
            segments,
            start: Moment(start),
            end: Moment(end),
            total: Money(line.amount),
        })
    }
}

/// The time of one tenant in the month of a line. The charged time is not drawn: with the amount,
/// it would reveal the costs of other tenants.
#[derive(Template)]
#[template(path = "own_strip.html")]
pub(super) struct OwnStrip {
    title: String,
    segments: Vec<Segment>,
    start: Moment,
    end: Moment,
}

impl OwnStrip {
    /// Draws the intervals of the tenant; none without intervals, for a shared cost.
    pub(super) fn new(period: NaiveDate, spans: &[OwnSpan]) -> Option<Self> {
        let (first, last) = (spans.first()?, spans.last()?);
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        // A charge can begin before its month.
        let start = midnight(period).min(first.from);
        let end = midnight(period + Months::new(1)).max(last.to);
        let whole = seconds(start, end);
        // Adjacent spans differ in their evidence only.
        let joined = spans.chunk_by(|one, next| one.to == next.from);
        let segments = joined.filter_map(|spans| {
            let (first, last) = (spans.first()?, spans.last()?);
            let (x, to) = (
                position(start, whole, first.from),
                position(start, whole, last.to),
            );
            Some(Segment {
                x: format!("{x:.1}"),
                width: format!("{:.1}", (to - x).max(2.0)),
                class: 0,
                label: format!(
                    "yours from {} to {} UTC",
                    Moment(first.from),
                    Moment(last.to)
                ),
            })
        });
        let segments: Vec<Segment> = segments.collect();
        let labels: Vec<&str> = segments.iter().map(|one| one.label.as_str()).collect();
        Some(Self {
            title: labels.join("; "),
            segments,
            start: Moment(start),
            end: Moment(end),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_sees_its_time_within_the_month() {
        let span = |from: &str, to: &str, attributed_by| OwnSpan {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            attributed_by,
        };
        let spans = [
            span(
                "2026-04-01T00:00:00Z",
                "2026-04-04T00:00:00Z",
                "first_known",
            ),
            span("2026-04-04T00:00:00Z", "2026-04-07T00:00:00Z", "resource"),
            span("2026-04-25T00:00:00Z", "2026-05-01T00:00:00Z", "resource"),
        ];
        let april = "2026-04-01".parse().unwrap();
        let strip = OwnStrip::new(april, &spans).unwrap();
        let drawn: Vec<_> = strip
            .segments
            .iter()
            .map(|segment| (segment.x.as_str(), segment.width.as_str()))
            .collect();
        assert_eq!(drawn, [("0.0", "192.0"), ("768.0", "192.0")]);
        let month = (strip.start.to_string(), strip.end.to_string());
        let expected = ("2026-04-01 00:00", "2026-05-01 00:00");
        assert_eq!(month, (expected.0.to_owned(), expected.1.to_owned()));
        assert!(OwnStrip::new(april, &[]).is_none());
    }
}
