//! Typed ids of invoices and tenants.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that is not an id of the requested type.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid {id_type} {text:?}: {expected}")]
pub struct InvalidId {
    id_type: &'static str,
    text: String,
    expected: &'static str,
}

/// DigitalOcean's uuid of an invoice (spec: `invoice_uuid`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InvoiceUuid(Uuid);

impl InvoiceUuid {
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for InvoiceUuid {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for InvoiceUuid {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self).map_err(|_| InvalidId {
            id_type: "invoice uuid",
            text: text.to_owned(),
            expected: "expected e.g. 22737513-0ea7-4206-8ceb-98a575af7681",
        })
    }
}

impl TryFrom<String> for InvoiceUuid {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<InvoiceUuid> for String {
    fn from(uuid: InvoiceUuid) -> Self {
        uuid.to_string()
    }
}

impl fmt::Display for InvoiceUuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The tenant of a project, a resource or a cost. Chosen by operators; 1 to 100 characters without
/// white space at the ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantId(String);

impl TenantId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = !text.is_empty()
            && text.trim() == text
            && text.chars().count() <= 100
            && !text.chars().any(char::is_control);
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                id_type: "tenant id",
                text: text.to_owned(),
                expected: "expected 1 to 100 characters, no control characters, no white space \
                           at the ends",
            })
        }
    }
}

impl TryFrom<String> for TenantId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TenantId> for String {
    fn from(tenant: TenantId) -> Self {
        tenant.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invoice_uuid_crosses_json_as_a_string() {
        let uuid: InvoiceUuid = "22737513-0ea7-4206-8ceb-98a575af7681".parse().unwrap();
        let json = serde_json::to_string(&uuid).unwrap();
        assert_eq!(json, "\"22737513-0ea7-4206-8ceb-98a575af7681\"");
        assert_eq!(serde_json::from_str::<InvoiceUuid>(&json).unwrap(), uuid);
    }

    #[test]
    fn an_invalid_invoice_uuid_is_rejected_with_an_example() {
        let error = "preview".parse::<InvoiceUuid>().unwrap_err().to_string();
        assert!(
            error.contains("\"preview\"") && error.contains("22737513"),
            "{error}"
        );
    }

    #[test]
    fn a_blank_tenant_is_refused() {
        assert!(" ".parse::<TenantId>().is_err());
        assert!("".parse::<TenantId>().is_err());
        assert!("acme".parse::<TenantId>().is_ok());
    }
}
