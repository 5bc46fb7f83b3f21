//! Tests of pages and cursors.

use axum::http::Request;

use super::*;

fn first_page(list: Value) -> Page<u32> {
    page_after(list, None).unwrap()
}

fn page_after(list: Value, cursor: Option<Cursor>) -> Result<Page<u32>, Problem> {
    let limit = "2".parse().unwrap();
    let query = PageQuery {
        limit,
        cursor,
        format: None,
    };
    query.page(list)
}

fn cursor_after_two_rows(page: &Page<u32>) -> Option<Cursor> {
    let shown = page.show(vec![1_u32, 2, 3], |row| *row);
    assert_eq!(shown.data, [1, 2]);
    shown.meta.next_cursor.map(Cursor)
}

#[test]
fn a_cursor_leads_to_the_row_after_the_last_one_shown() {
    let cursor = cursor_after_two_rows(&first_page(json!("numbers")));
    let next = page_after(json!("numbers"), cursor).unwrap();
    assert_eq!(next.after, Some(2));
}

#[test]
fn a_page_that_is_just_full_is_the_last() {
    let shown = first_page(json!("numbers")).show(vec![1_u32, 2], |row| *row);
    assert_eq!(
        (shown.data.len(), shown.meta.next_cursor.as_deref()),
        (2, None)
    );
}

#[test]
fn a_page_of_all_rows_is_ordered_and_has_no_duplicate_keys() {
    let rows = vec![4, 3, 1, 2, 3];
    let first = first_page(json!("numbers")).show_of_all(rows.clone(), |row| *row);
    assert_eq!(first.data, [1, 2]);
    let cursor = first.meta.next_cursor.map(Cursor);
    let last = page_after(json!("numbers"), cursor)
        .unwrap()
        .show_of_all(rows, |row| *row);
    assert_eq!((last.data, last.meta.next_cursor), (vec![3, 4], None));
}

#[test]
fn a_cursor_of_another_filter_is_refused() {
    let cursor = cursor_after_two_rows(&first_page(json!({"kind": "droplet"})));
    let problem = page_after(json!({"kind": "volume"}), cursor).unwrap_err();
    assert!(matches!(problem, Problem::NotFound(_)), "{problem}");
}

#[test]
fn an_invalid_cursor_is_refused() {
    for text in ["x", "bnVsbA", "e30", "eyJhZnRlciI6ICJhIn0"] {
        let refused = page_after(json!(null), text.parse().ok());
        assert!(refused.is_err(), "{text}");
    }
    for text in ["", "!", "a b"] {
        assert!(text.parse::<Cursor>().is_err(), "{text}");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    #[serde(default, deserialize_with = "optional")]
    kind: Option<u8>,
}

fn parts(query: &str) -> Parts {
    let request = Request::get(format!("/?{query}")).body(());
    request.unwrap().into_parts().0
}

async fn read_query<F: DeserializeOwned>(query: &str) -> Result<Paged<F>, String> {
    Paged::from_request_parts(&mut parts(query), &())
        .await
        .map_err(|problem| problem.to_string())
}

#[tokio::test]
async fn a_filter_and_its_page_are_read_from_one_query() {
    for query in ["kind=7&limit=2&cursor=x", "li%6Dit=2&cursor=x&kind=7"] {
        let Paged { filter, pages } = read_query::<Filter>(query).await.unwrap();
        assert_eq!((filter.kind, pages.limit), (Some(7), Limit(2)));
        assert_eq!(pages.cursor.unwrap().0, "x");
    }
    for query in ["kind=", "limit=", "cursor="] {
        let problem = read_query::<Filter>(query).await.err().unwrap();
        assert!(
            problem.starts_with(query.trim_end_matches('=')),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn filter_and_page_have_the_errors_of_one_query() {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its errors are compared")]
    struct All {
        #[serde(default, deserialize_with = "optional")]
        kind: Option<u8>,
        #[serde(default)]
        limit: Limit,
        #[serde(default, deserialize_with = "optional")]
        cursor: Option<Cursor>,
        #[serde(default, deserialize_with = "optional")]
        format: Option<Format>,
    }
    for query in [
        "limits=2",
        "x",
        "kind=droplet",
        "kind=1&kind=2",
        "limit=0",
        "limit=1&limit=2",
    ] {
        let expected = Query::<All>::from_request_parts(&mut parts(query), &()).await;
        let refused = read_query::<Filter>(query).await.err();
        assert_eq!(
            refused,
            expected.err().map(|problem| problem.to_string()),
            "{query}"
        );
    }
}

#[test]
fn a_limit_is_a_number_from_1_to_500() {
    for (text, is_limit) in [
        ("1", true),
        ("500", true),
        ("0", false),
        ("501", false),
        ("-1", false),
        ("1.5", false),
        ("99999999999", false),
        ("ten", false),
    ] {
        assert_eq!(text.parse::<Limit>().is_ok(), is_limit, "{text}");
    }
}
