//! Amounts in the format of the API.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount in USD as a decimal string, with all its digits and at least two decimals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, examples("86.92", "-1779.55")))]
pub struct Usd(pub Decimal);

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut amount = self.0;
        if amount.scale() < 2 {
            // sqlx decodes PostgreSQL's 0.00 as 0.
            amount.rescale(2);
        }
        serializer.collect_str(&amount)
    }
}

impl FromStr for Usd {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let amount = Decimal::from_str_exact(text);
        let invalid = |_| format!("invalid amount {text:?}: expected USD such as 86.92");
        amount.map(Self).map_err(invalid)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Serialises an amount of a read model like [`Usd`].
pub(crate) fn serialize<S: Serializer>(amount: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    Usd(*amount).serialize(serializer)
}

/// Serialises an optional amount like [`Usd`], or as null.
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
    fn amounts_have_at_least_two_decimals_and_keep_every_digit() {
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
