//! Amounts as the API shows them.

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

/// An amount in USD, as a decimal string: all its digits, and cents even where they are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, examples("86.92", "-1779.55")))]
pub struct Usd(pub Decimal);

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut amount = self.0;
        if amount.scale() < 2 {
            // PostgreSQL's 0.00 arrives as 0.
            amount.rescale(2);
        }
        serializer.collect_str(&amount)
    }
}

/// Serialises an amount of a read model as [`Usd`].
pub(crate) fn serialize<S: Serializer>(amount: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    Usd(*amount).serialize(serializer)
}

/// Serialises an amount that may be unknown as [`Usd`] or null.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
pub(crate) fn serialize_optional<S: Serializer>(
    amount: &Option<Decimal>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    amount.map(Usd).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_their_cents_and_lose_no_digit() {
        for (stored, shown) in [
            ("0", "0.00"),
            ("6", "6.00"),
            ("86.92", "86.92"),
            ("-1779.55", "-1779.55"),
            ("0.00744", "0.00744"),
        ] {
            let shown_as = serde_json::to_value(Usd(stored.parse().unwrap())).unwrap();
            assert_eq!(shown_as, shown);
        }
    }
}
