//! Splits amounts into parts that sum to them exactly, and allocates shared costs.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

/// Digits after the point: cents, unless the amount itself is finer.
const CENTS: u32 = 2;

/// Splits an amount (USD) in proportion to the weights, in whole cents, by largest remainder: each
/// part is its exact share rounded towards zero, and the leftover cents go one each to the parts
/// with the largest remainders, the first of equals first. The parts sum to the amount exactly. The
/// unit of an amount finer than cents is the amount's own.
///
/// Weights below zero count as zero. If all are zero, the parts are equal. Without weights there
/// are no parts.
pub fn split(amount: Decimal, weights: &[Decimal]) -> Vec<Decimal> {
    if weights.is_empty() {
        return Vec::new();
    }
    let scale = amount.scale().max(CENTS);
    let units = rescaled(amount, scale);
    let weights = whole_weights(weights, units);
    // Positive: no weight is negative, and at least one is positive.
    let sum: u128 = weights.iter().sum();
    let mut parts: Vec<u128> = weights.iter().map(|weight| units * weight / sum).collect();
    let left_over = units - parts.iter().sum::<u128>();

    let mut by_remainder: Vec<usize> = (0..parts.len()).collect();
    by_remainder.sort_by_key(|&place| std::cmp::Reverse(units * weights[place] % sum));
    for place in by_remainder
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

/// The absolute value in units of the scale.
fn rescaled(amount: Decimal, scale: u32) -> u128 {
    let mut amount = amount.abs();
    amount.rescale(scale);
    amount.mantissa().unsigned_abs()
}

/// Returns the weights as integers small enough to multiply with the amount. Dropping the last bits
/// of huge weights changes the parts by less than a cent in a trillion dollars, and their sum not
/// at all.
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

/// The rule that allocates the shared costs of a month to tenants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AllocationRule {
    /// In proportion to the direct costs, unallocated ones included: the tax on them is unallocated
    /// too.
    #[default]
    Proportional,
    /// In equal parts to all tenants with costs.
    Even,
    /// By weights that an operator set.
    Fixed(BTreeMap<String, Decimal>),
}

/// Returns the weight of each tenant (`None` for unallocated costs) by a rule, given the direct
/// costs of the month (USD). Tenants without a weight are omitted.
pub fn weights(
    direct: &BTreeMap<Option<String>, Decimal>,
    rule: &AllocationRule,
) -> BTreeMap<Option<String>, Decimal> {
    match rule {
        AllocationRule::Proportional => direct
            .iter()
            .filter(|(_, direct)| **direct > Decimal::ZERO)
            .map(|(tenant, direct)| (tenant.clone(), *direct))
            .collect(),
        AllocationRule::Even => direct
            .keys()
            .filter(|tenant| tenant.is_some())
            .map(|tenant| (tenant.clone(), Decimal::ONE))
            .collect(),
        AllocationRule::Fixed(weights) => weights
            .iter()
            .filter(|(_, weight)| **weight > Decimal::ZERO)
            .map(|(tenant, weight)| (Some(tenant.clone()), *weight))
            .collect(),
    }
}

/// Allocates shared costs (USD) to the tenants with direct costs (`None` for unallocated
/// costs). The parts sum to the amount exactly. If the rule names no tenant, the amount stays
/// unallocated.
pub fn allocate(
    amount: Decimal,
    direct: &BTreeMap<Option<String>, Decimal>,
    rule: &AllocationRule,
) -> BTreeMap<Option<String>, Decimal> {
    if amount.is_zero() {
        return BTreeMap::new();
    }
    let (tenants, weights): (Vec<_>, Vec<_>) = weights(direct, rule).into_iter().unzip();
    if tenants.is_empty() {
        return BTreeMap::from([(None, amount)]);
    }
    tenants.into_iter().zip(split(amount, &weights)).collect()
}

impl AllocationRule {
    /// Returns the name of the rule, without its weights.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Proportional => "proportional",
            Self::Even => "even",
            Self::Fixed(_) => "fixed",
        }
    }
}

/// Allocates shared lines (USD) one after the other to all tenants.
///
/// The part of a line is the growth of the tenant's part of the sum so far. So the parts of the
/// lines total the tenant's part of `total`, which is the sum of the lines, and the parts of all
/// tenants total each line.
#[derive(Debug)]
pub struct LineAllocation<'a> {
    direct: &'a BTreeMap<Option<String>, Decimal>,
    rule: &'a AllocationRule,
    total: Decimal,
    remaining: usize,
    sum: Decimal,
    allocated: BTreeMap<Option<String>, Decimal>,
}

impl<'a> LineAllocation<'a> {
    /// Starts the allocation of `count` lines with this total.
    pub fn new(
        direct: &'a BTreeMap<Option<String>, Decimal>,
        rule: &'a AllocationRule,
        total: Decimal,
        count: usize,
    ) -> Self {
        Self {
            direct,
            rule,
            total,
            remaining: count,
            sum: Decimal::ZERO,
            allocated: BTreeMap::new(),
        }
    }

    /// Returns the part of each tenant in the next line; parts of zero are omitted.
    pub fn next(&mut self, line: Decimal) -> BTreeMap<Option<String>, Decimal> {
        self.sum += line;
        self.remaining = self.remaining.saturating_sub(1);
        // The number of decimals decides on the unit of the parts.
        let so_far = if self.remaining == 0 {
            self.total
        } else {
            self.sum
        };
        let mut parts = allocate(so_far, self.direct, self.rule);
        let before = std::mem::replace(&mut self.allocated, parts.clone());
        for (tenant, part) in before {
            *parts.entry(tenant).or_default() -= part;
        }
        parts.retain(|_, part| !part.is_zero());
        parts
    }
}

