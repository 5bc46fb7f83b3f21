//! The documents of invoices as received from DigitalOcean, compressed.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Store, StoreError};

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

/// A stored document of a version of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    pub version: i32,
    /// `csv`: as received. `items`: one JSON item per line.
    pub source: String,
    /// The size of the content.
    pub bytes: i64,
    /// The SHA-256 of the content, in hexadecimal.
    pub sha256: String,
}

/// The content of a stored document, compressed.
pub struct DocumentContent {
    pub gzip: Vec<u8>,
}

impl DocumentContent {
    /// Returns the document as received.
    pub fn decompressed(&self) -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        GzDecoder::new(self.gzip.as_slice()).read_to_end(&mut content)?;
        Ok(content)
    }
}

impl Store {
    /// Lists the stored documents of an invoice, latest version first.
    pub async fn invoice_documents(
        &self,
        invoice: Uuid,
    ) -> Result<Vec<StoredDocument>, StoreError> {
        let documents = sqlx::query_as!(
            StoredDocument,
            r#"select version.version, document.source, document.bytes, encode(document.sha256, 'hex') as "sha256!"
               from cloud_invoice_versions version
               join cloud_invoice_documents document on document.sha256 in (version.csv_sha256, version.items_sha256)
               where version.invoice_id = $1 order by version.version desc, document.source"#,
            invoice,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(documents)
    }

    /// Returns the content of a document of an invoice, if it is stored.
    pub async fn invoice_document(
        &self,
        invoice: Uuid,
        version: i32,
        source: &str,
    ) -> Result<Option<DocumentContent>, StoreError> {
        let content = sqlx::query_as!(
            DocumentContent,
            "select document.gzip
             from cloud_invoice_versions version
             join cloud_invoice_documents document on document.sha256 in (version.csv_sha256, version.items_sha256)
             where version.invoice_id = $1 and version.version = $2 and document.source = $3",
            invoice,
            version,
            source,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(content)
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
