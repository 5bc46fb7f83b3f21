//! Checks that the modules of each crate form no cycles.
//!
//! A module depends on another one if it uses an item that is defined there. A re-export (`pub
//! use`) is not a dependency; a use through it depends on the module that defines the item. Uses
//! between a module and its submodules do not count. Modules that are only compiled for tests are
//! ignored.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{Attribute, Ident, Item, UseTree};

const CRATES: [&str; 11] = [
    "activities",
    "api",
    "crates/arcadia",
    "crates/devstack",
    "crates/digitalocean",
    "crates/domain",
    "crates/export",
    "crates/simulator",
    "crates/store",
    "worker",
    "workflows",
];

/// A module path without `crate`: `["invoices", "ingest"]`.
type Module = Vec<String>;

#[derive(Default)]
struct Source {
    /// The re-exported or imported names with their absolute paths.
    names: BTreeMap<String, Vec<String>>,
    /// The modules of glob imports.
    globs: Vec<Vec<String>>,
    /// The paths that the module uses, made absolute.
    used: BTreeSet<Vec<String>>,
}

/// Collects the paths of one file. Inline modules count as part of their file.
struct Reader<'a> {
    module: &'a Module,
    children: &'a BTreeSet<Module>,
    source: Source,
}

impl Reader<'_> {
    /// Returns the absolute path within the crate; none for a path into another crate.
    fn absolute(&self, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let mut from = self.module.clone();
        match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" => {}
            "super" => {
                from.pop()?;
                let mut rest = rest;
                while let [next, after @ ..] = rest
                    && next == "super"
                {
                    from.pop()?;
                    rest = after;
                }
                from.extend(rest.iter().cloned());
                return Some(from);
            }
            name => {
                if let Some(known) = self.source.names.get(name) {
                    return Some([known, rest].concat());
                }
                from.push(name.to_owned());
                if !self.children.contains(&from) {
                    return None;
                }
            }
        }
        from.extend(rest.iter().cloned());
        Some(from)
    }

    fn import(&mut self, tree: &UseTree, prefix: &[String], is_public: bool) {
        let with = |name: &Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.import(&path.tree, &with(&path.ident), is_public),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, prefix, is_public);
                }
            }
            UseTree::Name(name) if name.ident == "self" => {
                let name = prefix.last().unwrap().clone();
                self.add(name, prefix, is_public);
            }
            UseTree::Name(name) => self.add(name.ident.to_string(), &with(&name.ident), is_public),
            UseTree::Rename(rename) => {
                self.add(rename.rename.to_string(), &with(&rename.ident), is_public);
            }
            UseTree::Glob(_) => {
                if let Some(path) = self.absolute(prefix) {
                    if !is_public {
                        self.source.used.insert(path.clone());
                    }
                    self.source.globs.push(path);
                }
            }
        }
    }

    fn add(&mut self, name: String, path: &[String], is_public: bool) {
        if let Some(path) = self.absolute(path) {
            if !is_public {
                self.source.used.insert(path.clone());
            }
            self.source.names.insert(name, path);
        }
    }
}

fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(module) if is_test_only(&module.attrs) => {}
            Item::Use(_) => {}
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if names.len() > 1
            && let Some(path) = self.absolute(&names)
        {
            self.source.used.insert(path);
        }
        visit::visit_path(self, path);
    }
}

/// Collects the modules of a crate with their syntax, following the `mod` declarations.
fn modules(
    directory: &Path,
    file: &Path,
    module: &Module,
    found: &mut BTreeMap<Module, syn::File>,
) {
    let syntax = syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap();
    for item in &syntax.items {
        if let Item::Mod(child) = item
            && child.content.is_none()
            && !is_test_only(&child.attrs)
        {
            let mut path = module.clone();
            path.push(child.ident.to_string());
            let named = directory.join(path.join("/")).with_extension("rs");
            let mod_rs = directory.join(path.join("/")).join("mod.rs");
            let file = if named.exists() { named } else { mod_rs };
            modules(directory, &file, &path, found);
        }
    }
    found.insert(module.clone(), syntax);
}

/// Returns the module that defines the item of a path, following re-exports.
fn defining(sources: &BTreeMap<Module, Source>, path: &[String], depth: usize) -> Option<Module> {
    let (known, rest) = (0..=path.len())
        .rev()
        .map(|length| path.split_at(length))
        .find(|(module, _)| sources.contains_key(*module))?;
    let source = &sources[known];
    let Some(name) = rest.first().filter(|_| depth < 8) else {
        return Some(known.to_vec());
    };
    if let Some(target) = source.names.get(name) {
        let target = [target, &rest[1..]].concat();
        return defining(sources, &target, depth + 1);
    }
    Some(known.to_vec())
}

fn dependencies(name: &str) -> BTreeMap<Module, BTreeSet<Module>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    let directory = root.join("src");
    let mut files = BTreeMap::new();
    for start in ["lib.rs", "main.rs"] {
        let start = directory.join(start);
        if start.exists() {
            modules(&directory, &start, &Module::new(), &mut files);
            break;
        }
    }
    let children: BTreeSet<Module> = files.keys().cloned().collect();
    let mut sources = BTreeMap::new();
    for (module, syntax) in &files {
        let mut reader = Reader {
            module,
            children: &children,
            source: Source::default(),
        };
        for item in &syntax.items {
            if let Item::Use(import) = item
                && !is_test_only(&import.attrs)
            {
                let is_public = !matches!(import.vis, syn::Visibility::Inherited);
                reader.import(&import.tree, &[], is_public);
            }
        }
        reader.visit_file(syntax);
        sources.insert(module.clone(), reader.source);
    }
    sources
        .iter()
        .map(|(module, source)| {
            let used = source.used.iter();
            let used = used.filter_map(|path| defining(&sources, path, 0));
            let apart =
                used.filter(|other| !other.starts_with(module) && !module.starts_with(other));
            (module.clone(), apart.collect())
        })
        .collect()
}

/// Returns the dependencies that are part of a cycle.
fn cycles(graph: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let reachable = |from: &Module| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Module> = graph[from].iter().collect();
        while let Some(module) = open.pop() {
            if seen.insert(module) {
                open.extend(&graph[module]);
            }
        }
        seen
    };
    let reach: BTreeMap<&Module, BTreeSet<&Module>> = graph
        .keys()
        .map(|module| (module, reachable(module)))
        .collect();
    let mut found = Vec::new();
    for (module, used) in graph {
        for other in used {
            if reach[other].contains(module) {
                found.push(format!("{} -> {}", module.join("::"), other.join("::")));
            }
        }
    }
    found
}

#[test]
fn modules_form_no_cycles() {
    let mut found = Vec::new();
    for name in CRATES {
        let graph = dependencies(name);
        assert!(graph.len() > 1 || name == "crates/arcadia", "{name}");
        found.extend(cycles(&graph).iter().map(|edge| format!("{name}: {edge}")));
    }
    assert!(found.is_empty(), "cycles:\n{}", found.join("\n"));
}
