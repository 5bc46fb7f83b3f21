//! Selects the servers that a command uses: by `--state-dir`, by variables, or the defaults.
//!
//! A running `arcadia dev` describes itself in `instance.json` in its state directory.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use devstack::StateDir;
use serde::{Deserialize, Serialize};
use store::{Store, StoreError};
use temporalio_client::Client;
use worker::temporal::{self, Source};

use crate::configuration::{variable, write_private};

/// Exists in a state directory while its `arcadia dev` serves.
const FILE: &str = "instance.json";
const STATE_DIR: &str = "ARCADIA_STATE_DIR";

/// The choice of the servers that a command uses.
#[derive(clap::Args)]
pub(crate) struct InstanceArguments {
    /// Use the servers of the `arcadia dev` that runs in this state directory, instead of
    /// `DATABASE_URL` and `TEMPORAL_ADDRESS`.
    ///
    /// `ARCADIA_STATE_DIR` has the same effect for a server that no variable names.
    #[arg(long, global = true, value_name = "DIRECTORY")]
    state_dir: Option<PathBuf>,
}

/// The addresses and the admin token of a running `arcadia dev`, for users, scripts and other
/// commands. Scripts depend on the field names.
#[derive(Serialize, Deserialize)]
pub(crate) struct Instance {
    pub(crate) api_url: String,
    pub(crate) temporal_address: String,
    pub(crate) temporal_namespace: String,
    /// True if `dev` started the Temporal server, which then needs neither TLS nor credentials.
    pub(crate) temporal_is_own: bool,
    /// None if `dev` did not start the Temporal server and its UI is not configured.
    pub(crate) temporal_ui_url: Option<String>,
    /// True if it reads a simulated account, so there is no token to check.
    pub(crate) is_simulated: bool,
    pub(crate) database_url: String,
    pub(crate) admin_token: String,
    /// The URL of the API's metrics, which need no token.
    pub(crate) api_metrics_url: String,
    /// The URL of the worker's metrics, if served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metrics_url: Option<String>,
}

impl Instance {
    /// Reads the description of the `arcadia dev` that runs in `directory`.
    pub(crate) fn read(directory: &Path) -> anyhow::Result<Self> {
        if !StateDir::is_held(directory) {
            bail!(
                "no `arcadia dev` runs in the state directory {path}: start one with `arcadia dev \
                 --state-dir {path}`",
                path = quoted(&directory.to_string_lossy())
            );
        }
        let file = directory.join(FILE);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(
                "the `arcadia dev` in the state directory {} is starting or stopping: try again after \
                 it has printed its addresses",
                directory.display()
            ),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", file.display()));
            }
        };
        serde_json::from_str(&text).with_context(|| {
            format!(
                "{} was written by another version of arcadia: restart its `arcadia dev`",
                file.display()
            )
        })
    }

    /// Writes the description for other commands, readable by its owner only: it contains the admin
    /// token and the database password.
    pub(crate) fn write(&self, state: &StateDir) -> anyhow::Result<()> {
        let file = state.path().join(FILE);
        write_private(&file, &serde_json::to_string_pretty(self)?)
            .with_context(|| format!("cannot write {}", file.display()))
    }

    /// Removes the description that this or an earlier `dev` wrote.
    pub(crate) fn remove(state: &StateDir) {
        // Best effort: commands ignore the file unless a process holds the directory.
        drop(fs::remove_file(state.path().join(FILE)));
    }

    /// Formats the variables of this instance as lines that a POSIX shell evaluates.
    pub(crate) fn exports(&self, directory: &Path) -> String {
        let mut variables = vec![
            ("DATABASE_URL", self.database_url.clone()),
            ("TEMPORAL_ADDRESS", self.temporal_address.clone()),
            ("TEMPORAL_NAMESPACE", self.temporal_namespace.clone()),
            ("API", self.api_url.clone()),
            ("ADMIN_TOKEN", self.admin_token.clone()),
        ];
        if let Some(url) = &self.temporal_ui_url {
            variables.push(("ARCADIA_TEMPORAL_UI_URL", url.clone()));
        }
        let is_default = StateDir::default_path()
            .map(|path| path.canonicalize().unwrap_or(path))
            .is_ok_and(|path| path == directory);
        if !is_default || variable(STATE_DIR).is_some() {
            variables.push((STATE_DIR, directory.to_string_lossy().into_owned()));
        }
        let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let unset = names
            .filter(|name| self.temporal_is_own && is_for_another_temporal(name))
            .map(|name| format!("unset {name}\n"));
        let export = |(name, value): (&str, String)| format!("export {name}={}\n", quoted(&value));
        let exports = variables.into_iter().map(export);
        unset.chain(exports).collect::<Vec<_>>().concat()
    }
}

