//! Files of any length as the body of a response: a thread encodes them, chunk by chunk.
//!
//! If the file cannot be written to completion, the connection is aborted: a complete body is a
//! complete file.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use export::ExportError;
use futures::{StreamExt as _, stream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::csv::FileName;

/// Size of a chunk of the body in bytes.
const CHUNK: usize = 64 * 1024;

/// Chunks that wait for the client.
const WAITING: usize = 4;

/// The longest time for which a chunk waits for the client, because the file holds a connection to
/// the database.
const CLIENT_TIMEOUT: Duration = Duration::from_mins(1);

type Failed = Box<dyn Error + Send + Sync>;

/// A chunk of the file; an empty one after the last.
type Chunk = Result<Vec<u8>, Failed>;

/// Returns a file that `write` writes in a separate thread. `caller` is kept until the end of the
/// body, so that its permit counts the download as a request in progress.
pub(crate) fn respond(
    caller: impl Send + 'static,
    file: FileName,
    media_type: &'static str,
    write: impl FnOnce(&mut ChunkWriter) -> Result<(), ExportError> + Send + 'static,
) -> Response {
    let (sender, receiver) = mpsc::channel(WAITING);
    let (runtime, span) = (Handle::current(), tracing::Span::current());
    tokio::task::spawn_blocking(move || {
        // The handler ends before the body: the log belongs to its request too.
        let _entered = span.entered();
        let mut writer = ChunkWriter {
            runtime,
            sender,
            chunk: Vec::new(),
        };
        let written = write(&mut writer).and_then(|()| Ok(writer.finish()?));
        if let Err(error) = written {
            tracing::error!(error = &error as &dyn Error, "download aborted");
            // The client may have closed the connection.
            drop(writer.sender.blocking_send(Err(error.into())));
        }
    });
    let chunks = stream::unfold(Some((receiver, caller)), async |state| {
        let (mut receiver, caller) = state?;
        match receiver.recv().await {
            Some(Ok(end)) if end.is_empty() => None,
            Some(Ok(chunk)) => Some((Ok(chunk), Some((receiver, caller)))),
            Some(Err(error)) => Some((Err(error), None)),
            None => Some((Err("the file ended early".into()), None)),
        }
    });
    // The compression layer polls once more after the end.
    let mut response = Body::from_stream(chunks.fuse()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CONTENT_DISPOSITION, file.disposition());
    response
}

/// Sends a file to the client, and waits for a client that reads slowly.
pub(crate) struct ChunkWriter {
    runtime: Handle,
    sender: mpsc::Sender<Chunk>,
    chunk: Vec<u8>,
}

impl ChunkWriter {
    fn send(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.send_chunk(chunk)
    }

    fn send_chunk(&self, chunk: Vec<u8>) -> io::Result<()> {
        let sending = timeout(CLIENT_TIMEOUT, self.sender.send(Ok(chunk)));
        match self.runtime.block_on(sending) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the client closed the connection",
            )),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client read nothing for a minute",
            )),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.send()?;
        self.send_chunk(Vec::new())
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
