//! Metrics from the database, read during each scrape.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, IntGauge, IntGaugeVec, Opts, Registry};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use store::Store;
use store::metrics::{Gauges, KindGauges};
use tokio::sync::Mutex;

/// Time limit for the database. Shorter than the scrape timeout of Prometheus, ten seconds.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(4);
/// Time for which a reading is reused: frequent scrapes, which need no token, do not increase the
/// load of the database.
const MAX_AGE: Duration = Duration::from_secs(2);

/// The states of a kind's last attempt. Each has a series with 1 or 0, so that no stale series
/// remains after a change.
const STATES: [&str; 6] = [
    "complete",
    "held",
    "incomplete",
    "not_readable",
    "unauthorized",
    "failed",
];

/// Time and result of the last reading; the result is none if the database was unavailable.
type LastReading = Option<(Instant, Option<Gauges>)>;

/// Reads the database for scrapes, one reading at a time.
#[derive(Clone, Default)]
pub(super) struct Readings {
    last: Arc<Mutex<LastReading>>,
}

impl Readings {
    /// Returns the metrics from the database. If it is unavailable or slow, the only metric is
    /// `arcadia_database_up 0`.
    pub(super) async fn families(
        &self,
        store: &Store,
    ) -> Result<Vec<MetricFamily>, prometheus::Error> {
        let readings = self.clone();
        let store = store.clone();
        // Spawned, so that a caller that disconnects does not cancel the database work in progress.
        let reading = tokio::spawn(async move { readings.read(&store).await });
        let gauges = match tokio::time::timeout(DATABASE_TIMEOUT, reading).await {
            Ok(Ok(gauges)) => gauges,
            Ok(Err(panic)) => {
                tracing::error!("reading metrics from the database panicked: {panic}");
                None
            }
            Err(_) => {
                tracing::warn!(
                    "no metrics from the database within {} s",
                    DATABASE_TIMEOUT.as_secs()
                );
                None
            }
        };
        families(gauges.as_ref())
    }

    async fn read(&self, store: &Store) -> Option<Gauges> {
        let mut last = self.last.lock().await;
        if let Some((at, gauges)) = &*last
            && at.elapsed() < MAX_AGE
        {
            return gauges.clone();
        }
        let gauges = store.gauges().await;
        let gauges = gauges
            .inspect_err(|error| {
                tracing::warn!("failed to read metrics from the database: {error}");
            })
            .ok();
        *last = Some((Instant::now(), gauges.clone()));
        gauges
    }
}

/// Builds metrics from one reading, in a new registry without series of earlier readings.
fn families(gauges: Option<&Gauges>) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let page = Page(Registry::new());
    page.count(
        "arcadia_database_up",
        "1 if the database responded to this scrape, otherwise 0 and without the other metrics \
         from the database.",
        gauges.is_some().into(),
    )?;
    if let Some(gauges) = gauges {
        page.kinds(gauges)?;
        page.held_deletions(gauges)?;
        page.invoices(gauges)?;
        page.balance(gauges)?;
        page.ledger(gauges)?;
        page.estimate(gauges)?;
        page.tokens(gauges)?;
        page.number(
            "arcadia_maintenance_age_seconds",
            "Time since the daily maintenance was last complete, or since the installation before \
             the first time, in seconds.",
            gauges.age_of(gauges.maintained_at),
        )?;
    }
    Ok(page.0.gather())
}

/// The metrics of one reading.
struct Page(Registry);

impl Page {
    fn count(&self, name: &str, help: &str, value: i64) -> Result<(), prometheus::Error> {
        let gauge = IntGauge::new(name, help)?;
        gauge.set(value);
        self.0.register(Box::new(gauge))
    }

    fn number(&self, name: &str, help: &str, value: f64) -> Result<(), prometheus::Error> {
        let gauge = Gauge::new(name, help)?;
        gauge.set(value);
        self.0.register(Box::new(gauge))
    }

    /// Adds an amount in USD as a float, the only type of Prometheus; amounts are computed as
    /// decimals.
    fn usd(&self, name: &str, help: &str, amount: Decimal) -> Result<(), prometheus::Error> {
        self.number(name, help, amount.to_f64().unwrap_or(f64::NAN))
    }

