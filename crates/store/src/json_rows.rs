//! Encodes rows as one JSON parameter of a query.
//!
//! `json_populate_recordset(null::TABLE, $1::text::json)` decodes it into rows. The fields of a row
//! have the names of the columns.

use serde::Serialize;

use crate::StoreError;

/// Encodes rows as a JSON array.
pub(crate) fn json_rows<T: Serialize>(rows: &[T]) -> Result<String, StoreError> {
    serde_json::to_string(rows)
        .map_err(|error| StoreError::Database(sqlx::Error::Encode(error.into())))
}
