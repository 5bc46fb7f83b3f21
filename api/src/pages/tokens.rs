//! `/settings/tokens`: creates, lists, rotates and revokes API tokens.

mod periods;
mod rows;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use chrono::TimeDelta;
use domain::TenantId;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use store::{NewToken, Role, Validity};
use uuid::Uuid;

use self::periods::{LIFETIMES, OVERLAPS, Period, period_of};
use self::rows::{CsvRow, TokenRow};
use super::format::Moment;
use super::page::{Frame, PageProblem, render};
use super::parameters::Parameters;
use super::session::{AdminViewer, Viewer};
use crate::ApiState;
use crate::access::generate_token;
use crate::csv::{self, FileName};
use crate::extract::{Form, Id, is_remark, optional_field};
use crate::problem::Problem;

const PATH: &str = "/settings/tokens";
/// The most tenants that the form suggests; it accepts any.
const SUGGESTIONS: i64 = 200;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route(PATH, get(show).post(create))
        .route("/settings/tokens/{id}/revoke", post(revoke))
        .route("/settings/tokens/{id}/rotate", post(rotate))
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    tokens: Vec<TokenRow>,
    tenants: Vec<String>,
    /// Valid tokens that expire soon.
    expiring: usize,
    /// The token to confirm the revocation of.
    confirm: Option<TokenRow>,
    /// The token to rotate.
    rotation: Option<TokenRow>,
    lifetimes: &'static [Period],
    overlaps: &'static [Period],
    /// The form as it was sent, and the error.
    form: TokenForm,
    error: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensQuery {
    /// The token to revoke, before it is confirmed.
    #[serde(default, deserialize_with = "optional_field")]
    revoke: Option<Id>,
    /// The token to rotate, before the times are chosen.
    #[serde(default, deserialize_with = "optional_field")]
    rotate: Option<Id>,
}

/// The name of the table in the address of its CSV.
const TABLE: &str = "tokens";

async fn show(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    mut parameters: Parameters,
) -> Result<Response, PageProblem> {
    if parameters.take_whole_table(TABLE)? {
        let tokens = state.store.tokens().await?.into_iter();
        let rows: Vec<CsvRow> = tokens.map(CsvRow::from).collect();
        return Ok(csv::whole(viewer, FileName::new(TABLE), rows)?);
    }
    let query = parameters.read()?;
    page(&viewer, &state, &query, TokenForm::default(), None).await
}

async fn page(
    viewer: &Viewer,
    state: &ApiState,
    query: &TokensQuery,
    form: TokenForm,
    error: Option<String>,
) -> Result<Response, PageProblem> {
    let tokens = state.store.tokens().await?;
    let chosen = |id: &Option<Id>| {
        let id = id.as_ref().map(|id| id.0);
        let found = tokens.iter().find(|token| Some(token.id) == id);
        found.map(|token| TokenRow::new(token.clone(), viewer))
    };
    let confirm = chosen(&query.revoke).filter(|token| token.revoked.is_none());
    let rotation = chosen(&query.rotate).filter(TokenRow::can_rotate);
    let expiring = tokens.iter().map(|token| token.validity);
    let tenants = state.store.tenants(None, SUGGESTIONS).await?;
    render(&TokensPage {
        frame: viewer.frame("Tokens", PATH),
        expiring: expiring
            .filter(|validity| *validity == Validity::ExpiresSoon)
            .count(),
        confirm,
        rotation,
        lifetimes: &LIFETIMES,
        overlaps: &OVERLAPS,
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
    #[serde(default)]
    expires: String,
}

impl TokenForm {
    /// Returns true if the token may read the costs of its tenant.
    fn has_costs(&self) -> bool {
        self.role == "tenant_costs"
    }

    /// Returns the name, the role and the lifetime, or the problem.
    fn read(&self) -> Result<(&str, Role, Option<TimeDelta>), String> {
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
        Ok((name, role, period_of(&LIFETIMES, &self.expires)?))
    }
}

#[derive(Template)]
#[template(path = "token_created.html")]
struct CreatedPage {
    frame: Frame,
    name: String,
    role: &'static str,
    tenant: Option<String>,
    expires: Option<Moment>,
    /// The end of the token that this one replaces.
    replaced: Option<Moment>,
    /// Shown on this page only.
    token: String,
}

/// Shows a created token, once.
async fn created(
    viewer: &Viewer,
    state: &ApiState,
    id: Uuid,
    replaced: Option<Uuid>,
    token: &str,
) -> Result<Response, PageProblem> {
    let tokens = state.store.tokens().await?;
    let find = |id: Uuid| tokens.iter().find(|token| token.id == id);
    let new = find(id).ok_or(Problem::Internal("the created token is not stored".into()))?;
    let replaced = replaced.and_then(find).and_then(|token| token.expires_at);
    render(&CreatedPage {
        frame: viewer.frame("Token created", PATH),
        name: new.name.clone(),
        role: new.role.name(),
        tenant: new.role.tenant().map(ToString::to_string),
        expires: new.expires_at.map(Moment),
        replaced: replaced.map(Moment),
        token: token.to_owned(),
    })
}

/// Creates a token, and shows it once.
async fn create(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Form(form): Form<TokenForm>,
) -> Result<Response, PageProblem> {
    let (name, role, lifetime) = match form.read() {
        Ok((name, role, lifetime)) => (name.to_owned(), role, lifetime),
        Err(problem) => {
            let query = TokensQuery::default();
            let mut page = page(&viewer, &state, &query, form, Some(problem)).await?;
            *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            return Ok(page);
        }
    };
    let costs = form.has_costs();
    let token = generate_token();
    let id = state
        .store
        .create_token(
            NewToken {
                name: &name,
                role: &role,
                costs,
                token: token.expose_secret(),
                lifetime,
            },
            &viewer.actor(),
        )
        .await?;
    created(&viewer, &state, id, None, token.expose_secret()).await
}

/// The times of a rotation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotationForm {
    #[serde(default)]
    expires: String,
    #[serde(default)]
    overlap: String,
}

/// Creates a token with the access of another one, which expires after the overlap.
async fn rotate(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Id(id): Id,
    Form(form): Form<RotationForm>,
) -> Result<Response, PageProblem> {
    let invalid = |problem: &str| Problem::InvalidParameter(format!("expires: {problem}"));
    let lifetime = period_of(&LIFETIMES, &form.expires).map_err(invalid)?;
    let overlap = period_of(&OVERLAPS, &form.overlap).map_err(invalid)?;
    let token = generate_token();
    let secret = token.expose_secret();
    let overlap = overlap.unwrap_or_default();
    let new = state
        .store
        .rotate_token(id, secret, lifetime, overlap, &viewer.actor())
        .await?;
    created(&viewer, &state, new, Some(id), secret).await
}

/// Revokes a token, which ends its sessions.
async fn revoke(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    Id(id): Id,
) -> Result<Response, PageProblem> {
    state.store.revoke_token(id, &viewer.actor()).await?;
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
                expires: String::new(),
            };
            let read = form.read();
            read.map(|(name, role, _)| (name.to_owned(), role)).ok()
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
