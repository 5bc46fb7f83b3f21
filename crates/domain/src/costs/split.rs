//! Splitting an amount so that the parts sum to it exactly.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

/// Cents, unless the amount itself is finer.
const CENTS: u32 = 2;

/// Splits an amount (USD) in proportion to the weights, in whole cents, by largest remainder: each part is its exact share rounded
/// towards zero, and the cents left over go one each to the parts that lost most, the first of equals first. The parts sum to the
/// amount exactly. Of an amount finer than cents the smallest unit is the amount's own.
///
/// Weights below zero count as zero. Where all are zero the parts are equal. No weights, no parts.
pub fn split(amount: Decimal, weights: &[Decimal]) -> Vec<Decimal> {
    if weights.is_empty() {
        return Vec::new();
    }
    let scale = amount.scale().max(CENTS);
    let units = rescaled(amount, scale);
    let weights = whole_weights(weights, units);
    // Weights are at least zero and one of them is more: the sum is more than zero.
    let sum: u128 = weights.iter().sum();
    let mut parts: Vec<u128> = weights.iter().map(|weight| units * weight / sum).collect();
    let left_over = units - parts.iter().sum::<u128>();

    let mut by_loss: Vec<usize> = (0..parts.len()).collect();
    by_loss.sort_by_key(|&place| std::cmp::Reverse(units * weights[place] % sum));
    for place in by_loss
        .into_iter()
        .take(usize::try_from(left_over).unwrap_or(usize::MAX))
    {
        parts[place] += 1;
    }
    parts
        .into_iter()
        .map(|part| {
            let mut part = i128::try_from(part)
                .map_or(amount, |part| Decimal::from_i128_with_scale(part, scale));
            part.set_sign_negative(amount.is_sign_negative() && !part.is_zero());
            part
        })
        .collect()
}

/// The magnitude in units of the scale.
fn rescaled(amount: Decimal, scale: u32) -> u128 {
    let mut amount = amount.abs();
    amount.rescale(scale);
    amount.mantissa().unsigned_abs()
}

/// Weights as whole numbers small enough to be multiplied with the amount. Dropping the last bits of huge weights moves the parts
/// by less than a cent in a trillion dollars, and their sum not at all.
fn whole_weights(weights: &[Decimal], units: u128) -> Vec<u128> {
    let finest = weights.iter().map(Decimal::scale).max().unwrap_or_default();
    let mut whole: Vec<u128> = weights
        .iter()
        .map(|weight| {
            if weight.is_sign_negative() {
                0
            } else {
                rescaled(*weight, finest)
            }
        })
        .collect();
    let largest = whole.iter().copied().max().unwrap_or_default();
    if largest == 0 {
        return vec![1; whole.len()];
    }
    let count = u32::try_from(whole.len()).unwrap_or(u32::MAX);
    let bits = (128 - largest.leading_zeros()) + (32 - count.leading_zeros());
    let room = units.leading_zeros().saturating_sub(1);
    for weight in &mut whole {
        *weight >>= bits.saturating_sub(room);
    }
    whole
}

/// How what all bear is spread over the tenants of a month.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SpreadRule {
    /// In proportion to what each costs directly, what is nobody's included: the tax on it is nobody's too.
    #[default]
    Proportional,
    /// The same for every tenant that has costs.
    Even,
    /// By weights that an operator gave.
    Fixed(BTreeMap<String, Decimal>),
}

