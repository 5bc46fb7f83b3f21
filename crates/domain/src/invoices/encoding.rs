//! Checks that an invoice's CSV is UTF-8, with or without a BOM. Other encodings are rejected,
//! since a guessed amount or name may be wrong.

use csv::{ByteRecord, ReaderBuilder};

use super::unreadable::{Place, REFETCH, UnreadableInvoice};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Returns the file without BOMs. The error has line and column of the first field that is not
/// UTF-8.
pub(super) fn utf8_text(file: &[u8]) -> Result<&[u8], UnreadableInvoice> {
    if let Some(title) = first_title_in_utf16(file) {
        let problem = "the file is encoded in UTF-16: expected UTF-8";
        return Err(UnreadableInvoice::in_column(1, &title, problem, REFETCH));
    }
    let mut text = file;
    while let Some(rest) = text.strip_prefix(BOM) {
        text = rest;
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(UnreadableInvoice::at(1, "the file is empty"));
    }
    let has_zero = |field: &[u8]| field.contains(&0);
    if has_zero(text) {
        let problem = |_: &[u8]| "the field contains a zero byte: expected UTF-8 text".to_owned();
        return Err(first_bad_field(text, has_zero, problem));
    }
    if std::str::from_utf8(text).is_err() {
        let is_bad = |field: &[u8]| std::str::from_utf8(field).is_err();
        return Err(first_bad_field(text, is_bad, not_utf8));
    }
    Ok(text)
}

/// Returns the first title of a UTF-16 file: one that begins with a BOM of UTF-16, or with a zero
/// byte next to each of its first letters.
fn first_title_in_utf16(file: &[u8]) -> Option<String> {
    let (is_little, text) = match file {
        [0xff, 0xfe, text @ ..] => (true, text),
        [0xfe, 0xff, text @ ..] => (false, text),
        [first, 0, second, 0, ..] if *first != 0 && *second != 0 => (true, file),
        [0, first, 0, second, ..] if *first != 0 && *second != 0 => (false, file),
        _ => return None,
    };
    let units = text.chunks_exact(2).map(|pair| {
        let pair = [pair[0], pair[1]];
        if is_little {
            u16::from_le_bytes(pair)
        } else {
            u16::from_be_bytes(pair)
        }
    });
    let title: String = char::decode_utf16(units)
        .map_while(Result::ok)
        .take_while(|letter| !matches!(letter, ',' | '\r' | '\n'))
        .take(MAX_SHOWN)
        .collect();
    let title = title.trim().trim_matches('"');
    Some(if title.is_empty() {
        "field 1".to_owned()
    } else {
        title.to_owned()
    })
}

/// Maximum number of characters of a field in an error.
const MAX_SHOWN: usize = 40;

fn not_utf8(field: &[u8]) -> String {
    let shown: String = String::from_utf8_lossy(field)
        .chars()
        .take(MAX_SHOWN)
        .collect();
    let bad = std::str::from_utf8(field)
        .err()
        .and_then(|error| field.get(error.valid_up_to()))
        .copied()
        .unwrap_or_default();
    format!(
        "invalid UTF-8 in {shown:?}: byte 0x{bad:02X}; the file may be encoded in Latin-1 or \
         Windows-1252"
    )
}

/// Returns the error for the first field for which `is_bad` is true. The file must have one.
fn first_bad_field(
    file: &[u8],
    is_bad: impl Fn(&[u8]) -> bool,
    problem: impl Fn(&[u8]) -> String,
) -> UnreadableInvoice {
    let mut reader = ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .from_reader(file);
    let mut titles: Option<ByteRecord> = None;
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        let bad = record.iter().enumerate().find(|(_, field)| is_bad(field));
        if let Some((index, field)) = bad {
            let title = titles
                .as_ref()
                .and_then(|titles| titles.get(index))
                .and_then(|title| std::str::from_utf8(title).ok())
                .map(str::trim)
                .filter(|title| !title.is_empty());
            let column = title.map_or_else(|| format!("field {}", index + 1), str::to_owned);
            let line = Place::of(file, record.position()).line();
            return UnreadableInvoice::in_column(line, &column, problem(field), REFETCH);
        }
        titles.get_or_insert_with(|| record.clone());
    }
    UnreadableInvoice::at(1, problem(file))
}
