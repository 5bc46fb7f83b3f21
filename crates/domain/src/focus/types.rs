//! The names of types of resources.

use std::borrow::Cow;

/// Parts of the names of kinds that are not written with one capital.
const SPELLINGS: [(&str, &str); 11] = [
    ("byoip", "BYOIP"),
    ("cdn", "CDN"),
    ("dns", "DNS"),
    ("genai", "GenAI"),
    ("ip", "IP"),
    ("ipv6", "IPv6"),
    ("nat", "NAT"),
    ("nfs", "NFS"),
    ("saas", "SaaS"),
    ("vpc", "VPC"),
    ("addon", "Add-on"),
];

/// Returns the type of resources of a kind: `Database Cluster` for `database_cluster`.
pub(super) fn resource_type(kind: &str) -> Cow<'static, str> {
    match kind {
        "droplet" => return "Droplet".into(),
        "volume" => return "Volume".into(),
        _ => {}
    }
    let words = kind.split('_').map(|word| {
        let known = SPELLINGS.iter().find(|(known, _)| *known == word);
        known.map_or_else(|| capitalised(word), |(_, spelling)| (*spelling).to_owned())
    });
    words.collect::<Vec<_>>().join(" ").into()
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
