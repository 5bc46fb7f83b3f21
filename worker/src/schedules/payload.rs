//! Encodes payloads in the format of Temporal's JSON converter.

use temporalio_common::protos::temporal::api::common::v1::Payload;

pub(super) fn text_payload(text: &str) -> Payload {
    json_payload(&serde_json::Value::from(text).to_string())
}

pub(super) fn json_payload(json: &str) -> Payload {
    Payload {
        metadata: [("encoding".to_owned(), b"json/plain".to_vec())].into(),
        data: json.as_bytes().to_vec(),
        ..Default::default()
    }
}
