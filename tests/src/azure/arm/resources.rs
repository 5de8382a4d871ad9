//! The resources beside Sentinel: subscription, groups, Log Analytics, Azure ML and its storage account.

use serde_json::{Value, json};

use super::Arm;
use super::errors;
use crate::azure::call::{Played, Reply};
use crate::azure::names;
use crate::azure::paging::{self, Page};
use crate::azure::world::World;

const RESOURCES: [&str; 5] = ["2020-01-01", "2021-04-01", "2022-09-01", "2022-12-01", "2024-11-01"];
const AUTHORIZATION: [&str; 4] = ["2015-07-01", "2018-07-01", "2022-04-01", "2022-05-01-preview"];
const LOG_WORKSPACES: [&str; 7] =
    ["2015-03-20", "2020-08-01", "2021-06-01", "2022-10-01", "2023-09-01", "2025-02-01", "2025-07-01"];
const MACHINE_LEARNING: [&str; 14] = [
    "2021-01-01",
    "2021-04-01",
    "2021-07-01",
    "2022-05-01",
    "2022-10-01",
    "2023-04-01",
    "2023-10-01",
    "2024-04-01",
    "2024-07-01-preview",
    "2024-10-01",
    "2025-04-01",
    "2025-06-01",
    "2025-09-01",
    "2025-12-01",
];
const STORAGE: [&str; 9] = [
    "2019-06-01",
    "2021-04-01",
    "2021-09-01",
    "2022-09-01",
    "2023-01-01",
    "2023-05-01",
    "2024-01-01",
    "2025-01-01",
    "2025-06-01",
];
/// Azure ML's own default.
const DATASTORES_PER_PAGE: usize = 30;
const SHARES_PER_PAGE: usize = 100;

pub(super) fn permissions(world: &World, arm: &Arm<'_>) -> Played {
    only("GET", arm)?;
    arm.version(&AUTHORIZATION)?;
    arm.may(world, "Microsoft.Authorization/permissions/read", &arm.call.path)?;
    Ok(Reply::json(200, &world.access.permissions()))
}

pub(super) fn subscription(arm: &Arm<'_>) -> Played {
    only("GET", arm)?;
    arm.version(&RESOURCES)?;
    let id = names::SUBSCRIPTION;
    let body = json!({
        "id": format!("/subscriptions/{id}"), "subscriptionId": id, "tenantId": names::TENANT,
        "displayName": "Simulated subscription", "state": "Enabled",
    });
    Ok(Reply::json(200, &body))
}

pub(super) fn group(arm: &Arm<'_>, group: &str) -> Played {
    only("GET", arm)?;
    known_group(group)?;
    arm.version(&RESOURCES)?;
    let body = json!({
        "id": format!("/subscriptions/{}/resourceGroups/{group}", names::SUBSCRIPTION), "name": group,
        "type": "Microsoft.Resources/resourceGroups", "location": "westeurope", "properties": {"provisioningState": "Succeeded"},
    });
    Ok(Reply::json(200, &body))
}

pub(super) fn known_group(group: &str) -> Result<(), Reply> {
    if [names::RESOURCE_GROUP, names::ML_RESOURCE_GROUP].contains(&group) {
        return Ok(());
    }
    Err(errors::no_group(group))
}

pub(super) fn is(group: &str, its_group: &str, name: &str, its_name: &str) -> Result<(), Reply> {
    if group == its_group && name == its_name {
        return Ok(());
    }
    Err(errors::no_resource(name, group))
}

/// The id of a Log Analytics workspace, as it is written.
pub(super) fn workspace(world: &World, group: &str, name: &str) -> Result<String, Reply> {
    world
        .sentinel
        .workspaces
        .iter()
        .find(|id| {
            let id = id.to_lowercase();
            id.ends_with(&format!("/workspaces/{name}")) && id.contains(&format!("/resourcegroups/{group}/"))
        })
        .cloned()
        .ok_or_else(|| {
            errors::no_resource(&format!("Microsoft.OperationalInsights/workspaces/{name}"), group)
        })
}

pub(super) fn log_workspace(world: &World, arm: &Arm<'_>, id: &str) -> Played {
    only("GET", arm)?;
    arm.version(&LOG_WORKSPACES)?;
    arm.may(world, "Microsoft.OperationalInsights/workspaces/read", id)?;
    let body = json!({
        "id": id, "name": id.rsplit('/').next(), "type": "Microsoft.OperationalInsights/workspaces", "location": "westeurope",
        "properties": {"customerId": names::CUSTOMER_ID, "provisioningState": "Succeeded", "retentionInDays": 90},
    });
    Ok(Reply::json(200, &body))
}

pub(super) fn machine_learning(world: &World, arm: &Arm<'_>, inner: &[&str]) -> Played {
    const NAMESPACE: &str = "Microsoft.MachineLearningServices/workspaces";
    arm.version(&MACHINE_LEARNING)?;
    let id = names::ml_workspace_id();
    match (arm.call.method.as_str(), inner) {
        ("GET", []) => {
            arm.may(world, &format!("{NAMESPACE}/read"), &id)?;
            Ok(Reply::json(200, &ml_workspace(&id)))
        }
        ("GET", ["datastores"]) => {
            arm.may(world, &format!("{NAMESPACE}/datastores/read"), &id)?;
            datastores(world, arm, &id)
        }
        ("GET", ["datastores", name]) => {
            arm.may(world, &format!("{NAMESPACE}/datastores/read"), &id)?;
            datastore(&id, name).map(|found| Reply::json(200, &found))
        }
        ("POST", ["datastores", name, "listsecrets"]) => {
            arm.may(world, &format!("{NAMESPACE}/datastores/listsecrets/action"), &id)?;
            datastore(&id, name)?;
            Ok(Reply::json(200, &json!({"secretsType": "AccountKey", "key": world.files.key})))
        }
        _ => Err(errors::no_such_route(arm.call)),
    }
}

