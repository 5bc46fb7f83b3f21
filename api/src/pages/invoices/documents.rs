//! `/invoices/{uuid}/versions/{version}/{document}`: a document as DigitalOcean sent it.

use axum::Router;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, VARY,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;

use crate::ApiState;
use crate::extract::{Id, InPath, NoParameters};
use crate::pages::format::month;
use crate::pages::page::PageProblem;
use crate::pages::session::AdminViewer;
use crate::problem::Problem;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route(
        "/invoices/{uuid}/versions/{version}/{document}",
        get(download),
    )
}

#[derive(Deserialize)]
struct DocumentPath {
    uuid: Id,
    version: i32,
    document: String,
}

/// Sends a stored document unchanged. Browsers receive the stored gzip and decompress it.
async fn download(
    AdminViewer(_viewer): AdminViewer,
    State(state): State<ApiState>,
    headers: HeaderMap,
    InPath(path): InPath<DocumentPath>,
    _: NoParameters,
) -> Result<Response, PageProblem> {
    let Id(uuid) = path.uuid;
    let invoice = state.store.invoice(uuid).await?;
    let not_found = || {
        PageProblem(Problem::NotFound(format!(
            "version {} of invoice {uuid} has no document {:?}: /invoices/{uuid} lists its documents",
            path.version, path.document
        )))
    };
    let (source, media_type) = match path.document.as_str() {
        "invoice.csv" => ("csv", "text/csv; charset=utf-8"),
        "items.jsonl" => ("items", "application/jsonl"),
        _ => return Err(not_found()),
    };
    let document = state
        .store
        .invoice_document(invoice.id, path.version, source)
        .await?
        .ok_or_else(not_found)?;
    let accepts_gzip = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| coding.trim() == "gzip");
    let mut response = if accepts_gzip {
        ([(CONTENT_ENCODING, "gzip")], document.gzip).into_response()
    } else {
        let content = document.decompressed();
        let content = content.map_err(|error| Problem::Internal(error.into()))?;
        content.into_response()
    };
    let extension = path.document.rsplit('.').next().unwrap_or_default();
    let name = format!(
        "digitalocean-invoice-{}-version-{}.{extension}",
        month(invoice.period),
        path.version
    );
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""))
        .map_err(|error| Problem::Internal(error.into()))?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_DISPOSITION, disposition);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}
