//! A change by an operator on a page: first its effect, then a button that makes it, then the way
//! to undo it.

use askama::Template;
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};

use super::effect::EffectTable;
use super::format::Moment;
use super::page::{Frame, PageProblem, render};
use super::parameters::address;
use super::session::Viewer;
use crate::envelope::ChangeEffect;
use crate::reallocation::ChangeReallocation;

/// A field of a form: name and value.
pub(super) type Field = (&'static str, String);

/// A step that undoes a change, or a part of it.
pub(super) struct UndoStep {
    pub(super) sentence: String,
    pub(super) address: String,
}

/// The same change from an earlier time on.
struct Earlier {
    since: Moment,
    summary: String,
    address: String,
}

/// The page of a change, before or after it is made.
#[derive(Template)]
#[template(path = "change.html")]
struct ChangePage {
    frame: Frame,
    sentence: String,
    effect: Option<EffectTable>,
    /// The reallocation that updates the lines; none if they are up to date.
    left: Option<ChangeReallocation>,
    is_done: bool,
    earlier: Option<Earlier>,
    /// The page that shows the change, and the address of its form.
    path: String,
    fields: Vec<Field>,
    back: (String, String),
    undo: Vec<UndoStep>,
}

/// A change for [`show`].
pub(super) struct Change {
    pub(super) title: String,
    /// The page's entry in the navigation.
    pub(super) entry: &'static str,
    /// The change as a sentence.
    pub(super) sentence: String,
    /// The address of the page: GET shows the effect, POST makes the change.
    pub(super) path: String,
    /// The fields of the change, without the time from which it applies.
    pub(super) fields: Vec<Field>,
    pub(super) since: Option<DateTime<Utc>>,
    /// Name and address of the changed object.
    pub(super) back: (String, String),
    /// The steps that undo the change, once it is made.
    pub(super) undo: Vec<UndoStep>,
}

/// Shows a change: before it is made with a button to make it, afterwards with the way to undo it.
pub(super) fn show(
    viewer: &Viewer,
    change: Change,
    effect: ChangeEffect,
) -> Result<Response, PageProblem> {
    let path = change.path;
    let (effect, left) = match effect {
        ChangeEffect::Measured(effect) => (Some(effect), None),
        ChangeEffect::Left(left) => (None, Some(left)),
    };
    let earlier = effect
        .as_ref()
        .and_then(|effect| effect.with_since.as_ref());
    let earlier = earlier.map(|earlier| Earlier {
        since: Moment(earlier.since),
        summary: earlier.moves.summary.clone(),
        address: step_address(&path, &change.fields, Some(earlier.since)),
    });
    let mut fields = change.fields;
    fields.extend(change.since.map(|since| ("since", exact(since))));
    render(&ChangePage {
        frame: viewer.frame(&change.title, change.entry),
        sentence: change.sentence,
        is_done: effect.as_ref().is_none_or(|effect| !effect.is_dry_run),
        effect: effect.map(EffectTable::from),
        left,
        earlier,
        path,
        fields,
        back: change.back,
        undo: change.undo,
    })
}

/// Returns the address of a change with the time from which it applies.
pub(super) fn step_address(path: &str, fields: &[Field], since: Option<DateTime<Utc>>) -> String {
    let since = since.map(exact);
    let fields = fields.iter().map(|(name, value)| (*name, value.as_str()));
    let fields = fields.chain(since.iter().map(|since| ("since", since.as_str())));
    address(path, &fields.collect::<Vec<_>>())
}

/// Returns a time with all its digits, for addresses and hidden fields.
fn exact(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Returns the start of a change in words.
pub(super) fn start_in_words(since: Option<DateTime<Utc>>) -> String {
    since.map_or_else(
        || "from now on".to_owned(),
        |since| format!("from {} UTC on", Moment(since)),
    )
}

/// The interval in which a tenant or a project applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) value: String,
    pub(super) from: DateTime<Utc>,
    /// `None` while it applies.
    pub(super) to: Option<DateTime<Utc>>,
}

/// A value from a time on; `None` ends the value before. Without a time, everything is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) value: Option<String>,
    pub(super) since: Option<DateTime<Utc>>,
}

/// Returns the steps that restore the intervals before a change that replaced all values from
/// `since` on, or all values without `since`. The intervals are ordered by time.
pub(super) fn undo(before: &[Interval], since: Option<DateTime<Utc>>) -> Vec<Step> {
    if before.is_empty() {
        let everything = Step {
            value: None,
            since: None,
        };
        return since.map(|_| everything).into_iter().collect();
    }
    let mut steps: Vec<Step> = Vec::new();
    let lost = before
        .iter()
        .filter(|one| since.is_none() || one.to.is_none_or(|to| Some(to) > since));
    for one in lost {
        let from = since.map_or(one.from, |since| since.max(one.from));
        // The end of the interval before is a step unless the next one begins there.
        steps.retain(|step| step.value.is_some() || step.since != Some(from));
        steps.push(Step {
            value: Some(one.value.clone()),
            since: Some(from),
        });
        if let Some(to) = one.to {
            steps.push(Step {
                value: None,
                since: Some(to),
            });
        }
    }
    if since.is_some() && steps.first().is_none_or(|first| first.since != since) {
        steps.insert(0, Step { value: None, since });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: u32) -> DateTime<Utc> {
        format!("2026-11-{day:02}T00:00:00Z").parse().unwrap()
    }

    fn interval(value: &str, from: u32, to: Option<u32>) -> Interval {
        Interval {
            value: value.to_owned(),
            from: day(from),
            to: to.map(day),
        }
    }

    fn steps(before: &[Interval], since: Option<u32>) -> Vec<(Option<String>, Option<u32>)> {
        let steps = undo(before, since.map(day)).into_iter();
        let day = |time: DateTime<Utc>| chrono::Datelike::day(&time);
        steps
            .map(|step| (step.value, step.since.map(day)))
            .collect()
    }

    fn set(value: &str, day: u32) -> (Option<String>, Option<u32>) {
        (Some(value.to_owned()), Some(day))
    }

    #[test]
    fn the_first_value_is_undone_by_its_removal() {
        assert_eq!(steps(&[], Some(3)), [(None, None)]);
        assert_eq!(steps(&[], None), []);
    }

    #[test]
    fn a_replaced_value_is_set_again_from_the_same_time_on() {
        let before = [interval("acme", 1, None)];
        assert_eq!(steps(&before, Some(3)), [set("acme", 3)]);
        assert_eq!(steps(&before, None), [set("acme", 1)]);
    }

    #[test]
    fn values_after_the_change_are_restored_in_order() {
        let before = [
            interval("acme", 4, Some(6)),
            interval("globex", 6, Some(8)),
            interval("acme", 9, None),
        ];
        let later = [
            set("acme", 4),
            set("globex", 6),
            (None, Some(8)),
            set("acme", 9),
        ];
        assert_eq!(steps(&before, None), later);
        let mut from_second = vec![(None, Some(2))];
        from_second.extend(later);
        assert_eq!(steps(&before, Some(2)), from_second);
        assert_eq!(
            steps(&before, Some(7)),
            [set("globex", 7), (None, Some(8)), set("acme", 9)]
        );
    }

    #[test]
    fn a_change_after_the_last_value_is_undone_by_its_end() {
        let before = [interval("acme", 1, Some(2))];
        assert_eq!(steps(&before, Some(3)), [(None, Some(3))]);
    }
}
