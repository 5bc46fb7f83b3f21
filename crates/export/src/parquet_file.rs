//! Parquet: decimals as DECIMAL in 16 bytes, times as TIMESTAMP in UTC, JSON as text; each column
//! compressed by Snappy.
//!
//! The rows of one row group are in memory. The values of a column are in one buffer, to which the
//! encoder refers, so that no value is allocated.

use std::io::Write;
use std::sync::Arc;

use domain::focus::{Column, ColumnType, PRECISION, SCALE, Value};
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int32Type,
    Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use rust_decimal::Decimal;

use crate::ExportError;

/// The rows of a row group. They take about 10 MB.
const ROWS: usize = 10_000;

/// The bytes of a decimal.
const DECIMAL: usize = 16;

/// A Parquet file that is being written.
pub(crate) struct ParquetFile<R: 'static, W: Write + Send> {
    columns: Vec<ParquetColumn<R>>,
    writer: SerializedFileWriter<W>,
    rows: usize,
}

/// The values of a column in the current row group.
struct ParquetColumn<R: 'static> {
    column: &'static Column<R>,
    values: Values,
    /// 1 for a value, 0 for null; empty for a column that is never null.
    levels: Vec<i16>,
}

enum Values {
    /// The end of each text in the buffer.
    Texts(Vec<u8>, Vec<usize>),
    Decimals(Vec<u8>),
    Times(Vec<i64>),
    Integers(Vec<i32>),
    Booleans(Vec<bool>),
}

impl<R, W: Write + Send> ParquetFile<R, W> {
    pub(crate) fn new(columns: &[&'static Column<R>], out: W) -> Result<Self, ExportError> {
        let fields: Result<Vec<_>, ParquetError> = columns
            .iter()
            .map(|column| field(column).map(Arc::new))
            .collect();
        let schema = Type::group_type_builder("schema")
            .with_fields(fields?)
            .build()?;
        // The least and the greatest value in the statistics would refer to the buffers of all row
        // groups, so that the memory would grow with the file. Readers read whole months.
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true);
        let properties = Arc::new(properties.build());
        let columns = columns.iter();
        Ok(Self {
            writer: SerializedFileWriter::new(out, Arc::new(schema), properties)?,
            columns: columns
                .map(|column| ParquetColumn {
                    column,
                    values: Values::of(column.column_type),
                    levels: Vec::new(),
                })
                .collect(),
            rows: 0,
        })
    }

