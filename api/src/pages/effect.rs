//! The effect of a change on the costs of tenants, as a table by month and tenant.

use askama::Template;
use rust_decimal::Decimal;
use store::Usd;

use super::format::{Money, month, month_name};
use crate::effect::Effect;

/// The total of a tenant in a month before and after a change.
struct Move {
    month: String,
    /// The page of the month.
    link: String,
    /// `final`, `estimate` or `open`.
    state: &'static str,
    /// Empty for unallocated costs.
    tenant: String,
    before: Money,
    after: Money,
    difference: Money,
}

/// A drawn effect; a template to include with `|safe`.
#[derive(Template)]
#[template(path = "effect.html")]
pub(super) struct EffectTable {
    is_dry_run: bool,
    summary: String,
    moved: Decimal,
    final_months: usize,
    moves: Vec<Move>,
}

impl From<Effect> for EffectTable {
    fn from(effect: Effect) -> Self {
        let moves = effect.moves.months.into_iter().flat_map(|of_month| {
            let (period, is_final) = (of_month.period, of_month.is_final);
            let state = match (is_final, of_month.is_estimate) {
                (true, _) => "final",
                (false, true) => "estimate",
                (false, false) => "open",
            };
            of_month.tenants.into_iter().map(move |tenant| {
                let (Usd(before), Usd(after)) = (tenant.before, tenant.after);
                Move {
                    month: month_name(period),
                    link: format!("/months/{}", month(period)),
                    state,
                    tenant: tenant.tenant_id.unwrap_or_default(),
                    before: Money(before),
                    after: Money(after),
                    difference: Money(after - before),
                }
            })
        });
        Self {
            is_dry_run: effect.is_dry_run,
            moves: moves.collect(),
            summary: effect.moves.summary,
            moved: effect.moves.moved.0,
            final_months: effect.moves.final_months,
        }
    }
}
