//! Writes rows of the API as CSV (RFC 4180): each field of a row is a cell.
//!
//! A cell has the value of the JSON field: a text without quotes, a number, `true` or `false`,
//! nothing for null or an absent field, and JSON text for a list or an object. A text at which a
//! spreadsheet would start a formula gets a leading `'`; an amount does not.

use std::fmt::Display;
use std::ops::Range;

use csv::{Terminator, WriterBuilder};
use export::starts_formula;
use serde::ser::{Error as _, Impossible, SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;
use utoipa::openapi::{RefOr, Schema};

/// The columns of a list: the fields of the schema of its rows, in their order.
#[derive(Debug)]
pub(super) struct Columns(Vec<String>);

impl Columns {
    pub(super) fn of<R: ToSchema>() -> Self {
        let mut named = Vec::new();
        R::schemas(&mut named);
        let mut columns = Vec::new();
        add_fields(&R::schema(), &named, &mut columns);
        Self(columns)
    }
}

/// Adds the fields of a schema; those of flattened parts come last.
fn add_fields(
    schema: &RefOr<Schema>,
    named: &[(String, RefOr<Schema>)],
    columns: &mut Vec<String>,
) {
    match schema {
        RefOr::Ref(reference) => {
            let name = reference.ref_location.rsplit('/').next();
            let schema = named.iter().find(|(known, _)| Some(known.as_str()) == name);
            if let Some((_, schema)) = schema {
                add_fields(schema, named, columns);
            }
        }
        RefOr::T(Schema::Object(object)) => columns.extend(object.properties.keys().cloned()),
        RefOr::T(Schema::AllOf(parts)) => {
            let is_own = |part: &&RefOr<Schema>| matches!(part, RefOr::T(_));
            for part in parts.items.iter().filter(is_own) {
                add_fields(part, named, columns);
            }
            for part in parts.items.iter().filter(|part| !is_own(part)) {
                add_fields(part, named, columns);
            }
        }
        RefOr::T(_) => {}
    }
}

/// Writes rows to memory, chunk by chunk.
pub(super) struct RowWriter {
    columns: Columns,
    writer: csv::Writer<Vec<u8>>,
    /// The cells of the current row, and the place of each column's cell in them.
    cells: Vec<u8>,
    places: Vec<Range<usize>>,
}

fn writer() -> csv::Writer<Vec<u8>> {
    let mut builder = WriterBuilder::new();
    builder.terminator(Terminator::CRLF).from_writer(Vec::new())
}

impl RowWriter {
    /// Starts with the row of names.
    pub(super) fn new(columns: Columns) -> Result<Self, csv::Error> {
        let mut writer = writer();
        writer.write_record(&columns.0)?;
        Ok(Self {
            writer,
            cells: Vec::new(),
            places: vec![0..0; columns.0.len()],
            columns,
        })
    }

    /// Writes a row, and returns its approximate size in bytes.
    pub(super) fn write<R: Serialize>(&mut self, row: &R) -> Result<usize, csv::Error> {
        self.cells.clear();
        self.places.fill(0..0);
        let cells = Cells {
            columns: &self.columns.0,
            text: &mut self.cells,
            places: &mut self.places,
            next: 0,
        };
        row.serialize(cells)
            .map_err(|error| csv::Error::from(std::io::Error::other(error)))?;
        for place in &self.places {
            self.writer.write_field(&self.cells[place.clone()])?;
        }
        self.writer.write_record(None::<&[u8]>)?;
        Ok(self.cells.len() + self.places.len())
    }

    /// Takes the text that was written since the last call.
    pub(super) fn take(&mut self) -> Result<Vec<u8>, csv::Error> {
        let full = std::mem::replace(&mut self.writer, writer());
        full.into_inner()
            .map_err(|error| csv::Error::from(error.into_error()))
    }
}

/// The fields of one row as cells.
struct Cells<'a> {
    columns: &'a [String],
    text: &'a mut Vec<u8>,
    places: &'a mut [Range<usize>],
    /// The most likely column of the next field.
    next: usize,
}

impl Cells<'_> {
    fn add<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> serde_json::Result<()> {
        let column = if self.columns.get(self.next).is_some_and(|next| next == name) {
            self.next
        } else {
            self.columns
                .iter()
                .position(|column| column == name)
                .ok_or_else(|| {
                    serde_json::Error::custom(format!("the schema lacks the field {name}"))
                })?
        };
        self.next = column + 1;
        let start = self.text.len();
        serde_json::to_writer(&mut *self.text, value)?;
        self.places[column] = cell(self.text, start)?;
        Ok(())
    }
}

