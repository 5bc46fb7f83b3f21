//! The list of tokens, on the page and as CSV.

use chrono::{DateTime, Utc};
use serde::Serialize;
use store::{ApiToken, Validity};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::pages::format::Moment;
use crate::pages::session::Viewer;

/// A token in the table.
pub(super) struct TokenRow {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) prefix: String,
    pub(super) role: &'static str,
    pub(super) costs: bool,
    pub(super) tenant: Option<String>,
    pub(super) created: Moment,
    pub(super) used: Option<Moment>,
    pub(super) expires: Option<Moment>,
    pub(super) revoked: Option<Moment>,
    pub(super) validity: Validity,
    /// Whether the session of this page was started with the token.
    pub(super) is_own: bool,
}

impl TokenRow {
    pub(super) fn new(token: ApiToken, viewer: &Viewer) -> Self {
        Self {
            is_own: token.id == viewer.access.token_id,
            id: token.id,
            name: token.name,
            prefix: token.prefix,
            role: token.role.name(),
            costs: token.costs,
            tenant: token.role.tenant().map(ToString::to_string),
            created: Moment(token.created_at),
            used: token.last_used_at.map(Moment),
            expires: token.expires_at.map(Moment),
            revoked: token.revoked_at.map(Moment),
            validity: token.validity,
        }
    }

    /// The class of the text of the state.
    pub(super) fn class(&self) -> &'static str {
        match self.validity {
            Validity::Valid => "good-text",
            Validity::ExpiresSoon => "warn-text",
            Validity::Replaced | Validity::Expired | Validity::Revoked => "faint",
        }
    }

    /// Returns true if another token can be created instead.
    pub(super) fn can_rotate(&self) -> bool {
        matches!(self.validity, Validity::Valid | Validity::ExpiresSoon)
    }
}

/// A row of the CSV.
#[derive(Serialize, ToSchema)]
pub(super) struct CsvRow {
    id: Uuid,
    name: String,
    prefix: String,
    role: &'static str,
    costs: bool,
    tenant_id: Option<String>,
    created_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    state: &'static str,
}

impl From<ApiToken> for CsvRow {
    fn from(token: ApiToken) -> Self {
        Self {
            id: token.id,
            name: token.name,
            prefix: token.prefix,
            role: token.role.name(),
            costs: token.costs,
            tenant_id: token.role.tenant().map(ToString::to_string),
            created_at: token.created_at,
            last_used_at: token.last_used_at,
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
            state: token.validity.name(),
        }
    }
}
