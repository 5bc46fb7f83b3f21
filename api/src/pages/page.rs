//! The frame of every page: headers, navigation, and errors as pages.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use store::{Access, Role, StoreError};

use super::assets;
use super::cookies::Theme;
use crate::ApiState;
use crate::problem::{HTML, Problem, Shown};

/// Scripts, styles and images of this server only; nothing inline.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
);

/// A page of the navigation.
pub(super) struct Entry {
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    pub(super) is_current: bool,
}

/// The people who may open a page.
#[derive(Clone, Copy)]
enum Audience {
    Everyone,
    /// Administrators, and tenants with a token that permits costs.
    CostReaders,
    Administrators,
}

impl Audience {
    fn has(self, access: &Access) -> bool {
        let is_admin = access.role == Role::PlatformAdmin;
        match self {
            Self::Everyone => true,
            Self::CostReaders => is_admin || access.costs,
            Self::Administrators => is_admin,
        }
    }
}

/// Pages in the order of the navigation.
const PAGES: &[(&str, &str, Audience)] = &[
    ("/", "Overview", Audience::Everyone),
    ("/costs", "Costs", Audience::CostReaders),
    ("/lines", "Lines", Audience::CostReaders),
    ("/invoices", "Invoices", Audience::Administrators),
    ("/months", "Months", Audience::Administrators),
    ("/inventory", "Inventory", Audience::Everyone),
    ("/projects", "Projects", Audience::Administrators),
    ("/sync", "Sync", Audience::Administrators),
    ("/settings/tokens", "Tokens", Audience::Administrators),
    ("/settings/audit", "Audit", Audience::Administrators),
];

/// The frame of a page.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) entries: Vec<Entry>,
    /// The name of the token that the person logged in with; none without a login.
    pub(super) user: Option<String>,
    pub(super) role: String,
    /// True if the pages for administrators can be opened.
    pub(super) is_admin: bool,
    pub(super) theme: Theme,
    /// The page itself, as path and query: the theme switch returns there.
    pub(super) address: String,
    pub(super) style: &'static str,
    pub(super) script: &'static str,
    pub(super) icon: &'static str,
}

impl Frame {
    /// The frame of a page before the login.
    pub(super) fn anonymous(title: &str, theme: Theme) -> Self {
        Self {
            title: title.to_owned(),
            entries: Vec::new(),
            user: None,
            role: String::new(),
            is_admin: false,
            theme,
            address: "/".to_owned(),
            style: assets::style(),
            script: assets::script(),
            icon: assets::icon(),
        }
    }

    /// The address of the page's list as CSV.
    pub(super) fn csv(&self) -> String {
        let separator = if self.address.contains('?') { '&' } else { '?' };
        format!("{}{separator}format=csv", self.address)
    }

    /// The address of one of the tables of the page as CSV.
    pub(super) fn csv_of(&self, table: &str) -> String {
        format!("{}&table={table}", self.csv())
    }

    /// The frame of a page after the login. `path` is the address of its entry in the navigation.
    pub(super) fn new(
        title: &str,
        path: &str,
        access: &Access,
        theme: Theme,
        address: String,
    ) -> Self {
        let entries = PAGES.iter().filter(|(.., audience)| audience.has(access));
        Self {
            entries: entries
                .map(|(entry, name, _)| Entry {
                    path: entry,
                    name,
                    is_current: *entry == path,
                })
                .collect(),
            user: Some(access.token_name.clone()),
            role: access.role.tenant().map_or_else(
                || "administrator".to_owned(),
                |tenant| format!("tenant {tenant}"),
            ),
            is_admin: access.role == Role::PlatformAdmin,
            address,
            ..Self::anonymous(title, theme)
        }
    }
}

/// Renders a template as an answer.
pub(super) fn render(template: &impl Template) -> Result<Response, PageProblem> {
    let html = template
        .render()
        .map_err(|error| PageProblem(Problem::Internal(error.into())))?;
    Ok(with_headers(Html(html).into_response()))
}

fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    // With `no-referrer`, Chromium sends forms with `Origin: null`, which the CSRF check refuses.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A problem of a page, shown as a page by [`show_errors`].
pub(super) struct PageProblem(pub(super) Problem);

impl From<Problem> for PageProblem {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl From<StoreError> for PageProblem {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for PageProblem {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    status: StatusCode,
    detail: String,
}

/// Shows problems as pages. Redirects to the login if there is no session, and back afterwards.
pub(super) async fn show_errors(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Response {
    let theme = Theme::of(request.headers());
    let address = request
        .uri()
        .path_and_query()
        .map_or("/", |address| address.as_str())
        .to_owned();
    let is_get = matches!(*request.method(), Method::GET | Method::HEAD);
    drop(state);
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    if status == StatusCode::UNAUTHORIZED {
        let back = if is_get { address.as_str() } else { "/" };
        return with_headers(Redirect::to(&login_path(back)).into_response());
    }
    // A form with errors is a page already.
    let media_type = response.headers().get(CONTENT_TYPE);
    if media_type.is_some_and(|media_type| media_type == HTML) {
        return response;
    }
    let shown = response.extensions().get::<Shown>().cloned();
    let Shown { title, detail } = shown.unwrap_or_else(|| Shown {
        title: status.canonical_reason().unwrap_or("error"),
        detail: "The request was refused.".to_owned(),
    });
    let page = ErrorPage {
        frame: Frame::anonymous(title, theme),
        status,
        detail,
    };
    match render(&page) {
        Ok(mut page) => {
            *page.status_mut() = status;
            for (name, value) in response.headers() {
                if *name != CONTENT_TYPE && *name != axum::http::header::CONTENT_LENGTH {
                    page.headers_mut().append(name, value.clone());
                }
            }
            page
        }
        Err(problem) => problem.0.into_response(),
    }
}

/// The path of the login, which leads back to `address` afterwards.
fn login_path(address: &str) -> String {
    if address == "/" {
        return "/login".to_owned();
    }
    let mut path = "/login?next=".to_owned();
    for byte in address.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'/' => {
                path.push(char::from(byte));
            }
            _ => path.extend(format!("%{byte:02X}").chars()),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_leads_back_to_the_page() {
        assert_eq!(login_path("/"), "/login");
        assert_eq!(
            login_path("/costs?from=2026-04&to=2026-05"),
            "/login?next=/costs%3Ffrom%3D2026-04%26to%3D2026-05"
        );
    }
}
