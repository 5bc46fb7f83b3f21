//! Reads the amounts, the form fields and the links of a page, as a person finds them: by row of a
//! table, by tile, by bar of a chart.

use std::sync::LazyLock;

use regex::Regex;
use rust_decimal::Decimal;

/// Amounts with the name of their row, tile or bar; the name is empty for other text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Figures {
    pub(super) name: String,
    pub(super) amounts: Vec<Decimal>,
}

impl Figures {
    pub(super) fn new(name: &str, amounts: impl IntoIterator<Item = Decimal>) -> Self {
        Self {
            name: name.to_owned(),
            amounts: amounts.into_iter().collect(),
        }
    }
}

/// A page without its frame.
pub(super) struct Page {
    main: String,
}

/// An amount: two decimals, not a part of a word such as `212.40GB` or `$0.01`.
static AMOUNT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:^|[^\w.,$-])(-?\d[\d,]*\.\d\d)(?:[^\w.,]|[.,](?:\D|$)|$)").unwrap()
});
static TAG: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"<(/?)([a-zA-Z0-9]+)((?:\s+[^\s=>]+(?:="[^"]*")?)*)\s*/?>"#).unwrap()
});

/// Elements without an end tag.
const VOID: [&str; 7] = ["br", "input", "line", "link", "meta", "option", "rect"];
/// Elements with data of resources or with an axis instead of amounts, by an attribute.
const WITHOUT_AMOUNTS: [&str; 3] = [
    "aria-labelledby=\"attributes\"",
    "aria-labelledby=\"timeline\"",
    "class=\"tick",
];

/// An open element.
struct Open {
    tag: String,
    /// Set for a row, a tile and a bar.
    scope: Option<Scope>,
    is_name: bool,
    is_without_amounts: bool,
}

/// A row, a tile or a bar of a chart.
#[derive(Default)]
struct Scope {
    is_bar: bool,
    name: String,
    text: String,
}

pub(super) fn decoded(text: &str) -> String {
    text.replace("&#38;", "&")
        .replace("&amp;", "&")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
}

/// The amounts in a text, in order.
fn amounts(text: &str) -> Vec<Decimal> {
    // Matches may not overlap, but two amounts may share the space between them.
    let spaced = text.replace(char::is_whitespace, "  ");
    let found = AMOUNT.captures_iter(&spaced);
    found
        .map(|found| found[1].replace(',', "").parse().unwrap())
        .collect()
}

fn words(text: &str) -> String {
    decoded(text)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

impl Page {
    pub(super) fn new(html: &str) -> Self {
        let main = html
            .split("<main id=\"content\">")
            .nth(1)
            .unwrap_or_default();
        let main = main.split("</main>").next().unwrap_or_default();
        // The heading repeats a name, which may contain amounts.
        let main = main.split_once("</h1>").map_or(main, |(_, rest)| rest);
        Self {
            main: main.to_owned(),
        }
    }

    /// The addresses of the links to pages of this server, without fragments.
    pub(super) fn links(&self) -> Vec<String> {
        let links = self.main.split("href=\"").skip(1);
        let links = links.filter_map(|rest| rest.split('"').next());
        let links = links.filter(|link| link.starts_with('/') && !link.contains("format=csv"));
        links
            .map(|link| decoded(link.split('#').next().unwrap_or(link)))
            .collect()
    }

    /// The value of a form field with this name.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let field = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.main.split_once(&field)?;
        Some(decoded(rest.split('"').next()?))
    }

    /// The selected option of a form field with this name.
    pub(super) fn selected(&self, name: &str) -> Option<String> {
        let (_, rest) = self.main.split_once(&format!("<select name=\"{name}\">"))?;
        let (_, rest) = rest.split_once(" selected>")?;
        Some(decoded(rest.split('<').next()?))
    }

    /// All amounts of the page: those of each row, tile and bar together.
    pub(super) fn figures(&self) -> Vec<Figures> {
        let mut figures = Vec::new();
        let mut open: Vec<Open> = Vec::new();
        let mut rest = self.main.as_str();
        while let Some(tag) = TAG.captures(rest) {
            let whole = tag.get(0).unwrap();
            text(&mut open, &mut figures, &rest[..whole.start()]);
            rest = &rest[whole.end()..];
            let (name, attributes) = (&tag[2], &tag[3]);
            if tag[1].is_empty() {
                if !VOID.contains(&name) {
                    let is_drawn = open.iter().any(|element| element.tag == "svg");
                    open.push(element(name, attributes, is_drawn));
                }
            } else if let Some(place) = open.iter().rposition(|known| known.tag == name) {
                for closed in open.drain(place..) {
                    let found = closed.scope.map(Scope::figures);
                    figures.extend(found.filter(|found| !found.amounts.is_empty()));
                }
            }
        }
        text(&mut open, &mut figures, rest);
        figures
    }
}

impl Scope {
    fn figures(self) -> Figures {
        let (name, text) = if self.is_bar {
            // `TENANT, MONTH: AMOUNT USD`.
            self.text.rsplit_once(": ").unwrap_or_default()
        } else {
            (self.name.as_str(), self.text.as_str())
        };
        Figures {
            name: words(name),
            amounts: amounts(text),
        }
    }
}

fn element(name: &str, attributes: &str, is_drawn: bool) -> Open {
    let is_bar = is_drawn && matches!(name, "a" | "g");
    let is_scope = name == "tr" || is_bar || attributes.contains("class=\"tile\"");
    let scope = Scope {
        is_bar,
        ..Scope::default()
    };
    Open {
        tag: name.to_owned(),
        scope: is_scope.then_some(scope),
        is_name: attributes.contains("scope=\"row") || attributes.contains("class=\"label\""),
        is_without_amounts: WITHOUT_AMOUNTS.iter().any(|with| attributes.contains(with)),
    }
}

/// Adds a text to the row, tile or bar that contains it.
fn text(open: &mut [Open], figures: &mut Vec<Figures>, text: &str) {
    if open.iter().any(|element| element.is_without_amounts) {
        return;
    }
    let scope = open.iter().rposition(|element| element.scope.is_some());
    let Some(place) = scope else {
        let amounts = amounts(text);
        if !amounts.is_empty() {
            let name = String::new();
            figures.push(Figures { name, amounts });
        }
        return;
    };
    let is_name = open[place..].iter().any(|element| element.is_name);
    if let Some(scope) = &mut open[place].scope {
        // A tag separates words.
        let target = if is_name {
            &mut scope.name
        } else {
            &mut scope.text
        };
        target.push_str(text);
        target.push(' ');
    }
}
