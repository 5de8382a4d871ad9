//! JSON Schema of parameters.

use super::Parameter;
use super::annotation::{self, Annotation};
use crate::json::{Json, Object};

pub(super) fn of_parameters(parameters: &[Parameter]) -> Json {
    let properties: Object =
        parameters.iter().map(|parameter| (parameter.name.clone(), of_parameter(parameter))).collect();
    object([
        ("$schema", Json::from("https://json-schema.org/draft/2020-12/schema")),
        ("type", Json::from("object")),
        ("properties", Json::from(properties)),
    ])
    .into()
}

fn of_parameter(parameter: &Parameter) -> Json {
    let mut schema = match parameter.inferred_type_name.as_str() {
        "None" => parameter.value.as_ref().and_then(of_value).unwrap_or_default(),
        name => {
            let parsed = annotation::parse(name).and_then(|annotation| of_annotation(&annotation));
            let complete = parsed.as_ref().is_some_and(|parsed| parsed.complete);
            let mut schema = parsed.map(|parsed| parsed.schema).unwrap_or_default();
            if !complete {
                schema.insert("x-python-type".to_owned(), Json::from(name));
            }
            schema
        }
    };
    if let Some(value) = &parameter.value {
        schema.insert("default".to_owned(), value.clone());
    }
    if !parameter.help.is_empty() {
        schema.insert("description".to_owned(), Json::from(parameter.help.as_str()));
    }
    Json::Object(schema)
}

/// By the type of the default value. `None` says nothing of the values that are to come.
fn of_value(value: &Json) -> Option<Object> {
    Some(of_type(match value {
        Json::Null => return None,
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_integer() => "integer",
        Json::Number(_) => "number",
        Json::String(_) | Json::IllFormed(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }))
}

fn of_type(name: &str) -> Object {
    object([("type", Json::from(name))])
}

fn object<const N: usize>(members: [(&str, Json); N]) -> Object {
    members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A schema, and whether it says all that the annotation says.
struct Translated {
    schema: Object,
    complete: bool,
}

impl Translated {
    fn complete(schema: Object) -> Self {
        Self { schema, complete: true }
    }
}

fn of_annotation(annotation: &Annotation) -> Option<Translated> {
    let (name, arguments) = match annotation {
        Annotation::Union(members) => return any_of(members),
        Annotation::Named(name, arguments) => (name.as_str(), arguments.as_slice()),
        Annotation::Literal(_) | Annotation::Ellipsis => return None,
    };
    Some(match name {
        "int" => Translated::complete(of_type("integer")),
        "float" => Translated::complete(of_type("number")),
        "str" => Translated::complete(of_type("string")),
        "bool" => Translated::complete(of_type("boolean")),
        "None" | "NoneType" => Translated::complete(of_type("null")),
        "Any" | "object" => Translated::complete(Object::new()),
        "list" | "List" | "Sequence" | "MutableSequence" | "Iterable" | "Collection" => {
            of_items(arguments.first(), "array", "items")
        }
        "set" | "Set" | "frozenset" | "FrozenSet" | "AbstractSet" => {
            let mut items = of_items(arguments.first(), "array", "items");
            items.schema.insert("uniqueItems".to_owned(), Json::Bool(true));
            items
        }
        "tuple" | "Tuple" => of_tuple(arguments),
        "dict" | "Dict" | "Mapping" | "MutableMapping" | "OrderedDict" => {
            of_items(arguments.get(1), "object", "additionalProperties")
        }
        "Optional" => {
            let none = Annotation::Named("None".to_owned(), Vec::new());
            return any_of([arguments.first()?, &none]);
        }
        "Union" => return any_of(arguments),
        "Annotated" | "Final" | "ClassVar" | "Required" | "NotRequired" => {
            return of_annotation(arguments.first()?);
        }
        "Literal" => {
            let values = arguments.iter().map(|argument| match argument {
                Annotation::Literal(value) => Some(value.clone()),
                _ => None,
            });
            Translated::complete(object([("enum", Json::Array(values.collect::<Option<_>>()?))]))
        }
        _ => return None,
    })
}

fn any_of<'a>(members: impl IntoIterator<Item = &'a Annotation>) -> Option<Translated> {
    // One member that is not understood could be anything, and so could the union.
    let members = members.into_iter().map(of_annotation).collect::<Option<Vec<_>>>()?;
    let complete = members.iter().all(|member| member.complete);
    let schemas: Vec<Json> = members.into_iter().map(|member| member.schema.into()).collect();
    Some(Translated { schema: object([("anyOf", Json::from(schemas))]), complete })
}

/// A collection, with the schema of what it holds if that is understood.
fn of_items(item: Option<&Annotation>, kind: &str, keyword: &str) -> Translated {
    let mut schema = of_type(kind);
    let Some(item) = item else { return Translated::complete(schema) };
    let Some(item) = of_annotation(item) else { return Translated { schema, complete: false } };
    schema.insert(keyword.to_owned(), Json::from(item.schema));
    Translated { schema, complete: item.complete }
}

fn of_tuple(arguments: &[Annotation]) -> Translated {
    if let [item, Annotation::Ellipsis] = arguments {
        return of_items(Some(item), "array", "items");
    }
    let mut schema = of_type("array");
    if arguments.is_empty() {
        return Translated::complete(schema);
    }
    let Some(items) = arguments.iter().map(of_annotation).collect::<Option<Vec<_>>>() else {
        return Translated { schema, complete: false };
    };
    let complete = items.iter().all(|item| item.complete);
    let count = Json::from(items.len());
    let items: Vec<Json> = items.into_iter().map(|item| item.schema.into()).collect();
    schema.extend(object([
        ("prefixItems", Json::from(items)),
        ("items", Json::Bool(false)),
        ("minItems", count),
    ]));
    Translated { schema, complete }
}
