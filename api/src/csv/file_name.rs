//! Names of files, with the list, the month and the tenant.

use std::borrow::Cow;
use std::fmt::Write as _;

use axum::http::HeaderValue;
use chrono::{Datelike as _, NaiveDate};

/// The name of a file: `cost-lines-2026-04-acme.csv`.
#[derive(Debug, Clone)]
pub(crate) struct FileName {
    name: String,
    extension: Cow<'static, str>,
}

impl FileName {
    /// Starts a name with the name of the list.
    pub(crate) fn new(list: &str) -> Self {
        Self {
            name: list.to_owned(),
            extension: "csv".into(),
        }
    }

    /// Splits the complete name of a file.
    pub(crate) fn of_file(file: &str) -> Self {
        let (name, extension) = file.rsplit_once('.').unwrap_or((file, "bin"));
        Self {
            name: name.to_owned(),
            extension: extension.to_owned().into(),
        }
    }

    /// Adds a month.
    pub(crate) fn month(mut self, period: NaiveDate) -> Self {
        let _ = write!(self.name, "-{:04}-{:02}", period.year(), period.month());
        self
    }

    /// Adds a tenant, a kind or another filter; nothing without one.
    pub(crate) fn with(mut self, filter: Option<&str>) -> Self {
        if let Some(filter) = filter {
            self.name.push('-');
            self.name.push_str(filter);
        }
        self
    }

    /// Replaces the extension, which is `csv` by default.
    pub(crate) fn extension(self, extension: &'static str) -> Self {
        Self {
            extension: extension.into(),
            ..self
        }
    }

    /// Returns the header `content-disposition`. Clients that do not read UTF-8 names get the name
    /// with `_` for each character other than letters, digits, `.`, `_` and `-`.
    pub(crate) fn disposition(self) -> HeaderValue {
        let is_safe = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
        let ascii: String = self
            .name
            .chars()
            .map(|letter| if is_safe(letter) { letter } else { '_' })
            .collect();
        let mut text = format!("attachment; filename=\"{ascii}.{}\"", self.extension);
        if ascii != self.name {
            text.push_str("; filename*=UTF-8''");
            let mut encoded = [0; 4];
            for letter in self.name.chars() {
                match letter {
                    // No file system permits these in a name.
                    '/' | '\\' => text.push('_'),
                    letter if is_safe(letter) => text.push(letter),
                    letter => {
                        for byte in letter.encode_utf8(&mut encoded).bytes() {
                            let _ = write!(text, "%{byte:02X}");
                        }
                    }
                }
            }
            text.push('.');
            text.push_str(&self.extension);
        }
        HeaderValue::from_str(&text).expect("the text has printable ASCII characters only")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_month_and_tenant_in_ascii_and_in_utf_8() {
        let april = "2026-04-01".parse().unwrap();
        let name = |tenant| {
            let name = FileName::new("cost-lines").month(april).with(tenant);
            name.disposition().to_str().unwrap().to_owned()
        };
        assert_eq!(
            name(Some("acme")),
            r#"attachment; filename="cost-lines-2026-04-acme.csv""#
        );
        assert_eq!(
            name(None),
            r#"attachment; filename="cost-lines-2026-04.csv""#
        );
        assert_eq!(
            name(Some("a/b \"ü")),
            "attachment; filename=\"cost-lines-2026-04-a_b___.csv\"; \
             filename*=UTF-8''cost-lines-2026-04-a_b%20%22%C3%BC.csv"
        );
    }
}
