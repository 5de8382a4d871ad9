//! An ARM template, deployed on paper: every expression computed, every reference followed, nested deployments included.
//!
//! What Resource Manager would refuse panics here: a name that is not declared, a dependency on or a reference to nothing, two
//! resources with one id, a parameter that is missing or not allowed.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::expression::{Expression, Meaning, read};

/// The client id of every identity on paper.
pub(crate) const CLIENT: &str = "00000000-0000-0000-0000-0000000000bb";

/// The subscription and the resource group of a deployment.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) subscription: String,
    pub(crate) group: String,
}

/// What a deployment makes.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) value: Value,
}

/// All that the template makes with these parameters, nested deployments laid open.
pub(crate) fn deploy(template: &Value, given: &Value, place: &Place) -> Vec<Resource> {
    let given = given.as_object().expect("parameters are an object");
    let scope = Scope { template, given, place, declared: RefCell::default() };
    for name in given.keys() {
        assert!(template["parameters"].get(name).is_some(), "the template takes no parameter {name}");
    }
    let resources = template["resources"].as_array().expect("a template has resources");
    let ids: Vec<String> = resources.iter().map(|resource| scope.id_of(resource)).collect();
    for id in &ids {
        assert!(scope.declared.borrow_mut().insert(id.to_lowercase()), "{id} is declared twice");
    }
    let mut made = Vec::new();
    for (resource, id) in resources.iter().zip(ids) {
        for other in resource["dependsOn"].as_array().into_iter().flatten() {
            let other = scope.text(other);
            assert!(scope.declares(&other), "{id} depends on {other}, which is not in the template");
        }
        if resource.get("condition").is_some_and(|condition| scope.expand(condition) != json!(true)) {
            continue;
        }
        let kind = scope.text(&resource["type"]);
        if kind == "Microsoft.Resources/deployments" {
            made.extend(scope.nested(resource));
        } else {
            made.push(Resource { id, kind, value: scope.expand(resource) });
        }
    }
    for output in template["outputs"].as_object().into_iter().flat_map(Map::values) {
        scope.expand(&output["value"]);
    }
    made
}

/// The parameters and variables a template declares, and those that its expressions name; nested templates count for
/// themselves and are given to `visit`, as is the template.
pub(crate) fn each_template(template: &Value, visit: &mut dyn FnMut(&Declared, &Declared)) {
    let declared = |section: &str, kind: &str| -> Vec<String> {
        let names = template[section].as_object().into_iter().flat_map(Map::keys);
        names.map(|name| format!("{kind}('{name}')")).collect()
    };
    let mut own = Declared::new();
    own.extend(declared("parameters", "parameters"));
    own.extend(declared("variables", "variables"));
    let mut names = Declared::new();
    let mut inner = Vec::new();
    walk(template, &mut names, &mut inner, true);
    visit(&own, &names);
    for template in inner {
        each_template(template, visit);
    }
}

pub(crate) type Declared = BTreeSet<String>;

fn walk<'a>(value: &'a Value, names: &mut Declared, inner: &mut Vec<&'a Value>, outermost: bool) {
    match value {
        Value::String(text) => note(text, names),
        Value::Array(values) => values.iter().for_each(|value| walk(value, names, inner, false)),
        Value::Object(_) if !outermost && value["contentVersion"].is_string() && is_template(value) => {
            inner.push(value);
        }
        Value::Object(object) => {
            for (key, value) in object {
                note(key, names);
                walk(value, names, inner, false);
            }
        }
        _ => {}
    }
}

/// The parameters and variables that the expression in `text` names.
fn note(text: &str, names: &mut Declared) {
    let Meaning::Computed(expression) = read(text) else { return };
    expression.walk(&mut |part| {
        let Expression::Call(function, arguments) = part else { return };
        if let ("parameters" | "variables", [Expression::Text(name)]) =
            (function.as_str(), arguments.as_slice())
        {
            names.insert(format!("{function}('{name}')"));
        }
    });
}

/// A Logic App's definition has a version too; its expressions begin with `@`.
fn is_template(value: &Value) -> bool {
    value["$schema"].as_str().is_some_and(|schema| schema.contains("deploymentTemplate"))
}

struct Scope<'a> {
    template: &'a Value,
    given: &'a Map<String, Value>,
    place: &'a Place,
    declared: RefCell<BTreeSet<String>>,
}

