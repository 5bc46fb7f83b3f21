//! DigitalOcean's regions.

/// The regions of the API description (`region_slug.yml`), and `ams1`, which only its registry
/// lists, with their names.
pub(crate) const REGIONS: [(&str, &str); 16] = [
    ("ams1", "Amsterdam 1"),
    ("ams2", "Amsterdam 2"),
    ("ams3", "Amsterdam 3"),
    ("atl1", "Atlanta 1"),
    ("blr1", "Bangalore 1"),
    ("fra1", "Frankfurt 1"),
    ("lon1", "London 1"),
    ("nyc1", "New York 1"),
    ("nyc2", "New York 2"),
    ("nyc3", "New York 3"),
    ("sfo1", "San Francisco 1"),
    ("sfo2", "San Francisco 2"),
    ("sfo3", "San Francisco 3"),
    ("sgp1", "Singapore 1"),
    ("syd1", "Sydney 1"),
    ("tor1", "Toronto 1"),
];

/// Returns the name of a region; none if it is unknown.
pub(crate) fn name_of(slug: &str) -> Option<&'static str> {
    let known = REGIONS.iter().find(|(known, _)| *known == slug);
    known.map(|(_, name)| *name)
}
