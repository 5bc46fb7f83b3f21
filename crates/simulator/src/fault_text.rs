//! The text form of faults: `rate_limited:/v2/droplets:times=3:retry_after=2`.

use std::{fmt, str::FromStr, time::Duration};

use thiserror::Error;

use crate::{Fault, FaultKind};

/// The kinds with their default options.
const KINDS: [FaultKind; 16] = [
    FaultKind::RateLimited { retry_after: 1 },
    FaultKind::ServerError { status: 500 },
    FaultKind::HtmlError { status: 504 },
    FaultKind::Slow {
        delay: Duration::from_secs(1),
    },
    FaultKind::Drip {
        delay: Duration::from_secs(1),
    },
    FaultKind::CutOff,
    FaultKind::Reset,
    FaultKind::Unauthorized,
    FaultKind::Forbidden,
    FaultKind::NotFound,
    FaultKind::EmptyList,
    FaultKind::ItemMovesBetweenPages,
    FaultKind::ShortPage,
    FaultKind::LaggingList,
    FaultKind::RenamedColumn,
    FaultKind::LastLineMissing,
];

/// An error of parsing a [`Fault`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FaultTextError {
    /// The first part is not a kind of fault.
    #[error("unknown fault {0:?}: expected one of: {names}", names = names())]
    UnknownKind(String),
    /// The second part is missing or is not a path.
    #[error("missing path in fault: add it after the kind, e.g. {0}:/v2/droplets")]
    NoPath(String),
    /// An option that this kind of fault does not have, or an invalid value.
    #[error(
        "invalid option {option:?} of {kind}: options are times=N, retry_after=SECONDS (rate_limited), \
         status=5xx (server_error, html_error; html_error also 200) and delay=2s or delay=250ms (slow, drip)"
    )]
    BadOption {
        /// The kind of fault.
        kind: String,
        /// The invalid part.
        option: String,
    },
}

impl FromStr for Fault {
    type Err = FaultTextError;

    fn from_str(text: &str) -> Result<Self, FaultTextError> {
        let mut parts = text.trim().split(':');
        let name = parts.next().unwrap_or_default();
        let kind = KINDS.into_iter().find(|kind| kind.name() == name);
        let kind = kind.ok_or_else(|| FaultTextError::UnknownKind(name.to_owned()))?;
        let target = parts
            .next()
            .filter(|target| target.starts_with('/'))
            .ok_or_else(|| FaultTextError::NoPath(name.to_owned()))?;
        let mut fault = Self::new(kind, target);
        for option in parts {
            apply(&mut fault, option).ok_or_else(|| FaultTextError::BadOption {
                kind: name.to_owned(),
                option: option.to_owned(),
            })?;
        }
        Ok(fault)
    }
}

impl FaultKind {
    fn name(&self) -> &'static str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::ServerError { .. } => "server_error",
            Self::HtmlError { .. } => "html_error",
            Self::Slow { .. } => "slow",
            Self::Drip { .. } => "drip",
            Self::CutOff => "cut_off",
            Self::Reset => "reset",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::EmptyList => "empty_list",
            Self::ItemMovesBetweenPages => "item_moves_between_pages",
            Self::ShortPage => "short_page",
            Self::LaggingList => "lagging_list",
            Self::RenamedColumn => "renamed_column",
            Self::LastLineMissing => "last_line_missing",
        }
    }
}

fn names() -> String {
    KINDS.map(|kind| kind.name()).join(", ")
}

