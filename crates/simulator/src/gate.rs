//! The middleware of all requests under `/v2`: faults, authentication, rate limits, headers.

use std::time::Instant;

use crate::{
    FaultKind, ReceivedRequest,
    answers::{html_answer, status_code},
    caller::{Caller, bearer_token},
    delivery::deliver,
    errors::ApiError,
    paging::Disturbance,
    rate_limit::{Refusal, Usage},
    state::Shared,
};
use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};

pub(crate) async fn pass(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let request_id = shared.next_request_id().to_string();

    if let Some(suspended) = shared.suspended() {
        suspended.wait().await;
    }
    let fault = shared.faults().take(&path, &query);
    let held = shared.holds().take(&path, &query);
    let (mut response, usage) = match answer(&shared, request, next, fault.as_ref()).await {
        Ok(answered) => answered,
        Err((error, usage)) => (error.answer(&request_id), usage),
    };
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        response = error.answer(&request_id);
    }
    usage.write_headers(response.headers_mut());
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        let name = HeaderName::from_static("x-request-id");
        response.headers_mut().insert(name, value);
    }
    shared.record(ReceivedRequest {
        method,
        path,
        query,
        status: response.status().as_u16(),
    });
    if let Some(held) = held {
        held.wait().await;
    }
    deliver(response, fault.as_ref()).await
}

type Refused = (ApiError, Usage);

async fn answer(
    shared: &Shared,
    request: Request,
    next: Next,
    fault: Option<&FaultKind>,
) -> Result<(Response, Usage), Refused> {
    let (mut parts, body) = request.into_parts();
    let token = bearer_token(&parts);
    let (limit, scopes, none_form) = {
        let account = shared.account();
        let scopes = token.and_then(|token| account.tokens.scopes_of(token));
        let none_form = account.none_form_of(parts.uri.path());
        (account.rate_limit, scopes, none_form)
    };
    let (Some(token), Some(scopes)) = (token, scopes) else {
        return Err((ApiError::unauthorized(), Usage::uncounted(limit)));
    };
    let usage = shared.accounting().count(token, limit, Instant::now());
    let refuse = |error: ApiError| Err((error, usage));
    match usage.refusal {
        Some(Refusal::Burst { retry_after }) => {
            return refuse(ApiError::too_many_requests(Some(retry_after)));
        }
        Some(Refusal::Hourly) => return refuse(ApiError::too_many_requests(None)),
        None => {}
    }
    match fault {
        Some(FaultKind::RateLimited { retry_after }) => {
            return refuse(ApiError::too_many_requests(Some(*retry_after)));
        }
        Some(FaultKind::ServerError { status: code }) => {
            return refuse(ApiError::server_error(status_code(*code)));
        }
        Some(FaultKind::HtmlError { status: code }) => {
            return Ok((html_answer(status_code(*code)), usage));
        }
        Some(FaultKind::Unauthorized) => return refuse(ApiError::unauthorized()),
        Some(FaultKind::Forbidden) => return refuse(ApiError::forbidden()),
        Some(FaultKind::NotFound) => return refuse(ApiError::not_found()),
        Some(FaultKind::Slow { delay }) => tokio::time::sleep(*delay).await,
        Some(FaultKind::EmptyList) => {
            parts.extensions.insert(Disturbance::Empty);
        }
        Some(FaultKind::ItemMovesBetweenPages) => {
            parts.extensions.insert(Disturbance::ItemMoved);
        }
        Some(FaultKind::ShortPage) => {
            parts.extensions.insert(Disturbance::Short);
        }
        Some(FaultKind::LaggingList) => {
            parts.extensions.insert(Disturbance::Lagging);
        }
        // These apply to the response, in `deliver`.
        Some(
            FaultKind::CutOff
            | FaultKind::Reset
            | FaultKind::Drip { .. }
            | FaultKind::RenamedColumn
            | FaultKind::LastLineMissing,
        )
        | None => {}
    }
    parts.extensions.insert(Caller(scopes));
    parts.extensions.insert(none_form);
    let response = next.run(Request::from_parts(parts, body)).await;
    Ok((response, usage))
}
