//! JSON over the common pipeline.

use std::sync::Arc;

use azure_core::http::headers::{HeaderName, HeaderValue};
use azure_core::http::policies::Policy;
use azure_core::http::{Context, Method, Pipeline, PipelineSendOptions, Request, Url};
use serde_json::Value;

use crate::transport::{Bearer, Http, Unheard};
use crate::{AzureError, credential::Identity};

/// A service that takes and gives JSON, and lets us in with tokens.
#[derive(Debug, Clone)]
pub(crate) struct JsonClient {
    pipeline: Pipeline,
}

impl JsonClient {
    /// A client of the service at `endpoint`, where tokens of `scope` let us in; no other host ever gets one.
    pub(crate) fn new(http: &Http, identity: Identity, scope: String, endpoint: Url) -> Self {
        let bearer: Arc<dyn Policy> = Arc::new(Bearer { identity, scope, endpoint });
        Self { pipeline: http.pipeline(vec![bearer], &[]) }
    }

    /// The answer's body; `null` when it is empty.
    pub(crate) async fn send(
        &self,
        method: Method,
        url: Url,
        headers: &[(&'static str, String)],
        body: Option<&Value>,
    ) -> Result<Value, AzureError> {
        let mut request = Request::new(url, method);
        request.insert_header("accept", "application/json");
        for (name, value) in headers {
            request.insert_header(HeaderName::from_static(name), HeaderValue::from(value.clone()));
        }
        if let Some(body) = body {
            request.insert_header("content-type", "application/json");
            request.set_body(body.to_string());
        }
        let options = PipelineSendOptions { skip_checks: true, ..PipelineSendOptions::default() };
        let unheard = Unheard::default();
        let context = Context::new().with_value(unheard.clone());
        let failed = |error: AzureError| error.after(&unheard);
        let sent = self.pipeline.send(&context, &mut request, Some(options)).await;
        let response = sent.map_err(|error| failed(error.into()))?;
        if !response.status().is_success() {
            return Err(failed(AzureError::refused(&response)));
        }
        let body: &[u8] = response.body().as_ref();
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Null);
        }
        serde_json::from_slice(body)
            .map_err(|error| AzureError::unexpected(format!("the answer is not JSON: {error}")))
    }
}
