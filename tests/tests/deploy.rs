//! What `deploy/` promises, checked as far as it can be without Azure: the templates are deployed on paper (see `template`), and
//! what they would make is looked at.

#[path = "deploy/expression.rs"]
mod expression;
#[path = "deploy/template.rs"]
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, iter};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rnbexec_azure::queue::IncidentMessage;
use rnbexec_manager::config::{Config, ConfigSources, Destination, SourceKind};
use rnbexec_tests::oracle;
use serde_json::{Value, json};
use template::{CLIENT, Place, Resource, deploy, each_template, grants};

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000001";
/// Sentinel's and the workspace's own places are others than that of the deployment, as in life.
const SOC: &str = "00000000-0000-0000-0000-000000000002";
const INCIDENT: &str = "/subscriptions/00000000-0000-0000-0000-000000000002/resourceGroups/soc/providers/\
    Microsoft.OperationalInsights/workspaces/contoso-sentinel/providers/Microsoft.SecurityInsights/Incidents/\
    73e01a99-5cd7-4139-a149-9f2736ff2ab5";

/// Every role that a template may give, as Azure's list of built-in roles has it.
const ROLES: [(&str, &str); 11] = [
    ("AcrPull", "7f951dda-4ed3-4680-a7ca-43fe172d538d"),
    ("Key Vault Secrets User", "4633458b-17de-408a-b874-0445c86b69e6"),
    ("Microsoft Sentinel Automation Contributor", "f4c81013-99ee-4d62-a7ee-b3f1f648599a"),
    ("Microsoft Sentinel Reader", "8d289c81-5878-46d4-8554-54e1e3d8b5cb"),
    ("Microsoft Sentinel Responder", "3e150937-b8fe-4cfb-8069-0eaf05ecd056"),
    ("Reader", "acdd72a7-3385-48ef-bd42-f606fba81ae7"),
    ("Storage Blob Data Contributor", "ba92f5b4-2d11-453d-a403-e96b0029c9fe"),
    ("Storage Blob Data Reader", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"),
    ("Storage File Data Privileged Contributor", "69566ab7-960f-475b-8e7c-b3118f30c6bd"),
    ("Storage Queue Data Contributor", "974c5e8b-45b9-4653-ba55-5f855dd0fb88"),
    ("Storage Queue Data Message Sender", "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a"),
];

const TEMPLATES: [&str; 3] =
    ["vm/azuredeploy.json", "container-apps/azuredeploy.json", "logic-app/azuredeploy.json"];

fn file(name: &str) -> String {
    let path = oracle::workspace().join("deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

fn template(name: &str) -> Value {
    serde_json::from_str(&file(name)).unwrap_or_else(|error| panic!("{name} is not JSON: {error}"))
}

fn made(name: &str, parameters: &[&Value]) -> Vec<Resource> {
    let mut given = serde_json::Map::new();
    for more in parameters {
        given.extend(more.as_object().expect("parameters are an object").clone());
    }
    let place = Place { subscription: SUBSCRIPTION.to_owned(), group: "triage".to_owned() };
    deploy(&template(name), &Value::Object(given), &place)
}

fn of_kind<'a>(made: &'a [Resource], kind: &str) -> Vec<&'a Value> {
    made.iter().filter(|resource| resource.kind == kind).map(|resource| &resource.value).collect()
}

fn soc() -> Value {
    json!({"sentinelSubscriptionId": SOC, "sentinelResourceGroup": "soc", "sentinelWorkspace": "contoso-sentinel"})
}

fn vm() -> Value {
    json!({"sshPublicKey": "ssh-ed25519 AAAA", "binaryUrl": "https://example.org/rnbexec", "binarySha256": "0".repeat(64)})
}

fn to_workspace() -> Value {
    json!({"mlSubscriptionId": SOC, "mlResourceGroup": "ml", "mlWorkspace": "contoso-ml",
        "mlStorageResourceGroup": "ml-storage", "mlStorageAccount": "contosoml"})
}

fn to_blob() -> Value {
    json!({"publishTo": "blob", "blobAccount": "contosoblob"})
}

/// The roles given, by name and the end of the scope, to the only principal that gets any.
#[track_caller]
fn expect_roles(made: &[Resource], expected: &[(&str, &str)]) {
    let grants = grants(made);
    assert_eq!(grants.len(), 1, "one principal gets roles: {grants:#?}");
    let names: BTreeMap<&str, &str> = ROLES.iter().map(|(name, id)| (*id, *name)).collect();
    let given: BTreeSet<(String, String)> = grants
        .into_values()
        .flatten()
        .map(|(role, scope)| {
            (names.get(role.as_str()).map_or(role.clone(), |name| (*name).to_owned()), scope)
        })
        .collect();
    let expected: BTreeSet<(String, String)> = expected
        .iter()
        .map(|(role, scope)| ((*role).to_owned(), format!("/subscriptions/{scope}")))
        .collect();
    assert_eq!(given, expected);
}

const RESPONDER: (&str, &str) = (
    "Microsoft Sentinel Responder",
    "00000000-0000-0000-0000-000000000002/resourceGroups/soc/providers/Microsoft.OperationalInsights/workspaces/contoso-sentinel",
);
const ML_READER: (&str, &str) = (
    "Reader",
    "00000000-0000-0000-0000-000000000002/resourceGroups/ml/providers/Microsoft.MachineLearningServices/workspaces/contoso-ml",
);
const SHARE: (&str, &str) = (
    "Storage File Data Privileged Contributor",
    "00000000-0000-0000-0000-000000000002/resourceGroups/ml-storage/providers/Microsoft.Storage/storageAccounts/contosoml",
);
const CONTAINER: (&str, &str) = (
    "Storage Blob Data Contributor",
    "00000000-0000-0000-0000-000000000001/resourceGroups/triage/providers/Microsoft.Storage/storageAccounts/contosoblob/blobServices/default/containers/triage",
);
const QUEUE: (&str, &str) = (
    "Storage Queue Data Contributor",
    "00000000-0000-0000-0000-000000000001/resourceGroups/triage/providers/Microsoft.Storage/storageAccounts/contosoqueue/queueServices/default/queues/incidents",
);
const POISON: (&str, &str) = (
    "Storage Queue Data Message Sender",
    "00000000-0000-0000-0000-000000000001/resourceGroups/triage/providers/Microsoft.Storage/storageAccounts/contosoqueue/queueServices/default/queues/incidents-poison",
);

#[test]
fn templates_name_nothing_they_do_not_declare_and_declare_nothing_they_do_not_name() {
    for name in TEMPLATES {
        each_template(&template(name), &mut |declared, named| {
            assert_eq!(declared, named, "declared and named in {name}");
        });
    }
}

#[test]
fn roles_are_only_those_of_the_table() {
    let known: BTreeSet<&str> = ROLES.iter().map(|(_, id)| *id).collect();
    for path in files() {
        let text = fs::read_to_string(&path).expect("files of deploy/ are texts");
        // Other GUIDs: the application that starts playbooks, and examples.
        let others = ["98785600-1bb7-4fb9-b9fa-19afe2c8a360", "00000000-0000-0000-0000-000000000000"];
        for guid in guids(&text) {
            assert!(known.contains(guid) || others.contains(&guid), "{}: {guid}", path.display());
        }
    }
}

#[test]
fn the_machine_gets_the_roles_for_the_notebooks_tab_and_no_others() {
    let made = made("vm/azuredeploy.json", &[&vm(), &soc(), &to_workspace()]);
    expect_roles(&made, &[RESPONDER, ML_READER, SHARE]);
}

#[test]
fn the_machine_reads_one_secret_instead_where_an_account_key_is_used() {
    let key = json!({"vaultName": "contoso-vault", "vaultSecret": "ml-storage-key"});
    let made = made("vm/azuredeploy.json", &[&vm(), &soc(), &to_workspace(), &key]);
    let secret = (
        "Key Vault Secrets User",
        "00000000-0000-0000-0000-000000000001/resourceGroups/triage/providers/Microsoft.KeyVault/vaults/contoso-vault/secrets/ml-storage-key",
    );
    expect_roles(&made, &[RESPONDER, ML_READER, secret]);
    let Destination::Workspace(workspace) = configuration(&made).destination().expect("a destination") else {
        panic!("it publishes to the workspace");
    };
    assert!(workspace.account_key.is_some());
}

#[test]
fn the_machine_gets_the_roles_for_a_queue_a_container_and_a_private_program_and_no_others() {
    let more = json!({"source": "queue", "queueAccount": "contosoqueue", "binaryAccount": "contosotools"});
    let made = made("vm/azuredeploy.json", &[&vm(), &soc(), &to_blob(), &more]);
    let program = (
        "Storage Blob Data Reader",
        "00000000-0000-0000-0000-000000000001/resourceGroups/triage/providers/Microsoft.Storage/storageAccounts/contosotools/blobServices/default/containers/rnbexec",
    );
    expect_roles(&made, &[RESPONDER, CONTAINER, QUEUE, POISON, program]);
    assert!(install_conf(&made).ends_with("\nidentity\n"));
}

#[test]
fn nothing_reaches_the_machine_from_outside() {
    for network in [json!({}), json!({"subnetId": "/subscriptions/x/subnets/y"})] {
        let made = made("vm/azuredeploy.json", &[&vm(), &soc(), &to_workspace(), &network]);
        let guards = of_kind(&made, "Microsoft.Network/networkSecurityGroups");
        let [guard] = guards.as_slice() else { panic!("one security group, not {guards:?}") };
        let rules = guard["properties"]["securityRules"].as_array().expect("it has rules");
        assert!(rules.iter().all(|rule| rule["properties"]["access"] == "Deny"), "{rules:#?}");
        let everything = json!({"direction": "Inbound", "protocol": "*", "sourceAddressPrefix": "*",
            "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": "*"});
        let everything = everything.as_object().expect("an object");
        assert!(
            rules.iter().any(|rule| everything.iter().all(|(key, value)| rule["properties"][key] == *value)),
            "{rules:#?}"
        );
        let cards = of_kind(&made, "Microsoft.Network/networkInterfaces");
        let [card] = cards.as_slice() else { panic!("one network interface, not {cards:?}") };
        assert!(card["properties"]["networkSecurityGroup"]["id"].is_string());
        assert!(!card.to_string().contains("publicIP"), "{card}");
    }
}

#[test]
fn the_machine_is_told_what_the_files_beside_the_template_say() {
    let made = made("vm/azuredeploy.json", &[&vm(), &soc(), &to_workspace()]);
    let told = told(&made);
    assert_eq!(told["/usr/local/lib/rnbexec/install.sh"], file("vm/install.sh"));
    assert_eq!(told["/usr/lib/sysusers.d/rnbexec.conf"], file("systemd/rnbexec.conf"));
    assert_eq!(told["/etc/systemd/system/rnbexec-manager.service"], file("systemd/rnbexec-manager.service"));
    assert_eq!(template("vm/azuredeploy.json")["variables"]["cloudInitTemplate"], file("vm/cloud-init.yaml"));
    let digest = "0".repeat(64);
    assert_eq!(install_conf(&made), format!("https://example.org/rnbexec\n{digest}\nanonymous\n"));
}

#[test]
fn the_machines_configuration_is_one_that_the_manager_reads() {
    let config = configuration(&made("vm/azuredeploy.json", &[&vm(), &soc(), &to_workspace()]));
    assert_eq!(config.source.kind, SourceKind::Sentinel);
    assert_eq!(config.sentinel().expect("a workspace").id.resource_group, "soc");
    assert_eq!(config.azure.tenant.as_deref(), Some("00000000-0000-0000-0000-0000000000aa"));
    let Destination::Workspace(workspace) = config.destination().expect("a destination") else {
        panic!("it publishes to the workspace");
    };
    assert_eq!((workspace.subscription.as_str(), workspace.name.as_str()), (SOC, "contoso-ml"));
    assert_eq!(config.state.folder, Path::new("/var/lib/rnbexec-manager"));

    let queue = json!({"source": "queue", "queueAccount": "contosoqueue"});
    let config = configuration(&made("vm/azuredeploy.json", &[&vm(), &soc(), &to_blob(), &queue]));
    let queue = config.queue().expect("a queue");
    assert_eq!(queue.url.as_str(), "https://contosoqueue.queue.core.windows.net/incidents");
    assert!(
        POISON.1.ends_with(queue.poison.path_segments().and_then(|mut path| path.next()).expect("a name"))
    );
    let Destination::Blob(blob) = config.destination().expect("a destination") else {
        panic!("it publishes to a container");
    };
    assert!(format!("{blob:?}").contains("contosoblob.blob.core.windows.net"), "{blob:?}");
}

#[test]
fn the_bicep_file_says_what_the_arm_template_says() {
    let bicep = file("vm/main.bicep");
    let arm = template("vm/azuredeploy.json");
    let starting = |text: &str, word: &str| -> Vec<String> {
        let rest = text.lines().filter_map(|line| line.trim_start().strip_prefix(word));
        rest.filter_map(|rest| rest.split(' ').next()).map(str::to_owned).collect()
    };
    let declared: BTreeSet<String> = starting(&bicep, "param ").into_iter().collect();
    let in_arm = arm["parameters"].as_object().expect("it has parameters");
    assert_eq!(declared, in_arm.keys().cloned().collect(), "parameters");
    for (name, parameter) in in_arm {
        let description =
            parameter["metadata"]["description"].as_str().expect("every parameter is described");
        assert!(bicep.contains(&description.replace('\'', "\\'")), "{name} is described differently");
    }

    let modules: BTreeSet<String> = bicep
        .lines()
        .filter(|line| line.starts_with("module "))
        .filter_map(|line| line.split('\'').nth(1))
        .map(|name| file(&format!("vm/{name}")))
        .collect();
    let bicep = modules.into_iter().chain(iter::once(bicep)).collect::<Vec<_>>().join("\n");
    // `resource x 'type@version' = {`, and not `existing`; nested ones say the last part of their type only.
    let resources: BTreeSet<String> = bicep
        .lines()
        .filter(|line| line.trim_start().starts_with("resource ") && !line.contains(" existing "))
        .filter_map(|line| line.split('\'').nth(1).map(str::to_owned))
        .filter(|kind| kind.contains('@'))
        .collect();
    let mut in_arm = BTreeSet::new();
    types(&arm, &mut in_arm);
    in_arm.retain(|kind| {
        !kind.starts_with("Microsoft.Resources/deployments@") && !kind.contains("queueServices/queues@")
    });
    assert_eq!(resources, in_arm, "types and versions of resources");

    let text = arm.to_string();
    let roles = |text: &str| guids(text).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(roles(&bicep), roles(&text), "roles");
}

#[test]
fn the_job_gets_the_roles_for_its_queue_and_the_notebooks_tab_and_no_others() {
    let more = json!({"image": "contoso.azurecr.io/rnbexec-manager:1", "queueAccount": "contosoqueue",
        "registry": "contoso", "registryResourceGroup": "images"});
    let made = made("container-apps/azuredeploy.json", &[&soc(), &to_workspace(), &more]);
    let pull = (
        "AcrPull",
        "00000000-0000-0000-0000-000000000001/resourceGroups/images/providers/Microsoft.ContainerRegistry/registries/contoso",
    );
    expect_roles(&made, &[RESPONDER, ML_READER, SHARE, QUEUE, POISON, pull]);
}

#[test]
fn the_job_is_scaled_by_the_queue_under_its_identity() {
    let more = json!({"image": "contoso.azurecr.io/rnbexec-manager:1", "queueAccount": "contosoqueue"});
    let made = made("container-apps/azuredeploy.json", &[&soc(), &to_blob(), &more]);
    let jobs = of_kind(&made, "Microsoft.App/jobs");
    let [job] = jobs.as_slice() else { panic!("one job, not {jobs:?}") };
    let configuration = &job["properties"]["configuration"];
    let identity = job["identity"]["userAssignedIdentities"].as_object().expect("it has an identity");
    let identity = identity.keys().next().expect("it has an identity");
    let rule = &configuration["eventTriggerConfig"]["scale"]["rules"][0];
    assert_eq!(rule["identity"], *identity);
    assert!(rule.get("auth").is_none() && configuration.get("secrets").is_none(), "{configuration}");
    assert_eq!(
        rule["metadata"],
        json!({"accountName": "contosoqueue", "queueName": "incidents", "queueLength": "2", "cloud": "AzurePublicCloud"})
    );
    assert_eq!(configuration["registries"], json!([]));

    let container = &job["properties"]["template"]["containers"][0];
    let variables: Vec<(String, String)> = container["env"]
        .as_array()
        .expect("it has variables")
        .iter()
        .map(|variable| {
            let text = |key: &str| variable[key].as_str().expect("variables are texts").to_owned();
            (text("name"), text("value"))
        })
        .collect();
    let config = load("container-apps/manager.toml", &file("container-apps/manager.toml"), variables);
    assert_eq!(config.source.kind, SourceKind::Queue);
    assert_eq!(config.run.jobs, 2);
    assert_eq!(
        config.queue().expect("a queue").url.as_str(),
        "https://contosoqueue.queue.core.windows.net/incidents"
    );
    assert!(config.sentinel().is_ok() && matches!(config.destination(), Ok(Destination::Blob(_))));
    assert_eq!(config.azure.client_id.as_deref(), Some(CLIENT));
    let accounts = of_kind(&made, "Microsoft.Storage/storageAccounts");
    let [account] = accounts.as_slice() else { panic!("one storage account, not {accounts:?}") };
    assert_eq!(account["properties"]["allowSharedKeyAccess"], false, "tokens only");
    let timeout = configuration["replicaTimeout"].as_u64().expect("seconds");
    assert!(config.run.timeout.is_some_and(|run| Duration::from_secs(timeout) > run * 2));
}

#[test]
fn the_logic_app_queues_the_incidents_arm_id_as_the_manager_reads_it() {
    let queue = json!({"queueAccount": "contosoqueue"});
    let made = made("logic-app/azuredeploy.json", &[&soc(), &queue]);
    let reader = ("Microsoft Sentinel Reader", RESPONDER.1);
    let sender = ("Storage Queue Data Message Sender", QUEUE.1);
    expect_roles(&made, &[reader, sender]);

    let workflows = of_kind(&made, "Microsoft.Logic/workflows");
    let [workflow] = workflows.as_slice() else { panic!("one Logic App, not {workflows:?}") };
    let definition = &workflow["properties"]["definition"];
    assert_eq!(definition["triggers"]["Microsoft_Sentinel_incident"]["inputs"]["path"], "/incident-creation");
    let action = &definition["actions"]["Queue_the_incident"]["inputs"];
    assert_eq!(action["authentication"]["type"], "ManagedServiceIdentity");
    let uri = action["uri"].as_str().expect("an address");
    assert!(uri.starts_with("https://contosoqueue.queue.core.windows.net/incidents/messages?"), "{uri}");
    let body = action["body"].as_str().expect("a body");
    let computed = body.replace("@{base64(triggerBody()?['object']?['id'])}", &STANDARD.encode(INCIDENT));
    let message = computed
        .strip_prefix("<QueueMessage><MessageText>")
        .and_then(|rest| rest.strip_suffix("</MessageText></QueueMessage>"))
        .expect("the body is a message");
    let incident = IncidentMessage::parse(message).expect("the manager reads the message");
    assert!(format!("{incident:?}").contains("73e01a99-5cd7-4139-a149-9f2736ff2ab5"), "{incident:?}");
}

#[test]
fn the_automation_rule_starts_the_logic_app_for_new_incidents() {
    let more = json!({"queueAccount": "contosoqueue", "severities": ["High", "Medium"]});
    let made = made("logic-app/azuredeploy.json", &[&soc(), &more]);
    let workflow = made.iter().find(|resource| resource.kind == "Microsoft.Logic/workflows").expect("one");
    let rules = of_kind(&made, "Microsoft.SecurityInsights/automationRules");
    let [rule] = rules.as_slice() else { panic!("one rule, not {rules:?}") };
    let properties = &rule["properties"];
    assert_eq!(properties["actions"][0]["actionConfiguration"]["logicAppResourceId"], *workflow.id);
    assert_eq!(properties["triggeringLogic"]["triggersWhen"], "Created");
    assert_eq!(
        properties["triggeringLogic"]["conditions"][0]["conditionProperties"]["propertyValues"],
        json!(["High", "Medium"])
    );
}

#[test]
fn sentinel_may_start_the_logic_app_where_its_principal_is_given() {
    let more = json!({"queueAccount": "contosoqueue", "sentinelServicePrincipalId": "sentinel",
        "createAutomationRule": false});
    let made = made("logic-app/azuredeploy.json", &[&soc(), &more]);
    let role = "f4c81013-99ee-4d62-a7ee-b3f1f648599a".to_owned();
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/triage");
    assert_eq!(grants(&made)["sentinel"], BTreeSet::from([(role, group)]));
    assert!(of_kind(&made, "Microsoft.SecurityInsights/automationRules").is_empty());
}

#[test]
fn nothing_in_the_folder_holds_or_asks_for_a_secret() {
    let words = [
        "securestring",
        "secureobject",
        "listkeys",
        "accountkey=",
        "sharedaccesskey",
        "connectionstring",
        "adminpassword",
        "private key-----",
        "?sig=",
        "&sig=",
    ];
    for path in files() {
        let text = fs::read_to_string(&path).expect("files of deploy/ are texts").to_lowercase();
        for word in words {
            assert!(!text.contains(word), "{} says {word}", path.display());
        }
    }
}

#[test]
fn the_units_the_crontab_and_the_installation_agree() {
    let setting = |unit: &str, key: &str| -> String {
        let text = file(unit);
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.unwrap_or_else(|| panic!("{unit} has no {key}")).to_owned()
    };
    let (watch, once) = ("systemd/rnbexec-manager.service", "systemd/rnbexec-manager-once.service");
    let manager = "/usr/local/bin/rnbexec manager";
    let config = "--config /etc/rnbexec/manager.toml";
    assert_eq!(setting(watch, "ExecStart"), format!("{manager} watch {config}"));
    assert_eq!(setting(once, "ExecStart"), format!("{manager} once {config}"));
    assert_eq!(setting(watch, "Type"), "notify");
    for unit in [watch, once] {
        assert_eq!(setting(unit, "ProtectSystem"), "strict");
        assert_eq!(setting(unit, "NoNewPrivileges"), "yes");
        assert_eq!(setting(unit, "StateDirectory"), "rnbexec-manager");
        assert_eq!(setting(unit, "KillSignal"), "SIGTERM");
        let minutes = setting(unit, "TimeoutStopSec");
        let minutes = minutes.strip_suffix("min").and_then(|digits| digits.parse().ok()).expect("minutes");
        let run = Config::default().run.timeout.expect("a run has a time limit by default");
        assert!(Duration::from_mins(minutes) > run, "draining takes up to {run:?}");
    }

    let crontab = file("cron/rnbexec-manager");
    let entries: Vec<&str> =
        crontab.lines().filter(|line| !line.starts_with('#') && line.contains(" * * ")).collect();
    let [entry] = entries.as_slice() else { panic!("one entry, not {entries:?}") };
    assert!(
        entry.ends_with(&format!("rnbexec cd /var/lib/rnbexec-manager && rnbexec manager once {config}"))
    );
    assert!(!entry.replace("&&", "").contains('&'), "{entry}");
    assert!(crontab.ends_with('\n'), "cron passes over a last line without an end");

    let install = file("vm/install.sh");
    for said in ["/usr/local/bin/rnbexec", "/var/lib/rnbexec-manager", "rnbexec-manager.service"] {
        assert!(install.contains(said), "install.sh says nothing of {said}");
    }
    let checked = Command::new("sh").arg("-n").arg(oracle::workspace().join("deploy/vm/install.sh")).status();
    assert!(checked.is_ok_and(|status| status.success()), "install.sh is no shell script");
}

/// What cloud-init writes on the machine, by path.
fn told(made: &[Resource]) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let bytes = STANDARD.decode(text).unwrap_or_else(|error| panic!("{text} is not base64: {error}"));
        String::from_utf8(bytes).expect("a text in base64")
    };
    let machines = of_kind(made, "Microsoft.Compute/virtualMachines");
    let [machine] = machines.as_slice() else { panic!("one machine, not {machines:?}") };
    let data = machine["properties"]["osProfile"]["customData"].as_str().expect("it is told something");
    let cloud_init = decode(data);
    assert!(cloud_init.starts_with("#cloud-config\n"), "cloud-init knows it by its first line");
    assert!(!cloud_init.contains("'@{"), "something is not filled in");
    let mut path = String::new();
    let mut files = BTreeMap::new();
    for line in cloud_init.lines() {
        if let Some(named) = line.trim_start().strip_prefix("- path: ") {
            named.clone_into(&mut path);
        } else if let Some(content) = line.trim_start().strip_prefix("content: ") {
            files.insert(path.clone(), decode(content.trim_matches('\'')));
        }
    }
    files
}