/// Spreads what all bear (USD) over those who have direct costs (none stands for what is nobody's). The parts sum to the amount
/// exactly; where the rule names nobody who could bear it, it stays nobody's.
pub fn spread(
    amount: Decimal,
    direct: &BTreeMap<Option<String>, Decimal>,
    rule: &SpreadRule,
) -> BTreeMap<Option<String>, Decimal> {
    let weighted: Vec<(Option<String>, Decimal)> = match rule {
        SpreadRule::Proportional => direct
            .iter()
            .filter(|(_, direct)| **direct > Decimal::ZERO)
            .map(|(tenant, direct)| (tenant.clone(), *direct))
            .collect(),
        SpreadRule::Even => direct
            .keys()
            .filter(|tenant| tenant.is_some())
            .map(|tenant| (tenant.clone(), Decimal::ONE))
            .collect(),
        SpreadRule::Fixed(weights) => weights
            .iter()
            .filter(|(_, weight)| **weight > Decimal::ZERO)
            .map(|(tenant, weight)| (Some(tenant.clone()), *weight))
            .collect(),
    };
    if amount.is_zero() {
        return BTreeMap::new();
    }
    if weighted.is_empty() {
        return BTreeMap::from([(None, amount)]);
    }
    let weights: Vec<Decimal> = weighted.iter().map(|(_, weight)| *weight).collect();
    weighted
        .into_iter()
        .map(|(tenant, _)| tenant)
        .zip(split(amount, &weights))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cents(cents: i64) -> Decimal {
        Decimal::new(cents, 2)
    }

    fn tenant(name: &str) -> String {
        name.to_owned()
    }

    #[test]
    fn a_cent_that_cannot_be_divided_goes_to_the_part_that_lost_most() {
        let thirds = [Decimal::ONE, Decimal::ONE, Decimal::ONE];
        assert_eq!(
            split(cents(100), &thirds),
            [cents(34), cents(33), cents(33)]
        );
        assert_eq!(
            split(cents(-100), &thirds),
            [cents(-34), cents(-33), cents(-33)]
        );
        // 0.625, 0.375: the first lost more.
        assert_eq!(
            split(cents(1), &[Decimal::from(5), Decimal::from(3)]),
            [cents(1), cents(0)]
        );
    }

    #[test]
    fn an_amount_finer_than_cents_is_split_in_its_own_units() {
        let parts = split(Decimal::new(1, 4), &[Decimal::ONE, Decimal::ONE]);
        assert_eq!(parts, [Decimal::new(1, 4), Decimal::ZERO]);
    }

    #[test]
    fn without_any_weight_the_parts_are_equal_and_what_is_below_zero_weighs_nothing() {
        assert_eq!(
            split(cents(10), &[Decimal::ZERO, Decimal::NEGATIVE_ONE]),
            [cents(5), cents(5)]
        );
        assert_eq!(
            split(cents(10), &[Decimal::ONE, Decimal::NEGATIVE_ONE]),
            [cents(10), cents(0)]
        );
    }

    #[test]
    fn a_tax_follows_what_each_costs_and_that_of_nobody_stays_nobodys() {
        let direct = BTreeMap::from([
            (None, cents(2500)),
            (Some(tenant("acme")), cents(7500)),
            (Some(tenant("beta")), cents(-100)),
        ]);
        let spread_by = |rule: &SpreadRule| spread(cents(1000), &direct, rule);
        assert_eq!(
            spread_by(&SpreadRule::Proportional),
            BTreeMap::from([(None, cents(250)), (Some(tenant("acme")), cents(750))])
        );
        assert_eq!(
            spread_by(&SpreadRule::Even),
            BTreeMap::from([
                (Some(tenant("acme")), cents(500)),
                (Some(tenant("beta")), cents(500))
            ])
        );
        let weights = BTreeMap::from([
            (tenant("acme"), Decimal::from(9)),
            (tenant("gamma"), Decimal::ONE),
        ]);
        assert_eq!(
            spread_by(&SpreadRule::Fixed(weights)),
            BTreeMap::from([
                (Some(tenant("acme")), cents(900)),
                (Some(tenant("gamma")), cents(100))
            ])
        );
    }

    #[test]
    fn what_nobody_could_bear_is_nobodys() {
        for rule in [
            SpreadRule::Proportional,
            SpreadRule::Even,
            SpreadRule::Fixed(BTreeMap::new()),
        ] {
            let spread = spread(cents(7), &BTreeMap::new(), &rule);
            assert_eq!(spread, BTreeMap::from([(None, cents(7))]));
        }
    }

    fn amounts() -> impl Strategy<Value = Decimal> {
        (-1_000_000_000_000_000_i64..1_000_000_000_000_000, 0_u32..6)
            .prop_map(|(units, scale)| Decimal::new(units, scale))
    }

    proptest! {
        #[test]
        fn the_parts_sum_to_the_whole_and_none_is_off_by_a_unit(
            amount in amounts(),
            weights in prop::collection::vec(amounts(), 1..12),
        ) {
            let parts = split(amount, &weights);
            prop_assert_eq!(parts.iter().sum::<Decimal>(), amount);
            let sum: Decimal = weights.iter().filter(|weight| weight.is_sign_positive()).sum();
            let unit = Decimal::new(1, amount.scale().max(CENTS));
            for (part, weight) in parts.iter().zip(&weights) {
                prop_assert!(part.is_zero() || part.is_sign_negative() == amount.is_sign_negative());
                if sum.is_zero() {
                    continue;
                }
                let share = (weight.max(&Decimal::ZERO) / sum).checked_mul(amount);
                if let Some(exact) = share {
                    // A division of 28 digits is not exact itself.
                    let tolerance = unit + amount.abs() * Decimal::new(1, 24);
                    prop_assert!((part - exact).abs() <= tolerance, "{} of {} by {:?}", part, amount, weights);
                }
            }
        }

        #[test]
        fn whatever_the_rule_what_is_spread_sums_to_what_was_there(
            amount in amounts(),
            direct in prop::collection::btree_map(prop::option::of("[a-d]"), amounts(), 0..6),
            fixed in prop::collection::btree_map("[a-f]", amounts(), 0..4),
            which in 0..3,
        ) {
            let direct = direct.into_iter().map(|(name, amount)| (name.map(|name| tenant(&name)), amount)).collect();
            let rule = match which {
                0 => SpreadRule::Proportional,
                1 => SpreadRule::Even,
                _ => SpreadRule::Fixed(fixed.into_iter().map(|(name, weight)| (tenant(&name), weight)).collect()),
            };
            let parts = spread(amount, &direct, &rule);
            prop_assert_eq!(parts.values().sum::<Decimal>(), amount);
        }
    }
}
