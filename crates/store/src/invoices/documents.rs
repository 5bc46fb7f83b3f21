//! The documents of invoices as received from DigitalOcean, compressed.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::StoreError;

/// A document of an invoice. Gzip reduces it to about a tenth.
pub struct Document {
    pub(super) sha256: Vec<u8>,
    source: &'static str,
    gzip: Vec<u8>,
    bytes: i64,
}

impl Document {
    /// Compresses a CSV.
    pub fn csv(content: &[u8]) -> Self {
        let mut writer = DocumentWriter::new("csv");
        writer.write(content);
        writer.finish()
    }

    /// Stores the document, unless the same content is already stored.
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

/// Writes a document in chunks.
pub struct DocumentWriter {
    source: &'static str,
    encoder: GzEncoder<Vec<u8>>,
    hash: Sha256,
    bytes: usize,
}

impl DocumentWriter {
    /// Creates a writer for JSON items as received, one per line.
    pub fn items() -> Self {
        Self::new("items")
    }

    fn new(source: &'static str) -> Self {
        Self {
            source,
            encoder: GzEncoder::new(Vec::new(), Compression::fast()),
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// Adds a line.
    pub fn line(&mut self, line: &str) {
        self.write(line.as_bytes());
        self.write(b"\n");
    }

    fn write(&mut self, chunk: &[u8]) {
        self.hash.update(chunk);
        self.bytes += chunk.len();
        // Writing into memory cannot fail.
        let _ = self.encoder.write_all(chunk);
    }

    pub fn finish(self) -> Document {
        Document {
            sha256: self.hash.finalize().to_vec(),
            source: self.source,
            gzip: self.encoder.finish().unwrap_or_default(),
            bytes: i64::try_from(self.bytes).unwrap_or(i64::MAX),
        }
    }
}