fn apply(fault: &mut Fault, option: &str) -> Option<()> {
    let (name, value) = option.split_once('=')?;
    match (name, &mut fault.kind) {
        ("times", _) => fault.times = Some(value.parse().ok().filter(|&times| times > 0)?),
        ("retry_after", FaultKind::RateLimited { retry_after }) => {
            *retry_after = value.parse().ok()?;
        }
        ("status", FaultKind::ServerError { status }) => {
            *status = value
                .parse()
                .ok()
                .filter(|code| (500..=599).contains(code))?;
        }
        ("status", FaultKind::HtmlError { status }) => {
            *status = value
                .parse()
                .ok()
                .filter(|code| *code == 200 || (500..=599).contains(code))?;
        }
        ("delay", FaultKind::Slow { delay } | FaultKind::Drip { delay }) => {
            *delay = duration(value)?;
        }
        _ => return None,
    }
    Some(())
}

fn duration(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(number) => number.parse().ok().map(Duration::from_millis),
        None => text
            .strip_suffix('s')?
            .parse()
            .ok()
            .map(Duration::from_secs),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.kind.name(), self.target.path)?;
        if !self.target.query.is_empty() {
            write!(formatter, "?{}", self.target.query.join("&"))?;
        }
        if let Some(times) = self.times {
            write!(formatter, ":times={times}")?;
        }
        match &self.kind {
            FaultKind::RateLimited { retry_after } => {
                write!(formatter, ":retry_after={retry_after}")
            }
            FaultKind::ServerError { status } | FaultKind::HtmlError { status } => {
                write!(formatter, ":status={status}")
            }
            FaultKind::Slow { delay } | FaultKind::Drip { delay } => {
                write!(formatter, ":delay={}ms", delay.as_millis())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_parsed_and_formatted_without_changes() {
        for text in [
            "rate_limited:/v2/droplets:times=3:retry_after=2",
            "server_error:/v2/projects/*/resources?page=2:status=503",
            "html_error:/v2/customers/*:status=524",
            "html_error:/v2/customers/*:status=200",
            "renamed_column:/v2/customers/my/invoices/*/csv",
            "last_line_missing:/v2/customers/my/invoices/*/csv:times=2",
            "slow:/v2/account:times=1:delay=250ms",
            "cut_off:/v2/customers/my/invoices/*/csv",
            "drip:/v2/volumes:delay=2000ms",
            "reset:/v2/projects",
            "unauthorized:/v2/account",
            "forbidden:/v2/volumes",
            "empty_list:/v2/droplets?type=gpus&page=1",
            "item_moves_between_pages:/v2/domains",
            "not_found:/v2/apps:times=2",
            "short_page:/v2/load_balancers?page=1",
            "lagging_list:/v2/projects:times=2",
        ] {
            let fault: Fault = text.parse().unwrap();
            assert_eq!(fault.to_string(), text);
        }
    }

    #[test]
    fn missing_options_have_defaults() {
        let fault: Fault = "slow:/v2/droplets:delay=2s".parse().unwrap();
        let delay = Duration::from_secs(2);
        assert_eq!(fault, Fault::new(FaultKind::Slow { delay }, "/v2/droplets"));
        let fault: Fault = "rate_limited:/v2/droplets".parse().unwrap();
        assert_eq!(fault.kind, FaultKind::RateLimited { retry_after: 1 });
    }

    #[test]
    fn errors_name_the_invalid_part() {
        let error = |text: &str| text.parse::<Fault>().unwrap_err();
        let bad_option = |kind: &str, option: &str| FaultTextError::BadOption {
            kind: kind.to_owned(),
            option: option.to_owned(),
        };
        let unknown = FaultTextError::UnknownKind("explode".to_owned());
        assert_eq!(error("explode:/v2/droplets"), unknown);
        assert!(unknown.to_string().contains("rate_limited"));
        let no_path = FaultTextError::NoPath("cut_off".to_owned());
        assert_eq!(error("cut_off"), no_path);
        for (kind, option) in [
            ("cut_off", "status=500"),
            ("server_error", "status=200"),
            ("slow", "delay=2"),
            ("slow", "times=0"),
        ] {
            let text = format!("{kind}:/v2/droplets:{option}");
            assert_eq!(error(&text), bad_option(kind, option));
        }
    }
}
