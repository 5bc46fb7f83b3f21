//! Checks and registers the search attributes of `workflows::search_attributes` in a namespace.

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

/// Time that the server may take until all its parts know newly registered attributes.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A search attribute that the namespace must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute {
    pub name: &'static str,
    indexed_as: IndexedValueType,
}

/// Formats the name and the type as `temporal operator search-attribute create` names it, e.g.
/// `ArcadiaKind (KeywordList)`.
impl fmt::Display for Attribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.name, type_name(self.indexed_as))
    }
}

/// Returns all search attributes of this program.
pub fn all() -> Vec<Attribute> {
    let all = search_attributes::all().into_iter();
    all.map(|(name, indexed_as)| Attribute { name, indexed_as })
        .collect()
}

/// The result of a check of the namespace's search attributes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    pub missing: Vec<Attribute>,
    /// The server's message if this client may not list search attributes; nothing is known then.
    pub denied: Option<String>,
}

impl Findings {
    /// Returns true if the namespace is known to have all search attributes.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.denied.is_none()
    }
}

/// An error of checking or registering search attributes.
#[derive(Debug, thiserror::Error)]
pub enum SearchAttributesError {
    #[error(
        "search attribute {name} of namespace {namespace} has type {actual}, expected {expected}: \
         if nothing else uses it, run `temporal operator search-attribute remove --namespace \
         {namespace} --name {name}`, then `arcadia schedules apply`"
    )]
    WrongType {
        namespace: String,
        name: &'static str,
        actual: String,
        expected: String,
    },
    #[error(
        "Temporal does not allow this client to register search attributes ({status}): have an \
         administrator run `{command}` (in Temporal Cloud `{cloud_command}`), then run `arcadia \
         schedules apply`",
        status = .status.message()
    )]
    Refused {
        status: Box<Status>,
        command: String,
        cloud_command: String,
    },
    #[error(
        "the registered search attributes of namespace {0} are not usable yet: run `arcadia \
         schedules apply` again"
    )]
    NotYetUsable(String),
    #[error("request for search attributes to Temporal failed ({}: {})", .0.code(), .0.message())]
    Rpc(Box<Status>),
}

impl From<Status> for SearchAttributesError {
    fn from(status: Status) -> Self {
        Self::Rpc(Box::new(status))
    }
}

/// Returns the search attributes that the namespace lacks. Fails if one has another type, since the
/// server would reject runs that set it.
pub async fn check(client: &Client) -> Result<Findings, SearchAttributesError> {
    let namespace = client.namespace();
    let request = ListSearchAttributesRequest {
        namespace: namespace.clone(),
    };
    let listed =
        OperatorService::list_search_attributes(&mut client.clone(), request.into_request()).await;
    let registered: HashMap<String, i32> = match listed {
        Ok(listed) => listed.into_inner().custom_attributes,
        Err(status) if is_refusal(&status) => {
            return Ok(Findings {
                denied: Some(status.message().to_owned()),
                ..Findings::default()
            });
        }
        Err(status) => return Err(status.into()),
    };
    let mut findings = Findings::default();
    for attribute in all() {
        match registered.get(attribute.name) {
            None => findings.missing.push(attribute),
            Some(other) if *other != i32::from(attribute.indexed_as) => {
                let actual = IndexedValueType::try_from(*other).unwrap_or_default();
                return Err(SearchAttributesError::WrongType {
                    namespace,
                    name: attribute.name,
                    actual: type_name(actual),
                    expected: type_name(attribute.indexed_as),
                });
            }
            Some(_) => {}
        }
    }
    Ok(findings)
}

/// Registers the missing search attributes and waits until the server accepts them.
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
        // Another client may have registered them at the same time.
        if !check(client).await?.is_complete() {
            return Err(status.into());
        }
    }
    wait_until_usable(client, missing).await
}

/// Returns the `temporal` command with which an administrator registers the attributes.
pub fn command(namespace: &str, missing: &[Attribute]) -> String {
    let flags = missing.iter().map(|attribute| {
        let (name, value_type) = (attribute.name, type_name(attribute.indexed_as));
        format!(" --name {name} --type {value_type}")
    });
    let flags: String = flags.collect();
    format!("temporal operator search-attribute create --namespace {namespace}{flags}")
}

/// Returns the `tcld` command for Temporal Cloud, which does not accept [`command`].
fn cloud_command(namespace: &str, missing: &[Attribute]) -> String {
    let flags = missing.iter().map(|attribute| {
        let (name, value_type) = (attribute.name, type_name(attribute.indexed_as));
        format!(" --search-attribute {name}={value_type}")
    });
    let flags: String = flags.collect();
    format!("tcld namespace search-attributes add --namespace {namespace}{flags}")
}

/// Waits until a query accepts the attributes. The parts of the server receive them at different
/// times, and reject starts with an attribute that they do not have yet.
async fn wait_until_usable(
    client: &Client,
    registered: &[Attribute],
) -> Result<(), SearchAttributesError> {
    let names = registered.iter().map(|attribute| attribute.name);
    let query = names
        .map(|name| format!("{name} IS NULL"))
        .collect::<Vec<_>>()
        .join(" AND ");
    let deadline = Instant::now() + REGISTRATION_TIMEOUT;
    while client
        .count_workflows(&query, WorkflowCountOptions::default())
        .await
        .is_err()
    {
        if Instant::now() > deadline {
            return Err(SearchAttributesError::NotYetUsable(client.namespace()));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok(())
}

/// Returns true if a retry is pointless: the client lacks permission, or the server does not
/// implement the call (Temporal Cloud).
fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented
    )
}

/// Formats `INDEXED_VALUE_TYPE_KEYWORD_LIST` as `KeywordList`.
fn type_name(value_type: IndexedValueType) -> String {
    let name = value_type.as_str_name();
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
    fn the_registration_commands_include_every_name_and_type() {
        let missing = &all()[1..3];
        assert_eq!(
            command("prod", missing),
            "temporal operator search-attribute create --namespace prod --name ArcadiaPurpose \
             --type Keyword --name ArcadiaKind --type KeywordList"
        );
        assert_eq!(
            cloud_command("prod.a1b2c", missing),
            "tcld namespace search-attributes add --namespace prod.a1b2c --search-attribute \
             ArcadiaPurpose=Keyword --search-attribute ArcadiaKind=KeywordList"
        );
    }
}
