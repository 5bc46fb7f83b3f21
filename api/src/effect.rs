//! The effect of an operator's change on the costs of tenants, in the `meta` of the response.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use store::costs::Measured;
use store::inventory::Commit;
use utoipa::{IntoParams, ToSchema};

use store::Usd;

/// The parameter `dry_run` of a change.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DryRun {
    /// If true, changes nothing and reports in `meta.effect` the amounts in USD that the change
    /// would move; `data` is the current state.
    #[serde(default)]
    #[param(default = false)]
    dry_run: bool,
}

impl DryRun {
    pub(crate) fn commit(&self) -> Commit {
        commit_unless(self.dry_run)
    }
}

/// Returns [`Commit::Keep`] unless the change is only measured.
pub(crate) fn commit_unless(is_dry_run: bool) -> Commit {
    if is_dry_run {
        Commit::DryRun
    } else {
        Commit::Keep
    }
}

/// The amounts in USD that a change moves between tenants.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Effect {
    /// True if the change was not made; the amounts are those that it would move.
    pub(crate) is_dry_run: bool,
    #[serde(flatten)]
    pub(crate) moves: Moves,
    /// In a dry run without `since`: the start of the earliest affected charge, and the effect of
    /// the change with that `since`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) with_since: Option<WithSince>,
}

/// The effect of the same change from an earlier time on.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WithSince {
    /// Start of the earliest charge that the change affects.
    pub(crate) since: DateTime<Utc>,
    #[serde(flatten)]
    pub(crate) moves: Moves,
}

/// Moved amounts of all months.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Moves {
    /// Summary in one sentence, such as `moves 15.04 USD in 1 final month`.
    pub(crate) summary: String,
    /// Amount in USD that is charged to other tenants than before, in all months.
    #[schema(value_type = String)]
    pub(crate) moved: Usd,
    /// Number of final months that change.
    pub(crate) final_months: usize,
    /// Months with a change, the earliest first.
    pub(crate) months: Vec<MonthMoves>,
}

/// Changed totals of the tenants in one month.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MonthMoves {
    /// First day of the month.
    pub(crate) period: NaiveDate,
    /// True if every invoice of the month is final.
    pub(crate) is_final: bool,
    /// True if the lines of the month are an estimate.
    pub(crate) is_estimate: bool,
    /// Amount in USD that is charged to other tenants than before.
    #[schema(value_type = String)]
    pub(crate) moved: Usd,
    /// Tenants with a changed total, unallocated costs first.
    pub(crate) tenants: Vec<TenantMove>,
}

/// Total of one tenant in USD, including its part of the shared costs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantMove {
    /// Null for unallocated costs.
    pub(crate) tenant_id: Option<String>,
    /// Total in USD without the change.
    #[schema(value_type = String)]
    pub(crate) before: Usd,
    /// Total in USD with the change.
    #[schema(value_type = String)]
    pub(crate) after: Usd,
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
