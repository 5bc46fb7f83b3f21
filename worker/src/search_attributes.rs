//! The search attributes of `workflows::search_attributes`: which of them the namespace has, and how it gets them.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use temporalio_client::grpc::OperatorService;
use temporalio_client::tonic::{Code, IntoRequest as _, Status};
use temporalio_client::{Client, NamespacedClient as _, WorkflowCountOptions};
use temporalio_common::protos::temporal::api::enums::v1::IndexedValueType;
use temporalio_common::protos::temporal::api::operatorservice::v1::{
    AddSearchAttributesRequest, ListSearchAttributesRequest,
};
use workflows::search_attributes;

/// How long the server may take to use what it was given.
const UNTIL_KNOWN: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One that the namespace should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    pub name: &'static str,
    indexed_as: IndexedValueType,
}

/// As `temporal operator search-attribute create` takes it: `ArcadiaKind (KeywordList)`.
impl fmt::Display for Attribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.name, type_name(self.indexed_as))
    }
}

/// All of them.
pub fn all() -> Vec<Attribute> {
    let all = search_attributes::all().into_iter();
    all.map(|(name, indexed_as)| Attribute { name, indexed_as })
        .collect()
}

/// What the namespace lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    pub missing: Vec<Attribute>,
    /// Why nothing is known: the server does not tell this client. None if it did.
    pub not_told: Option<String>,
}

impl Findings {
    /// Whether the namespace is known to have them all.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.not_told.is_none()
    }
}

/// Why the namespace has not got what it should have.
#[derive(Debug, thiserror::Error)]
pub enum SearchAttributesError {
    #[error(
        "the search attribute {name} of namespace {namespace} is a {has} and must be a {wanted}: if nothing else uses it, `temporal \
         operator search-attribute remove --namespace {namespace} --name {name}`, then `arcadia schedules apply`"
    )]
    OtherType {
        namespace: String,
        name: &'static str,
        has: String,
        wanted: String,
    },
    #[error(
        "Temporal does not let this client register search attributes ({status}): let somebody who may do `{command}` (in Temporal \
         Cloud `{cloud_command}`), then `arcadia schedules apply`",
        status = .status.message()
    )]
    Refused {
        status: Box<Status>,
        command: String,
        cloud_command: String,
    },
    #[error(
        "Temporal took the search attributes of namespace {0} and does not know them yet: run `arcadia schedules apply` again"
    )]
    NotYetKnown(String),
    #[error("Temporal could not be asked about search attributes ({}: {})", .0.code(), .0.message())]
    Rpc(Box<Status>),
}

impl From<Status> for SearchAttributesError {
    fn from(status: Status) -> Self {
        Self::Rpc(Box::new(status))
    }
}

/// What the namespace lacks. One that it has with another type is an error: runs with it would be refused.
pub async fn look(client: &Client) -> Result<Findings, SearchAttributesError> {
    let namespace = client.namespace();
    let request = ListSearchAttributesRequest {
        namespace: namespace.clone(),
    };
    let listed =
        OperatorService::list_search_attributes(&mut client.clone(), request.into_request()).await;
    let has: HashMap<String, i32> = match listed {
        Ok(listed) => listed.into_inner().custom_attributes,
        Err(status) if is_refusal(&status) => {
            return Ok(Findings {
                not_told: Some(status.message().to_owned()),
                ..Findings::default()
            });
        }
        Err(status) => return Err(status.into()),
    };
    let mut findings = Findings::default();
    for attribute in all() {
        match has.get(attribute.name) {
            None => findings.missing.push(attribute),
            Some(other) if *other != i32::from(attribute.indexed_as) => {
                let has = IndexedValueType::try_from(*other).unwrap_or_default();
                return Err(SearchAttributesError::OtherType {
                    namespace,
                    name: attribute.name,
                    has: type_name(has),
                    wanted: type_name(attribute.indexed_as),
                });
            }
            Some(_) => {}
        }
    }
    Ok(findings)
}

/// Gives the namespace what it lacks, and waits until the server uses it.
pub async fn register(client: &Client, missing: &[Attribute]) -> Result<(), SearchAttributesError> {
    if missing.is_empty() {
        return Ok(());
    }
    let request = AddSearchAttributesRequest {
        namespace: client.namespace(),
        search_attributes: missing
            .iter()
            .map(|attribute| (attribute.name.to_owned(), attribute.indexed_as.into()))
            .collect(),
    };
    let added =
        OperatorService::add_search_attributes(&mut client.clone(), request.into_request()).await;
    if let Err(status) = added {
        if is_refusal(&status) {
            return Err(SearchAttributesError::Refused {
                status: Box::new(status),
                command: command(&client.namespace(), missing),
                cloud_command: cloud_command(&client.namespace(), missing),
            });
        }
        // Somebody else who registers them at the same time.
        if !look(client).await?.is_complete() {
            return Err(status.into());
        }
    }
    until_known(client, missing).await
}

/// What somebody types who may register them.
pub fn command(namespace: &str, missing: &[Attribute]) -> String {
    let flags = missing.iter().map(|attribute| {
        let (name, of_type) = (attribute.name, type_name(attribute.indexed_as));
        format!(" --name {name} --type {of_type}")
    });
    let flags: String = flags.collect();
    format!("temporal operator search-attribute create --namespace {namespace}{flags}")
}

/// The same in Temporal Cloud, whose namespaces are not changed that way.
fn cloud_command(namespace: &str, missing: &[Attribute]) -> String {
    let flags = missing.iter().map(|attribute| {
        let (name, of_type) = (attribute.name, type_name(attribute.indexed_as));
        format!(" --search-attribute {name}={of_type}")
    });
    let flags: String = flags.collect();
    format!("tcld namespace search-attributes add --namespace {namespace}{flags}")
}

/// Every part of the server learns of them in its own time, and refuses a start with one that it does not know.
async fn until_known(
    client: &Client,
    registered: &[Attribute],
) -> Result<(), SearchAttributesError> {
    let asked = registered.iter().map(|attribute| attribute.name);
    let query = asked
        .map(|name| format!("{name} IS NULL"))
        .collect::<Vec<_>>()
        .join(" AND ");
    let deadline = Instant::now() + UNTIL_KNOWN;
    while client
        .count_workflows(&query, WorkflowCountOptions::default())
        .await
        .is_err()
    {
        if Instant::now() > deadline {
            return Err(SearchAttributesError::NotYetKnown(client.namespace()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Whether the server refuses this for good: no permission, or, as Temporal Cloud does, no such call.
fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented
    )
}

/// `INDEXED_VALUE_TYPE_KEYWORD_LIST` as `KeywordList`.
fn type_name(of: IndexedValueType) -> String {
    let name = of.as_str_name();
    let words = name.strip_prefix("INDEXED_VALUE_TYPE_").unwrap_or(name);
    words
        .split('_')
        .flat_map(|word| {
            let (first, rest) = word.split_at(1.min(word.len()));
            [first.to_owned(), rest.to_lowercase()]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_by_hand_names_each_with_its_type() {
        let missing = &all()[1..3];
        assert_eq!(
            command("prod", missing),
            "temporal operator search-attribute create --namespace prod --name ArcadiaPurpose --type Keyword --name ArcadiaKind --type \
             KeywordList"
        );
        assert_eq!(
            cloud_command("prod.a1b2c", missing),
            "tcld namespace search-attributes add --namespace prod.a1b2c --search-attribute ArcadiaPurpose=Keyword --search-attribute \
             ArcadiaKind=KeywordList"
        );
    }
}
