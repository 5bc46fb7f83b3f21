//! DigitalOcean's API specification, in the directory `digitalocean` of `ARCADIA_SHARED_DIR` or of
//! `../shared` next to this repository.

use std::{env, fs, path::PathBuf};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

pub(crate) struct Specification(Value);

impl Specification {
    pub(crate) fn read() -> Self {
        let shared = env::var_os("ARCADIA_SHARED_DIR").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
            PathBuf::from,
        );
        let text = fs::read_to_string(shared.join("digitalocean/openapi-subset.json")).unwrap();
        let mut document: Value = serde_json::from_str(&text).unwrap();
        as_json_schema(&mut document);
        // The projects API returns kinds of resources that the pattern lacks, such as `app`.
        document["components"]["schemas"]["urn"]["pattern"] = json!("^do:[a-z_]+:.*");
        let region = document["components"]["schemas"]["region_slug"].as_object_mut();
        region
            .unwrap()
            .remove("enum")
            .expect("the enum of regions, which lacks atl1");
        Self(document)
    }

    /// Returns the schema of a path's response with this status.
    pub(crate) fn validator(&self, method: &str, template: &str, status: u16) -> Validator {
        let responses = &self.0["paths"][template][method]["responses"];
        let answer = responses
            .get(status.to_string())
            .or(responses.get("default"));
        let answer = answer.unwrap_or_else(|| panic!("{method} {template} has no {status}"));
        let schema = &self.resolve(answer)["content"]["application/json"]["schema"];
        assert!(
            schema.is_object(),
            "{method} {template} {status} has no schema"
        );
        let root = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "components": self.0["components"],
            "allOf": [schema],
        });
        jsonschema::options()
            .should_validate_formats(true)
            .build(&root)
            .unwrap()
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    #[track_caller]
    pub(crate) fn check(&self, method: &str, template: &str, status: u16, body: &Value) {
        let validator = self.validator(method, template, status);
        let errors: Vec<String> = validator
            .iter_errors(body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            errors.is_empty(),
            "{method} {template} {status}: {errors:#?}"
        );
    }
}

/// Converts the `nullable` of `OpenAPI` 3.0 to JSON Schema, which lists `null` among the types.
fn as_json_schema(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(as_json_schema),
        Value::Object(object) => {
            if object.remove("nullable") == Some(Value::Bool(true)) {
                allow_null(object);
            }
            object.values_mut().for_each(as_json_schema);
        }
        _ => {}
    }
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(kind) = schema.get("type").filter(|kind| kind.is_string()).cloned() {
        schema.insert("type".to_owned(), json!([kind, "null"]));
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}
