//! Spaces: lists the buckets of a region as S3 does, in XML, and keeps objects of buckets. Requests
//! are signed with a Spaces key.

mod signature;

use std::fmt::Write as _;

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::SecondsFormat;

use crate::{
    Account, Bucket, FaultKind,
    answers::{html_answer, status_code},
    delivery::deliver,
    identifiers::OWNER_ID,
    state::Shared,
};
use signature::Signature;

/// The paths of the template `http://ADDRESS/spaces/{region}`.
pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/spaces/{region}", get(list))
        .route("/spaces/{region}/", get(list))
        .route(
            "/spaces/{region}/{bucket}/{*object}",
            get(read_object).put(write_object).delete(delete_object),
        )
}

async fn list(
    State(shared): State<Shared>,
    Path(region): Path<String>,
    request: Request,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let fault = shared.faults().take(request.uri().path(), query);
    let request_id = shared.next_request_id().simple();
    match fault {
        Some(FaultKind::HtmlError { status }) => return html_answer(status_code(status)),
        Some(FaultKind::Slow { delay }) => tokio::time::sleep(delay).await,
        _ => {}
    }
    let response = match answer(&shared, &request, &region, fault.as_ref()) {
        Ok(body) => xml(StatusCode::OK, &body),
        Err((status, code)) => {
            let region = escape(&region);
            let body = format!(
                "<Error><Code>{code}</Code><RequestId>tx{request_id}-{region}</RequestId><HostId>{region}</HostId></Error>"
            );
            xml(status, &body)
        }
    };
    deliver(response, fault.as_ref()).await
}

/// The status and S3's error code.
type Refusal = (StatusCode, &'static str);

fn answer(
    shared: &Shared,
    request: &Request,
    region: &str,
    fault: Option<&FaultKind>,
) -> Result<String, Refusal> {
    let forbidden = |code| (StatusCode::FORBIDDEN, code);
    match fault {
        Some(FaultKind::RateLimited { .. }) => {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "SlowDown"));
        }
        Some(FaultKind::ServerError { status }) => {
            return Err((status_code(*status), "InternalError"));
        }
        Some(FaultKind::Unauthorized) => return Err(forbidden("InvalidAccessKeyId")),
        Some(FaultKind::Forbidden) => return Err(forbidden("AccessDenied")),
        Some(FaultKind::NotFound) => return Err((StatusCode::NOT_FOUND, "NoSuchBucket")),
        _ => {}
    }
    let account = shared.account();
    check_signature(&account, request, region)?;
    Ok(list_buckets(&account, region, fault))
}

fn check_signature(account: &Account, request: &Request, region: &str) -> Result<(), Refusal> {
    let forbidden = |code| (StatusCode::FORBIDDEN, code);
    let signature = Signature::of(request).ok_or(forbidden("AccessDenied"))?;
    let secret = account.spaces_keys.secret_of(&signature.access_key_id);
    let secret = secret.ok_or(forbidden("InvalidAccessKeyId"))?;
    if signature.region != region {
        return Err((StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed"));
    }
    if !signature.is_by(secret, request) {
        return Err(forbidden("SignatureDoesNotMatch"));
    }
    Ok(())
}

/// The region, the bucket and the name of an object.
type ObjectPath = Path<(String, String, String)>;

async fn read_object(
    State(shared): State<Shared>,
    Path((region, bucket, object)): ObjectPath,
    request: Request,
) -> Response {
    let account = shared.account();
    if let Err(refusal) = check_bucket(&account, &request, &region, &bucket) {
        return refused(&region, refusal);
    }
    match account.objects.get(&(bucket, object)) {
        Some(content) => content.clone().into_response(),
        None => refused(&region, (StatusCode::NOT_FOUND, "NoSuchKey")),
    }
}

async fn write_object(
    State(shared): State<Shared>,
    Path((region, bucket, object)): ObjectPath,
    request: Request,
) -> Response {
    if let Err(refusal) = check_bucket(&shared.account(), &request, &region, &bucket) {
        return refused(&region, refusal);
    }
    match axum::body::to_bytes(request.into_body(), LARGEST_OBJECT).await {
        Ok(content) => {
            let mut account = shared.account_mut();
            account.objects.insert((bucket, object), content.to_vec());
            StatusCode::OK.into_response()
        }
        Err(_) => refused(&region, (StatusCode::BAD_REQUEST, "IncompleteBody")),
    }
}

async fn delete_object(
    State(shared): State<Shared>,
    Path((region, bucket, object)): ObjectPath,
    request: Request,
) -> Response {
    if let Err(refusal) = check_bucket(&shared.account(), &request, &region, &bucket) {
        return refused(&region, refusal);
    }
    shared.account_mut().objects.remove(&(bucket, object));
    StatusCode::NO_CONTENT.into_response()
}

/// The largest object that is kept, in bytes.
const LARGEST_OBJECT: usize = 64 * 1024 * 1024;

fn check_bucket(
    account: &Account,
    request: &Request,
    region: &str,
    bucket: &str,
) -> Result<(), Refusal> {
    check_signature(account, request, region)?;
    let mut buckets = account.buckets.iter();
    if buckets.any(|known| known.region == region && known.name == bucket) {
        Ok(())
    } else {
        Err((StatusCode::NOT_FOUND, "NoSuchBucket"))
    }
}

fn refused(region: &str, (status, code): Refusal) -> Response {
    let region = escape(region);
    let body = format!("<Error><Code>{code}</Code><HostId>{region}</HostId></Error>");
    xml(status, &body)
}

fn list_buckets(account: &Account, region: &str, fault: Option<&FaultKind>) -> String {
    let buckets = account.buckets.iter();
    let mut buckets: Vec<&Bucket> = buckets.filter(|bucket| bucket.region == region).collect();
    match fault {
        Some(FaultKind::EmptyList) => buckets.clear(),
        Some(FaultKind::ShortPage) => drop(buckets.pop()),
        _ => {}
    }
    let mut body = format!(
        "<ListAllMyBucketsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Owner><ID>{OWNER_ID}</ID><DisplayName>{OWNER_ID}</DisplayName></Owner><Buckets>"
    );
    for bucket in buckets {
        // Writing to a string cannot fail.
        let _ = write!(
            body,
            "<Bucket><Name>{}</Name><CreationDate>{}</CreationDate></Bucket>",
            escape(&bucket.name),
            bucket
                .created_at
                .to_rfc3339_opts(SecondsFormat::Millis, true)
        );
    }
    body.push_str("</Buckets></ListAllMyBucketsResult>");
    body
}

fn xml(status: StatusCode, body: &str) -> Response {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>{body}");
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
