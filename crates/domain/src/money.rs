//! Exact amounts in USD.

use rust_decimal::Decimal;

/// A text that is not an amount.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid amount {0:?}: expected e.g. $3.11 or -$1,779.55")]
pub struct InvalidAmount(pub String);

/// Parses an amount in USD as written on invoices: `$3.11`, `-$1,779.55` (observed), and also
/// `3.11`, `$-3.11` and `($3.11)`.
///
/// Rejects everything else, since a truncated or shifted column must not turn into a number:
/// thousands commas must separate groups of three digits, and a decimal point must have digits on
/// both sides.
pub fn parse_amount(text: &str) -> Result<Decimal, InvalidAmount> {
    let invalid = || InvalidAmount(text.to_owned());
    let trimmed = text.trim();

    let (in_brackets, unbracketed) = match trimmed.strip_prefix('(') {
        Some(rest) => (true, rest.strip_suffix(')').ok_or_else(invalid)?),
        None => (false, trimmed),
    };
    let (minus_before, rest) = strip_minus(unbracketed);
    let (minus_after, digits) = match rest.strip_prefix('$') {
        Some(rest) => strip_minus(rest),
        None => (false, rest),
    };
    if usize::from(in_brackets) + usize::from(minus_before) + usize::from(minus_after) > 1 {
        return Err(invalid());
    }

    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    if fraction.is_some_and(|fraction| !is_digits(fraction)) || !is_whole_number(whole) {
        return Err(invalid());
    }
    let amount = Decimal::from_str_exact(&digits.replace(',', "")).map_err(|_| invalid())?;
    let negative = in_brackets || minus_before || minus_after;
    Ok(if negative { -amount } else { amount })
}

fn strip_minus(text: &str) -> (bool, &str) {
    text.strip_prefix('-')
        .map_or((false, text), |rest| (true, rest))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `1779`, or `1,779` with commas between groups of three.
fn is_whole_number(text: &str) -> bool {
    let mut groups = text.split(',');
    let first = groups.next().unwrap_or_default();
    let mut later = groups.peekable();
    if later.peek().is_none() {
        return is_digits(first);
    }
    is_digits(first) && first.len() <= 3 && later.all(|group| is_digits(group) && group.len() == 3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(text: &str) -> Option<String> {
        parse_amount(text).ok().map(|amount| amount.to_string())
    }

    #[test]
    fn amounts_on_invoices_are_parsed() {
        for (text, expected) in [
            ("$3.11", "3.11"),
            ("-$1,779.55", "-1779.55"),
            ("$-3.11", "-3.11"),
            ("($3.11)", "-3.11"),
            ("3.11", "3.11"),
            ("-3.11", "-3.11"),
            ("$0.00", "0.00"),
            ("$1,234,567.89", "1234567.89"),
            ("$12", "12"),
            (" $3.11 ", "3.11"),
        ] {
            assert_eq!(amount(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn invalid_amounts_are_rejected() {
        for text in [
            "",
            "$",
            "-",
            "$-",
            "abc",
            "$3.",
            "$.11",
            "$3.1.1",
            "3,11",
            "$1,77.55",
            "$12345,678",
            "--$3",
            "-$-3",
            "(-$3)",
            "($3",
            "1e5",
            "$3.11 USD",
            "€3.11",
            "NaN",
            "99999999999999999999999999999999",
        ] {
            assert_eq!(amount(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_of_cents_survives_dollar_notation(cents in -100_000_000_000_i64..100_000_000_000) {
            let magnitude = cents.unsigned_abs();
            let whole = (magnitude / 100).to_string();
            let mut grouped = String::new();
            for (index, digit) in whole.chars().enumerate() {
                if index > 0 && (whole.len() - index).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            let sign = if cents < 0 { "-" } else { "" };
            let text = format!("{sign}${grouped}.{:02}", magnitude % 100);
            prop_assert_eq!(parse_amount(&text).unwrap(), Decimal::new(cents, 2));
        }

        #[test]
        fn no_text_causes_a_panic(text in ".*") {
            let _ = parse_amount(&text);
        }
    }
}
