//! What exists in the simulated Azure from the start, by name.

/// The tenant.
pub const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
/// The subscription that everything is in: the one of the shipped incidents.
pub const SUBSCRIPTION: &str = "d0cfe6b2-9ac0-4464-9919-dccaee2e48c0";
/// The resource group of the Sentinel workspace.
pub const RESOURCE_GROUP: &str = "soc-rg";
/// The Sentinel workspace.
pub const WORKSPACE: &str = "soc-ws";
/// The id under which Log Analytics knows the workspace.
pub const CUSTOMER_ID: &str = "8ecf8077-cf51-4820-aadd-14040956f35d";
/// The resource group of the Azure ML workspace and its storage.
pub const ML_RESOURCE_GROUP: &str = "aml-rg";
/// The Azure ML workspace.
pub const ML_WORKSPACE: &str = "triage-aml";
/// The storage account of the Azure ML workspace.
pub const STORAGE_ACCOUNT: &str = "triageaml001";
/// The file share that the studio shows as *Notebooks*: the same in every workspace of Azure ML.
pub const CODE_SHARE: &str = "code-391ff5ac-6576-460f-ba4d-7e03433c68b6";
/// The key vault.
pub const VAULT: &str = "triage-vault";
/// The secret in the vault that holds the storage account's key, as in the blog.
pub const KEY_SECRET: &str = "aml-storage-key";
/// The service principal.
pub const CLIENT_ID: &str = "1950a258-227b-4e31-a9cf-717495945fc2";
/// Its secret.
pub const CLIENT_SECRET: &str = "Vq8~triage-simulated-secret";
/// The client id of the managed identity that the machine has by itself.
pub const SYSTEM_IDENTITY: &str = "a3f0f7a5-90b4-4c0c-9a0b-6a1f5f6b3f10";
/// The client id of a managed identity that a user assigned to the machine.
pub const USER_IDENTITY: &str = "5c1c83a9-1e3f-4f6f-8d3e-2c7b1df4c0aa";
/// The secret that App Service gives a process in `IDENTITY_HEADER`, and Azure ML in `MSI_SECRET`.
pub const IDENTITY_SECRET: &str = "853b9a84-5bfa-4b22-a3f3-0b9a43d9ad8a";

/// The ARM id of the Sentinel workspace.
pub fn workspace_id() -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers/Microsoft.OperationalInsights/workspaces/{WORKSPACE}"
    )
}

/// The ARM id of the Azure ML workspace.
pub fn ml_workspace_id() -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{ML_RESOURCE_GROUP}/providers/Microsoft.MachineLearningServices/workspaces/{ML_WORKSPACE}"
    )
}

/// The ARM id of the storage account.
pub fn storage_id() -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{ML_RESOURCE_GROUP}/providers/Microsoft.Storage/storageAccounts/{STORAGE_ACCOUNT}"
    )
}

/// The ARM id of the key vault.
pub fn vault_id() -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{ML_RESOURCE_GROUP}/providers/Microsoft.KeyVault/vaults/{VAULT}"
    )
}
