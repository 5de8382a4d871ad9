//! The HTTP client under every Azure client: the library's own has no time limits.

use std::sync::Arc;
use std::time::Duration;

use azure_core::http::{ClientOptions, RetryOptions, Transport};

use crate::AzureError;

/// A service that does not take a connection in this time is not available.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A service that sends nothing for this long has gone away.
const SILENCE_TIMEOUT: Duration = Duration::from_mins(1);

/// Options that every client starts from: our transport, and no retries of its own.
pub(crate) fn client_options() -> Result<ClientOptions, AzureError> {
    let client = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE_TIMEOUT)
        .referer(false)
        // A blob is read in ranges, which make sense only for the bytes as they are stored.
        .no_gzip()
        .no_deflate()
        .no_brotli()
        .no_zstd()
        .build()
        .map_err(|error| AzureError::settings(format!("no HTTP client can be made: {error}")))?;
    Ok(ClientOptions {
        retry: RetryOptions::none(),
        transport: Some(Transport::new(Arc::new(client))),
        ..ClientOptions::default()
    })
}
