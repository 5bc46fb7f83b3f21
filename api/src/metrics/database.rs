//! What the metrics tell of the database, read when they are asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::proto::MetricFamily;
use prometheus::{Gauge, GaugeVec, IntGauge, IntGaugeVec, Opts, Registry};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use store::Store;
use store::metrics::{Gauges, KindGauges};
use tokio::sync::Mutex;

/// Shorter than the ten seconds after which Prometheus gives a scrape up.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long a reading is shown again: whoever asks without pause, which anyone may, costs the database no more than Prometheus.
const FRESH: Duration = Duration::from_secs(2);

/// The states of a kind's last attempt; each is a series, so that a change from one to another leaves none behind.
const STATES: [&str; 6] = [
    "complete",
    "held",
    "incomplete",
    "not_readable",
    "unauthorized",
    "failed",
];

/// When the database was read last, and what it said; nothing where it did not answer.
type LastReading = Option<(Instant, Option<Gauges>)>;

/// Reads the database for scrapes: one reading at a time.
#[derive(Clone, Default)]
pub(super) struct Readings {
    last: Arc<Mutex<LastReading>>,
}

impl Readings {
    /// The metrics of the database. One that is away or slow shows as `arcadia_database_up 0` and nothing else.
    pub(super) async fn families(
        &self,
        store: &Store,
    ) -> Result<Vec<MetricFamily>, prometheus::Error> {
        let readings = self.clone();
        let store = store.clone();
        // Whoever stops waiting does not stop the reading: work on the database is never dropped half-way.
        let reading = tokio::spawn(async move { readings.read(&store).await });
        let gauges = match tokio::time::timeout(PATIENCE, reading).await {
            Ok(Ok(gauges)) => gauges,
            Ok(Err(panic)) => {
                tracing::error!("the reading of the metrics panicked: {panic}");
                None
            }
            Err(_) => {
                tracing::warn!(
                    "the database did not tell the metrics within {} s",
                    PATIENCE.as_secs()
                );
                None
            }
        };
        families(gauges.as_ref())
    }

    async fn read(&self, store: &Store) -> Option<Gauges> {
        let mut last = self.last.lock().await;
        if let Some((at, gauges)) = &*last
            && at.elapsed() < FRESH
        {
            return gauges.clone();
        }
        let gauges = store.gauges().await;
        let gauges = gauges
            .inspect_err(|error| tracing::warn!("the database did not tell the metrics: {error}"))
            .ok();
        *last = Some((Instant::now(), gauges.clone()));
        gauges
    }
}

