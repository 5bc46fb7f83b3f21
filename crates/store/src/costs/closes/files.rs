//! The files of a close.

use serde::Serialize;
use uuid::Uuid;

use crate::{Store, StoreError};

/// A file of a close.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CloseFile {
    pub name: String,
    pub media_type: String,
    /// Bytes.
    pub size: i64,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
}

impl Store {
    /// Lists the files of a close, by name.
    pub async fn close_files(&self, close: Uuid) -> Result<Vec<CloseFile>, StoreError> {
        let files = sqlx::query_as!(
            CloseFile,
            r#"select name, media_type, size, encode(file.sha256, 'hex') as "sha256!"
               from cloud_close_files file where close_id = $1 order by name"#,
            close,
        )
        .fetch_all(&self.pool)
        .await?;
        Ok(files)
    }

    /// Returns a piece of a file of a close, from 1; `None` after the last one.
    pub async fn close_file_piece(
        &self,
        close: Uuid,
        name: &str,
        number: i32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let piece = sqlx::query_scalar!(
            "select content from cloud_close_file_pieces where close_id = $1 and name = $2 and number = $3",
            close,
            name,
            number,
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(piece)
    }
}
