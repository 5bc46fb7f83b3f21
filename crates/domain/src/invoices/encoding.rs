//! The encoding of an invoice's CSV: UTF-8, with or without a BOM. Other encodings are refused, since an amount or a name that is
//! guessed may be wrong.

use csv::{ByteRecord, ReaderBuilder};

use super::unreadable::{FETCH_AGAIN, Place, UnreadableInvoice};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Returns the file without BOMs, or the first field that is not UTF-8 text, by line and column.
pub(super) fn utf8_text(file: &[u8]) -> Result<&[u8], UnreadableInvoice> {
    if let Some(title) = first_title_in_utf16(file) {
        let problem = "the file is in UTF-16: expected UTF-8";
        return Err(UnreadableInvoice::in_column(
            1,
            &title,
            problem,
            FETCH_AGAIN,
        ));
    }
    let mut text = file;
    while let Some(rest) = text.strip_prefix(BOM) {
        text = rest;
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(UnreadableInvoice::at(1, "the file is empty"));
    }
    let holds_zero = |field: &[u8]| field.contains(&0);
    if holds_zero(text) {
        let problem =
            |_: &[u8]| "it holds a zero byte, which no text does: expected UTF-8".to_owned();
        return Err(first_bad_field(text, holds_zero, problem));
    }
    if std::str::from_utf8(text).is_err() {
        let is_bad = |field: &[u8]| std::str::from_utf8(field).is_err();
        return Err(first_bad_field(text, is_bad, not_utf8));
    }
    Ok(text)
}

/// The first title of a file that begins with a BOM of UTF-16, or whose first characters have a zero byte beside each letter.
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
        .take(LONGEST_SHOWN)
        .collect();
    let title = title.trim().trim_matches('"');
    Some(if title.is_empty() {
        "field 1".to_owned()
    } else {
        title.to_owned()
    })
}

/// Characters of a field that errors show.
const LONGEST_SHOWN: usize = 40;

fn not_utf8(field: &[u8]) -> String {
    let shown: String = String::from_utf8_lossy(field)
        .chars()
        .take(LONGEST_SHOWN)
        .collect();
    let bad = std::str::from_utf8(field)
        .err()
        .and_then(|error| field.get(error.valid_up_to()))
        .copied()
        .unwrap_or_default();
    format!(
        "{shown:?} is not UTF-8 text: byte 0x{bad:02X} (the file may be in Latin-1 or Windows-1252)"
    )
}

/// Where the first field is of which `is_bad` is true. The file holds such a field.
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
            return UnreadableInvoice::in_column(line, &column, problem(field), FETCH_AGAIN);
        }
        titles.get_or_insert_with(|| record.clone());
    }
    UnreadableInvoice::at(1, problem(file))
}