    pub(crate) fn write(&mut self, row: &R) -> Result<(), ExportError> {
        for column in &mut self.columns {
            column.add(row)?;
        }
        self.rows += 1;
        if self.rows == ROWS {
            self.end_row_group()?;
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<(), ExportError> {
        if self.rows > 0 {
            self.end_row_group()?;
        }
        self.writer.close()?;
        Ok(())
    }

    fn end_row_group(&mut self) -> Result<(), ExportError> {
        let mut group = self.writer.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column()? else {
                break;
            };
            column.write(&mut writer)?;
            writer.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

/// Returns the schema of a column.
fn field<R>(column: &Column<R>) -> Result<Type, ParquetError> {
    let (physical, logical) = match column.column_type {
        ColumnType::Text | ColumnType::Json => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        ColumnType::Decimal => (
            Physical::FIXED_LEN_BYTE_ARRAY,
            Some(LogicalType::decimal(SCALE.into(), PRECISION.into())),
        ),
        ColumnType::Time => (
            Physical::INT64,
            Some(LogicalType::timestamp(true, TimeUnit::MICROS)),
        ),
        ColumnType::Integer => (Physical::INT32, None),
        ColumnType::Boolean => (Physical::BOOLEAN, None),
    };
    let field = Type::primitive_type_builder(column.id, physical)
        .with_repetition(if column.is_nullable {
            Repetition::OPTIONAL
        } else {
            Repetition::REQUIRED
        })
        .with_logical_type(logical);
    if column.column_type == ColumnType::Decimal {
        let length = i32::try_from(DECIMAL).unwrap_or_default();
        return field
            .with_length(length)
            .with_precision(PRECISION.into())
            .with_scale(SCALE.into())
            .build();
    }
    field.build()
}

impl Values {
    fn of(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType::Text | ColumnType::Json => Self::Texts(Vec::new(), Vec::new()),
            ColumnType::Decimal => Self::Decimals(Vec::new()),
            ColumnType::Time => Self::Times(Vec::new()),
            ColumnType::Integer => Self::Integers(Vec::new()),
            ColumnType::Boolean => Self::Booleans(Vec::new()),
        }
    }
}

impl<R> ParquetColumn<R> {
    fn add(&mut self, row: &R) -> Result<(), ExportError> {
        let column = self.column;
        let value = column.value(row);
        match (&mut self.values, value) {
            (_, Value::Null) if column.is_nullable => {
                self.levels.push(0);
                return Ok(());
            }
            (Values::Texts(bytes, ends), Value::Text(text)) => {
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len());
            }
            (Values::Decimals(bytes), Value::Decimal(decimal)) => {
                bytes.extend_from_slice(&unscaled(column, decimal)?.to_be_bytes());
            }
            (Values::Times(times), Value::Time(time)) => times.push(time.timestamp_micros()),
            (Values::Integers(integers), Value::Integer(integer)) => integers.push(integer),
            (Values::Booleans(booleans), Value::Boolean(boolean)) => booleans.push(boolean),
            (_, value) => {
                let expected = column.column_type.as_str();
                let problem = format!("{}: expected {expected}, not {value:?}", column.id);
                return Err(ParquetError::General(problem).into());
            }
        }
        if column.is_nullable {
            self.levels.push(1);
        }
        Ok(())
    }

    /// Writes and removes the values.
    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> Result<(), ExportError> {
        let levels = std::mem::take(&mut self.levels);
        let levels = self.column.is_nullable.then_some(levels.as_slice());
        match &mut self.values {
            Values::Texts(bytes, ends) => {
                let all = ByteArray::from(std::mem::take(bytes));
                let mut start = 0;
                let texts: Vec<ByteArray> = std::mem::take(ends)
                    .into_iter()
                    .map(|end| {
                        let text = all.slice(start, end - start);
                        start = end;
                        text
                    })
                    .collect();
                writer
                    .typed::<ByteArrayType>()
                    .write_batch(&texts, levels, None)?;
            }
            Values::Decimals(bytes) => {
                let all = ByteArray::from(std::mem::take(bytes));
                let decimals: Vec<FixedLenByteArray> = (0..all.len())
                    .step_by(DECIMAL)
                    .map(|start| all.slice(start, DECIMAL).into())
                    .collect();
                writer
                    .typed::<FixedLenByteArrayType>()
                    .write_batch(&decimals, levels, None)?;
            }
            Values::Times(times) => {
                writer
                    .typed::<Int64Type>()
                    .write_batch(times, levels, None)?;
                times.clear();
            }
            Values::Integers(integers) => {
                writer
                    .typed::<Int32Type>()
                    .write_batch(integers, levels, None)?;
                integers.clear();
            }
            Values::Booleans(booleans) => {
                writer
                    .typed::<BoolType>()
                    .write_batch(booleans, levels, None)?;
                booleans.clear();
            }
        }
        Ok(())
    }
}

/// Returns a decimal in units of the scale, exactly.
fn unscaled<R>(column: &Column<R>, decimal: Decimal) -> Result<i128, ExportError> {
    let scale = u32::from(SCALE);
    let value = if decimal.scale() > scale {
        decimal.normalize()
    } else {
        decimal
    };
    let shift = scale.checked_sub(value.scale());
    let scaled = shift.and_then(|shift| value.mantissa().checked_mul(10_i128.checked_pow(shift)?));
    scaled.ok_or(ExportError::DecimalTooLong {
        column: column.id,
        value: decimal,
        limit: SCALE,
    })
}