fn install_conf(made: &[Resource]) -> String {
    told(made)["/etc/rnbexec/install.conf"].clone()
}

fn configuration(made: &[Resource]) -> Config {
    let path = "/etc/rnbexec/manager.toml";
    load(path, &told(made)[path], Vec::new())
}

fn load(path: &str, text: &str, variables: Vec<(String, String)>) -> Config {
    let sources = ConfigSources {
        working_folder: PathBuf::from("/var/lib/rnbexec-manager"),
        file: Some((PathBuf::from(path), text.to_owned())),
        variables,
        overrides: Vec::new(),
    };
    Config::load(sources).unwrap_or_else(|error| panic!("the manager refuses {path}: {error}\n{text}"))
}

/// Every file of `deploy/`.
fn files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("deploy/ can be read") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&oracle::workspace().join("deploy"), &mut found);
    assert!(found.len() > 10, "{found:?}");
    found
}

/// `type@apiVersion` of every resource, those of nested templates too.
fn types(template: &Value, found: &mut BTreeSet<String>) {
    for resource in template["resources"].as_array().into_iter().flatten() {
        let text = |key: &str| resource[key].as_str().expect("resources have types and versions");
        found.insert(format!("{}@{}", text("type"), text("apiVersion")));
        types(&resource["properties"]["template"], found);
    }
}

fn guids(text: &str) -> Vec<&str> {
    let word = |c: char| c.is_ascii_hexdigit() || c == '-';
    text.split(|c: char| !word(c))
        .filter(|word| {
            let lengths: Vec<usize> = word.split('-').map(str::len).collect();
            lengths == [8, 4, 4, 4, 12]
        })
        .collect()
}