    /// Adds a number for each kind with a value.
    fn numbers_by_kind(
        &self,
        (name, help): (&str, &str),
        kinds: &[KindGauges],
        value: impl Fn(&KindGauges) -> Option<f64>,
    ) -> Result<(), prometheus::Error> {
        let numbers = GaugeVec::new(Opts::new(name, help), &["kind"])?;
        for kind in kinds {
            if let Some(value) = value(kind) {
                numbers.with_label_values(&[&kind.kind]).set(value);
            }
        }
        self.0.register(Box::new(numbers))
    }

    /// Adds a count for each kind.
    fn counts_by_kind(
        &self,
        (name, help): (&str, &str),
        kinds: &[KindGauges],
        value: impl Fn(&KindGauges) -> i64,
    ) -> Result<(), prometheus::Error> {
        let counts = IntGaugeVec::new(Opts::new(name, help), &["kind"])?;
        for kind in kinds {
            counts.with_label_values(&[&kind.kind]).set(value(kind));
        }
        self.0.register(Box::new(counts))
    }

    fn kinds(&self, gauges: &Gauges) -> Result<(), prometheus::Error> {
        let kinds = &gauges.kinds;
        self.numbers_by_kind(
            (
                "arcadia_kind_complete_listing_age_seconds",
                "Time since the start of the last complete listing of the kind, in seconds; absent \
                 before the first.",
            ),
            kinds,
            |kind| kind.last_complete_at.map(|at| gauges.age_of(at)),
        )?;
        self.numbers_by_kind(
            (
                "arcadia_kind_attempt_age_seconds",
                "Time since the start of the last listing of the kind with any result, in seconds.",
            ),
            kinds,
            |kind| kind.last_attempt_at.map(|at| gauges.age_of(at)),
        )?;
        let states = IntGaugeVec::new(
            Opts::new(
                "arcadia_kind_attempt_state",
                "Result of the last listing of the kind: 1 for its state, 0 for the others.",
            ),
            &["kind", "state"],
        )?;
        for kind in kinds {
            let Some(last) = &kind.last_state else {
                continue;
            };
            for state in STATES {
                states
                    .with_label_values(&[&*kind.kind, state])
                    .set((last == state).into());
            }
        }
        self.0.register(Box::new(states))?;
        self.counts_by_kind(
            ("arcadia_kind_live_rows", "Number of live rows of the kind."),
            kinds,
            |kind| kind.live,
        )?;
        self.counts_by_kind(
            (
                "arcadia_kind_struck_rows",
                "Number of live rows of the kind with strikes: missing from the last complete \
                 listings. A row with three strikes is deleted.",
            ),
            kinds,
            |kind| kind.with_strikes,
        )
    }

    fn held_deletions(&self, gauges: &Gauges) -> Result<(), prometheus::Error> {
        let kinds = &gauges.kinds;
        self.counts_by_kind(
            (
                "arcadia_held_deletions_pending",
                "1 if deletions of the kind wait for the decision of an operator, otherwise 0.",
            ),
            kinds,
            |kind| kind.held_at.is_some().into(),
        )?;
        self.counts_by_kind(
            (
                "arcadia_held_deletion_rows",
                "Number of rows of the kind with a deletion that waits for the decision of an \
                 operator.",
            ),
            kinds,
            |kind| kind.held_rows,
        )?;
        self.numbers_by_kind(
            (
                "arcadia_held_deletion_age_seconds",
                "Time for which deletions of the kind have been waiting, in seconds; absent \
                 without held deletions.",
            ),
            kinds,
            |kind| kind.held_at.map(|at| gauges.age_of(at)),
        )
    }

