//! The one spelling of an id by which the mirror knows a resource.
//!
//! DigitalOcean does not tell ids apart by the case of a uuid or of a domain name, nor by how an IPv6 address is written, and
//! its lists, its URNs and the bodies that refer to a resource may each spell an id in their own way.

use std::net::Ipv6Addr;

use uuid::Uuid;

/// Which spellings of an id mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// None but the id's own: it is a name or a key, in which case can tell two apart. A name that happens to look like a uuid is
    /// still a name.
    Exact,
    /// A domain name in any case, with or without the dot of the root zone (RFC 4343; RFC 1034, section 3.1).
    DomainName,
    /// A uuid with its hyphens in any case, an IPv6 address in any form; anything else is exact.
    Usual,
}

/// Length of a uuid with its hyphens. A uuid can also be written without them, in braces or with a prefix; DigitalOcean does not.
const HYPHENATED: usize = 36;

impl Spelling {
    /// Writes an id in the mirror's spelling: lower case, and IPv6 addresses as RFC 5952 says. An id of an unexpected form is kept as
    /// it is.
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

/// Writes an id of which nothing tells the kind, such as that of an invoice's item, in the mirror's spelling.
pub fn normalised_id(id: String) -> String {
    Spelling::Usual.normalise(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_id_becomes_one() {
        let uuid = "5f1b0c3e-0a4d-4b7c-9d5e-2a1f3c4b5d6e";
        let address = "2604:a880:800:14::dc9:c001";
        for (spelling, given, expected) in [
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
            assert_eq!(spelling.normalise(given.to_owned()), expected, "{given}");
        }
    }

    #[test]
    fn an_id_that_is_exact_or_of_another_form_is_kept() {
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
