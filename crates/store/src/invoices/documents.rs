//! What DigitalOcean sent, kept as it came.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::StoreError;

/// A source of an invoice, compressed: what it is kept as, and a tenth of its size.
pub struct Document {
    pub(super) sha256: Vec<u8>,
    source: &'static str,
    gzip: Vec<u8>,
    bytes: i64,
}

impl Document {
    /// A CSV as it came.
    pub fn csv(content: &[u8]) -> Self {
        Self::compress("csv", std::iter::once(content))
    }

    /// JSON items as they came, one a line.
    pub fn items(items: &[String]) -> Self {
        let lines = items.iter().flat_map(|item| [item.as_bytes(), b"\n"]);
        Self::compress("items", lines)
    }

    fn compress<'a>(source: &'static str, pieces: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let mut hash = Sha256::new();
        let mut bytes = 0;
        for piece in pieces {
            hash.update(piece);
            bytes += piece.len();
            // Writing into memory cannot fail.
            let _ = encoder.write_all(piece);
        }
        Self {
            sha256: hash.finalize().to_vec(),
            source,
            gzip: encoder.finish().unwrap_or_default(),
            bytes: i64::try_from(bytes).unwrap_or(i64::MAX),
        }
    }

    /// The same content is kept once.
    pub(super) async fn store(&self, tx: &mut PgConnection) -> Result<(), StoreError> {
        sqlx::query!(
            "insert into cloud_invoice_documents (sha256, source, gzip, bytes) values ($1, $2, $3, $4) on conflict do nothing",
            self.sha256,
            self.source,
            self.gzip,
            self.bytes,
        )
        .execute(tx)
        .await?;
        Ok(())
    }
}