    fn invoices(&self, gauges: &Gauges) -> Result<(), prometheus::Error> {
        let invoices = &gauges.invoices;
        let by_status = IntGaugeVec::new(
            Opts::new("arcadia_invoices", "Number of invoices by ingest status."),
            &["ingest_status"],
        )?;
        for (status, count) in [
            ("pending", invoices.pending),
            ("ingested", invoices.ingested),
            ("failed", invoices.failed),
        ] {
            by_status.with_label_values(&[status]).set(count);
        }
        self.0.register(Box::new(by_status))?;
        self.count(
            "arcadia_invoices_unreconciled",
            "Number of ingested invoices with lines that do not total the amount of the invoice.",
            invoices.unreconciled,
        )?;
        self.count(
            "arcadia_invoices_not_final",
            "Number of ingested invoices with sums that do not reconcile: header, lines, summary \
             or its parts.",
            invoices.not_final,
        )?;
        self.count(
            "arcadia_invoices_unverified",
            "Number of ingested invoices that could not be verified: no sum differs, but the \
             summary or another source is missing.",
            invoices.unverified,
        )?;
        self.count(
            "arcadia_invoices_check_failed",
            "Number of ingested invoices with a failed last check: they could not be refetched, or \
             had less evidence than the stored version.",
            invoices.check_failed,
        )?;
        self.count(
            "arcadia_invoices_withdrawn",
            "Number of invoices that DigitalOcean no longer lists; their lines remain in all \
             totals.",
            invoices.withdrawn,
        )?;
        self.count(
            "arcadia_overrides_orphaned",
            "Number of overrides of cost lines that a correction of the invoice removed.",
            invoices.orphaned_overrides,
        )?;
        self.usd(
            "arcadia_invoices_off_by_usd",
            "Sum of the absolute differences between unreconciled invoices and their lines, in \
             USD.",
            invoices.off_by,
        )
    }

    fn balance(&self, gauges: &Gauges) -> Result<(), prometheus::Error> {
        let Some(balance) = &gauges.balance else {
            return Ok(());
        };
        self.number(
            "arcadia_balance_age_seconds",
            "Time since the last poll of the balance, in seconds.",
            gauges.age_of(gauges.balance_polled_at.unwrap_or(balance.last_polled_at)),
        )?;
        self.number(
            "arcadia_balance_generated_age_seconds",
            "Time since DigitalOcean computed the balance, in seconds.",
            gauges.age_of(balance.generated_at),
        )?;
        self.usd(
            "arcadia_month_to_date_usage_usd",
            "Usage of the open month to date, as reported by DigitalOcean, in USD.",
            balance.month_to_date_usage,
        )?;
        self.usd(
            "arcadia_month_to_date_balance_usd",
            "Amount owed including the open month, as reported by DigitalOcean, in USD.",
            balance.month_to_date_balance,
        )?;
        self.usd(
            "arcadia_account_balance_usd",
            "Amount owed for past months, as reported by DigitalOcean, in USD.",
            balance.account_balance,
        )
    }

    fn ledger(&self, gauges: &Gauges) -> Result<(), prometheus::Error> {
        let ledger = &gauges.ledger;
        self.count(
            "arcadia_ledger_entries",
            "Number of entries of the billing history.",
            ledger.entries,
        )?;
        self.usd(
            "arcadia_ledger_total_usd",
            "Total of the billing history: the amount owed for past months, in USD.",
            ledger.total,
        )?;
        match ledger.difference {
            Some(difference) => self.usd(
                "arcadia_ledger_difference_usd",
                "Account balance of DigitalOcean minus the total of the billing history at the \
                 same time, in USD; absent before both are known.",
                difference,
            ),
            None => Ok(()),
        }
    }

    fn tokens(&self, gauges: &Gauges) -> Result<(), prometheus::Error> {
        let expiring = &gauges.expiring_tokens;
        self.count(
            "arcadia_api_tokens_expiring",
            "Number of tokens of the API that expire soon and are not replaced: in the last tenth \
             of their lifetime, at most thirty days.",
            i64::try_from(expiring.len()).unwrap_or(i64::MAX),
        )?;
        match expiring.first() {
            Some(next) => self.number(
                "arcadia_api_token_expiry_seconds",
                "Time until the next of these tokens expires, in seconds; absent without one.",
                (next.expires_at - gauges.at).as_seconds_f64(),
            ),
            None => Ok(()),
        }
    }

    fn estimate(&self, gauges: &Gauges) -> Result<(), prometheus::Error> {
        let Some(estimate) = &gauges.estimate else {
            return Ok(());
        };
        self.number(
            "arcadia_estimate_age_seconds",
            "Time since the last read of the preview of the open month's invoice, in seconds; \
             absent without an open month.",
            gauges.age_of(estimate.estimated_at),
        )?;
        self.usd(
            "arcadia_estimate_usd",
            "Total of the preview of the open month's invoice, in USD.",
            estimate.amount,
        )
    }
}