/// Returns one tenant's part of each of these shared lines (USD), by [`LineAllocation`].
pub fn allocate_each(
    lines: &[Decimal],
    total: Decimal,
    direct: &BTreeMap<Option<String>, Decimal>,
    rule: &AllocationRule,
    tenant: &Option<String>,
) -> Vec<Decimal> {
    let mut allocation = LineAllocation::new(direct, rule, total, lines.len());
    let parts = lines
        .iter()
        .map(|line| allocation.next(*line).remove(tenant).unwrap_or_default());
    parts.collect()
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
    fn a_leftover_cent_goes_to_the_part_with_the_largest_remainder() {
        let thirds = [Decimal::ONE, Decimal::ONE, Decimal::ONE];
        assert_eq!(
            split(cents(100), &thirds),
            [cents(34), cents(33), cents(33)]
        );
        assert_eq!(
            split(cents(-100), &thirds),
            [cents(-34), cents(-33), cents(-33)]
        );
        // The exact shares are 0.625 and 0.375: the first has the larger remainder.
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
    fn negative_weights_are_zero_and_zero_weights_give_equal_parts() {
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
    fn each_rule_allocates_shared_costs_by_its_weights() {
        let direct = BTreeMap::from([
            (None, cents(2500)),
            (Some(tenant("acme")), cents(7500)),
            (Some(tenant("beta")), cents(-100)),
        ]);
        let allocate_by = |rule: &AllocationRule| allocate(cents(1000), &direct, rule);
        assert_eq!(
            allocate_by(&AllocationRule::Proportional),
            BTreeMap::from([(None, cents(250)), (Some(tenant("acme")), cents(750))])
        );
        assert_eq!(
            allocate_by(&AllocationRule::Even),
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
            allocate_by(&AllocationRule::Fixed(weights)),
            BTreeMap::from([
                (Some(tenant("acme")), cents(900)),
                (Some(tenant("gamma")), cents(100))
            ])
        );
    }

    #[test]
    fn shared_costs_without_tenants_stay_unallocated() {
        for rule in [
            AllocationRule::Proportional,
            AllocationRule::Even,
            AllocationRule::Fixed(BTreeMap::new()),
        ] {
            let parts = allocate(cents(7), &BTreeMap::new(), &rule);
            assert_eq!(parts, BTreeMap::from([(None, cents(7))]));
        }
    }

    fn amounts() -> impl Strategy<Value = Decimal> {
        (-1_000_000_000_000_000_i64..1_000_000_000_000_000, 0_u32..6)
            .prop_map(|(units, scale)| Decimal::new(units, scale))
    }

    type Books = (BTreeMap<Option<String>, Decimal>, AllocationRule);

    fn books(
        direct: BTreeMap<Option<String>, Decimal>,
        fixed: BTreeMap<String, Decimal>,
        rule: usize,
    ) -> Books {
        let rule = match rule {
            0 => AllocationRule::Proportional,
            1 => AllocationRule::Even,
            _ => AllocationRule::Fixed(fixed),
        };
        (direct, rule)
    }

    proptest! {
        #[test]
        fn the_parts_sum_to_the_amount_and_each_is_within_a_unit(
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
                    // The division itself is rounded to 28 digits.
                    let tolerance = unit + amount.abs() * Decimal::new(1, 24);
                    prop_assert!((part - exact).abs() <= tolerance, "{} of {} by {:?}", part, amount, weights);
                }
            }
        }

        #[test]
        fn every_rule_allocates_exactly_the_amount(
            amount in amounts(),
            direct in prop::collection::btree_map(prop::option::of("[a-d]"), amounts(), 0..6),
            fixed in prop::collection::btree_map("[a-f]", amounts(), 0..4),
            rule in 0_usize..3,
        ) {
            let (direct, rule) = books(direct, fixed, rule);
            let parts = allocate(amount, &direct, &rule);
            prop_assert_eq!(parts.values().sum::<Decimal>(), amount);
        }

        #[test]
        fn the_parts_of_lines_total_each_line_and_each_tenant(
            lines in prop::collection::vec(amounts(), 1..8),
            direct in prop::collection::btree_map(prop::option::of("[a-d]"), amounts(), 0..6),
            fixed in prop::collection::btree_map("[a-f]", amounts(), 0..4),
            rule in 0_usize..3,
        ) {
            let (direct, rule) = books(direct, fixed, rule);
            let total: Decimal = lines.iter().sum();
            let whole = allocate(total, &direct, &rule);
            let tenants: std::collections::BTreeSet<Option<String>> =
                direct.keys().cloned().chain(["a", "b", "c", "d", "e", "f"].map(|name| Some(tenant(name)))).chain([None]).collect();
            let mut unallocated = lines.clone();
            for name in &tenants {
                let parts = allocate_each(&lines, total, &direct, &rule, name);
                let own = whole.get(name).copied().unwrap_or_default();
                prop_assert_eq!(parts.iter().sum::<Decimal>(), own);
                for (line, part) in unallocated.iter_mut().zip(parts) {
                    *line -= part;
                }
            }
            prop_assert!(unallocated.iter().all(Decimal::is_zero), "{:?}", unallocated);
        }
    }
}
