//! Who may do what: the roles that the project asks for, and what tests take away.

use serde_json::{Value, json};

use super::matching::glob;

/// What the roles of a well-set-up manager allow on the control plane.
const ACTIONS: [&str; 7] = [
    "*/read",
    "Microsoft.SecurityInsights/incidents/*",
    "Microsoft.SecurityInsights/entities/runPlaybook/action",
    "Microsoft.OperationalInsights/workspaces/query/*",
    "Microsoft.OperationalInsights/workspaces/analytics/query/action",
    "Microsoft.MachineLearningServices/workspaces/datastores/listsecrets/action",
    "Microsoft.Storage/storageAccounts/listkeys/action",
];

/// What they allow on the data planes.
const DATA_ACTIONS: [&str; 7] = [
    "Microsoft.Storage/storageAccounts/fileServices/fileShares/files/read",
    "Microsoft.Storage/storageAccounts/fileServices/fileShares/files/write",
    "Microsoft.Storage/storageAccounts/fileServices/fileShares/files/delete",
    "Microsoft.Storage/storageAccounts/fileServices/readFileBackupSemantics/action",
    "Microsoft.Storage/storageAccounts/fileServices/writeFileBackupSemantics/action",
    "Microsoft.KeyVault/vaults/secrets/getSecret/action",
    "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
];

/// The permissions of every identity.
#[derive(Debug, Default)]
pub(super) struct Access {
    denied: Vec<String>,
}

impl Access {
    /// Takes an action, which may have `*`, from everybody.
    pub(super) fn deny(&mut self, action: &str) {
        self.denied.push(action.to_owned());
    }

    /// Gives it back.
    pub(super) fn allow(&mut self, action: &str) {
        self.denied.retain(|denied| !denied.eq_ignore_ascii_case(action));
    }

    pub(super) fn permits(&self, action: &str) -> bool {
        let action = action.to_lowercase();
        let listed = |pattern: &str| glob(&pattern.to_lowercase(), &action);
        let granted = ACTIONS.iter().chain(&DATA_ACTIONS).any(|pattern| listed(pattern));
        granted && !self.denied.iter().any(|pattern| listed(pattern))
    }

    /// The body of `GET …/providers/Microsoft.Authorization/permissions`.
    pub(super) fn permissions(&self) -> Value {
        let data = |action: &&String| DATA_ACTIONS.iter().any(|known| known.eq_ignore_ascii_case(action));
        let (denied_data, denied): (Vec<&String>, Vec<&String>) = self.denied.iter().partition(data);
        json!({"value": [{
            "actions": ACTIONS, "notActions": denied, "dataActions": DATA_ACTIONS, "notDataActions": denied_data,
        }]})
    }
}