impl Scope<'_> {
    fn declares(&self, id: &str) -> bool {
        self.declared.borrow().contains(&id.to_lowercase())
    }

    fn place_of(&self, resource: &Value) -> Place {
        let or = |key: &str, otherwise: &String| match resource.get(key) {
            Some(value) => self.text(value),
            None => otherwise.clone(),
        };
        Place {
            subscription: or("subscriptionId", &self.place.subscription),
            group: or("resourceGroup", &self.place.group),
        }
    }

    fn id_of(&self, resource: &Value) -> String {
        assert!(resource["apiVersion"].is_string(), "a resource says no version: {resource}");
        let (kind, name) = (self.text(&resource["type"]), self.text(&resource["name"]));
        let names: Vec<&str> = name.split('/').collect();
        match resource.get("scope") {
            Some(scope) => format!("{}/providers/{kind}/{name}", self.text(scope)),
            None => id(&self.place_of(resource), &kind, &names),
        }
    }

    fn nested(&self, resource: &Value) -> Vec<Resource> {
        let properties = &resource["properties"];
        assert_eq!(properties["expressionEvaluationOptions"]["scope"], "inner", "{resource}");
        let given = properties["parameters"].as_object().expect("nested deployments have parameters");
        let given: Map<String, Value> =
            given.iter().map(|(name, value)| (name.clone(), self.expand(&value["value"]))).collect();
        deploy(&properties["template"], &Value::Object(given), &self.place_of(resource))
    }

    fn text(&self, value: &Value) -> String {
        let value = self.expand(value);
        value.as_str().unwrap_or_else(|| panic!("not a text: {value}")).to_owned()
    }

    fn expand(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match read(text) {
                Meaning::Literal(text) => Value::String(text),
                Meaning::Computed(expression) => self.compute(&expression),
            },
            Value::Array(values) => values.iter().map(|value| self.expand(value)).collect(),
            Value::Object(object) => {
                let pairs = object
                    .iter()
                    .map(|(key, value)| (self.text(&Value::String(key.clone())), self.expand(value)));
                Value::Object(pairs.collect())
            }
            other => other.clone(),
        }
    }

    fn parameter(&self, name: &str) -> Value {
        let declared = &self.template["parameters"][name];
        assert!(declared.is_object(), "no parameter {name} is declared");
        let value = match (self.given.get(name), declared.get("defaultValue")) {
            (Some(value), _) => value.clone(),
            (None, Some(value)) => self.expand(value),
            (None, None) => panic!("parameter {name} is missing"),
        };
        if let Some(allowed) = declared["allowedValues"].as_array() {
            assert!(allowed.contains(&value), "parameter {name} is {value}, none of {allowed:?}");
        }
        let fits = match declared["type"].as_str() {
            Some("string") => value.is_string(),
            Some("int") => value.is_i64(),
            Some("bool") => value.is_boolean(),
            Some("array") => value.is_array(),
            _ => false,
        };
        assert!(fits, "parameter {name} is {value}, not what it is declared to be: {declared}");
        value
    }

    fn compute(&self, expression: &Expression) -> Value {
        match expression {
            Expression::Text(text) => json!(text),
            Expression::Number(number) => json!(number),
            Expression::Property(of, name) => property(&self.compute(of), name),
            Expression::Index(of, at) => match self.compute(at) {
                Value::String(name) => property(&self.compute(of), &name),
                at => panic!("{of:?} has no element {at}"),
            },
            // Only the branch that is taken is computed, as in Azure.
            Expression::Call(function, arguments) if function == "if" => {
                let [condition, yes, no] = arguments.as_slice() else { panic!("if takes three") };
                let taken = if self.compute(condition) == json!(true) { yes } else { no };
                self.compute(taken)
            }
            Expression::Call(function, arguments) => {
                let arguments: Vec<Value> = arguments.iter().map(|argument| self.compute(argument)).collect();
                self.call(function, &arguments)
            }
        }
    }

    fn call(&self, function: &str, arguments: &[Value]) -> Value {
        let text = |at: usize| {
            let value = arguments.get(at).and_then(Value::as_str);
            value.unwrap_or_else(|| panic!("{function} takes a text, not {arguments:?}"))
        };
        let Place { subscription, group } = self.place;
        match function {
            "parameters" => self.parameter(text(0)),
            "variables" => {
                let declared = self.template["variables"].get(text(0));
                self.expand(declared.unwrap_or_else(|| panic!("no variable {} is declared", text(0))))
            }
            "resourceGroup" => json!({
                "id": format!("/subscriptions/{subscription}/resourceGroups/{group}"),
                "name": group, "location": "westeurope",
            }),
            "subscription" => {
                json!({"id": format!("/subscriptions/{subscription}"), "subscriptionId": subscription})
            }
            "tenant" => json!({"tenantId": "00000000-0000-0000-0000-0000000000aa"}),
            "environment" => json!({
                "name": "AzureCloud",
                "suffixes": {"storage": "core.windows.net", "acrLoginServer": ".azurecr.io"},
            }),
            "resourceId" => {
                let of_kind = arguments.iter().position(|argument| {
                    argument.as_str().is_some_and(|text| text.starts_with("Microsoft."))
                });
                let at = of_kind.expect("resourceId names a type");
                let names: Vec<&str> = arguments[at + 1..].iter().filter_map(Value::as_str).collect();
                let (mut subscription, mut group) = (subscription.clone(), group.clone());
                if at > 0 {
                    text(at - 1).clone_into(&mut group);
                }
                if at > 1 {
                    text(at - 2).clone_into(&mut subscription);
                }
                json!(id(&Place { subscription, group }, text(at), &names))
            }
            "subscriptionResourceId" => {
                let names: Vec<&str> = arguments[1..].iter().filter_map(Value::as_str).collect();
                json!(format!("/subscriptions/{subscription}{}", provided(text(0), &names)))
            }
            "reference" => {
                let id = text(0);
                assert!(self.declares(id), "{id} is referred to and not in the template");
                let principal = json!(format!("principal of {id}"));
                match arguments.get(2).and_then(Value::as_str) {
                    Some("full") => json!({"identity": {"principalId": principal}}),
                    _ => json!({"principalId": principal, "clientId": CLIENT}),
                }
            }
            "format" => {
                let mut result = text(0).to_owned();
                for (at, value) in arguments[1..].iter().enumerate() {
                    let spelled = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    result = result.replace(&format!("{{{at}}}"), &spelled);
                }
                json!(result)
            }
            "concat" => arguments
                .iter()
                .flat_map(|list| list.as_array().expect("lists are joined"))
                .cloned()
                .collect(),
            "createArray" => Value::Array(arguments.to_vec()),
            "createObject" => {
                let pairs = arguments.chunks(2).map(|pair| match pair {
                    [Value::String(name), value] => (name.clone(), value.clone()),
                    other => panic!("createObject takes names and values, not {other:?}"),
                });
                Value::Object(pairs.collect())
            }
            "join" => {
                let parts: Vec<&str> = arguments[0]
                    .as_array()
                    .expect("a list is joined")
                    .iter()
                    .filter_map(Value::as_str)
                    .collect();
                json!(parts.join(text(1)))
            }
            "replace" => json!(text(0).replace(text(1), text(2))),
            "base64" => json!(STANDARD.encode(text(0))),
            "string" => json!(arguments[0].to_string()),
            "json" => serde_json::from_str(text(0)).expect("JSON is given to json()"),
            "guid" => json!(format!("guid of {arguments:?}").replace('/', "|")),
            "uniqueString" => json!("abcdefghijklm"),
            "empty" => json!(match &arguments[0] {
                Value::String(text) => text.is_empty(),
                Value::Array(list) => list.is_empty(),
                other => panic!("empty() of {other}"),
            }),
            "equals" => json!(arguments[0] == arguments[1]),
            "not" => json!(arguments[0] == json!(false)),
            "and" => json!(arguments.iter().all(|argument| *argument == json!(true))),
            other => panic!("no function {other} is known"),
        }
    }
}

