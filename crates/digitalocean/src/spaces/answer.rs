//! What S3 writes, in XML.

use chrono::{DateTime, Utc};
use quick_xml::de;
use serde::Deserialize;

use super::Bucket;
use crate::answer_text::is_html;

/// A page of `ListBuckets`.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(rename = "Buckets")]
    buckets: Buckets,
    /// For the next page, if there is one.
    #[serde(rename = "ContinuationToken", default)]
    pub(super) continuation: Option<String>,
}

#[derive(Deserialize)]
struct Buckets {
    #[serde(rename = "Bucket", default)]
    buckets: Vec<ListedBucket>,
}

#[derive(Deserialize)]
struct ListedBucket {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "CreationDate", default)]
    created_at: Option<DateTime<Utc>>,
}

impl Page {
    /// Fails with what it is instead, without repeating it.
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        let text = str::from_utf8(body).map_err(|_| "bytes that are no text")?;
        let mut page: Self = de::from_str(text).map_err(|_| match text.trim_ascii() {
            "" => "an empty body",
            text if !text.starts_with("<?xml") && is_html(text.as_bytes()) => "an HTML page",
            _ => "a body that is no list of buckets",
        })?;
        page.continuation = page.continuation.filter(|token| !token.is_empty());
        if page
            .buckets
            .buckets
            .iter()
            .any(|bucket| bucket.name.is_empty())
        {
            return Err("a bucket without a name");
        }
        Ok(page)
    }

    pub(super) fn buckets(&self, region: &str) -> impl Iterator<Item = Bucket> {
        self.buckets.buckets.iter().map(move |bucket| Bucket {
            name: bucket.name.clone(),
            region: Some(region.to_owned()),
            created_at: bucket.created_at,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Refusal {
    code: Option<String>,
    request_id: Option<String>,
}

/// The code of an error and the id of the request, if they are what S3's look like: what a server repeats of the request must not
/// get into a log this way.
pub(super) fn read_refusal(body: &[u8]) -> (Option<String>, Option<String>) {
    let refusal: Refusal = str::from_utf8(body)
        .ok()
        .and_then(|text| de::from_str(text).ok())
        .unwrap_or_default();
    let code = refusal.code.filter(|code| {
        (1..=40).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphabetic())
    });
    // Ceph's, on which Spaces runs: `tx00000c2e8d3e1f5a9b7d1-0065a1b2c3-1f2e3d4c-nyc3d`.
    let request_id = refusal.request_id.filter(|id| {
        (1..=100).contains(&id.len())
            && id.starts_with("tx")
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    (code, request_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_the_documentation_shows_it() {
        // docs.digitalocean.com/reference/api/spaces, "List All Buckets"
        let page = Page::read(
            br#"<?xml version="1.0" encoding="UTF-8"?>
            <ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
              <Owner><ID>6174283</ID><DisplayName>6174283</DisplayName></Owner>
              <Buckets>
                <Bucket><Name>static-images</Name><CreationDate>2017-06-23T18:37:48.157Z</CreationDate></Bucket>
                <Bucket><Name>log-files</Name><CreationDate>2017-06-23T18:37:48Z</CreationDate></Bucket>
              </Buckets>
            </ListAllMyBucketsResult>"#,
        )
        .map_err(str::to_owned)
        .unwrap();
        let names: Vec<_> = page.buckets("nyc3").map(|bucket| bucket.name).collect();
        assert_eq!(names, ["static-images", "log-files"]);
        let first = page.buckets("nyc3").next().unwrap();
        assert_eq!(first.region.as_deref(), Some("nyc3"));
        assert_eq!(
            first.created_at.unwrap().to_rfc3339(),
            "2017-06-23T18:37:48.157+00:00"
        );
        assert_eq!(page.continuation, None);
    }

    #[test]
    fn an_empty_list_is_a_list_and_anything_else_is_not() {
        for none in [
            "<Buckets/><ContinuationToken/>",
            "<Buckets></Buckets>",
            "<Owner><ID>7</ID></Owner><Buckets>\n  </Buckets>",
        ] {
            let none = format!("<ListAllMyBucketsResult>{none}</ListAllMyBucketsResult>");
            let page = Page::read(none.as_bytes()).map_err(str::to_owned).unwrap();
            assert!(page.buckets.buckets.is_empty() && page.continuation.is_none());
        }
        for (body, problem) in [
            ("", "an empty body"),
            (
                "<!DOCTYPE html><html><body>hello</body></html>",
                "an HTML page",
            ),
            (
                "<ListAllMyBucketsResult/>",
                "a body that is no list of buckets",
            ),
            (
                "<Error><Code>AccessDenied</Code></Error>",
                "a body that is no list of buckets",
            ),
            (
                "<ListAllMyBucketsResult><Buckets><Bucket><Name>a</Name>",
                "a body that is no list of buckets",
            ),
            (
                "<ListAllMyBucketsResult><Buckets><Bucket><Name/></Bucket></Buckets></ListAllMyBucketsResult>",
                "a bucket without a name",
            ),
            ("{}", "a body that is no list of buckets"),
        ] {
            assert_eq!(Page::read(body.as_bytes()).err(), Some(problem), "{body}");
        }
    }

    #[test]
    fn of_a_refusal_only_what_repeats_nothing_is_kept() {
        let signature = "f0".repeat(32);
        let body = format!(
            "<Error><Code>SignatureDoesNotMatch</Code><Message>{signature}</Message><StringToSign>{signature}</StringToSign>\
             <RequestId>tx0000ab-cd-nyc3d</RequestId><HostId>h</HostId></Error>"
        );
        assert_eq!(
            read_refusal(body.as_bytes()),
            (
                Some("SignatureDoesNotMatch".to_owned()),
                Some("tx0000ab-cd-nyc3d".to_owned())
            )
        );
        let body =
            format!("<Error><Code>{signature}</Code><RequestId>{signature}</RequestId></Error>");
        assert_eq!(read_refusal(body.as_bytes()), (None, None));
        assert_eq!(read_refusal(b"<html>"), (None, None));
    }
}
