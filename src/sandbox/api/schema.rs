//! Types of objects: one compact table built once from OpenAPI schemas, for merging, checking and defaulting.
//!
//! Descriptions are left out (they stay compressed until somebody asks for the OpenAPI documents). Nodes refer to each other
//! by index, so recursive types are no trouble.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

/// Where a type stands in its [`Types`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TypeId(u32);

/// A table of types.
#[derive(Debug, Default)]
pub(super) struct Types {
    nodes: Vec<Node>,
}

/// A type and its table: what most code passes around.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type<'a> {
    types: &'a Types,
    id: TypeId,
}

/// One type.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) shape: Shape,
    /// Limits that only custom resources carry.
    pub(super) limits: Option<Box<Limits>>,
}

/// What values of a type look like.
#[derive(Debug)]
pub(super) enum Shape {
    /// Named fields, and what other keys hold (`None`: other keys are unknown fields).
    Object {
        fields: Vec<Field>,
        extra: Option<TypeId>,
        atomic: bool,
    },
    /// A list and how it merges under server-side apply.
    List {
        items: TypeId,
        kind: ListKind,
    },
    /// Text; `date-time` and others are told by the format.
    String,
    Integer {
        /// `int64`; otherwise 32 bits.
        wide: bool,
    },
    Number,
    Boolean,
    IntOrString,
    Quantity,
    /// Any JSON; merged as a whole unless `free`, then objects merge by key (custom resources).
    Any {
        free: bool,
    },
}

/// How a list merges under server-side apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListKind {
    /// As a whole.
    Atomic,
    /// Scalars, each at most once.
    Set,
    /// Objects told apart by these fields.
    Map(Vec<Box<str>>),
}

/// A field of an object type.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: Box<str>,
    pub(super) id: TypeId,
    pub(super) required: bool,
    /// A struct that Go always writes (`default: {}` in the schema).
    pub(super) always_written: bool,
    pub(super) default: Option<Value>,
    /// `x-kubernetes-patch-merge-key`.
    pub(super) merge_key: Option<Box<str>>,
    /// `x-kubernetes-patch-strategy` has `merge`.
    pub(super) merges: bool,
}

/// Validation of custom resources, as in a structural schema.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) nullable: bool,
    pub(super) embedded: bool,
    /// The schema's own JSON, for keywords that are looked up when validating.
    pub(super) keywords: Map<String, Value>,
}

impl Types {
    pub(super) fn at(&self, id: TypeId) -> Type<'_> {
        Type { types: self, id }
    }

    fn reserve(&mut self) -> TypeId {
        self.push(Shape::Any { free: false })
    }

    fn push(&mut self, shape: Shape) -> TypeId {
        let id = u32::try_from(self.nodes.len()).expect("invariant: far fewer types than 2^32");
        self.nodes.push(Node { shape, limits: None });
        TypeId(id)
    }

    fn put(&mut self, id: TypeId, node: Node) {
        self.nodes[id.0 as usize] = node;
    }
}

impl<'a> Type<'a> {
    pub(super) fn node(self) -> &'a Node {
        &self.types.nodes[self.id.0 as usize]
    }

    pub(super) fn shape(self) -> &'a Shape {
        &self.node().shape
    }

    /// The same table's type of this id.
    pub(super) fn to(self, id: TypeId) -> Self {
        Self { types: self.types, id }
    }

    /// The named field, when this is an object type that has it.
    pub(super) fn field(self, name: &str) -> Option<&'a Field> {
        let Shape::Object { fields, .. } = self.shape() else { return None };
        let at = fields.binary_search_by(|f| (*f.name).cmp(name)).ok()?;
        fields.get(at)
    }

    /// The type under a key of an object: the field's or that of additional keys.
    pub(super) fn key(self, name: &str) -> Option<Self> {
        match self.shape() {
            Shape::Object { extra, .. } => {
                self.field(name).map(|f| f.id).or(*extra).map(|id| self.to(id))
            }
            Shape::Any { free: true } => Some(self),
            _ => None,
        }
    }
}

/// Builds [`Types`] from schemas.
#[derive(Default)]
pub(super) struct TypesBuilder {
    types: Types,
    named: HashMap<String, TypeId>,
    /// Whether limits are kept (custom resources) or not (built-in kinds, whose rules are code).
    custom: bool,
}

impl TypesBuilder {
    /// For the schema of a custom resource.
    pub(super) fn custom() -> Self {
        Self { custom: true, ..Self::default() }
    }

    pub(super) fn finish(self) -> Types {
        self.types
    }

    /// The type of this name, to be defined before or after.
    pub(super) fn named(&mut self, name: &str) -> TypeId {
        if let Some(id) = self.named.get(name) {
            return *id;
        }
        let id = self.types.reserve();
        self.named.insert(name.to_owned(), id);
        id
    }

    /// Defines a named type.
    pub(super) fn define(&mut self, name: &str, schema: &Value) {
        let id = self.named(name);
        let node = self.node(schema);
        self.types.put(id, node);
    }

