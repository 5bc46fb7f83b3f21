//! The responses of the routes: JSON, and the HTML of a proxy.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;

/// Returns a response with status 200 and a body.
pub(crate) fn ok(body: &impl Serialize) -> Response {
    match serde_json::to_string(body) {
        Ok(text) => json_answer(StatusCode::OK, text),
        Err(_) => json_answer(StatusCode::INTERNAL_SERVER_ERROR, String::new()),
    }
}

/// `{"KEY": body}`.
pub(crate) fn one(key: &'static str, body: &impl Serialize) -> Response {
    ok(&json!({ key: body }))
}

/// Formats an amount for the JSON API: `12.34`.
pub(crate) fn amount(amount: Decimal) -> String {
    // Without this, a negated zero is written as `-0.00`.
    let amount = if amount.is_zero() {
        Decimal::ZERO
    } else {
        amount
    };
    format!("{amount:.2}")
}

/// The status with a number; 502 if the number is invalid.
pub(crate) fn status_code(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::BAD_GATEWAY)
}

/// Returns a response with JSON text as body.
pub(crate) fn json_answer(status: StatusCode, body: String) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "application/json; charset=utf-8")],
        body,
    )
        .into_response()
}

/// The page of Cloudflare when DigitalOcean does not respond in time.
pub(crate) fn html_answer(status: StatusCode) -> Response {
    let title = match status.as_u16() {
        524 => "A timeout occurred",
        _ => "Gateway time-out",
    };
    let code = status.as_u16();
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en-US\">\n<head>\n<title>api.digitalocean.com | {code}: {title}</title>\n\
         <meta charset=\"UTF-8\" />\n</head>\n<body>\n<div id=\"cf-wrapper\">\n<h1>{title}</h1>\n\
         <span>Error code {code}</span>\n<p>The web server reported a gateway time-out error.</p>\n\
         </div>\n</body>\n</html>\n"
    );
    (
        status,
        [(header::CONTENT_TYPE, "text/html; charset=UTF-8")],
        page,
    )
        .into_response()
}
