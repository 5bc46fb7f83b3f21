//! Chooses the format of a list: the parameter `format`, else the header `accept`.

use std::str::FromStr;

use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::MEDIA_TYPE;
use crate::choices;
use crate::problem::Problem;

/// Format of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    Json,
    Csv,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let formats = [("json", Self::Json), ("csv", Self::Csv)];
        choices::one_of("format", text, &formats)
    }
}

impl Format {
    /// Returns CSV if the header `accept` prefers it to JSON.
    pub(crate) fn preferred(headers: &HeaderMap) -> Self {
        let fields = headers.get_all(ACCEPT).iter();
        let ranges: Vec<&str> = fields
            .filter_map(|field| field.to_str().ok())
            .flat_map(|field| field.split(','))
            .collect();
        let csv = rank(&ranges, ["*/*", "text/*", "text/csv"]);
        let json = rank(&ranges, ["*/*", "application/*", "application/json"]);
        if csv.0 > 0 && csv > json {
            Self::Csv
        } else {
            Self::Json
        }
    }
}

/// Refuses CSV over HTTP/1.0: the end of the connection ends the body there, so that a client
/// cannot distinguish a failed download from a complete one.
pub(crate) async fn require_http_1_1(request: Request, next: Next) -> Response {
    let is_old = request.version() < Version::HTTP_11;
    let response = next.run(request).await;
    let media_type = response.headers().get(CONTENT_TYPE);
    if is_old && media_type.is_some_and(|found| found == MEDIA_TYPE) {
        return Problem::InvalidParameter(
            "format: CSV requires HTTP/1.1, because HTTP/1.0 does not mark a complete response: \
             configure the client or the proxy to use HTTP/1.1"
                .to_owned(),
        )
        .into_response();
    }
    response
}

/// The rank of a media type by the header `accept`: quality in thousandths, precision of the
/// matching range, and its place from the end.
type Rank = (u16, u8, usize);

fn rank(ranges: &[&str], names: [&str; 3]) -> Rank {
    let ranks = ranges
        .iter()
        .rev()
        .enumerate()
        .filter_map(|(place, range)| {
            let (name, quality) = name_and_quality(range);
            let precision = (1..)
                .zip(names)
                .find(|(_, known)| name.eq_ignore_ascii_case(known))?
                .0;
            Some((precision, quality, place))
        });
    // The most precise range decides, and the first of equals.
    let (precision, quality, place) = ranks
        .max_by_key(|(precision, _, place)| (*precision, *place))
        .unwrap_or_default();
    (quality, precision, place)
}

/// Returns the media range and its quality in thousandths.
fn name_and_quality(range: &str) -> (&str, u16) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts
        .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
        .map_or(1.0, |quality| quality.parse::<f32>().unwrap_or_default());
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped"
    )]
    let thousandths = (quality.clamp(0.0, 1.0) * 1000.0) as u16;
    (name, thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_is_sent_if_the_client_prefers_it() {
        for (accept, expected) in [
            ("text/csv", Format::Csv),
            ("TEXT/CSV; charset=utf-8", Format::Csv),
            ("text/*", Format::Csv),
            ("text/csv, */*", Format::Csv),
            ("text/csv, application/json", Format::Csv),
            ("application/json;q=0.9, text/csv", Format::Csv),
            ("application/json, text/csv", Format::Json),
            ("application/json, text/csv;q=0.5", Format::Json),
            ("application/json, text/plain, */*", Format::Json),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Json),
            ("text/csv;q=0", Format::Json),
            ("*/*", Format::Json),
            ("nonsense", Format::Json),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(Format::preferred(&headers), expected, "{accept}");
        }
    }
}
