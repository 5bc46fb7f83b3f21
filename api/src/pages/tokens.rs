//! `/settings/tokens`: creates, lists and revokes API tokens.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use domain::TenantId;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use store::{ApiToken, NewToken, Role};
use uuid::Uuid;

use super::format::Moment;
use super::page::{Frame, PageProblem, render};
use super::session::{AdminViewer, Viewer};
use crate::ApiState;
use crate::access::generate_token;
use crate::extract::{Form, Id, Query, is_remark, optional_field};

const PATH: &str = "/settings/tokens";
/// The most tenants that the form suggests; it accepts any.
const SUGGESTIONS: i64 = 200;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route(PATH, get(show).post(create))
        .route("/settings/tokens/{id}/revoke", post(revoke))
}

struct TokenRow {
    id: Uuid,
    name: String,
    role: &'static str,
    costs: bool,
    tenant: Option<String>,
    created: Moment,
    used: Option<Moment>,
    revoked: Option<Moment>,
    /// Whether the session of this page was started with the token.
    is_own: bool,
}

impl TokenRow {
    fn new(token: ApiToken, viewer: &Viewer) -> Self {
        Self {
            is_own: token.id == viewer.access.token_id,
            id: token.id,
            name: token.name,
            role: token.role.name(),
            costs: token.costs,
            tenant: token.role.tenant().map(ToString::to_string),
            created: Moment(token.created_at),
            used: token.last_used_at.map(Moment),
            revoked: token.revoked_at.map(Moment),
        }
    }
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    tokens: Vec<TokenRow>,
    tenants: Vec<String>,
    /// The token to confirm the revocation of.
    confirm: Option<TokenRow>,
    /// The form as it was sent, and the error.
    form: TokenForm,
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensQuery {
    /// The token to revoke, before it is confirmed.
    #[serde(default, deserialize_with = "optional_field")]
    revoke: Option<Id>,
}

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Query(query): Query<TokensQuery>,
) -> Result<Response, PageProblem> {
    let revoke = query.revoke.map(|id| id.0);
    page(&viewer, &state, revoke, TokenForm::default(), None).await
}

async fn page(
    viewer: &Viewer,
    state: &ApiState,
    revoke: Option<Uuid>,
    form: TokenForm,
    error: Option<String>,
) -> Result<Response, PageProblem> {
    let tokens = state.store.tokens().await?;
    let confirm = tokens
        .iter()
        .find(|token| Some(token.id) == revoke && token.revoked_at.is_none());
    let tenants = state.store.tenants(None, SUGGESTIONS).await?;
    render(&TokensPage {
        frame: viewer.frame("Tokens", PATH),
        confirm: confirm.map(|token| TokenRow::new(token.clone(), viewer)),
        tokens: tokens
            .into_iter()
            .map(|token| TokenRow::new(token, viewer))
            .collect(),
        tenants: tenants.into_iter().map(|tenant| tenant.tenant_id).collect(),
        form,
        error,
    })
}

/// The form of a new token, as a person filled it in.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenForm {
    name: String,
    role: String,
    #[serde(default)]
    tenant: String,
}

impl TokenForm {
    /// Returns true if the token may read the costs of its tenant.
    fn has_costs(&self) -> bool {
        self.role == "tenant_costs"
    }

    /// Returns the name and the role, or the problem.
    fn read(&self) -> Result<(&str, Role), String> {
        let name = self.name.trim();
        if !is_remark(name) {
            return Err("The name must have 1 to 500 characters, without line breaks.".to_owned());
        }
        let tenant = self.tenant.trim();
        let role = match (&*self.role, tenant) {
            ("platform_admin", "") => Role::PlatformAdmin,
            ("platform_admin", _) => {
                return Err(
                    "An administrator reads all tenants: choose the role tenant, or clear the tenant."
                        .to_owned(),
                );
            }
            ("tenant" | "tenant_costs", "") => {
                return Err("Enter the tenant that the token may read.".to_owned());
            }
            ("tenant" | "tenant_costs", tenant) => {
                let tenant: TenantId = tenant.parse().map_err(|error| format!("{error}."))?;
                Role::Tenant(tenant)
            }
            _ => return Err("Choose a role.".to_owned()),
        };
        Ok((name, role))
    }
}

#[derive(Template)]
#[template(path = "token_created.html")]
struct CreatedPage {
    frame: Frame,
    name: String,
    role: &'static str,
    tenant: Option<String>,
    /// Shown on this page only.
    token: String,
}

/// Creates a token, and shows it once.
async fn create(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Form(form): Form<TokenForm>,
) -> Result<Response, PageProblem> {
    let (name, role) = match form.read() {
        Ok((name, role)) => (name.to_owned(), role),
        Err(problem) => {
            let mut page = page(&viewer, &state, None, form, Some(problem)).await?;
            *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            return Ok(page);
        }
    };
    let costs = form.has_costs();
    let token = generate_token();
    let id = state
        .store
        .create_token(NewToken {
            name: &name,
            role: &role,
            costs,
            token: token.expose_secret(),
        })
        .await?;
    tracing::info!(token = %viewer.access.token_id, by = viewer.access.token_name, created = %id, name,
        role = role.name(), costs, "token created");
    render(&CreatedPage {
        frame: viewer.frame("Token created", PATH),
        role: role.name(),
        tenant: role.tenant().map(ToString::to_string),
        name,
        token: token.expose_secret().to_owned(),
    })
}

/// Revokes a token, which ends its sessions.
async fn revoke(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Id(id): Id,
) -> Result<Response, PageProblem> {
    state.store.revoke_token(id).await?;
    tracing::info!(token = %viewer.access.token_id, by = viewer.access.token_name, revoked = %id, "token revoked");
    Ok(Redirect::to(PATH).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_required_for_its_role_only() {
        let read = |name: &str, role: &str, tenant: &str| {
            let form = TokenForm {
                name: name.to_owned(),
                role: role.to_owned(),
                tenant: tenant.to_owned(),
            };
            form.read().map(|(name, role)| (name.to_owned(), role)).ok()
        };
        let acme = Role::Tenant("acme".parse().unwrap());
        assert_eq!(
            read(" ci ", "tenant", "acme"),
            Some(("ci".to_owned(), acme))
        );
        let admin = Some(("ci".to_owned(), Role::PlatformAdmin));
        assert_eq!(read("ci", "platform_admin", ""), admin);
        for (name, role, tenant) in [
            ("", "platform_admin", ""),
            ("ci", "platform_admin", "acme"),
            ("ci", "tenant", ""),
            ("ci", "tenant", "a\u{7f}"),
            ("ci", "owner", ""),
        ] {
            assert_eq!(read(name, role, tenant), None, "{name} {role} {tenant}");
        }
    }
}
