//! `arcadia verify`: signed and unsigned statements, changed ones, and other keys.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use domain::proof::{
    Hash, Proof, SCHEME, SignatureOfRoot, Tree, month_leaf, month_root, signed_message,
    statement_hash, statement_leaf,
};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

use crate::support::{arcadia, output, refusal};

/// A directory with statements.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn new_key() -> Ed25519KeyPair {
    let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Returns the statement of a tenant in a closed month of two tenants.
fn statement(key: Option<&Ed25519KeyPair>) -> Value {
    let mut statement = json!({
        "period": "2026-04-01",
        "tenant_id": "acme",
        "close": { "number": 2, "frozen_at": "2026-05-02T00:00:00Z" },
        "direct": "5.00",
        "shared": "1.50",
        "adjusted": "-0.25",
        "total": "6.25",
        "lines": [{ "line_no": 1, "amount": "3.00" }, { "line_no": 2, "amount": "2.00" }],
        "shared_lines": [{ "line_no": 3, "amount": "1.50" }],
        "adjustments": [{ "period": "2026-03-01", "amount": "-0.25" }],
    });
    let salt = Hash::of_bytes(b"salt");
    let leaf = statement_leaf(salt, statement_hash(statement.as_object().unwrap()));
    let mut tree = Tree::new(month_leaf(&json!({ "files": [] })));
    tree.push(Hash::of_bytes(b"another statement"));
    tree.push(leaf);
    let root = month_root(tree.root(), tree.leaf_count());
    let message = signed_message("2026-04-01".parse().unwrap(), 2, root);
    let proof = Proof {
        scheme: SCHEME.to_owned(),
        root,
        salt,
        index: 2,
        leaves: tree.leaf_count(),
        path: tree.path(2).unwrap(),
        signature: key.map(|key| SignatureOfRoot {
            public_key: hex(key.public_key().as_ref()),
            signature: hex(key.sign(message.as_bytes()).as_ref()),
        }),
    };
    statement["proof"] = serde_json::to_value(proof).unwrap();
    statement
}

/// Runs the command, which must succeed, and returns its output.
async fn verified(arguments: &[&str]) -> String {
    let output = output(arcadia(arguments)).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

async fn refused(arguments: &[&str]) -> String {
    refusal(arcadia(arguments)).await
}

#[tokio::test]
async fn a_statement_is_verified_with_its_figures_and_key() {
    let files = Files::new();
    let unsigned = files.write("unsigned.json", &statement(None).to_string());
    let report = verified(&["verify", &unsigned]).await;
    for part in [
        "tenant: acme\n",
        "2026-04, close 2\n",
        "lines:  3\n",
        "6.25 USD\n",
        "not signed\n",
    ] {
        assert!(report.contains(part), "no {part:?} in {report}");
    }

    let key = new_key();
    let document = statement(Some(&key));
    let signed = files.write("signed.json", &json!({ "data": document }).to_string());
    let report = verified(&["verify", &signed]).await;
    let fingerprint = Hash::of_bytes(key.public_key().as_ref()).to_string();
    let root = document["proof"]["root"].as_str().unwrap();
    for part in [fingerprint.as_str(), root, "--public-key"] {
        assert!(report.contains(part), "no {part:?} in {report}");
    }
    let digits = hex(key.public_key().as_ref());
    let file = files.write("key.hex", &digits);
    for expected in [&digits, &file] {
        let report = verified(&["verify", &signed, "--public-key", expected]).await;
        assert!(report.contains("as required"), "{report}");
    }
}

#[tokio::test]
async fn a_statement_is_read_from_standard_input() {
    let mut command = arcadia(&["verify", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let text = statement(None).to_string();
    input.write_all(text.as_bytes()).await.unwrap();
    drop(input);
    let output = process.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout.starts_with(b"verified\n"));
}

#[tokio::test]
async fn every_change_of_a_statement_is_refused() {
    let files = Files::new();
    let text = statement(Some(&new_key())).to_string();
    let other_line = text.replace("\"2.00\"", "\"3.00\"");
    let other_lines = other_line.replace("\"3.00\"", "\"2.50\"");
    assert_ne!(other_lines, other_line);
    for (name, changed, expected) in [
        ("sum.json", other_line, "its lines total"),
        ("lines.json", other_lines, "changed after the close"),
        (
            "tenant.json",
            text.replace("acme", "acne"),
            "changed after the close",
        ),
        (
            "month.json",
            text.replace("2026-04-01", "2026-05-01"),
            "changed after the close",
        ),
        ("empty.json", "{}".to_owned(), "no proof"),
        ("text.json", "statement".to_owned(), "not JSON"),
    ] {
        assert_ne!(changed, text, "{name}");
        let refusal = refused(&["verify", &files.write(name, &changed)]).await;
        assert!(refusal.contains(expected), "{name}: {refusal}");
    }
    let missing = refused(&["verify", "/nonexistent/statement.json"]).await;
    assert!(missing.contains("cannot read"), "{missing}");
}

#[tokio::test]
async fn a_missing_forged_or_other_signature_is_refused() {
    let files = Files::new();
    let (key, other) = (new_key(), new_key());
    let required = hex(key.public_key().as_ref());
    let unsigned = files.write("unsigned.json", &statement(None).to_string());
    let refusal = refused(&["verify", &unsigned, "--public-key", &required]).await;
    assert!(refusal.contains("not signed"), "{refusal}");

    let document = statement(Some(&other));
    let by_other = files.write("other.json", &document.to_string());
    let refusal = refused(&["verify", &by_other, "--public-key", &required]).await;
    let fingerprint = Hash::of_bytes(key.public_key().as_ref()).to_string();
    assert!(refusal.contains(&fingerprint), "{refusal}");

    // The signature of another key under the name of the required one.
    let mut forged = document;
    forged["proof"]["signature"]["public_key"] = required.clone().into();
    let forged = files.write("forged.json", &forged.to_string());
    for arguments in [
        &["verify", &forged][..],
        &["verify", &forged, "--public-key", &required],
    ] {
        let refusal = refused(arguments).await;
        assert!(refusal.contains("signature is not by"), "{refusal}");
    }
    let refusal = refused(&["verify", &unsigned, "--public-key", "/nonexistent/key"]).await;
    assert!(refusal.contains("/nonexistent/key"), "{refusal}");
}
