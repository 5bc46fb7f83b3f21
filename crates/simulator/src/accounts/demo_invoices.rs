//! The demo account's invoices, month by month from its tables.

use chrono::{DateTime, Datelike, DurationRound, Months, TimeDelta, Utc};
use rust_decimal::{Decimal, RoundingStrategy};

use super::demo_fleet::{
    API, APRIL_2026_PREVIEWS, BACKED_UP, BUCKETS, MACHINES, MAIN, SUBSCRIPTIONS, TOOLING, WEBSITE,
    monthly_price,
};
use crate::{
    Account, Balance, CsvForm, Invoice, InvoiceLine,
    dates::{moment, month_start},
    identifiers::{identifier, spread},
};

/// DigitalOcean bills at most 672 hours a month.
const BILLED_HOURS: u32 = 672;

/// The last month with an invoice in the account's tables.
const LAST_INVOICED: (i32, u32) = (2026, 4);

/// The time of the account that does not change: some days after the last invoice.
pub(crate) fn fixed_time() -> DateTime<Utc> {
    moment((2026, 5, 9, 5))
}

/// Issues the invoices from December 2014 to April 2026, and those of the months that ended between
/// `since` and `now`. Sets the preview and the balance of the month of `now`.
///
/// The account has no invoices for the months between April 2026 and `since`, because the number
/// of its invoices is fixed. DigitalOcean issues an invoice some hours after the end of the month;
/// this account a day later, when the invoice is also paid.
pub(crate) fn bill(account: &mut Account, since: DateTime<Utc>, now: DateTime<Utc>) {
    let now = now.max(fixed_time());
    let open = month_start(now.year(), now.month());
    let first_ended = month_start(since.year(), since.month());
    let mut previews_so_far = 0;
    let mut start = month_start(2014, 12);
    while start < open {
        let billed = invoice(&Period::of(start), &mut previews_so_far);
        let is_in_tables = start <= month_start(LAST_INVOICED.0, LAST_INVOICED.1);
        let paid_at = billed.issued_at() + billed.paid_after.unwrap_or_default();
        let has_ended_since = start >= first_ended && paid_at <= now;
        let is_new = !account.invoices.iter().any(|known| known.period == start);
        if is_new && (is_in_tables || has_ended_since) {
            account.add_invoice(billed);
        }
        start = next_month(start);
    }
    let running = Period::of(open).until(last_hour(now));
    account.set_preview(Some(invoice(&running, &mut previews_so_far)));
    account.set_balance(Balance::zero(running.end.min(now)));
    account.settle_balance();
}

/// The end of the last full hour; of the first hour at the start of a month, because a preview
/// bills at least one hour.
fn last_hour(now: DateTime<Utc>) -> DateTime<Utc> {
    let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
    hour.max(month_start(now.year(), now.month()) + TimeDelta::hours(1))
}

fn next_month(start: DateTime<Utc>) -> DateTime<Utc> {
    start.checked_add_months(Months::new(1)).unwrap_or(start)
}

/// The part of a month that an invoice covers.
struct Period {
    year: i32,
    month: u32,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

impl Period {
    /// The month with this first moment.
    fn of(start: DateTime<Utc>) -> Self {
        Self {
            year: start.year(),
            month: start.month(),
            start,
            end: next_month(start),
        }
    }

    /// The part of the month before a time.
    fn until(self, end: DateTime<Utc>) -> Self {
        Self { end, ..self }
    }

    fn hours(&self) -> u32 {
        whole_hours(self.start, self.end)
    }

    fn hours_of_month(&self) -> u32 {
        whole_hours(self.start, next_month(self.start))
    }

    /// Returns the part of a resource's lifetime that is in the period; None if there is none.
    fn overlap(
        &self,
        from: DateTime<Utc>,
        until: Option<DateTime<Utc>>,
    ) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let from = from.max(self.start);
        let until = until.unwrap_or(self.end).min(self.end);
        (from < until).then_some((from, until))
    }

    /// Returns no name before September 2018, when DigitalOcean introduced projects.
    fn project(&self, name: &str) -> String {
        let name = if (self.year, self.month) < (2018, 9) {
            ""
        } else {
            name
        };
        name.to_owned()
    }

    fn months_since(&self, (year, month): (i32, u32)) -> i64 {
        i64::from(self.year - year) * 12 + i64::from(self.month) - i64::from(month)
    }
}

fn whole_hours(from: DateTime<Utc>, until: DateTime<Utc>) -> u32 {
    u32::try_from((until - from).num_hours()).unwrap_or(0)
}

fn charge(monthly: Decimal, hours: u32) -> Decimal {
    cents(monthly * Decimal::from(hours.min(BILLED_HOURS)) / Decimal::from(BILLED_HOURS))
}

