//! The author of an act.

use std::net::IpAddr;

use uuid::Uuid;

use crate::Run;

/// The request of a person to the API or to a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestOrigin {
    /// The value of `x-request-id`, by which the log is searched.
    pub request_id: Option<String>,
    /// The address of the caller, if it is known.
    pub address: Option<IpAddr>,
}

/// The way in which an act arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// A request with a token.
    Api,
    /// A request with a session.
    Page,
    /// A command of this program.
    Command,
    /// An update of a workflow.
    Temporal,
}

impl Channel {
    /// Returns the name in the database and in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Page => "page",
            Self::Command => "command",
            Self::Temporal => "temporal",
        }
    }
}

/// The author of one act: a person, the way in which the act arrived, and the reason. Every change
/// of data by a person takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    name: String,
    source: Source,
    reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Request {
        token_id: Uuid,
        /// None for a request with the token itself.
        session_id: Option<Uuid>,
        origin: RequestOrigin,
    },
    Command,
    Update(Run),
}

impl Actor {
    /// Returns the holder of a token, who acts with it or in a session.
    pub(crate) fn of_token(
        name: &str,
        token_id: Uuid,
        session_id: Option<Uuid>,
        origin: RequestOrigin,
    ) -> Self {
        Self::new(
            name,
            Source::Request {
                token_id,
                session_id,
                origin,
            },
        )
    }

    /// Returns the user of the operating system who runs a command of this program.
    pub fn of_command(user: &str) -> Self {
        Self::new(user, Source::Command)
    }

    /// Returns the person that an update of a workflow states.
    pub fn of_update(by: &str, run: Run) -> Self {
        Self::new(by, Source::Update(run))
    }

    fn new(name: &str, source: Source) -> Self {
        // Names come from outside; the database stores neither U+0000 nor an empty name.
        let name = name.replace('\0', "");
        let is_empty = name.trim().is_empty();
        Self {
            name: if is_empty { "unknown".to_owned() } else { name },
            source,
            reason: None,
        }
    }

    /// Adds the reason that the person states.
    #[must_use]
    pub fn because(self, reason: Option<String>) -> Self {
        let reason = reason.map(|reason| reason.replace('\0', ""));
        Self {
            reason: reason.filter(|reason| !reason.trim().is_empty()),
            ..self
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    pub fn channel(&self) -> Channel {
        match &self.source {
            Source::Request {
                session_id: None, ..
            } => Channel::Api,
            Source::Request { .. } => Channel::Page,
            Source::Command => Channel::Command,
            Source::Update(_) => Channel::Temporal,
        }
    }

    /// Returns the run of the workflow that the act is an update of.
    pub(crate) fn run(&self) -> Option<&Run> {
        match &self.source {
            Source::Update(run) => Some(run),
            Source::Request { .. } | Source::Command => None,
        }
    }

    pub(super) fn token_id(&self) -> Option<Uuid> {
        match &self.source {
            Source::Request { token_id, .. } => Some(*token_id),
            Source::Command | Source::Update(_) => None,
        }
    }

    pub(super) fn session_id(&self) -> Option<Uuid> {
        match &self.source {
            Source::Request { session_id, .. } => *session_id,
            Source::Command | Source::Update(_) => None,
        }
    }

    pub(super) fn request_id(&self) -> Option<&str> {
        match &self.source {
            Source::Request { origin, .. } => origin.request_id.as_deref(),
            Source::Update(run) => Some(&run.run_id),
            Source::Command => None,
        }
    }

    pub(super) fn address(&self) -> Option<IpAddr> {
        match &self.source {
            Source::Request { origin, .. } => origin.address,
            Source::Command | Source::Update(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_follows_from_the_source() {
        let of_token = |session| {
            Actor::of_token("ann", Uuid::nil(), session, RequestOrigin::default()).channel()
        };
        assert_eq!(of_token(None), Channel::Api);
        assert_eq!(of_token(Some(Uuid::nil())), Channel::Page);
        assert_eq!(Actor::of_command("ann").channel(), Channel::Command);
    }

    #[test]
    fn a_name_is_never_empty() {
        for (name, stored) in [("", "unknown"), (" \0", "unknown"), ("a\0nn", "ann")] {
            assert_eq!(Actor::of_command(name).name(), stored);
        }
    }
}
