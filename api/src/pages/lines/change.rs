//! `/lines/{id}/match`: the effect of another match of a line, the change, and how to undo it.

use std::str::FromStr;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use store::costs::{Measured, Override};
use store::inventory::Commit;
use store::invoices::CostLine;
use store::{Store, StoreError};
use uuid::Uuid;

use super::line::title;
use crate::ApiState;
use crate::effect::Effect;
use crate::extract::{Form, Id, Query, Remark, optional_field};
use crate::pages::effect::EffectTable;
use crate::pages::format::{Money, month_name};
use crate::pages::page::{Frame, PageProblem, render};
use crate::pages::session::AdminViewer;
use crate::problem::Problem;
use crate::routes::cost_lines::matching::{MatchChange, change_match};

/// The chosen match of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Resource(Uuid),
    /// A shared cost.
    Shared,
    /// The result of the match rules, without an override.
    Rules,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "shared" => Ok(Self::Shared),
            "rules" => Ok(Self::Rules),
            id => Id::from_str(id)
                .map(|Id(id)| Self::Resource(id))
                .map_err(|error| format!("{error}, shared or rules")),
        }
    }
}

impl Choice {
    fn text(self) -> String {
        match self {
            Self::Resource(id) => id.to_string(),
            Self::Shared => "shared".to_owned(),
            Self::Rules => "rules".to_owned(),
        }
    }
}

/// The fields of the form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MatchForm {
    #[serde(default, deserialize_with = "optional_field")]
    choice: Option<Choice>,
    #[serde(default, deserialize_with = "optional_field")]
    reason: Option<Remark>,
    /// Accepts a resource of a kind that does not fit the line.
    #[serde(default, deserialize_with = "optional_field")]
    force: Option<bool>,
}

/// A choice with its reason, as hidden fields of a form.
struct Fields {
    choice: String,
    reason: String,
    is_forced: bool,
    /// In words.
    name: String,
}

#[derive(Template)]
#[template(path = "line_match.html")]
struct MatchPage {
    frame: Frame,
    line: CostLine,
    month: String,
    amount: Money,
    author: String,
    /// The match before the change.
    before: String,
    after: Fields,
    /// How to undo the change; none before it is made.
    undo: Option<Fields>,
    /// The kind of the resource does not fit the line.
    mismatch: Option<String>,
    effect: EffectTable,
}

impl MatchForm {
    fn read(self) -> Result<(Choice, Option<String>, bool), Problem> {
        let choice = self.choice.ok_or_else(|| {
            Problem::InvalidParameter(
                "choice: choose a resource, or that the line is a shared cost".to_owned(),
            )
        })?;
        let reason = Remark::text(self.reason);
        Ok((choice, reason, self.force.unwrap_or_default()))
    }
}

fn change_of(choice: Choice, is_forced: bool) -> MatchChange {
    let resource = match choice {
        Choice::Rules => return MatchChange::Withdraw,
        Choice::Shared => None,
        Choice::Resource(id) => Some(id),
    };
    MatchChange::Override {
        resource,
        is_forced,
    }
}

/// Returns a choice as hidden fields and in words.
async fn fields_of(
    store: &Store,
    choice: Choice,
    reason: Option<&str>,
    is_forced: bool,
) -> Result<Fields, Problem> {
    Ok(Fields {
        name: match choice {
            Choice::Rules => "the result of the match rules".to_owned(),
            Choice::Shared => "a shared cost, without a resource".to_owned(),
            Choice::Resource(id) => name_of(store, id).await?,
        },
        choice: choice.text(),
        reason: reason.unwrap_or_default().to_owned(),
        is_forced,
    })
}

pub(super) async fn name_of(store: &Store, resource: Uuid) -> Result<String, Problem> {
    let found = store.resource_names(&[resource]).await?.pop();
    Ok(found.map_or_else(
        || resource.to_string(),
        |found| format!("{} ({})", found.name, found.kind),
    ))
}

/// Describes the current match of a line.
async fn current(store: &Store, line: &CostLine) -> Result<String, Problem> {
    let rule = &line.match_rule;
    Ok(match line.resource_id {
        Some(id) => format!("{}, matched by {rule}", name_of(store, id).await?),
        None if line.is_shared => format!("a shared cost, matched by {rule}"),
        None => format!("no resource, {rule}"),
    })
}

