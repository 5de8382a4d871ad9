//! A service principal that shows a certificate: it signs its own word instead of sending a secret.
//!
//! Source: "Microsoft identity platform application authentication certificate credentials".

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use azure_core::base64;
use azure_core::error::ErrorKind;
use azure_core::http::ClientMethodOptions;
use azure_core::time::OffsetDateTime;
use azure_identity::ClientAssertion;
use rustls_pki_types::pem::{self, PemObject as _, SectionKind};
use rustls_pki_types::{CertificateDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use uuid::Uuid;

/// How long an assertion is good.
const LIFETIME: Duration = Duration::from_mins(10);

/// A certificate with its private key.
#[derive(Clone)]
pub(super) struct CertificateKey {
    /// The certificate first, then those that vouch for it.
    chain: Vec<CertificateDer<'static>>,
    key: Arc<RsaKeyPair>,
}

/// Reads a PEM file of a private key and its certificate.
pub(super) async fn read(path: &Path) -> azure_core::Result<CertificateKey> {
    let shown = path.display();
    let bytes = tokio::fs::read(path).await.map_err(|error| {
        let message = format!("{shown} cannot be read: {error}");
        azure_core::Error::with_error(ErrorKind::Credential, error, message)
    })?;
    parse(&bytes).map_err(|problem| {
        azure_core::Error::with_message(ErrorKind::Credential, format!("{shown} {problem}"))
    })
}

fn parse(bytes: &[u8]) -> Result<CertificateKey, String> {
    // A PFX file is DER: a sequence.
    if bytes.first() == Some(&0x30) {
        return Err(
            "is a PFX file and not PEM; convert it: openssl pkcs12 -in FILE -nodes -out FILE.pem".to_owned()
        );
    }
    let mut chain = Vec::new();
    let mut key = None;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(bytes) {
        let (kind, der) = section.map_err(|error| match error {
            pem::Error::IllegalSectionStart { .. } => "holds a broken PEM section".to_owned(),
            error => format!("is not PEM: {error}"),
        })?;
        match kind {
            SectionKind::Certificate => chain.push(CertificateDer::from(der)),
            SectionKind::PrivateKey => {
                key = Some(RsaKeyPair::from_pkcs8(PrivatePkcs8KeyDer::from(der).secret_pkcs8_der()));
            }
            SectionKind::RsaPrivateKey => {
                key = Some(RsaKeyPair::from_der(PrivatePkcs1KeyDer::from(der).secret_pkcs1_der()));
            }
            _ => {}
        }
    }
    if chain.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    match key {
        Some(Ok(key)) => Ok(CertificateKey { chain, key: Arc::new(key) }),
        Some(Err(_)) => Err("holds a private key that is not an RSA key".to_owned()),
        None => {
            Err("holds no private key, or an encrypted one; decrypt it: openssl pkey -in FILE".to_owned())
        }
    }
}

/// What a service principal says of itself, signed.
pub(super) struct CertificateAssertion {
    pub(super) key: CertificateKey,
    pub(super) client: String,
    /// The URL where tokens are made.
    pub(super) audience: String,
    /// Whether the certificate itself goes along, for services that trust its subject.
    pub(super) send_certificate: bool,
}

impl CertificateAssertion {
    fn sign(&self, now: OffsetDateTime) -> azure_core::Result<String> {
        let CertificateKey { chain, key } = &self.key;
        let thumbprint = digest(&SHA256, chain.first().map_or(&[][..], AsRef::as_ref));
        let mut header =
            json!({"alg": "RS256", "typ": "JWT", "x5t#S256": base64::encode_url_safe(thumbprint.as_ref())});
        if self.send_certificate {
            header["x5c"] = chain.iter().map(base64::encode).collect();
        }
        let claims = json!({
            "aud": self.audience,
            "iss": self.client,
            "sub": self.client,
            "jti": Uuid::new_v4().to_string(),
            "nbf": now.unix_timestamp(),
            "exp": (now + LIFETIME).unix_timestamp(),
        });
        let [header, claims] = [header, claims].map(|part| base64::encode_url_safe(part.to_string()));
        let message = format!("{header}.{claims}");
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).map_err(
            |_| azure_core::Error::with_message(ErrorKind::Credential, "the certificate's key cannot sign"),
        )?;
        Ok(format!("{message}.{}", base64::encode_url_safe(signature)))
    }
}

#[async_trait]
impl ClientAssertion for CertificateAssertion {
    async fn secret(&self, _options: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        self.sign(OffsetDateTime::now_utc())
    }
}

impl fmt::Debug for CertificateAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAssertion").field("client", &self.client).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
