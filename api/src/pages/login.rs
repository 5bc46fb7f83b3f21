//! Login and logout: an API token, or a link that `arcadia dev` printed, becomes a session.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use store::access::{Credential, LIFETIME};

use super::cookies::{SESSION_COOKIE, THEME_COOKIE, Theme, cookie};
use super::page::{Frame, PageProblem, render};
use crate::ApiState;
use crate::access::{Origin, generate_secret, is_well_formed};
use crate::extract::{Form, Query};

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/login", get(show).post(log_in))
        .route("/logout", post(log_out))
        .route("/theme", post(choose_theme))
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    /// The page to return to.
    next: String,
    /// The code of a login link; empty without one.
    code: String,
    error: Option<&'static str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginQuery {
    #[serde(default)]
    next: String,
    #[serde(default)]
    code: String,
}

async fn show(
    headers: HeaderMap,
    Query(query): Query<LoginQuery>,
) -> Result<Response, PageProblem> {
    render(&LoginPage {
        frame: Frame::anonymous("Log in", Theme::of(&headers)),
        next: own_address(&query.next),
        code: query.code,
        error: None,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginForm {
    #[serde(default)]
    token: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

/// Starts a session. An unknown token or a used link counts as a failure of the client address;
/// too many failures are refused.
async fn log_in(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Result<Response, PageProblem> {
    let is_link = !form.code.is_empty();
    let secret = if is_link {
        form.code.trim()
    } else {
        form.token.trim()
    };
    let credential = if is_link {
        Credential::Link(secret)
    } else {
        Credential::Token(secret)
    };
    let attempt = state.limiter.attempt(secret, origin.address)?;
    let session = generate_secret();
    let access = if is_link || is_well_formed(secret) {
        let session = session.expose_secret();
        state.store.log_in(credential, session, origin).await?
    } else {
        None
    };
    let next = own_address(&form.next);
    if access.is_none() {
        attempt.failed();
        let error = if is_link {
            "The link was used or has expired. Restart `arcadia dev` for another one, or enter a token."
        } else {
            "The token is unknown, expired or revoked. `arcadia token create` makes one."
        };
        let mut page = render(&LoginPage {
            frame: Frame::anonymous("Log in", Theme::of(&headers)),
            next,
            code: String::new(),
            error: Some(error),
        })?;
        *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
        return Ok(page);
    }
    let cookie = format!(
        "{SESSION_COOKIE}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={}",
        session.expose_secret(),
        LIFETIME.num_seconds()
    );
    Ok(with_cookie(&next, &cookie))
}

/// Ends the session, here and in the browser.
async fn log_out(
    State(state): State<ApiState>,
    Origin(origin): Origin,
    headers: HeaderMap,
) -> Result<Response, PageProblem> {
    if let Some(session) = cookie(&headers, SESSION_COOKIE) {
        state.store.log_out(session, origin).await?;
    }
    let cookie = format!("{SESSION_COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    Ok(with_cookie("/login", &cookie))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThemeForm {
    theme: String,
    #[serde(default)]
    next: String,
}

async fn choose_theme(Form(form): Form<ThemeForm>) -> Response {
    let theme = Theme::named(&form.theme).name();
    let cookie = format!("{THEME_COOKIE}={theme}; Path=/; SameSite=Lax; Max-Age=31536000");
    with_cookie(&own_address(&form.next), &cookie)
}

fn with_cookie(address: &str, cookie: &str) -> Response {
    let mut response = Redirect::to(address).into_response();
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

/// Returns the text if it is a path on this server, else `/`: a link never leads to another site
/// after the login.
fn own_address(text: &str) -> String {
    let is_own = text.starts_with('/')
        && !text.starts_with("//")
        && !text.contains('\\')
        && text
            .parse::<Uri>()
            .is_ok_and(|uri| uri.authority().is_none());
    if is_own {
        text.to_owned()
    } else {
        "/".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::own_address;

    #[test]
    fn a_login_leads_to_no_other_site() {
        for (text, expected) in [
            ("/costs?from=2026-04", "/costs?from=2026-04"),
            ("//example.com", "/"),
            ("/\\example.com", "/"),
            ("https://example.com/", "/"),
            ("javascript:alert(1)", "/"),
            ("", "/"),
        ] {
            assert_eq!(own_address(text), expected);
        }
    }
}
