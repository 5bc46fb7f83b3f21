//! `/`: the open month, the last invoiced month, the balance, thirteen months of costs, and items
//! that need attention; for a tenant its resources and its costs.

mod attention;
mod comparison;
mod own;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::NaiveDate;
use store::Store;
use store::balance::BalanceSnapshot;
use store::invoices::{AfterInvoice, Estimate};
use uuid::Uuid;

use self::attention::Attention;
use self::comparison::{CAUSES, Comparison};
use super::chart::StackedBars;
use super::costs::{CostTable, Scope, latest_months};
use super::format::{Moment, Money, month, month_name};
use super::page::{Frame, PageProblem, render};
use super::parameters::Parameters;
use super::session::Viewer;
use crate::ApiState;
use crate::routes::costs::{Grouping, read_costs};
use crate::routes::sync::current_verdict;
use crate::status::Status;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/", get(show))
}

/// The open month: its invoices so far, and the rest of DigitalOcean's preview.
struct OpenMonth {
    name: String,
    path: String,
    amount: Money,
    /// The invoiced part, if there is any.
    invoiced: Option<Money>,
    /// The estimated part; none without a preview.
    estimated: Option<Money>,
    estimated_at: Option<Moment>,
    note: Option<String>,
}

/// The last month with an invoice.
struct LastMonth {
    name: String,
    path: String,
    is_final: bool,
    costs: Comparison,
}

struct Balance {
    owed: Money,
    usage: Money,
    account: Money,
    generated_at: Moment,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    status: Status,
    open: Option<OpenMonth>,
    last: Option<LastMonth>,
    balance: Option<Balance>,
    chart: Option<StackedBars>,
    notes: Vec<String>,
    from: String,
    to: String,
    attention: Vec<Attention>,
}

async fn show(
    viewer: Viewer,
    State(state): State<ApiState>,
    mut parameters: Parameters,
) -> Result<Response, PageProblem> {
    let table = parameters.take_table()?;
    parameters.refuse_others()?;
    match viewer.tenant().cloned() {
        Some(tenant) => own::show(viewer, &state, &tenant, table).await,
        None => of_account(viewer, &state, table).await,
    }
}

/// The months of the overview.
struct Billed {
    /// The estimate of the open month, if there is one.
    estimate: Option<Estimate>,
    /// See [`open_period`].
    open: Option<NaiveDate>,
    /// The last month before the open one with an invoice.
    last: Option<NaiveDate>,
}

impl Billed {
    async fn read(store: &Store) -> Result<Self, PageProblem> {
        let estimates = store.estimates(None, 1).await?;
        let estimate = estimates
            .into_iter()
            .find(|estimate| estimate.state == "open");
        let open = open_period(store, estimate.as_ref()).await?;
        let before = open.map(|period| AfterInvoice {
            period,
            invoice_uuid: Uuid::max(),
        });
        let invoices = store.invoices(before, 1).await?;
        Ok(Self {
            estimate,
            open,
            last: invoices.first().map(|invoice| invoice.period),
        })
    }
}

async fn of_account(
    viewer: Viewer,
    state: &ApiState,
    table: Option<String>,
) -> Result<Response, PageProblem> {
    let store = &state.store;
    let billed = Billed::read(store).await?;
    let last = match billed.last {
        Some(period) => Some(last_month(store, period).await?),
        None => None,
    };
    if let Some(table) = table {
        let costs = last.map(|last| last.costs);
        return comparison::csv(viewer, &table, costs, None);
    }
    let (from, to) = latest_months(store).await?;
    let costs = read_costs(store, Grouping::Tenant, from, to).await?;
    let table = CostTable::new(Scope::Account, costs.rows, Grouping::Tenant);
    let chart = table.chart("Costs by tenant, USD a month");
    let verdict = current_verdict(state).await?;
    let mut attention = attention::of_verdict(&verdict);
    for period in [billed.open, billed.last].into_iter().flatten() {
        attention.extend(attention::open_lines(store, period).await?);
    }
    if let Some(last) = last.as_ref().filter(|last| !last.is_final) {
        attention.push(Attention {
            class: "warn",
            text: format!("{} is not final", last.name),
            link: last.path.clone(),
            link_text: "Open the checklist",
        });
    }
    attention.extend(attention::corrections(store).await?);
    attention.extend(attention::expiring_tokens(store).await?);
    let balance = store.latest_balance().await?;
    render(&OverviewPage {
        frame: viewer.frame("Overview", "/"),
        status: verdict.status,
        open: match billed.open {
            Some(period) => Some(open_month(store, period, billed.estimate).await?),
            None => None,
        },
        last,
        balance: balance.map(Balance::from),
        chart: (!chart.is_empty()).then_some(chart),
        notes: costs.notes,
        from: month(from),
        to: month(to),
        attention,
    })
}

/// Returns the month of the open estimate, or the running month if it has an invoice already.
async fn open_period(
    store: &Store,
    estimate: Option<&Estimate>,
) -> Result<Option<NaiveDate>, PageProblem> {
    if let Some(estimate) = estimate {
        return Ok(Some(estimate.period));
    }
    let newest = store.month_summaries(None, 1).await?.pop();
    Ok(newest
        .filter(|month| !month.is_over)
        .map(|month| month.period))
}

async fn open_month(
    store: &Store,
    period: NaiveDate,
    estimate: Option<Estimate>,
) -> Result<OpenMonth, PageProblem> {
    let month_so_far = store.statements(period).await?;
    let invoiced = month_so_far.invoiced();
    Ok(OpenMonth {
        name: month_name(period),
        path: format!("/months/{}", month(period)),
        amount: Money(month_so_far.line_total),
        invoiced: (!invoiced.is_zero()).then_some(Money(invoiced)),
        estimated: estimate.is_some().then_some(Money(month_so_far.estimated)),
        estimated_at: estimate
            .as_ref()
            .map(|estimate| Moment(estimate.estimated_at)),
        note: estimate.and_then(|estimate| estimate.source_note),
    })
}

impl From<BalanceSnapshot> for Balance {
    fn from(balance: BalanceSnapshot) -> Self {
        Self {
            owed: Money(balance.month_to_date_balance),
            usage: Money(balance.month_to_date_usage),
            account: Money(balance.account_balance),
            generated_at: Moment(balance.generated_at),
        }
    }
}

async fn last_month(store: &Store, period: NaiveDate) -> Result<LastMonth, PageProblem> {
    let compared = store.month_comparison(period, CAUSES).await?;
    let is_final = store.statements(period).await?.is_final();
    Ok(LastMonth {
        name: month_name(period),
        path: format!("/months/{}", month(period)),
        is_final,
        costs: Comparison::of_account(compared, period),
    })
}
