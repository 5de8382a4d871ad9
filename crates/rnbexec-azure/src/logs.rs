//! Log Analytics: questions in KQL.
//!
//! Source: "Azure Monitor Log Analytics API", `POST /v1/workspaces/{id}/query`.

use azure_core::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::AzureError;
use crate::client::JsonClient;
use crate::cloud::Cloud;
use crate::credential::Identity;
use crate::transport::Http;

/// The query service of one cloud.
#[derive(Debug, Clone)]
pub struct Logs {
    client: JsonClient,
    cloud: Cloud,
}

impl Logs {
    /// The query service of this cloud.
    pub fn new(cloud: Cloud, identity: Identity, http: &Http) -> Self {
        let client =
            JsonClient::new(http, identity, cloud.log_analytics_scope(), cloud.log_analytics.clone());
        Self { client, cloud }
    }

    /// The answer to a question to the workspace with this customer id, over a time span (ISO 8601: `P1D`), raw:
    /// `{"tables": […]}`, and beside it `error` when a part is missing.
    pub async fn query(&self, workspace: Uuid, query: &str, timespan: &str) -> Result<Value, AzureError> {
        let mut url = self.cloud.log_analytics.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["v1", "workspaces", &workspace.to_string(), "query"]);
        }
        let body = json!({"query": query, "timespan": timespan});
        // Less than the silence after which a connection is given up.
        let wait = [("prefer", "wait=45".to_owned())];
        self.client.send(Method::Post, url, &wait, Some(&body)).await
    }

    /// Asks for nothing, and thereby whether asking is allowed.
    pub async fn probe(&self, workspace: Uuid) -> Result<(), AzureError> {
        self.query(workspace, "print allowed = true", "PT1H").await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Server, Tokens, answer, quick};

    #[tokio::test]
    async fn a_question_is_posted_to_the_workspace() {
        let answered = json!({"tables": [{"name": "PrimaryResult", "columns": [], "rows": []}]});
        let server = Server::script(vec![answer(200, &answered), answer(200, "{}")]).await;
        let logs = Logs::new(server.cloud(), Tokens::identity(), &quick());
        let workspace: Uuid = "52b1ab41-869e-4138-9e40-2a4457f09bf0".parse().expect("a GUID");
        let rows = logs.query(workspace, "SecurityIncident | take 1", "P1D").await.expect("it answers");
        assert_eq!(rows, answered);
        logs.probe(workspace).await.expect("it answers");
        let asked = server.asked();
        assert_eq!(asked[0].line, format!("POST /v1/workspaces/{workspace}/query"));
        assert_eq!(asked[0].json(), json!({"query": "SecurityIncident | take 1", "timespan": "P1D"}));
        assert_eq!(asked[0].header("prefer"), Some("wait=45"));
    }
}
