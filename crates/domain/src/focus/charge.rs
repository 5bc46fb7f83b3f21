//! The category, the class and the frequency of a charge.

use super::products;
use crate::invoices::ChargePart;

/// `ChargeCategory`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    Usage,
    Purchase,
    Tax,
    Credit,
    Adjustment,
}

impl Category {
    /// Returns the value of the column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usage => "Usage",
            Self::Purchase => "Purchase",
            Self::Tax => "Tax",
            Self::Credit => "Credit",
            Self::Adjustment => "Adjustment",
        }
    }
}

/// The kind of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub category: Category,
    /// Whether a part of the price is returned. Quantities and unit prices are never negative, so
    /// a refund has none.
    pub is_refund: bool,
    /// Whether it corrects a charge of an earlier month.
    pub is_correction: bool,
}

impl Kind {
    /// `ChargeClass`
    pub(super) fn class(self) -> Option<&'static str> {
        self.is_correction.then_some("Correction")
    }

    /// `ChargeFrequency`
    pub(super) fn frequency(self) -> &'static str {
        match self.category {
            _ if self.is_refund => "One-Time",
            Category::Usage => "Usage-Based",
            Category::Purchase | Category::Tax => "Recurring",
            Category::Credit | Category::Adjustment => "One-Time",
        }
    }

    /// Returns true if the charge has a SKU, quantities and a unit price.
    pub(super) fn has_price(self) -> bool {
        matches!(self.category, Category::Usage | Category::Purchase) && !self.is_refund
    }
}

const CREDIT_WORDS: [&str; 7] = [
    "credit",
    "credits",
    "promo",
    "promotion",
    "promotional",
    "coupon",
    "coupons",
];

/// Returns the kind of a charge. `is_earlier` is true if it covers a time before its month only.
pub fn classify(
    product: &str,
    description: &str,
    part: ChargePart,
    is_negative: bool,
    is_earlier: bool,
) -> Kind {
    let of_product = || {
        if products::is_purchase(product) {
            Category::Purchase
        } else {
            Category::Usage
        }
    };
    let category = match part {
        ChargePart::Taxes => Category::Tax,
        ChargePart::CreditsAndAdjustments if has_word(product) || has_word(description) => {
            Category::Credit
        }
        // A charge of the month needs a price that is not negative.
        ChargePart::CreditsAndAdjustments => {
            if is_earlier && products::is_known(product) {
                of_product()
            } else {
                Category::Adjustment
            }
        }
        ChargePart::ProductCharges | ChargePart::Overages if is_negative && !is_earlier => {
            Category::Adjustment
        }
        ChargePart::ProductCharges | ChargePart::Overages => of_product(),
    };
    let is_of_product = matches!(category, Category::Usage | Category::Purchase);
    Kind {
        category,
        is_refund: is_of_product && (is_negative || part == ChargePart::CreditsAndAdjustments),
        is_correction: is_earlier,
    }
}

fn has_word(text: &str) -> bool {
    text.split(|letter: char| !letter.is_alphanumeric())
        .any(|found| {
            CREDIT_WORDS
                .iter()
                .any(|word| word.eq_ignore_ascii_case(found))
        })
}
