//! The effect of an operator's change, in the `meta` of its answer.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use store::costs::Measured;
use store::inventory::Commit;
use utoipa::{IntoParams, ToSchema};

use store::Usd;

/// `?dry_run=true` on a change.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DryRun {
    /// Changes nothing, and reports in `meta.effect` which amounts the change would move. `data` is as it was.
    #[serde(default)]
    #[param(default = false)]
    dry_run: bool,
}

impl DryRun {
    pub(crate) fn commit(&self) -> Commit {
        if self.dry_run {
            Commit::DryRun
        } else {
            Commit::Keep
        }
    }
}

/// The amounts that a change moves between tenants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Effect {
    /// The change was not made: these amounts are those that it would move.
    is_dry_run: bool,
    #[serde(flatten)]
    moves: Moves,
    /// In a dry run without `since`: the start of the earliest charge that the change concerns, and the effect with that `since`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    with_since: Option<WithSince>,
}

#[derive(Debug, Serialize, ToSchema)]
struct WithSince {
    since: DateTime<Utc>,
    #[serde(flatten)]
    moves: Moves,
}

#[derive(Debug, Serialize, ToSchema)]
struct Moves {
    /// One sentence, such as `moves 15.04 USD in 1 final month`.
    summary: String,
    /// The amount that comes to other tenants than before, over all months.
    #[schema(value_type = String)]
    moved: Usd,
    /// Months that change although they are final.
    final_months: usize,
    /// The earliest month first; months without a change are left out.
    months: Vec<MonthMoves>,
}

/// The totals of the tenants in one month.
#[derive(Debug, Serialize, ToSchema)]
struct MonthMoves {
    /// The first of the month.
    period: NaiveDate,
    /// Every invoice of the month is final.
    is_final: bool,
    /// The month's lines are an estimate.
    is_estimate: bool,
    #[schema(value_type = String)]
    moved: Usd,
    /// Tenants whose total changes, unallocated costs first.
    tenants: Vec<TenantMove>,
}

/// The total of one tenant, its part of the shared costs included.
#[derive(Debug, Serialize, ToSchema)]
struct TenantMove {
    /// Null for unallocated costs.
    tenant_id: Option<String>,
    #[schema(value_type = String)]
    before: Usd,
    #[schema(value_type = String)]
    after: Usd,
}

impl Effect {
    pub(crate) fn of(measured: Measured, commit: Commit) -> Self {
        let is_dry_run = commit == Commit::DryRun;
        let with_since = measured.with_since.map(|(since, effect)| WithSince {
            since,
            moves: moves(effect, true),
        });
        Self {
            is_dry_run,
            moves: moves(measured.effect, is_dry_run),
            with_since,
        }
    }
}

fn moves(effect: store::costs::Effect, is_dry_run: bool) -> Moves {
    let moved = effect.moved();
    let final_months = effect.months.iter().filter(|month| month.is_final).count();
    Moves {
        summary: summary(
            moved,
            final_months,
            effect.months.len() - final_months,
            is_dry_run,
        ),
        moved: Usd(moved),
        final_months,
        months: effect
            .months
            .into_iter()
            .map(|month| MonthMoves {
                moved: Usd(month.moved()),
                period: month.period,
                is_final: month.is_final,
                is_estimate: month.is_estimate,
                tenants: month
                    .tenants
                    .into_iter()
                    .map(|tenant| TenantMove {
                        tenant_id: tenant.tenant_id,
                        before: Usd(tenant.before),
                        after: Usd(tenant.after),
                    })
                    .collect(),
            })
            .collect(),
    }
}

fn summary(moved: Decimal, finals: usize, others: usize, is_dry_run: bool) -> String {
    let verb = if is_dry_run { "moves" } else { "moved" };
    let months = |count: usize, word: &str| {
        let months = if count == 1 { "month" } else { "months" };
        (count > 0).then(|| format!("{count} {word} {months}"))
    };
    let months: Vec<String> = [months(finals, "final"), months(others, "open")]
        .into_iter()
        .flatten()
        .collect();
    if months.is_empty() {
        return format!("{verb} no amount");
    }
    format!("{verb} {:.2} USD in {}", moved, months.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_final_and_open_months() {
        let fifteen = Decimal::new(1_504, 2);
        for (finals, others, expected) in [
            (1, 0, "moves 15.04 USD in 1 final month"),
            (2, 1, "moves 15.04 USD in 2 final months and 1 open month"),
            (0, 0, "moves no amount"),
        ] {
            assert_eq!(summary(fifteen, finals, others, true), expected);
        }
        assert_eq!(
            summary(fifteen, 1, 0, false),
            "moved 15.04 USD in 1 final month"
        );
    }
}
