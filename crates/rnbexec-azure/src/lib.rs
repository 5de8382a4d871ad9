//! Azure: credentials and storage over HTTPS.