/// Converts the JSON value at the end of `text` to a cell, and returns its place.
fn cell(text: &mut Vec<u8>, start: usize) -> serde_json::Result<Range<usize>> {
    match text.get(start..) {
        Some(b"null") => return Ok(start..start),
        Some([b'"', ..]) => {}
        _ => return Ok(start..text.len()),
    }
    if text[start..].contains(&b'\\') {
        let plain: String = serde_json::from_slice(&text[start..])?;
        text.truncate(start + 1);
        text.extend_from_slice(plain.as_bytes());
    } else {
        text.pop();
    }
    let content = start + 1;
    if starts_formula(&text[content..]) {
        // In the place of the opening quote.
        text[start] = b'\'';
        return Ok(start..text.len());
    }
    Ok(content..text.len())
}

impl SerializeStruct for Cells<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> serde_json::Result<()> {
        self.add(key, value)
    }

    fn end(self) -> serde_json::Result<()> {
        Ok(())
    }
}

/// For rows with flattened parts, which serde writes as maps.
impl SerializeMap for Cells<'_> {
    type Ok = ();
    type Error = serde_json::Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> serde_json::Result<()> {
        Err(not_a_row("a map with separate keys"))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, _: &T) -> serde_json::Result<()> {
        Err(not_a_row("a map with separate keys"))
    }

    fn serialize_entry<K: Serialize + ?Sized, V: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &V,
    ) -> serde_json::Result<()> {
        let key = serde_json::to_value(key)?;
        let name = key
            .as_str()
            .ok_or_else(|| not_a_row("a map without names"))?;
        self.add(name, value)
    }

    fn end(self) -> serde_json::Result<()> {
        Ok(())
    }
}

fn not_a_row(value: impl Display) -> serde_json::Error {
    serde_json::Error::custom(format!("a row must be an object with fields, not {value}"))
}

macro_rules! refuse {
    ($($method:ident($($argument:ty),*) -> $result:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$result, Self::Error> {
            Err(not_a_row(stringify!($method)))
        })*
    };
}

type Never = Impossible<(), serde_json::Error>;

impl Serializer for Cells<'_> {
    type Ok = ();
    type Error = serde_json::Error;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Never;

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Self::Error> {
        Ok(self)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Self::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Self::Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<(), Self::Error> {
        Err(not_a_row(variant))
    }

    refuse! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Never;
        serialize_tuple(usize) -> Never;
        serialize_tuple_struct(&'static str, usize) -> Never;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Never;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Never;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Serialize, ToSchema)]
    struct Part {
        days: u32,
    }

    #[derive(Serialize, ToSchema)]
    struct Row {
        name: String,
        #[serde(flatten)]
        part: Part,
        r#type: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        extra: Option<bool>,
        tags: serde_json::Value,
    }

    fn text(rows: &[Row]) -> String {
        let mut writer = RowWriter::new(Columns::of::<Row>()).unwrap();
        for row in rows {
            writer.write(row).unwrap();
        }
        String::from_utf8(writer.take().unwrap()).unwrap()
    }

    fn row(name: &str) -> Row {
        Row {
            name: name.to_owned(),
            part: Part { days: 3 },
            r#type: None,
            extra: None,
            tags: json!(["a", "b"]),
        }
    }

    #[test]
    fn the_columns_are_the_fields_in_their_order_with_or_without_rows() {
        let header = "name,type,extra,tags,days\r\n";
        assert_eq!(text(&[]), header);
        let rows = [
            row("a, \"b\""),
            Row {
                extra: Some(true),
                ..row("ü\n")
            },
        ];
        let expected = "\"a, \"\"b\"\"\",,,\"[\"\"a\"\",\"\"b\"\"]\",3\r\n\
                        \"ü\n\",,true,\"[\"\"a\"\",\"\"b\"\"]\",3\r\n";
        assert_eq!(text(&rows), format!("{header}{expected}"));
    }

    #[test]
    fn a_text_that_starts_a_formula_gets_a_leading_quote() {
        for (name, cell) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("-1+1", "'-1+1"),
            ("-", "'-"),
            ("-1.", "'-1."),
            ("-web", "'-web"),
            ("\t=1", "'\t=1"),
            ("\r=1", "\"'\r=1\""),
            ("=\"x\"", "\"'=\"\"x\"\"\""),
            ("＝1", "'＝1"),
            ("-1", "-1"),
            ("-1779.55", "-1779.55"),
            ("0.10", "0.10"),
            ("'quoted", "'quoted"),
            ("web-1", "web-1"),
            ("a=b", "a=b"),
        ] {
            let line = text(&[row(name)]);
            let line = line.split_once("\r\n").unwrap().1;
            assert!(line.starts_with(&format!("{cell},")), "{name}: {line}");
        }
    }
}