    /// Adds a type without a name.
    pub(super) fn add(&mut self, schema: &Value) -> TypeId {
        if let Some(name) = reference(schema) {
            return self.named(name);
        }
        let node = self.node(schema);
        let id = self.types.reserve();
        self.types.put(id, node);
        id
    }

    /// Defines `ObjectMeta` and what it refers to as in the built-in kinds.
    pub(super) fn define_object_meta(&mut self) {
        const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.";
        let custom = std::mem::replace(&mut self.custom, false);
        super::openapi::for_each_schema(|name, text| {
            let Some(short) = name.strip_prefix(META) else { return };
            if matches!(
                short,
                "ObjectMeta" | "OwnerReference" | "ManagedFieldsEntry" | "Time" | "FieldsV1"
            ) {
                let schema =
                    serde_json::from_str(text).expect("invariant: the embedded schemas are JSON");
                let target = if short == "ObjectMeta" { short } else { name };
                self.define(target, &schema);
            }
        });
        self.custom = custom;
    }

    fn node(&mut self, schema: &Value) -> Node {
        let shape = self.shape(schema);
        let limits = self.custom.then(|| Box::new(limits(schema)));
        Node { shape, limits }
    }

    fn shape(&mut self, schema: &Value) -> Shape {
        let flag = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or(false);
        if flag("x-kubernetes-int-or-string") || text(schema, "format") == Some("int-or-string") {
            return Shape::IntOrString;
        }
        if schema.get("oneOf").is_some() && schema.get("type").is_none() {
            return Shape::Quantity;
        }
        match text(schema, "type") {
            Some("string") => Shape::String,
            Some("integer") => Shape::Integer { wide: text(schema, "format") != Some("int32") },
            Some("number") => Shape::Number,
            Some("boolean") => Shape::Boolean,
            Some("array") => self.list(schema),
            Some("object") => self.object(schema),
            _ => Shape::Any { free: self.custom },
        }
    }

    fn list(&mut self, schema: &Value) -> Shape {
        let items = match schema.get("items") {
            Some(items) => self.add(items),
            None => self.types.reserve(),
        };
        let kind = match text(schema, "x-kubernetes-list-type") {
            Some("set") => ListKind::Set,
            Some("map") => ListKind::Map(texts(schema, "x-kubernetes-list-map-keys")),
            _ => ListKind::Atomic,
        };
        Shape::List { items, kind }
    }

    fn object(&mut self, schema: &Value) -> Shape {
        let required = texts(schema, "required");
        let mut fields: BTreeMap<&str, Field> = BTreeMap::new();
        for (name, property) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            fields.insert(name, self.field(name, property, &required));
        }
        let keeps = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
        let extra = match schema.get("additionalProperties") {
            Some(Value::Object(_)) => Some(self.add(&schema["additionalProperties"])),
            Some(Value::Bool(true)) => Some(self.types.push(Shape::Any { free: self.custom })),
            _ if keeps => Some(self.types.push(Shape::Any { free: true })),
            _ => None,
        };
        if fields.is_empty() && extra.is_none() && !self.custom {
            return Shape::Any { free: false };
        }
        let atomic = text(schema, "x-kubernetes-map-type") == Some("atomic");
        Shape::Object { fields: fields.into_values().collect(), extra, atomic }
    }

    fn field(&mut self, name: &str, schema: &Value, required: &[Box<str>]) -> Field {
        let strategy = text(schema, "x-kubernetes-patch-strategy").unwrap_or_default();
        let default = schema.get("default");
        let empty = default.is_some_and(|d| d.as_object().is_some_and(Map::is_empty));
        // Go's zero values stand as defaults in the documents of built-in kinds; they say nothing
        let zero =
            default.is_some_and(|d| matches!(d, Value::Null) || d == 0 || d == "" || d == false);
        Field {
            name: name.into(),
            id: self.add(schema),
            required: required.iter().any(|r| **r == *name),
            always_written: empty && !self.custom,
            default: default.filter(|_| self.custom || !(empty || zero)).cloned(),
            merge_key: text(schema, "x-kubernetes-patch-merge-key").map(Into::into),
            merges: strategy.split(',').any(|s| s == "merge"),
        }
    }
}

/// The name in `$ref` or `allOf: [{$ref}]`.
fn reference(schema: &Value) -> Option<&str> {
    let target = text(schema, "$ref").or_else(|| text(schema.get("allOf")?.get(0)?, "$ref"))?;
    target.rsplit('/').next()
}

fn limits(schema: &Value) -> Limits {
    const KEYWORDS: [&str; 20] = [
        "type",
        "format",
        "enum",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "pattern",
        "minItems",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
        "required",
        "allOf",
        "anyOf",
        "oneOf",
    ];
    let flag = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or(false);
    let keywords = KEYWORDS
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), schema.get(*key)?.clone())))
        .collect();
    Limits {
        nullable: flag("nullable"),
        embedded: flag("x-kubernetes-embedded-resource"),
        keywords,
    }
}

fn text<'a>(schema: &'a Value, key: &str) -> Option<&'a str> {
    schema.get(key)?.as_str()
}

fn texts(schema: &Value, key: &str) -> Vec<Box<str>> {
    let list = schema.get(key).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
}