/// Returns true if this variable would make clients use TLS or credentials, which `dev`'s own
/// server rejects.
fn is_for_another_temporal(name: &str) -> bool {
    name.starts_with("TEMPORAL_TLS") || ["TEMPORAL_API_KEY", "TEMPORAL_PROFILE"].contains(&name)
}

/// Quotes a text as one word of a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "_-./:@%+=,".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A connected database.
pub(crate) struct Database {
    pub(crate) store: Store,
    /// The server, the database and the setting that selects them, without user and password.
    pub(crate) description: String,
}

/// A connected Temporal server.
pub(crate) struct Temporal {
    pub(crate) client: Client,
    /// The server, the namespace and the setting that selects them.
    pub(crate) description: String,
}

impl InstanceArguments {
    /// Connects to the database, without a check of its schema.
    pub(crate) async fn database(&self, connections: u32) -> anyhow::Result<Database> {
        if let Some(directory) = &self.state_dir {
            return instance_database(directory, "--state-dir", connections).await;
        }
        if let Some(url) = variable("DATABASE_URL") {
            let store = Store::connect(&url, connections).await?;
            let description = format!("{} (DATABASE_URL)", store.target());
            return Ok(Database { store, description });
        }
        if let Some(directory) = variable(STATE_DIR) {
            return instance_database(Path::new(&directory), STATE_DIR, connections).await;
        }
        bail!(
            "no database configured: set DATABASE_URL, e.g. postgres://user:password@host:5432/database, \
             or select a running `arcadia dev` with --state-dir"
        )
    }

    /// Returns the running `arcadia dev` that owns this command's database, if there is one.
    pub(crate) fn running(&self) -> Option<Instance> {
        if let Some(directory) = &self.state_dir {
            return Instance::read(directory).ok();
        }
        let named = variable(STATE_DIR).map(PathBuf::from);
        let url = variable("DATABASE_URL");
        if url.is_none() {
            return Instance::read(&named?).ok();
        }
        let directories = [named, StateDir::default_path().ok()];
        let mut instances = directories
            .iter()
            .flatten()
            .filter_map(|directory| Instance::read(directory).ok());
        instances.find(|instance| Some(&instance.database_url) == url.as_ref())
    }

    /// Connects to Temporal.
    pub(crate) async fn temporal(&self) -> anyhow::Result<Temporal> {
        if let Some(directory) = &self.state_dir {
            return instance_temporal(directory, "--state-dir").await;
        }
        let configured = temporal::configured()?;
        let source = match configured.source {
            Source::Variable => "TEMPORAL_ADDRESS",
            Source::Profile => "profile of Temporal's configuration file",
            Source::Default => {
                if let Some(directory) = variable(STATE_DIR) {
                    return instance_temporal(Path::new(&directory), STATE_DIR).await;
                }
                "default: TEMPORAL_ADDRESS is not set"
            }
        };
        let (address, namespace) = (&configured.address, &configured.namespace);
        Ok(Temporal {
            client: temporal::connect().await?,
            description: format!("{address}, namespace {namespace} ({source})"),
        })
    }
}

async fn instance_database(
    directory: &Path,
    source: &str,
    connections: u32,
) -> anyhow::Result<Database> {
    let instance = Instance::read(directory)?;
    let store = Store::connect(&instance.database_url, connections).await;
    let store = store.map_err(|error| match error {
        StoreError::Unreachable { target, problem } => anyhow::anyhow!(
            "the database of the `arcadia dev` in {} cannot be reached at {target} ({problem}): see {}",
            directory.display(),
            directory.join("log").display()
        ),
        error => error.into(),
    })?;
    let description = format!("{} ({source} {})", store.target(), directory.display());
    Ok(Database { store, description })
}

async fn instance_temporal(directory: &Path, source: &str) -> anyhow::Result<Temporal> {
    let instance = Instance::read(directory)?;
    let (address, namespace) = (&instance.temporal_address, &instance.temporal_namespace);
    let client = if instance.temporal_is_own {
        temporal::connect_to(address).await
    } else {
        temporal::connect_at(address, namespace).await
    };
    let client = client.with_context(|| {
        format!(
            "cannot connect to the Temporal server of the `arcadia dev` in {}",
            directory.display()
        )
    })?;
    let directory = directory.display();
    Ok(Temporal {
        client,
        description: format!("{address}, namespace {namespace} ({source} {directory})"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quoted_value_is_one_word_of_a_shell() {
        for text in ["/var/lib/a", "", "it's", "a b", "$HOME", "~", "a\nb", "\\"] {
            let word = quoted(text);
            let printed = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {word}")])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(printed.stdout).unwrap(), text, "{word}");
        }
    }
}