fn ml_workspace(id: &str) -> Value {
    json!({
        "id": id, "name": names::ML_WORKSPACE, "type": "Microsoft.MachineLearningServices/workspaces", "kind": "Default",
        "location": "westeurope", "tags": {}, "sku": {"name": "Basic", "tier": "Basic"},
        "identity": {"type": "SystemAssigned", "principalId": "0e1b5a1f-7d1a-4c57-8a30-2a1a3a1b9f10", "tenantId": names::TENANT},
        "properties": {
            "friendlyName": names::ML_WORKSPACE, "description": "", "workspaceId": "b9a3b5f2-5d36-4bb6-9bd1-0c9e3c6b1c55",
            "storageAccount": names::storage_id(), "keyVault": names::vault_id(), "applicationInsights": null,
            "provisioningState": "Succeeded", "publicNetworkAccess": "Enabled", "hbiWorkspace": false,
        },
    })
}

fn all_datastores(id: &str) -> Vec<Value> {
    let share =
        |name: &str, share: &str| (name.to_owned(), "AzureFile", "fileShareName", share.to_owned(), false);
    let workspace = "b9a3b5f2-5d36-4bb6-9bd1-0c9e3c6b1c55";
    let container = |name: &str, container: String, default: bool| {
        (name.to_owned(), "AzureBlob", "containerName", container, default)
    };
    [
        container("workspaceblobstore", format!("azureml-blobstore-{workspace}"), true),
        container("workspaceartifactstore", "azureml".to_owned(), false),
        share("workspacefilestore", &format!("azureml-filestore-{workspace}")),
        share("workspaceworkingdirectory", names::CODE_SHARE),
    ]
    .into_iter()
    .map(|(name, kind, key, place, default)| {
        let mut store = json!({
            "id": format!("{id}/datastores/{name}"), "name": name,
            "type": "Microsoft.MachineLearningServices/workspaces/datastores",
            "properties": {
                "datastoreType": kind, "accountName": names::STORAGE_ACCOUNT, "endpoint": "core.windows.net",
                "protocol": "https", "credentials": {"credentialsType": "AccountKey"}, "isDefault": default,
                "subscriptionId": names::SUBSCRIPTION, "resourceGroup": names::ML_RESOURCE_GROUP,
                "serviceDataAccessAuthIdentity": "None", "description": null, "tags": {}, "properties": {},
            },
        });
        store["properties"][key] = Value::String(place);
        store
    })
    .collect()
}

fn datastore(id: &str, name: &str) -> Result<Value, Reply> {
    all_datastores(id)
        .into_iter()
        .find(|store| store["name"] == *name)
        .ok_or_else(|| errors::fail(404, "UserError", &format!("Could not find datastore: {name}.")))
}

fn datastores(world: &World, arm: &Arm<'_>, id: &str) -> Played {
    let size = arm.call.query("count").and_then(|count| count.parse().ok()).unwrap_or(DATASTORES_PER_PAGE);
    let page = Page { size: world.page_size.unwrap_or(size), parameter: "$skip" };
    let mut all = all_datastores(id);
    if let Some(wanted) = arm.call.query("isDefault") {
        let wanted = wanted.eq_ignore_ascii_case("true");
        all.retain(|store| store["properties"]["isDefault"] == wanted);
    }
    paging::by_offset(world, arm.call, all, page)
}

pub(super) fn storage(world: &World, arm: &Arm<'_>, inner: &[&str]) -> Played {
    arm.version(&STORAGE)?;
    let id = names::storage_id();
    let account = names::STORAGE_ACCOUNT;
    match (arm.call.method.as_str(), inner) {
        ("GET", []) => {
            arm.may(world, "Microsoft.Storage/storageAccounts/read", &id)?;
            let body = json!({
                "id": id, "name": account, "type": "Microsoft.Storage/storageAccounts", "kind": "StorageV2",
                "location": "westeurope", "sku": {"name": "Standard_LRS", "tier": "Standard"},
                "properties": {
                    "primaryEndpoints": {"file": format!("{}/{account}/", world.url)},
                    "provisioningState": "Succeeded", "allowSharedKeyAccess": true,
                },
            });
            Ok(Reply::json(200, &body))
        }
        ("GET", ["fileservices", "default", "shares"]) => {
            arm.may(world, "Microsoft.Storage/storageAccounts/fileServices/shares/read", &id)?;
            let share = |name: &String| {
                json!({
                    "id": format!("{id}/fileServices/default/shares/{name}"), "name": name,
                    "type": "Microsoft.Storage/storageAccounts/fileServices/shares", "properties": {"shareQuota": 5120},
                })
            };
            let shares = world.files.shares.keys().map(share).collect();
            let size = world.page_size.unwrap_or(SHARES_PER_PAGE);
            paging::by_offset(world, arm.call, shares, Page { size, parameter: "$skipToken" })
        }
        ("POST", ["listkeys"]) => {
            arm.may(world, "Microsoft.Storage/storageAccounts/listkeys/action", &id)?;
            let key = |name: &str| json!({"keyName": name, "value": world.files.key, "permissions": "FULL", "creationTime": "2024-01-01T00:00:00.0000000Z"});
            Ok(Reply::json(200, &json!({"keys": [key("key1"), key("key2")]})))
        }
        _ => Err(errors::no_such_route(arm.call)),
    }
}

fn only(method: &str, arm: &Arm<'_>) -> Result<(), Reply> {
    if arm.call.method == method { Ok(()) } else { Err(errors::no_such_route(arm.call)) }
}
