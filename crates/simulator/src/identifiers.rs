//! Identifiers in DigitalOcean's format, the same on every run.

use uuid::{Builder, Uuid};

/// The UUID of the team: 40 hexadecimal digits, as in the specification's examples.
pub(crate) const OWNER_UUID: &str = "5a3c1f07e94b26d8f0b7a2c4916ed35807fb4c21";
/// The number of the same team.
pub(crate) const OWNER_ID: u64 = 6_173_678;

/// Returns a version 4 UUID for a kind and a number. The same arguments return the same UUID.
pub(crate) fn identifier(kind: &str, number: u64) -> Uuid {
    let seed = kind
        .bytes()
        .chain(number.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&spread(seed).to_be_bytes());
    bytes[8..].copy_from_slice(&spread(seed.wrapping_add(1)).to_be_bytes());
    Builder::from_random_bytes(bytes).into_uuid()
}

/// Maps adjacent values to distant ones (the finalizer of `SplitMix64`).
pub(crate) fn spread(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The kind and the id in a URN. An invalid URN counts as a kind without an id.
pub(crate) fn kind_and_id(urn: &str) -> (&str, &str) {
    let rest = urn.strip_prefix("do:").unwrap_or(urn);
    rest.split_once(':').unwrap_or((rest, ""))
}

#[cfg(test)]
mod tests {
    use super::identifier;

    #[test]
    fn identifiers_depend_on_the_kind_and_the_number_only() {
        assert_eq!(identifier("project", 1), identifier("project", 1));
        assert_ne!(identifier("project", 1), identifier("project", 2));
        assert_ne!(identifier("project", 1), identifier("volume", 1));
        assert_eq!(identifier("project", 1).get_version_num(), 4);
    }
}