/// Returns the choice that restores the state before a change.
async fn undo(store: &Store, before: Option<Override>) -> Result<Fields, Problem> {
    let Some(before) = before else {
        return fields_of(store, Choice::Rules, None, false).await;
    };
    let choice = before.resource_id.map_or(Choice::Shared, Choice::Resource);
    // The kind was accepted when this override was set.
    fields_of(store, choice, before.reason.as_deref(), true).await
}

/// Shows the amounts that a choice would move between tenants.
pub(super) async fn preview(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    id: Result<Id, Problem>,
    form: Result<Query<MatchForm>, Problem>,
) -> Result<Response, PageProblem> {
    let (Id(id), Query(form)) = (id?, form?);
    let store = &state.store;
    let (choice, reason, mut is_forced) = form.read()?;
    let reason = reason.as_deref();
    let line = store.cost_line(id).await?;
    let actor = viewer.actor();
    let measure = async |is_forced| {
        let change = change_of(choice, is_forced);
        change_match(store, &actor, id, change, Commit::DryRun).await
    };
    let mut mismatch = None;
    let measured = match measure(is_forced).await {
        Err(StoreError::KindMismatch {
            line_kind,
            resource_kind,
            ..
        }) => {
            is_forced = true;
            mismatch = Some(format!(
                "The line charges a {line_kind}, and the resource is a {resource_kind}."
            ));
            measure(true).await?
        }
        other => other?,
    };
    render(&MatchPage {
        frame: viewer.frame("Preview of a change", "/lines"),
        month: month_name(line.period),
        amount: Money(line.amount),
        author: actor.name().to_owned(),
        before: current(store, &line).await?,
        after: fields_of(store, choice, reason, is_forced).await?,
        undo: None,
        mismatch,
        effect: effect(measured, Commit::DryRun),
        line,
    })
}

/// Makes the change, and shows its effect and how to undo it.
pub(super) async fn apply(
    AdminViewer(viewer): AdminViewer,
    State(state): State<ApiState>,
    id: Result<Id, Problem>,
    form: Result<Form<MatchForm>, Problem>,
) -> Result<Response, PageProblem> {
    let (Id(id), Form(form)) = (id?, form?);
    let store = &state.store;
    let (choice, reason, is_forced) = form.read()?;
    let actor = viewer.actor().because(reason.clone());
    let reason = reason.as_deref();
    let line = store.cost_line(id).await?;
    let before = current(store, &line).await?;
    let undo = undo(store, store.override_of(id).await?).await?;
    let change = change_of(choice, is_forced);
    let measured = change_match(store, &actor, id, change, Commit::Keep).await?;
    render(&MatchPage {
        frame: viewer.frame("Line changed", "/lines"),
        month: month_name(line.period),
        amount: Money(line.amount),
        author: actor.name().to_owned(),
        before,
        after: fields_of(store, choice, reason, is_forced).await?,
        undo: Some(undo),
        mismatch: None,
        effect: effect(measured, Commit::Keep),
        line: store.cost_line(id).await?,
    })
}

fn effect(measured: Measured, commit: Commit) -> EffectTable {
    Effect::of(measured, commit).into()
}

impl MatchPage {
    fn line_title(&self) -> String {
        title(&self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<(Choice, Option<String>, bool), String> {
        let form: MatchForm =
            serde_urlencoded::from_str(query).map_err(|error| error.to_string())?;
        form.read().map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_choice_is_a_resource_shared_or_the_rules() {
        let id = Uuid::from_u128(7);
        for (query, expected) in [
            ("choice=shared", Choice::Shared),
            ("choice=rules&reason=&force=", Choice::Rules),
            (&*format!("choice={id}"), Choice::Resource(id)),
        ] {
            assert_eq!(read(query), Ok((expected, None, false)), "{query}");
            assert_eq!(expected.text().parse(), Ok(expected));
        }
        let forced = read("choice=shared&reason=+old+&force=true");
        assert_eq!(forced, Ok((Choice::Shared, Some("old".to_owned()), true)));
    }

    #[test]
    fn a_form_without_a_choice_or_with_a_long_reason_is_refused() {
        let long = format!("choice=shared&reason={}", "x".repeat(501));
        for (query, expected) in [
            ("", "choice: "),
            ("choice=web-1", "shared or rules"),
            (&*long, "a reason of 1 to 500"),
        ] {
            let refused = read(query).unwrap_err();
            assert!(refused.contains(expected), "{query}: {refused}");
        }
    }
}
