use serde_json::{Value, json};

use super::*;

/// The leaves of the test vectors of RFC 6962's reference implementation.
const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
/// The roots of the trees of the first 1, 2, 3 ... leaves (certificate-transparency, merkle tests).
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn leaf_of(index: usize) -> Hash {
    let hex = LEAVES[index];
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|place| u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).unwrap())
        .collect();
    Hash::of_leaf(&bytes)
}

fn tree(leaves: usize) -> Tree {
    let mut tree = Tree::new(leaf_of(0));
    (1..leaves).for_each(|index| tree.push(leaf_of(index)));
    tree
}

#[test]
fn roots_equal_the_test_vectors_of_rfc_6962() {
    for (leaves, root) in (1..=8).zip(ROOTS) {
        assert_eq!(tree(leaves).root().to_string(), root, "{leaves} leaves");
    }
}

#[test]
fn each_path_leads_to_the_root_and_no_other_place_does() {
    for leaves in 1..=8 {
        let tree = tree(leaves);
        for index in 0..leaves {
            let path = tree.path(index).unwrap();
            let leaf = leaf_of(index);
            assert_eq!(root_by_path(leaf, index, leaves, &path), Some(tree.root()));
            for other in (0..leaves).filter(|other| *other != index) {
                assert_ne!(root_by_path(leaf, other, leaves, &path), Some(tree.root()));
            }
        }
        assert_eq!(tree.path(leaves), None);
        assert_eq!(root_by_path(tree.root(), leaves, leaves, &[]), None);
    }
}

/// A statement with two lines of a tenant, in a month of three statements.
fn statement() -> Value {
    let mut statement = json!({
        "period": "2026-04-01",
        "tenant_id": "acme",
        "close": { "number": 1 },
        "direct": "10.00",
        "shared": "0.50",
        "adjusted": "-0.25",
        "total": "10.25",
        "adjustments": [{ "period": "2026-03-01", "amount": "-0.25" }],
        "lines": [{ "id": 1, "amount": "4.00" }, { "id": 2, "amount": "6.00" }],
        "shared_lines": [{ "id": 3, "amount": "0.50" }],
    });
    let salt = Hash::of_bytes(b"salt");
    let leaf = statement_leaf(salt, statement_hash(statement.as_object().unwrap()));
    let mut month = Tree::new(Hash::of_leaf(b"head"));
    month.push(leaf);
    month.push(Hash::of_leaf(b"another"));
    let proof = Proof {
        scheme: SCHEME.to_owned(),
        root: month_root(month.root(), 3),
        salt,
        index: 1,
        leaves: 3,
        path: month.path(1).unwrap(),
        signature: None,
    };
    statement["proof"] = serde_json::to_value(proof).unwrap();
    statement
}

#[test]
fn an_unchanged_statement_is_verified_in_any_form_of_json() {
    let statement = statement();
    let verified = verify(&statement).unwrap();
    assert_eq!(verified.tenant.as_deref(), Some("acme"));
    assert_eq!((verified.lines, verified.close), (3, 1));
    assert_eq!(verified.total.to_string(), "10.25");
    let response = json!({ "data": statement, "meta": {} });
    let spaced = serde_json::to_string_pretty(&response).unwrap();
    let again = verify(&serde_json::from_str(&spaced).unwrap()).unwrap();
    assert_eq!(again, verified);
}

#[test]
fn every_changed_digit_fails_the_verification() {
    let text = statement().to_string();
    let mut changed = 0;
    for (place, byte) in text.bytes().enumerate() {
        if !byte.is_ascii_digit() {
            continue;
        }
        let mut other = text.clone().into_bytes();
        other[place] = if byte == b'9' { b'0' } else { byte + 1 };
        let Ok(other) = serde_json::from_slice::<Value>(&other) else {
            continue;
        };
        assert!(verify(&other).is_err(), "{other}");
        changed += 1;
    }
    assert!(changed > 100, "{changed}");
}

#[test]
fn a_line_that_moves_to_the_shared_lines_fails_the_verification() {
    let mut statement = statement();
    let moved = statement["lines"].as_array_mut().unwrap().pop().unwrap();
    let shared = statement["shared_lines"].as_array_mut().unwrap();
    shared.insert(0, moved);
    statement["direct"] = json!("4.00");
    statement["shared"] = json!("6.50");
    assert!(matches!(
        verify(&statement),
        Err(Unproven::OtherRoot { .. })
    ));
}

#[test]
fn a_statement_of_a_month_that_is_not_closed_has_no_proof() {
    let mut statement = statement();
    statement["proof"] = Value::Null;
    assert_eq!(verify(&statement), Err(Unproven::NoProof));
    assert_eq!(verify(&json!(["a"])), Err(Unproven::NoProof));
}
