//! The route of the files of a close.

use std::error::Error;
use std::pin::Pin;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chrono::NaiveDate;
use futures::{StreamExt as _, stream};
use serde::Deserialize;
use store::Store;
use tracing::Instrument as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::ApiState;
use crate::access::Admin;
use crate::csv::FileName;
use crate::extract::{InPath, NoParameters, Period, required};
use crate::problem::{BadRequest, NotFound, Problem};

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(file))
}

/// The path of a file.
#[derive(Debug, Deserialize)]
pub(crate) struct FilePath {
    #[serde(deserialize_with = "required")]
    pub(crate) period: Period,
    pub(crate) name: String,
}

/// Returns a file of the close of a month
///
/// The header `etag` has the SHA-256 of the file, as the list of files of the month and the
/// manifest.
#[utoipa::path(
    get,
    path = "/api/v1/billing/months/{period}/files/{name}",
    operation_id = "download_close_file",
    tag = "billing",
    security(("bearer" = [])),
    params(
        ("period" = inline(Period), Path, description = "Month"),
        ("name" = String, Path, description = "Name of the file"),
    ),
    responses(
        (status = OK, description = "The file", content((String = "application/octet-stream"))),
        (status = NOT_MODIFIED, description = "The file has the SHA-256 of the header `if-none-match`"),
        BadRequest,
        NotFound,
    )
)]
async fn file(
    admin: Admin,
    State(state): State<ApiState>,
    InPath(path): InPath<FilePath>,
    _: NoParameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Period(period) = path.period;
    respond_file(&state.store, admin, &headers, period, &path.name).await
}

type Failed = Box<dyn Error + Send + Sync>;

/// A file that is being sent.
struct Download<C> {
    store: Store,
    close: Uuid,
    name: String,
    /// The number of the next piece.
    number: i32,
    /// Bytes that are not sent yet.
    left: i64,
    _caller: C,
}

impl<C> Download<C> {
    /// Returns the next piece; none after the last one.
    async fn piece(mut self) -> Result<Option<(Vec<u8>, Self)>, Failed> {
        if self.left == 0 {
            return Ok(None);
        }
        let (store, name) = (self.store.clone(), self.name.clone());
        let (close, number) = (self.close, self.number);
        let reading = async move { store.close_file_piece(close, &name, number).await };
        let piece = self.store.run_to_completion(reading).await??;
        let piece = piece.ok_or("a piece of the file is missing")?;
        self.number += 1;
        self.left -= i64::try_from(piece.len())?;
        Ok(Some((piece, self)))
    }
}

type Next<C> = Pin<Box<dyn Future<Output = Result<Option<(Vec<u8>, Download<C>)>, Failed>> + Send>>;

/// Returns a file of the close of a month. `caller` is kept until the end of the body.
pub(crate) async fn respond_file<C: Send + 'static>(
    store: &Store,
    caller: C,
    headers: &HeaderMap,
    period: NaiveDate,
    name: &str,
) -> Result<Response, Problem> {
    let month = period.format("%Y-%m");
    let close = store.close_in_force(period).await?.ok_or_else(|| {
        Problem::NotFound(format!("{month} is not closed, so that it has no files"))
    })?;
    let files = store.close_files(close.id).await?;
    let Some(file) = files.iter().find(|file| file.name == name) else {
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        return Err(Problem::NotFound(format!(
            "unknown file {name:?}: the close of {month} has {}",
            names.join(", ")
        )));
    };
    let etag = format!("\"{}\"", file.sha256);
    let known = headers.get(IF_NONE_MATCH);
    let known = known.and_then(|known| known.to_str().ok());
    let is_known = known.is_some_and(|known| known.contains(&etag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let download = Download {
            store: store.clone(),
            close: close.id,
            name: file.name.clone(),
            number: 1,
            left: file.size,
            _caller: caller,
        };
        let span = tracing::Span::current();
        let pieces = stream::try_unfold(download, move |download| -> Next<C> {
            let piece = async move {
                download.piece().await.inspect_err(|error| {
                    tracing::error!(error = &**error, "download of a closed month aborted");
                })
            };
            Box::pin(piece.instrument(span.clone()))
        });
        // The compression layer polls once more after the end.
        Body::from_stream(pieces.fuse()).into_response()
    };
    let invalid = |error| Problem::Internal(Box::new(error));
    let headers = response.headers_mut();
    headers.insert(ETAG, HeaderValue::from_str(&etag).map_err(invalid)?);
    if !is_known {
        let media_type = HeaderValue::from_str(&file.media_type).map_err(invalid)?;
        headers.insert(CONTENT_TYPE, media_type);
        headers.insert(CONTENT_LENGTH, file.size.into());
        let disposition = FileName::of_file(&file.name).disposition();
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}
