//! Random rows, and CSV files with these rows in many forms.

use chrono::{DateTime, Utc};
use csv::{QuoteStyle, Terminator, WriterBuilder};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::BOM;

/// The content of a line of a file.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) product: String,
    pub(crate) group_description: String,
    pub(crate) description: String,
    pub(crate) hundredths_of_hours: Option<i64>,
    pub(crate) start: Option<DateTime<Utc>>,
    pub(crate) end: Option<DateTime<Utc>>,
    pub(crate) cents: i64,
    pub(crate) amount_form: AmountForm,
    pub(crate) project_name: String,
    pub(crate) category: Option<&'static str>,
    pub(crate) extra: String,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum AmountForm {
    /// `-$1,779.55`
    Observed,
    /// `-$1779.55`
    Ungrouped,
    /// `$-1,779.55`
    MinusInside,
    /// `($1,779.55)`
    InBrackets,
    /// `-1779.55`
    Bare,
}

/// The form of a file.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent choices")]
pub(crate) struct Form {
    pub(crate) columns: Vec<&'static str>,
    pub(crate) is_upper_case: bool,
    pub(crate) has_bom: bool,
    pub(crate) has_crlf: bool,
    pub(crate) quotes_all: bool,
    pub(crate) ends_with_a_line_break: bool,
    pub(crate) has_rfc_3339_times: bool,
}

const REQUIRED: [&str; 3] = ["product", "description", "USD"];
const OPTIONAL: [&str; 8] = [
    "group_description",
    "hours",
    "start",
    "end",
    "project_name",
    "category",
    "tags",
    "new, \"and\" unknown",
];

/// Text without white space at the ends, which the reader trims.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9 ,\"'()$.;\n\r\t-]{0,24}",
        "\\PC{0,12}",
        Just(String::new()),
        Just("web-1 (s-1vcpu-1gb)".to_owned()),
    ]
    .prop_map(|text| text.trim().to_owned())
}

fn time() -> impl Strategy<Value = Option<DateTime<Utc>>> {
    option::of(
        (0_i64..4_000_000_000).prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap()),
    )
}

fn amount_form() -> impl Strategy<Value = AmountForm> {
    select(vec![
        AmountForm::Observed,
        AmountForm::Ungrouped,
        AmountForm::MinusInside,
        AmountForm::InBrackets,
        AmountForm::Bare,
    ])
}

pub(crate) fn row() -> impl Strategy<Value = Row> {
    let product = prop_oneof![
        select(vec!["Droplets", "Taxes", "Volumes"]).prop_map(str::to_owned),
        text()
    ];
    let cents = prop_oneof![-1_000_i64..1_000, -10_000_000_000_i64..10_000_000_000_000];
    let texts = (product, text(), text(), text(), text());
    let values = (
        option::of(0_i64..10_000_000),
        time(),
        time(),
        cents,
        amount_form(),
    );
    (texts, values, option::of(select(vec!["iaas", "paas"]))).prop_map(
        |(texts, values, category)| {
            let (product, group_description, description, project_name, extra) = texts;
            let (hundredths_of_hours, start, end, cents, amount_form) = values;
            Row {
                product,
                group_description,
                description,
                hundredths_of_hours,
                start,
                end,
                cents,
                amount_form,
                project_name,
                category,
                extra,
            }
        },
    )
}

pub(crate) fn form() -> impl Strategy<Value = Form> {
    let columns = proptest::sample::subsequence(OPTIONAL.to_vec(), 0..=OPTIONAL.len())
        .prop_map(|optional| [REQUIRED.to_vec(), optional].concat())
        .prop_shuffle();
    (columns, any::<[bool; 6]>()).prop_map(|(columns, choices)| Form {
        columns,
        is_upper_case: choices[0],
        has_bom: choices[1],
        has_crlf: choices[2],
        quotes_all: choices[3],
        ends_with_a_line_break: choices[4],
        has_rfc_3339_times: choices[5],
    })
}

fn amount_text(cents: i64, form: AmountForm) -> String {
    let magnitude = cents.unsigned_abs();
    let whole = (magnitude / 100).to_string();
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let part = format!("{:02}", magnitude % 100);
    let (minus, opened, closed) = if cents < 0 {
        ("-", "(", ")")
    } else {
        ("", "", "")
    };
    match form {
        AmountForm::Observed => format!("{minus}${grouped}.{part}"),
        AmountForm::Ungrouped => format!("{minus}${whole}.{part}"),
        AmountForm::MinusInside => format!("${minus}{grouped}.{part}"),
        AmountForm::InBrackets => format!("{opened}${grouped}.{part}{closed}"),
        AmountForm::Bare => format!("{minus}{whole}.{part}"),
    }
}

fn field(row: &Row, column: &str, form: &Form) -> String {
    let written = |time: Option<DateTime<Utc>>| {
        let pattern = if form.has_rfc_3339_times {
            "%Y-%m-%dT%H:%M:%SZ"
        } else {
            "%Y-%m-%d %H:%M:%S +0000"
        };
        time.map_or(String::new(), |time| time.format(pattern).to_string())
    };
    match column {
        "product" => row.product.clone(),
        "group_description" => row.group_description.clone(),
        "description" => row.description.clone(),
        "hours" => row.hundredths_of_hours.map_or(String::new(), |hours| {
            format!("{}.{:02}", hours / 100, hours % 100)
        }),
        "start" => written(row.start),
        "end" => written(row.end),
        "USD" => amount_text(row.cents, row.amount_form),
        "project_name" => row.project_name.clone(),
        "category" => row.category.unwrap_or_default().to_owned(),
        _ => row.extra.clone(),
    }
}

pub(crate) fn write(rows: &[Row], form: &Form) -> Vec<u8> {
    let mut writer = WriterBuilder::new()
        .terminator(if form.has_crlf {
            Terminator::CRLF
        } else {
            Terminator::Any(b'\n')
        })
        .quote_style(if form.quotes_all {
            QuoteStyle::Always
        } else {
            QuoteStyle::Necessary
        })
        .from_writer(if form.has_bom {
            BOM.to_vec()
        } else {
            Vec::new()
        });
    let title = |column: &&str| {
        if form.is_upper_case {
            column.to_uppercase()
        } else {
            (*column).to_owned()
        }
    };
    writer.write_record(form.columns.iter().map(title)).unwrap();
    for row in rows {
        writer
            .write_record(form.columns.iter().map(|column| field(row, column, form)))
            .unwrap();
    }
    let mut file = writer.into_inner().unwrap();
    if !form.ends_with_a_line_break {
        file.truncate(file.trim_ascii_end().len());
    }
    file
}