fn cents(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

fn invoice(period: &Period, previews_so_far: &mut u64) -> Invoice {
    let mut lines = droplets(period);
    lines.extend(previews(period, previews_so_far));
    lines.extend(subscriptions(period));
    lines.extend(buckets(period));
    lines.extend(extraordinary(period));
    let untaxed: Decimal = lines.iter().map(|line| line.amount).sum();
    // Australia has taxed digital services from abroad since July 2017.
    if period.start >= month_start(2017, 7) {
        let tax = cents(untaxed * Decimal::new(10, 2));
        lines.push(InvoiceLine {
            start: Some(period.start),
            end: Some(period.end - TimeDelta::seconds(1)),
            ..InvoiceLine::new("Taxes", "GST (10%)", tax)
        });
    }
    let has_category = period.year >= 2020;
    if !has_category {
        for line in &mut lines {
            line.category.clear();
        }
    }
    Invoice {
        csv_form: if has_category {
            CsvForm::default()
        } else {
            CsvForm::legacy()
        },
        ..Invoice::for_month(period.year, period.month, lines)
    }
}

fn droplets(period: &Period) -> Vec<InvoiceLine> {
    let mut lines = Vec::new();
    for machine in MACHINES {
        let Some((from, until)) = period.overlap(machine.from(), machine.until()) else {
            continue;
        };
        let hours = whole_hours(from, until);
        let amount = charge(monthly_price(machine.size, period.start), hours);
        let line = |product: &str, description: String, amount: Decimal| InvoiceLine {
            resource_id: Some(machine.id.to_string()),
            project_name: period.project(machine.project),
            ..InvoiceLine::new(product, &description, amount).during(hours, from, until)
        };
        let description = format!("{} ({})", machine.name, machine.size);
        lines.push(line("Droplets", description, amount));
        if BACKED_UP.contains(&machine.name) {
            let fifth = cents(amount * Decimal::new(20, 2));
            lines.push(line("Droplet Backups", machine.name.to_owned(), fifth));
        }
    }
    lines
}

/// Preview droplets, which existed for hours; their number grows every year.
fn previews(period: &Period, so_far: &mut u64) -> Vec<InvoiceLine> {
    let chosen: Vec<(u32, &str)> = match (period.year, period.month) {
        (2026, 4) => APRIL_2026_PREVIEWS.to_vec(),
        (year, month) => {
            let years = u32::try_from(year - 2016).unwrap_or(0);
            let count = if years == 0 {
                0
            } else {
                years * 3 / 2 + month % 3
            };
            (0..u64::from(count))
                .map(|place| usual_preview(period, *so_far + place))
                .collect()
        }
    };
    let mut lines = Vec::new();
    for (hours, size) in chosen {
        *so_far += 1;
        let number = *so_far;
        let free_hours = period.hours_of_month().saturating_sub(hours).max(1);
        let starts_after = spread(number) % u64::from(free_hours);
        let from = period.start + TimeDelta::hours(i64::try_from(starts_after).unwrap_or(0));
        if from >= period.end {
            continue;
        }
        let hours = hours.min(whole_hours(from, period.end));
        let project =
            [WEBSITE, API, API, TOOLING, MAIN][usize::from(spread(number).to_le_bytes()[7] % 5)];
        let amount = charge(monthly_price(size, period.start), hours);
        let description = format!("preview-{number} ({size})");
        lines.push(InvoiceLine {
            resource_id: Some((50_000_000 + number * 283_117).to_string()),
            project_name: period.project(project),
            ..InvoiceLine::new("Droplets", &description, amount).during(
                hours,
                from,
                from + TimeDelta::hours(i64::from(hours)),
            )
        });
    }
    lines
}

fn usual_preview(period: &Period, number: u64) -> (u32, &'static str) {
    let [chance, size, ..] = spread(number ^ 0x5151).to_be_bytes();
    let hours = 4 + u32::from(chance) % 68;
    let size = match (period.year, size % 4) {
        (..2018, _) => "512mb",
        (_, 0) => "s-2vcpu-4gb",
        (_, 1) => "s-1vcpu-2gb",
        _ => "s-1vcpu-1gb",
    };
    (hours, size)
}

fn subscriptions(period: &Period) -> Vec<InvoiceLine> {
    let mut lines = Vec::new();
    for (number, subscription) in (1..).zip(SUBSCRIPTIONS) {
        let Some((from, until)) = period.overlap(subscription.from(), subscription.until()) else {
            continue;
        };
        let hours = whole_hours(from, until);
        let amount = charge(Decimal::new(subscription.cents, 2), hours);
        let project = subscription.project.map(|name| period.project(name));
        // As in the specification's example, such lines end with the last second; lines of droplets
        // end with the next month's first.
        let last = until - TimeDelta::seconds(1);
        let is_volume = subscription.product == "Volumes";
        let is_snapshot = subscription.product == "Droplet Snapshots";
        lines.push(InvoiceLine {
            resource_id: is_snapshot.then(|| (14_000_000 + number * 611_953).to_string()),
            resource_uuid: is_volume.then(|| identifier("volume that is gone", number)),
            project_name: project.unwrap_or_default(),
            ..InvoiceLine::new(subscription.product, subscription.description, amount)
                .during(hours, from, last)
        });
    }
    lines
}

fn buckets(period: &Period) -> Vec<InvoiceLine> {
    let mut lines = Vec::new();
    for bucket in BUCKETS {
        let months = period.months_since(bucket.since);
        if months < 0 {
            continue;
        }
        let monthly = Decimal::new(bucket.first_cents + bucket.growth_cents * months, 2);
        let amount = charge(monthly, period.hours());
        let description = format!("{} ({})", bucket.name, bucket.region);
        lines.push(
            InvoiceLine::new("Spaces", &description, amount)
                .during(
                    period.hours(),
                    period.start,
                    period.end - TimeDelta::seconds(1),
                )
                .in_project(MAIN),
        );
    }
    lines
}

/// Unique events: a credit, and two months with excess traffic.
fn extraordinary(period: &Period) -> Option<InvoiceLine> {
    let (product, description, cents) = match (period.start.year(), period.month) {
        (2016, 9) => ("Credits", "Referral credit", -2500),
        (2019, 11) => (
            "Droplet Bandwidth",
            "Droplet Bandwidth Overage (212.40GB @ $0.01/GB)",
            212,
        ),
        (2023, 3) => (
            "Droplet Bandwidth",
            "Droplet Bandwidth Overage (1371.08GB @ $0.01/GB)",
            1371,
        ),
        _ => return None,
    };
    let line = InvoiceLine::new(product, description, Decimal::new(cents, 2));
    Some(InvoiceLine {
        start: Some(period.start),
        end: Some(period.end - TimeDelta::seconds(1)),
        ..line
    })
}
