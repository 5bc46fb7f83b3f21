//! Checks the documentation: every page is in the index, and every link resolves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// Returns the Markdown files at the top of the repository and in `docs/`.
fn pages() -> Vec<PathBuf> {
    let root = root();
    let directories = [root.clone(), root.join("docs"), root.join("docs/decisions")];
    let files = directories
        .iter()
        .flat_map(|directory| fs::read_dir(directory).unwrap());
    let mut pages: Vec<PathBuf> = files
        .map(|file| file.unwrap().path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.sort();
    pages
}

/// Returns a page without its code blocks, which may contain text that looks like a link.
fn prose(page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap();
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the targets of a page's links within the repository.
fn links(page: &Path) -> Vec<String> {
    let prose = prose(page);
    let targets = prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    targets
        .map(|(target, _)| target.to_owned())
        .filter(|target| !target.contains("://"))
        .collect()
}

/// Returns the anchors of a page's headings, as code hosts generate them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let prose = prose(page);
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let text = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = text
                .chars()
                .filter(|one| one.is_alphanumeric() || matches!(one, ' ' | '-' | '_'));
            kept.map(|one| if one == ' ' { '-' } else { one }).collect()
        })
        .collect()
}

#[test]
fn every_page_of_the_documentation_is_in_the_index() {
    let index = root().join("docs/README.md");
    let listed: BTreeSet<PathBuf> = links(&index)
        .iter()
        .map(|target| index.with_file_name(target.split('#').next().unwrap_or_default()))
        .filter_map(|page| page.canonicalize().ok())
        .collect();
    let docs = root().join("docs");
    let missing: Vec<PathBuf> = pages()
        .into_iter()
        .filter(|page| page.starts_with(&docs) && *page != index && !listed.contains(page))
        .collect();
    assert!(
        missing.is_empty(),
        "add a line to docs/README.md for {missing:?}"
    );
}

#[test]
fn every_link_between_pages_resolves() {
    let mut broken = Vec::new();
    let mut followed = 0;
    for page in pages() {
        for target in links(&page) {
            followed += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let linked = if path.is_empty() {
                page.clone()
            } else {
                page.with_file_name(path)
            };
            let is_there =
                linked.exists() && (anchor.is_empty() || anchors(&linked).contains(anchor));
            if !is_there {
                broken.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(followed > 50, "only {followed} links were found");
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}
