//! Amounts in answers.

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

/// An amount in USD, as a decimal string: all its digits, and cents even where they are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, examples("86.92", "-1779.55"))]
pub(crate) struct Usd(pub(crate) Decimal);

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
