//! `arcadia verify`: checks a statement of a closed month offline.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};

use anyhow::{Context as _, bail, ensure};
use domain::proof::{self, Hash, SignatureOfRoot, Verified};
use ring::signature::{ED25519, UnparsedPublicKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;

/// Check that a statement is unchanged since its month was closed, without any server.
#[derive(clap::Args)]
#[command(
    after_help = "Exits with 0 if the statement is verified, else with 1 and the reason on stderr. The proof \
                  shows that the statement is part of the month with the printed root; compare the root with \
                  the one in the manifest of the close, or require a signature with --public-key."
)]
pub(crate) struct Arguments {
    /// File with a statement of a closed month as JSON, with its proof; `-` for standard input.
    #[arg(value_name = "STATEMENT")]
    statement: String,
    /// Require a signature by this Ed25519 key: a file in PEM as `openssl pkey -pubout` writes it,
    /// or with 64 hexadecimal digits; or these digits.
    #[arg(long, value_name = "FILE")]
    public_key: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let expected = arguments.public_key.as_deref().map(read_key).transpose()?;
    let text = read(&arguments.statement)?;
    let document = serde_json::from_slice(&text)
        .with_context(|| format!("{} is not JSON", named(&arguments.statement)))?;
    let verified = proof::verify(&document).context("not verified")?;
    let signed_by = signer(&verified).context("not verified")?;
    if let Some(expected) = expected {
        let Some(found) = signed_by else {
            bail!(
                "not verified: the statement is not signed, but --public-key requires a signature"
            );
        };
        ensure!(
            found == expected,
            "not verified: the statement is signed by the key {}, not by {}",
            fingerprint(found),
            fingerprint(expected)
        );
    }
    let report = report(&verified, signed_by, expected.is_some());
    Ok(write!(std::io::stdout(), "{report}")?)
}

type PublicKey = [u8; 32];

/// Describes a verified statement.
fn report(verified: &Verified, signed_by: Option<PublicKey>, is_expected: bool) -> String {
    let tenant = verified
        .tenant
        .as_deref()
        .unwrap_or("none (unallocated costs)");
    let month = verified.period.format("%Y-%m");
    let mut text = format!(
        "verified\ntenant: {tenant}\nmonth:  {month}, close {}\nlines:  {}\ntotal:  {} USD\nroot:   {}\n",
        verified.close, verified.lines, verified.total, verified.root
    );
    // Writing into a string cannot fail.
    let _ = match signed_by {
        None => writeln!(text, "not signed"),
        Some(key) if is_expected => {
            writeln!(text, "signed by key {}, as required", fingerprint(key))
        }
        Some(key) => writeln!(
            text,
            "signed by key {}\nThe key is the one that the file states: compare it, or require a key with --public-key.",
            fingerprint(key)
        ),
    };
    text
}

/// Returns the key that signed the root; `None` without a signature.
fn signer(verified: &Verified) -> anyhow::Result<Option<PublicKey>> {
    let Some(SignatureOfRoot {
        public_key,
        signature,
    }) = &verified.signature
    else {
        return Ok(None);
    };
    let key: PublicKey = decode_hex(public_key)
        .context("the public key of the proof is invalid: expected 64 hexadecimal digits")?;
    let signature: [u8; 64] = decode_hex(signature)
        .context("the signature of the proof is invalid: expected 128 hexadecimal digits")?;
    let message = proof::signed_message(verified.period, verified.close, verified.root);
    let is_signed = UnparsedPublicKey::new(&ED25519, key)
        .verify(message.as_bytes(), &signature)
        .is_ok();
    ensure!(
        is_signed,
        "the signature is not by the key {} that the proof states",
        fingerprint(key)
    );
    Ok(Some(key))
}

fn fingerprint(key: PublicKey) -> Hash {
    Hash::of_bytes(&key)
}

fn named(statement: &str) -> &str {
    if statement == "-" {
        "standard input"
    } else {
        statement
    }
}

fn read(statement: &str) -> anyhow::Result<Vec<u8>> {
    if statement != "-" {
        return fs::read(statement).with_context(|| format!("cannot read {statement}"));
    }
    let mut text = Vec::new();
    std::io::stdin()
        .read_to_end(&mut text)
        .context("cannot read standard input")?;
    Ok(text)
}

/// The begin of every Ed25519 public key in DER (RFC 8410, section 4).
const ED25519_KEY: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Reads a key from its digits, or from a file with them or in PEM.
fn read_key(argument: &str) -> anyhow::Result<PublicKey> {
    if let Some(key) = decode_hex(argument) {
        return Ok(key);
    }
    let content =
        fs::read(argument).with_context(|| format!("cannot read the public key {argument}"))?;
    let digits = std::str::from_utf8(&content).unwrap_or_default();
    let of_pem = || {
        let key = SubjectPublicKeyInfoDer::from_pem_slice(&content).ok()?;
        key.as_ref().strip_prefix(&ED25519_KEY)?.try_into().ok()
    };
    decode_hex(digits.trim()).or_else(of_pem).with_context(|| {
        format!(
            "{argument} is not an Ed25519 public key: expected PEM as `openssl pkey -pubout` writes it, or 64 \
             hexadecimal digits"
        )
    })
}

/// Decodes exactly `N` bytes; `None` for any other text.
fn decode_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? * 16 + digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 8410, section 10.1.
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    const DIGITS: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

    #[test]
    fn a_public_key_is_read_from_pem_and_from_digits() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let read_file = |content: &str| {
            fs::write(&path, content).unwrap();
            read_key(path.to_str().unwrap())
        };
        let key = read_key(DIGITS).unwrap();
        assert_eq!(Hash::from(key).to_string(), DIGITS);
        assert_eq!(read_file(PEM).unwrap(), key);
        assert_eq!(read_file(&format!("{DIGITS}\n")).unwrap(), key);
        // Another kind of key, and a digit too few.
        for content in [&PEM.replace("K2Vw", "K2Vu"), &DIGITS[1..], ""] {
            let error = read_file(content).unwrap_err().to_string();
            assert!(error.contains("Ed25519"), "{error}");
        }
    }
}
