//! Applies faults to the body of a response: delays, truncates or changes it.

use std::{io, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::header,
    response::Response,
};
use futures::{Stream, stream};

use crate::FaultKind;

/// The number of pieces of a slowly sent body.
const PIECES: u32 = 10;

/// Applies a fault to a response: its body is sent whole, in pieces, in part or not at all. The
/// `content-length` is that of the whole body.
pub(crate) async fn deliver(response: Response, fault: Option<&FaultKind>) -> Response {
    match fault {
        Some(FaultKind::CutOff) => {
            send(response, |whole| {
                truncated(Some(whole.slice(..whole.len() / 2)))
            })
            .await
        }
        Some(FaultKind::Reset) => send(response, |_| truncated(None)).await,
        Some(FaultKind::Drip { delay }) => {
            let pause = *delay / PIECES;
            send(response, |whole| in_pieces(whole, pause)).await
        }
        Some(FaultKind::RenamedColumn) => {
            rewrite(response, |text| text.replacen(",USD,", ",EUR,", 1)).await
        }
        Some(FaultKind::LastLineMissing) => {
            rewrite(response, |text| {
                let end = text.trim_end().rfind('\n').map_or(0, |end| end + 1);
                text[..end].to_owned()
            })
            .await
        }
        _ => response,
    }
}

async fn rewrite(response: Response, change: impl FnOnce(String) -> String) -> Response {
    let (mut parts, body) = response.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let text = change(String::from_utf8_lossy(&whole).into_owned());
    parts
        .headers
        .insert(header::CONTENT_LENGTH, text.len().into());
    Response::from_parts(parts, Body::from(text))
}

async fn send<S>(response: Response, stream: impl FnOnce(Bytes) -> S) -> Response
where
    S: Stream<Item = io::Result<Bytes>> + Send + 'static,
{
    let (mut parts, body) = response.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts
        .headers
        .insert(header::CONTENT_LENGTH, whole.len().into());
    Response::from_parts(parts, Body::from_stream(stream(whole)))
}

/// Sends these bytes, then fails, which makes the server close the connection. Without bytes, the
/// server closes the connection before it sends the head.
fn truncated(first: Option<Bytes>) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold((first, false), |(first, has_started)| async move {
        if let Some(first) = first {
            return Some((Ok(first), (None, true)));
        }
        if has_started {
            // Lets the server write to the socket before the error makes it close the connection.
            tokio::task::yield_now().await;
        }
        Some((
            Err(io::Error::other("truncated by a fault")),
            (None, has_started),
        ))
    })
}

fn in_pieces(whole: Bytes, pause: Duration) -> impl Stream<Item = io::Result<Bytes>> {
    let step = whole.len().div_ceil(PIECES as usize).max(1);
    stream::unfold(whole, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let piece = rest.split_to(step.min(rest.len()));
        Some((Ok(piece), rest))
    })
}
