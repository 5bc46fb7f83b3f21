//! The canonical spelling of a resource's id in the mirror.
//!
//! DigitalOcean ignores the case of uuids and of domain names, and the notation of IPv6 addresses.
//! Its lists, its URNs and the bodies that refer to a resource can each write an id differently.

use std::net::Ipv6Addr;

use uuid::Uuid;

/// The spellings of an id that are equivalent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// No other spelling is equivalent: the id is a name or a key, and case matters. A name that
    /// looks like a uuid is still a name.
    Exact,
    /// A domain name in any case, with or without the dot of the root zone (RFC 4343; RFC 1034,
    /// section 3.1).
    DomainName,
    /// A uuid with hyphens in any case, an IPv6 address in any notation; other ids are exact.
    Usual,
}

/// Length of a uuid with hyphens. DigitalOcean uses none of the other forms: without hyphens, in
/// braces, with a prefix.
const HYPHENATED: usize = 36;

impl Spelling {
    /// Returns the id in the mirror's spelling: lower case, and IPv6 addresses as in RFC 5952. An
    /// id of an unexpected form is returned unchanged.
    pub(crate) fn normalise(self, id: String) -> String {
        match self {
            Self::Exact => id,
            Self::DomainName => {
                let name = id.to_lowercase();
                match name.strip_suffix('.') {
                    Some(relative) if !relative.is_empty() => relative.to_owned(),
                    _ => name,
                }
            }
            Self::Usual => {
                if let Ok(address) = id.parse::<Ipv6Addr>() {
                    address.to_string()
                } else if id.len() == HYPHENATED && Uuid::try_parse(&id).is_ok() {
                    id.to_ascii_lowercase()
                } else {
                    id
                }
            }
        }
    }
}

/// Returns an id of an unknown kind, such as that of an invoice's item, in the mirror's spelling.
pub fn normalised_id(id: String) -> String {
    Spelling::Usual.normalise(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_an_id_become_equal() {
        let uuid = "5f1b0c3e-0a4d-4b7c-9d5e-2a1f3c4b5d6e";
        let address = "2604:a880:800:14::dc9:c001";
        for (spelling, id, expected) in [
            (
                Spelling::Usual,
                "5F1B0C3E-0A4D-4B7C-9D5E-2A1F3C4B5D6E",
                uuid,
            ),
            (Spelling::Usual, address, address),
            (Spelling::Usual, "2604:A880:800:14::DC9:C001", address),
            (
                Spelling::Usual,
                "2604:a880:0800:0014:0000:0000:0dc9:c001",
                address,
            ),
            (
                Spelling::Usual,
                "2604:a880:800:14:0:0:13.201.192.1",
                address,
            ),
            (Spelling::DomainName, "Example.COM", "example.com"),
            (Spelling::DomainName, "example.com.", "example.com"),
            (Spelling::DomainName, "BÜCHER.example", "bücher.example"),
        ] {
            assert_eq!(spelling.normalise(id.to_owned()), expected, "{id}");
        }
    }

    #[test]
    fn exact_ids_and_ids_of_other_forms_are_kept() {
        for (spelling, id) in [
            (Spelling::Exact, "Backups.Example."),
            (Spelling::Exact, "5F1B0C3E-0A4D-4B7C-9D5E-2A1F3C4B5D6E"),
            (Spelling::Usual, "3164444"),
            (Spelling::Usual, "192.0.2.7"),
            (Spelling::Usual, "5F1B0C3E"),
            (Spelling::Usual, "5F1B0C3E0A4D4B7C9D5E2A1F3C4B5D6E"),
            (Spelling::Usual, "2001:DB8::/32"),
            (Spelling::Usual, "Some Name"),
            (Spelling::DomainName, "."),
        ] {
            assert_eq!(spelling.normalise(id.to_owned()), id);
        }
    }
}