/// Of these names and values, with nothing left over from an earlier reading.
fn families(gauges: Option<&Gauges>) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let page = Page(Registry::new());
    page.count(
        "arcadia_database_up",
        "Whether the database answered this scrape: 1 or 0. Without it, nothing that is read from it is shown.",
        gauges.is_some().into(),
    )?;
    if let Some(gauges) = gauges {
        page.kinds(gauges)?;
        page.held_deletions(gauges)?;
        page.invoices(gauges)?;
        page.balance(gauges)?;
        page.ledger(gauges)?;
        page.estimate(gauges)?;
    }
    Ok(page.0.gather())
}

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

    /// Prometheus knows floats only. Nothing is worked out with them here; the books are in the database.
    fn usd(&self, name: &str, help: &str, amount: Decimal) -> Result<(), prometheus::Error> {
        self.number(name, help, amount.to_f64().unwrap_or(f64::NAN))
    }

    /// A number for each kind that has one.
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
                "Time since the last complete listing of the kind began. A kind that never had one is not shown.",
            ),
            kinds,
            |kind| kind.last_complete_at.map(|at| gauges.age_of(at)),
        )?;
        self.numbers_by_kind(
            (
                "arcadia_kind_attempt_age_seconds",
                "Time since the last listing of the kind began, however it ended.",
            ),
            kinds,
            |kind| kind.last_attempt_at.map(|at| gauges.age_of(at)),
        )?;
        let states = IntGaugeVec::new(
            Opts::new(
                "arcadia_kind_attempt_state",
                "How the last listing of the kind ended: 1 for its state, 0 for the others.",
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
            (
                "arcadia_kind_live_rows",
                "Rows of the kind that are not deleted.",
            ),
            kinds,
            |kind| kind.live,
        )?;
        self.counts_by_kind(
            (
                "arcadia_kind_struck_rows",
                "Rows of the kind that are not deleted, and that the last complete listings lacked: three such make one deleted.",
            ),
            kinds,
            |kind| kind.struck,
        )
    }

    fn held_deletions(&self, gauges: &Gauges) -> Result<(), prometheus::Error> {
        let kinds = &gauges.kinds;
        self.counts_by_kind(
            (
                "arcadia_held_deletions_pending",
                "Whether deletions of the kind wait for an operator's word: 1 or 0.",
            ),
            kinds,
            |kind| kind.held_at.is_some().into(),
        )?;
        self.counts_by_kind(
            (
                "arcadia_held_deletion_rows",
                "Rows of the kind whose deletion waits for an operator's word.",
            ),
            kinds,
            |kind| kind.held_rows,
        )?;
        self.numbers_by_kind(
            (
                "arcadia_held_deletion_age_seconds",
                "How long deletions of the kind have been waiting. A kind without any is not shown.",
            ),
            kinds,
            |kind| kind.held_at.map(|at| gauges.age_of(at)),
        )
    }

    fn invoices(&self, gauges: &Gauges) -> Result<(), prometheus::Error> {
        let invoices = &gauges.invoices;
        let by_status = IntGaugeVec::new(
            Opts::new("arcadia_invoices", "Invoices by how their ingest stands."),
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
            "Ingested invoices whose lines do not come to the invoice's amount.",
            invoices.unreconciled,
        )?;
        self.count(
            "arcadia_invoices_not_final",
            "Ingested invoices of which some sum does not agree with another: header, lines, summary or its parts.",
            invoices.not_final,
        )?;
        self.count(
            "arcadia_invoices_check_failed",
            "Ingested invoices whose last check failed: they could not be read again, or proved less than what is stored.",
            invoices.check_failed,
        )?;
        self.count(
            "arcadia_invoices_withdrawn",
            "Invoices that DigitalOcean no longer lists; their lines still count.",
            invoices.withdrawn,
        )?;
        self.usd(
            "arcadia_invoices_off_by_usd",
            "What the lines of unreconciled invoices lack or have too much, added up without sign; USD.",
            invoices.off_by,
        )
    }

    fn balance(&self, gauges: &Gauges) -> Result<(), prometheus::Error> {
        let Some(balance) = &gauges.balance else {
            return Ok(());
        };
        self.number(
            "arcadia_balance_age_seconds",
            "Time since the balance was last polled.",
            gauges.age_of(balance.last_polled_at),
        )?;
        self.number(
            "arcadia_balance_generated_age_seconds",
            "Time since DigitalOcean worked the balance out.",
            gauges.age_of(balance.generated_at),
        )?;
        self.usd(
            "arcadia_month_to_date_usage_usd",
            "What was used in the open month so far, as DigitalOcean tells it; USD.",
            balance.month_to_date_usage,
        )?;
        self.usd(
            "arcadia_month_to_date_balance_usd",
            "What is owed in all, the open month included, as DigitalOcean tells it; USD.",
            balance.month_to_date_balance,
        )?;
        self.usd(
            "arcadia_account_balance_usd",
            "What is owed for past months, as DigitalOcean tells it; USD.",
            balance.account_balance,
        )
    }

    fn ledger(&self, gauges: &Gauges) -> Result<(), prometheus::Error> {
        let ledger = &gauges.ledger;
        self.count(
            "arcadia_ledger_entries",
            "Entries of the billing history.",
            ledger.entries,
        )?;
        self.usd(
            "arcadia_ledger_total_usd",
            "What the billing history comes to: what is owed for past months; USD.",
            ledger.total,
        )?;
        match ledger.difference {
            Some(difference) => self.usd(
                "arcadia_ledger_difference_usd",
                "DigitalOcean's account balance less what the billing history came to then; USD. Not shown before both are known.",
                difference,
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
            "Time since the preview of the open month's invoice was last read. Not shown while no month is open.",
            gauges.age_of(estimate.estimated_at),
        )?;
        self.usd(
            "arcadia_estimate_usd",
            "What the preview of the open month's invoice comes to; USD.",
            estimate.amount,
        )
    }
}
