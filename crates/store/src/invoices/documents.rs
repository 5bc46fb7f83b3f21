//! What DigitalOcean sent, kept as it came.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::StoreError;

/// A source of an invoice, compressed.
pub(super) struct Document {
    pub(super) sha256: Vec<u8>,
    source: &'static str,
    gzip: Vec<u8>,
    bytes: i64,
}

impl Document {
    pub(super) fn csv(content: &[u8]) -> Self {
        Self::compress("csv", content)
    }

    pub(super) fn items(content: &[u8]) -> Self {
        Self::compress("items", content)
    }

    fn compress(source: &'static str, content: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        // Writing into memory cannot fail.
        let gzip = encoder
            .write_all(content)
            .and_then(|()| encoder.finish())
            .unwrap_or_default();
        Self {
            sha256: Sha256::digest(content).to_vec(),
            source,
            gzip,
            bytes: i64::try_from(content.len()).unwrap_or(i64::MAX),
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
