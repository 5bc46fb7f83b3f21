//! The key that signs the statements of closed months: Ed25519 (RFC 8032).

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use domain::proof::Hash;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use store::closing::RootSignature;

/// A private key. Cheap to clone.
#[derive(Clone)]
pub struct SigningKey(Arc<Ed25519KeyPair>);

/// Why a file is not a signing key. Contains nothing of the content of the file.
#[derive(Debug, thiserror::Error)]
pub enum InvalidSigningKey {
    #[error("cannot read the signing key {path}: {error}; correct ARCADIA_SIGNING_KEY_FILE")]
    Unreadable { path: String, error: std::io::Error },
    #[error(
        "the signing key {path} is not a private key in PEM (PKCS#8, without a passphrase): create one with `openssl genpkey \
         -algorithm ed25519 -out FILE`"
    )]
    NotPem { path: String },
    #[error(
        "the signing key {path} is not an Ed25519 key: create one with `openssl genpkey -algorithm ed25519 -out FILE`"
    )]
    OtherKind { path: String },
}

impl SigningKey {
    /// Reads a key as `openssl genpkey -algorithm ed25519` writes it.
    pub fn read(path: &Path) -> Result<Self, InvalidSigningKey> {
        let name = path.display().to_string();
        let text = std::fs::read(path).map_err(|error| InvalidSigningKey::Unreadable {
            path: name.clone(),
            error,
        })?;
        Self::from_pem(&text, name)
    }

    // The errors of the parsers are dropped, because they may quote the content.
    fn from_pem(text: &[u8], path: String) -> Result<Self, InvalidSigningKey> {
        let Ok(key) = PrivatePkcs8KeyDer::from_pem_slice(text) else {
            return Err(InvalidSigningKey::NotPem { path });
        };
        // OpenSSL's files do not contain the public key, which `from_pkcs8` requires.
        match Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_pkcs8_der()) {
            Ok(key) => Ok(Self(Arc::new(key))),
            Err(_) => Err(InvalidSigningKey::OtherKind { path }),
        }
    }

    /// Returns the SHA-256 hash of the public key, by which people compare keys.
    pub fn fingerprint(&self) -> Hash {
        Hash::of_bytes(self.0.public_key().as_ref())
    }

    /// Signs the text of a root.
    pub(crate) fn sign(&self, message: &str) -> Option<RootSignature> {
        let signature = self.0.sign(message.as_bytes());
        // Ed25519 has keys of 32 bytes and signatures of 64.
        Some(RootSignature {
            public_key: self.0.public_key().as_ref().try_into().ok()?,
            signature: signature.as_ref().try_into().ok()?,
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SigningKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    /// The example of RFC 8410, section 10.3.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    const PUBLIC: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

    fn read(text: &str) -> Result<SigningKey, InvalidSigningKey> {
        SigningKey::from_pem(text.as_bytes(), "key.pem".to_owned())
    }

    #[test]
    fn a_key_of_openssl_signs_a_text() {
        let key = read(PRIVATE).unwrap();
        let signed = key.sign("arcadia-month-1\n").unwrap();
        assert_eq!(Hash::from(signed.public_key).to_string(), PUBLIC);
        assert_eq!(key.fingerprint(), Hash::of_bytes(&signed.public_key));
        let public = UnparsedPublicKey::new(&ED25519, signed.public_key);
        assert!(
            public
                .verify(b"arcadia-month-1\n", &signed.signature)
                .is_ok()
        );
        assert!(
            public
                .verify(b"arcadia-month-2\n", &signed.signature)
                .is_err()
        );
    }

    #[test]
    fn an_invalid_key_is_refused_without_its_content() {
        let public = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        // The example's curve X25519 in place of Ed25519.
        let other_kind = PRIVATE.replace("K2Vw", "K2Vu");
        for (text, expected) in [
            ("", "PKCS#8"),
            (public, "PKCS#8"),
            ("-----BEGIN PRIVATE KEY----- MC4CAQAwBQYDK2VwBCIE", "PKCS#8"),
            (other_kind.as_str(), "not an Ed25519 key"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.contains(expected) && error.contains("key.pem"),
                "{error}"
            );
            assert!(!error.contains("MC4CAQ"), "{error}");
        }
        let missing = SigningKey::read(Path::new("/nonexistent/key.pem"));
        let error = missing.unwrap_err().to_string();
        assert!(error.contains("ARCADIA_SIGNING_KEY_FILE"), "{error}");
    }
}