fn property(of: &Value, name: &str) -> Value {
    of.get(name).unwrap_or_else(|| panic!("{of} has no {name}")).clone()
}

fn id(place: &Place, kind: &str, names: &[&str]) -> String {
    let Place { subscription, group } = place;
    format!("/subscriptions/{subscription}/resourceGroups/{group}{}", provided(kind, names))
}

/// `Microsoft.Storage/storageAccounts/queueServices` and its names → `/providers/Microsoft.Storage/storageAccounts/a/queueServices/b`.
fn provided(kind: &str, names: &[&str]) -> String {
    let (provider, kinds) = kind.split_once('/').expect("a type has a provider");
    let kinds: Vec<&str> = kinds.split('/').collect();
    assert_eq!(kinds.len(), names.len(), "{kind} with the names {names:?}");
    let path: Vec<&str> = kinds.iter().zip(names).flat_map(|(kind, name)| [*kind, *name]).collect();
    format!("/providers/{provider}/{}", path.join("/"))
}

/// The role assignments among the resources: the role's GUID and where it holds, by who gets it.
pub(crate) fn grants(made: &[Resource]) -> BTreeMap<String, BTreeSet<(String, String)>> {
    let mut grants: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for resource in made.iter().filter(|resource| resource.kind == "Microsoft.Authorization/roleAssignments")
    {
        let properties = &resource.value["properties"];
        let role = properties["roleDefinitionId"].as_str().expect("an assignment names its role");
        let role = role.rsplit('/').next().expect("an id has a last segment");
        let (scope, _) =
            resource.id.split_once("/providers/Microsoft.Authorization/").expect("an assignment's id");
        let principal = properties["principalId"].as_str().expect("an assignment names who gets it");
        grants.entry(principal.to_owned()).or_default().insert((role.to_owned(), scope.to_owned()));
    }
    grants
}
