//! Decodes the XML responses of S3: pages of buckets, and errors.

use chrono::{DateTime, Utc};
use quick_xml::de;
use serde::Deserialize;

use super::Bucket;
use crate::response_text::is_html;

/// A page of `ListBuckets`.
#[derive(Deserialize)]
pub(super) struct Page {
    #[serde(rename = "Buckets")]
    buckets: Buckets,
    /// The token of the next page, if there is one.
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
    /// Decodes a page. The error describes another body without repeating it.
    pub(super) fn read(body: &[u8]) -> Result<Self, &'static str> {
        let text = str::from_utf8(body).map_err(|_| "a body that is not UTF-8 text")?;
        let mut page: Self = de::from_str(text).map_err(|_| match text.trim_ascii() {
            "" => "an empty body",
            text if !text.starts_with("<?xml") && is_html(text.as_bytes()) => "an HTML page",
            _ => "a body that is not a list of buckets",
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
struct ErrorBody {
    code: Option<String>,
    request_id: Option<String>,
}

/// Returns the code of an error and the id of the request, if they have the form of S3's. Anything
/// else is dropped, because a server may repeat the signed request, and errors are logged.
pub(super) fn read_error(body: &[u8]) -> (Option<String>, Option<String>) {
    let error: ErrorBody = str::from_utf8(body)
        .ok()
        .and_then(|text| de::from_str(text).ok())
        .unwrap_or_default();
    let code = error.code.filter(|code| {
        (1..=40).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphabetic())
    });
    // The form of Ceph, with which Spaces is implemented:
    // `tx00000c2e8d3e1f5a9b7d1-0065a1b2c3-1f2e3d4c-nyc3d`.
    let request_id = error.request_id.filter(|id| {
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
    fn the_documented_example_of_a_page_is_decoded() {
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
    fn an_empty_list_is_valid_and_any_other_body_is_not() {
        for empty in [
            "<Buckets/><ContinuationToken/>",
            "<Buckets></Buckets>",
            "<Owner><ID>7</ID></Owner><Buckets>\n  </Buckets>",
        ] {
            let body = format!("<ListAllMyBucketsResult>{empty}</ListAllMyBucketsResult>");
            let page = Page::read(body.as_bytes()).map_err(str::to_owned).unwrap();
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
                "a body that is not a list of buckets",
            ),
            (
                "<Error><Code>AccessDenied</Code></Error>",
                "a body that is not a list of buckets",
            ),
            (
                "<ListAllMyBucketsResult><Buckets><Bucket><Name>a</Name>",
                "a body that is not a list of buckets",
            ),
            (
                "<ListAllMyBucketsResult><Buckets><Bucket><Name/></Bucket></Buckets></ListAllMyBucketsResult>",
                "a bucket without a name",
            ),
            ("{}", "a body that is not a list of buckets"),
        ] {
            assert_eq!(Page::read(body.as_bytes()).err(), Some(problem), "{body}");
        }
    }

    #[test]
    fn an_error_keeps_only_well_formed_codes_and_ids() {
        let signature = "f0".repeat(32);
        let body = format!(
            "<Error><Code>SignatureDoesNotMatch</Code><Message>{signature}</Message><StringToSign>{signature}</StringToSign>\
             <RequestId>tx0000ab-cd-nyc3d</RequestId><HostId>h</HostId></Error>"
        );
        assert_eq!(
            read_error(body.as_bytes()),
            (
                Some("SignatureDoesNotMatch".to_owned()),
                Some("tx0000ab-cd-nyc3d".to_owned())
            )
        );
        let body =
            format!("<Error><Code>{signature}</Code><RequestId>{signature}</RequestId></Error>");
        assert_eq!(read_error(body.as_bytes()), (None, None));
        assert_eq!(read_error(b"<html>"), (None, None));
    }
}
