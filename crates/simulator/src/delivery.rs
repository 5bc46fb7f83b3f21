//! How the body of an answer reaches the client where a fault meets it.

use std::{io, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::header,
    response::Response,
};
use futures::{Stream, stream};

use crate::FaultKind;

/// How many pieces a dripping body comes in.
const PIECES: u32 = 10;

/// The answer as the fault lets it through: whole, in pieces, in part or not at all. The length of the whole body is always announced.
pub(crate) async fn deliver(response: Response, fault: Option<&FaultKind>) -> Response {
    match fault {
        Some(FaultKind::CutOff) => {
            send(response, |whole| {
                broken_off(Some(whole.slice(..whole.len() / 2)))
            })
            .await
        }
        Some(FaultKind::Reset) => send(response, |_| broken_off(None)).await,
        Some(FaultKind::Drip { delay }) => {
            let pause = *delay / PIECES;
            send(response, |whole| dripping(whole, pause)).await
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

/// This much, and then an error, at which the server closes the connection. Where there is nothing to send first, it closes
/// before it has written the head either.
fn broken_off(first: Option<Bytes>) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold((first, false), |(first, has_begun)| async move {
        if let Some(first) = first {
            return Some((Ok(first), (None, true)));
        }
        if has_begun {
            // Lets the server write to the socket before the error makes it close the connection.
            tokio::task::yield_now().await;
        }
        Some((
            Err(io::Error::other("broken off as asked")),
            (None, has_begun),
        ))
    })
}

fn dripping(whole: Bytes, pause: Duration) -> impl Stream<Item = io::Result<Bytes>> {
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
