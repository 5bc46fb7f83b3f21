//! The key that signs the statements of closed months.

use std::path::PathBuf;

use worker::{InvalidSigningKey, SigningKey};

/// The file of the signing key.
#[derive(clap::Args)]
pub(crate) struct SigningArguments {
    /// File with the Ed25519 key that signs the statements of closed months, in PEM, as `openssl
    /// genpkey -algorithm ed25519` writes it [default: statements are not signed]
    #[arg(long, env = "ARCADIA_SIGNING_KEY_FILE", value_name = "FILE")]
    signing_key_file: Option<PathBuf>,
}

impl SigningArguments {
    /// Reads the key, if one is configured.
    pub(crate) fn key(&self) -> Result<Option<SigningKey>, InvalidSigningKey> {
        let path = self.signing_key_file.as_deref();
        path.map(SigningKey::read).transpose()
    }
}
