use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::Value;

use super::*;

const CERTIFICATE: &[u8] = b"the bytes of a certificate";

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64::encode(der))
}

/// A key, and a PEM file of it and a certificate.
fn file() -> (RsaKeyPair, String) {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'static> = key.as_der().unwrap();
    let text =
        pem("PRIVATE KEY", der.as_ref()) + &pem("CERTIFICATE", CERTIFICATE) + &pem("CERTIFICATE", b"above");
    (key, text)
}

fn part(text: &str) -> Value {
    serde_json::from_slice(&base64::decode_url_safe(text).unwrap()).unwrap()
}

#[test]
fn an_assertion_is_signed_and_says_who_for_whom_and_how_long() {
    let (key, text) = file();
    let audience = "http://127.0.0.1:1/t/oauth2/v2.0/token".to_owned();
    let mut assertion = CertificateAssertion {
        key: parse(text.as_bytes()).unwrap(),
        client: "client".to_owned(),
        audience: audience.clone(),
        send_certificate: false,
    };
    let now = OffsetDateTime::now_utc();
    let signed = assertion.sign(now).unwrap();
    let [header, claims, signature] = signed.split('.').collect::<Vec<_>>()[..] else { panic!("{signed}") };
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref().to_vec());
    let message = format!("{header}.{claims}");
    public.verify(message.as_bytes(), &base64::decode_url_safe(signature).unwrap()).unwrap();
    let thumbprint = base64::encode_url_safe(digest(&SHA256, CERTIFICATE).as_ref());
    assert_eq!(part(header), json!({"alg": "RS256", "typ": "JWT", "x5t#S256": thumbprint}));
    let claims = part(claims);
    assert_eq!(
        (&claims["aud"], &claims["iss"], &claims["sub"]),
        (&json!(audience), &json!("client"), &json!("client"))
    );
    assert_eq!(
        (claims["nbf"].as_i64(), claims["exp"].as_i64()),
        (Some(now.unix_timestamp()), Some(now.unix_timestamp() + 600))
    );
    assert!(!thumbprint.contains('='));

    assertion.send_certificate = true;
    let signed = assertion.sign(now).unwrap();
    let chain = json!([base64::encode(CERTIFICATE), base64::encode("above")]);
    assert_eq!(part(signed.split('.').next().unwrap())["x5c"], chain);
    assert!(!format!("{assertion:?}").contains("key"));
}

#[test]
fn a_file_that_cannot_sign_says_why() {
    let (_, text) = file();
    let (key, certificates) = text.split_once("-----BEGIN CERT").unwrap();
    let certificates = format!("-----BEGIN CERT{certificates}");
    let said = |bytes: &[u8]| parse(bytes).err().unwrap();
    assert!(said(b"").contains("no certificate"));
    assert!(said(key.as_bytes()).contains("no certificate"));
    assert!(said(certificates.as_bytes()).contains("openssl pkey"));
    assert!(said(&[0x30, 0x82, 1]).contains("openssl pkcs12"));
    assert!(said((pem("PRIVATE KEY", b"x") + &certificates).as_bytes()).contains("not an RSA key"));
    assert!(said(b"-----BEGIN CERTIFICATE-----\n").contains("PEM"));
}
