//! Whether a drawing (SVG) costs about what its size says.
//!
//! Elements of a drawing may be drawn again wherever they are referred to: by `use`, as patterns, masks, markers, filters, images.
//! Ten elements that each refer twice to the next are a thousand, thirty are a billion, and the reader's browser draws them all.
//! So it is computed, not tried, how much there is to draw once every reference is followed: each element counts once wherever it comes
//! to be drawn, and what a paint costs counts for every element that inherits it.
//!
//! The count errs upwards. What refers to itself, what cannot be read as the browser reads it, and what could change its references
//! later (animations, attributes by default) is too costly. Source: SVG 2, sections 5 (structure), 11 to 14 (painting).

use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use roxmltree::{Document, Node, NodeId, ParsingOptions};

/// What a drawing may cost beside a multiple of its elements: small ones may repeat as they like.
const ALWAYS: u64 = 2_000;
/// How often each element may be drawn, on average.
const EACH: u64 = 16;
/// More elements than that are too many in any case.
const MOST_NODES: u32 = 2_000_000;
/// How deep elements and references may be nested, together.
const DEPTH: usize = 300;
/// How deep drawings may lie in drawings.
const NESTED: usize = 2;
/// What an element of a filter costs, for it goes over all pixels.
const FILTER: u64 = 3;

/// What became of a drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It can be shown.
    Fine,
    /// It is no document that a browser would show.
    Broken,
    /// It would hold the browser up.
    TooCostly,
}

/// Looks at the text of a drawing.
#[cfg(test)]
fn look(text: &str) -> Verdict {
    match drawn(text, NESTED) {
        Ok(_) => Verdict::Fine,
        Err(verdict) => verdict,
    }
}

/// Looks at a drawing, by its data URI.
pub(super) fn look_at_uri(uri: &str) -> Verdict {
    match drawn_by_uri(uri, NESTED) {
        Ok(_) => Verdict::Fine,
        Err(verdict) => verdict,
    }
}

fn drawn_by_uri(uri: &str, nested: usize) -> Result<u64, Verdict> {
    use base64::Engine as _;
    let (kind, data) = uri.split_once(',').ok_or(Verdict::Broken)?;
    let mut bytes: Vec<u8> = percent_decode_str(data).collect();
    if kind.to_ascii_lowercase().trim_end().ends_with("base64") {
        bytes.retain(|byte| !byte.is_ascii_whitespace());
        bytes = super::image::LENIENT_BASE64.decode(&bytes).map_err(|_| Verdict::Broken)?;
    }
    // Another encoding than UTF-8 could be read otherwise than here.
    let text = String::from_utf8(bytes).map_err(|_| Verdict::Broken)?;
    drawn(&text, nested)
}

/// How much is drawn.
fn drawn(text: &str, nested: usize) -> Result<u64, Verdict> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let options = ParsingOptions { allow_dtd: true, nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| match error {
        roxmltree::Error::NodesLimitReached | roxmltree::Error::EntityReferenceLoop(_) => Verdict::TooCostly,
        _ => Verdict::Broken,
    })?;
    let prolog = &text[..document.root_element().range().start.min(text.len())];
    if reads_otherwise(prolog) || document.descendants().any(is_style_sheet_elsewhere) {
        return Err(Verdict::TooCostly);
    }
    let mut drawing = Drawing::new(&document, nested);
    let most = drawing.most();
    drawing.style_sheets().ok_or(Verdict::TooCostly)?;
    let cost = drawing.cost(document.root_element(), 0).ok_or(Verdict::TooCostly)?;
    if cost.all <= most { Ok(cost.all) } else { Err(Verdict::TooCostly) }
}

/// What stands before the first element may declare an encoding in which the text is another one, and attributes that elements have
/// by default.
fn reads_otherwise(prolog: &str) -> bool {
    const KNOWN: [&str; 5] = ["utf-8", "utf8", "us-ascii", "iso-8859-1", "windows-1252"];
    let lower = prolog.to_ascii_lowercase();
    let declaration = lower.split_once("?>").map_or("", |(declaration, _)| declaration);
    let encoding = declaration.split_once("encoding").map(|(_, rest)| {
        rest.trim_start_matches(|c: char| c.is_whitespace() || "='\"".contains(c))
            .split(['\'', '"'])
            .next()
            .unwrap_or_default()
    });
    if lower.starts_with("<?xml") && encoding.is_some_and(|encoding| !KNOWN.contains(&encoding)) {
        return true;
    }
    let Some((_, types)) = lower.split_once("<!doctype") else { return false };
    types.contains("attlist") || types.contains('[') && types.contains(['%', '&'])
}

fn is_style_sheet_elsewhere(node: Node<'_, '_>) -> bool {
    node.pi().is_some_and(|instruction| instruction.target == "xml-stylesheet")
}

/// How much there is to draw of an element.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    /// With all that is drawn for it.
    all: u64,
    /// How many elements inherit what it hands on.
    heirs: u64,
}

struct Drawing<'a, 'd> {
    document: &'a Document<'d>,
    /// How deep drawings may still lie in this one.
    nested: usize,
    by_id: HashMap<&'a str, NodeId>,
    /// What style sheets refer to: any element may be meant.
    everywhere: Vec<NodeId>,
    /// `None` while it is being computed: what comes by again refers to itself.
    costs: HashMap<NodeId, Option<Cost>>,
    paints: HashMap<(NodeId, For), Option<u64>>,
    referred: HashMap<NodeId, Option<u64>>,
    elements: u64,
    /// The most points that a line may have: each may have a marker.
    points: u64,
}

/// Whom what an attribute refers to is drawn for.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum For {
    /// For the element alone.
    Itself,
    /// For it and all that is in it, or used by it.
    Heirs,
}

impl<'a, 'd> Drawing<'a, 'd> {
    fn new(document: &'a Document<'d>, nested: usize) -> Self {
        let mut by_id = HashMap::new();
        let (mut elements, mut points) = (0, 1);
        for node in document.descendants().filter(Node::is_element) {
            elements += 1;
            for attribute in node.attributes() {
                match attribute.name() {
                    "id" => {
                        by_id.entry(attribute.value()).or_insert_with(|| node.id());
                    }
                    "d" | "points" => points = points.max(attribute.value().len() as u64 / 4),
                    _ => {}
                }
            }
        }
        Self {
            document,
            nested,
            by_id,
            everywhere: Vec::new(),
            costs: HashMap::new(),
            paints: HashMap::new(),
            referred: HashMap::new(),
            elements,
            points,
        }
    }

    fn most(&self) -> u64 {
        ALWAYS + self.elements.saturating_mul(EACH)
    }

    /// Notes what style sheets refer to; `None` if they cannot be seen through.
    fn style_sheets(&mut self) -> Option<()> {
        for node in self.document.descendants().filter(|node| node.tag_name().name() == "style") {
            let sheet: String = node.descendants().filter_map(|inner| inner.text()).collect();
            let sheet = unescaped(&sheet);
            if sheet.contains("data:image/svg") || sheet.contains("@import") && sheet.contains("data:") {
                return None;
            }
            for id in urls(&sheet) {
                if let Some(target) = self.target(&id)
                    && !self.everywhere.contains(&target)
                {
                    self.everywhere.push(target);
                }
            }
        }
        Some(())
    }

    fn target(&self, id: &str) -> Option<NodeId> {
        let decoded = percent_decode_str(id).decode_utf8_lossy();
        self.by_id.get(id).or_else(|| self.by_id.get(decoded.as_ref())).copied()
    }

    fn node(&self, id: NodeId) -> Option<Node<'a, 'd>> {
        self.document.get_node(id)
    }

    /// An element with its children and all it refers to. `None` is too much.
    fn cost(&mut self, node: Node<'a, 'd>, depth: usize) -> Option<Cost> {
        if depth > DEPTH {
            return None;
        }
        if let Some(known) = self.costs.get(&node.id()) {
            return *known;
        }
        self.costs.insert(node.id(), None);
        let (own, handed_on) =
            (self.paints(node, For::Itself, depth)?, self.paints(node, For::Heirs, depth)?);
        let name = node.tag_name().name();
        let itself = if name.starts_with("fe") { FILTER } else { 1 };
        let mut cost = Cost { all: own.saturating_add(handed_on).saturating_add(itself), heirs: 1 };
        let mut inside: Vec<Cost> = Vec::new();
        for child in node.children().filter(Node::is_element) {
            inside.push(self.cost(child, depth + 1)?);
        }
        // What is used inherits from where it is used, and so do the texts and shapes in it.
        if name == "use"
            && let Some(target) = hrefs(node).find_map(|href| self.target(href.strip_prefix('#')?))
        {
            let target = self.node(target)?;
            inside.push(self.cost(target, depth + 1)?);
        }
        for Cost { all, heirs } in inside {
            cost.all = cost.all.saturating_add(all).saturating_add(heirs.saturating_mul(handed_on));
            cost.heirs = cost.heirs.saturating_add(heirs);
        }
        self.costs.insert(node.id(), Some(cost));
        Some(cost)
    }

    /// What an element's attributes have drawn, save what it uses.
    fn paints(&mut self, node: Node<'a, 'd>, whom: For, depth: usize) -> Option<u64> {
        let key = (node.id(), whom);
        if let Some(known) = self.paints.get(&key) {
            return *known;
        }
        self.paints.insert(key, None);
        let mut sum = 0_u64;
        for attribute in node.attributes() {
            let value = unescaped(attribute.value());
            if !value.contains("url(") {
                continue;
            }
            let declarations: Vec<(&str, &str)> = match attribute.name() {
                "style" => {
                    value.split(';').map(|text| text.split_once(':').unwrap_or(("--", text))).collect()
                }
                property => vec![(property, value.as_str())],
            };
            for (property, value) in declarations {
                let inherited = ["fill", "stroke", "marker", "--"].iter().any(|part| property.contains(part));
                if inherited != (whom == For::Heirs) {
                    continue;
                }
                let ends = property.contains("start") || property.contains("end");
                let times = if property.contains("marker") && !ends { self.points } else { 1 };
                for id in urls(value) {
                    let drawn = self.refer(self.target(&id), depth)?;
                    sum = sum.saturating_add(drawn.saturating_mul(times));
                }
            }
        }
        if whom == For::Itself {
            sum = sum.saturating_add(self.more(node, depth)?);
        }
        self.paints.insert(key, Some(sum));
        Some(sum)
    }

    /// What is drawn for an element alone because of links, drawings in it, and style sheets.
    fn more(&mut self, node: Node<'a, 'd>, depth: usize) -> Option<u64> {
        let mut sum = 0_u64;
        let name = node.tag_name().name();
        let moves = name.starts_with("animate") || name == "set" || name == "discard";
        for attribute in node.attributes() {
            let value = unescaped(attribute.value());
            if moves
                && (value.contains("url(") || attribute.name() == "attributeName" && value.contains("href"))
            {
                return None;
            }
            if value.contains("data:image/svg") {
                let nested = self.nested.checked_sub(1)?;
                let uri = attribute.value().trim();
                // Whatever is no plain URI may be one all the same.
                uri.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:"))?;
                match drawn_by_uri(uri, nested) {
                    Ok(drawn) => sum = sum.saturating_add(drawn),
                    // It is not drawn.
                    Err(Verdict::Broken) => {}
                    Err(_) => return None,
                }
            }
        }
        if !matches!(name, "use" | "a" | "script") && !moves {
            for href in hrefs(node) {
                let target = href.strip_prefix('#').and_then(|id| self.target(id));
                sum = sum.saturating_add(self.refer(target, depth)?);
            }
        }
        if is_painted(name) {
            for target in self.everywhere.clone() {
                // Nothing that is drawn in it has it drawn again: browsers see to that, and style sheets mean something else.
                if node.ancestors().any(|around| around.id() == target) {
                    continue;
                }
                let is_marker = self.node(target).is_some_and(|target| target.tag_name().name() == "marker");
                let times = if is_marker { self.points } else { 1 };
                sum = sum.saturating_add(self.refer(Some(target), depth)?.saturating_mul(times));
            }
        }
        Some(sum)
    }

    /// What is drawn where something is referred to: with what it inherits from where it stands.
    fn refer(&mut self, target: Option<NodeId>, depth: usize) -> Option<u64> {
        let Some(target) = target.and_then(|target| self.node(target)) else { return Some(0) };
        if let Some(known) = self.referred.get(&target.id()) {
            return *known;
        }
        self.referred.insert(target.id(), None);
        let Cost { mut all, heirs } = self.cost(target, depth + 1)?;
        for around in target.ancestors().skip(1).filter(Node::is_element) {
            let handed_on = self.paints(around, For::Heirs, depth + 1)?;
            all = all.saturating_add(handed_on.saturating_mul(heirs));
        }
        self.referred.insert(target.id(), Some(all));
        Some(all)
    }
}

/// Whether an element of this name can have a fill, a mask and the like of its own.
fn is_painted(name: &str) -> bool {
    !name.starts_with("fe")
        && !matches!(
            name,
            "linearGradient" | "radialGradient" | "stop" | "filter" | "style" | "title" | "desc" | "metadata"
        )
}

/// Where the element's attributes `href` and `xlink:href` lead.
fn hrefs<'a>(node: Node<'a, '_>) -> impl Iterator<Item = &'a str> {
    node.attributes().filter(|attribute| attribute.name() == "href").map(|attribute| attribute.value().trim())
}

/// The ids in `url(#id)`.
fn urls(text: &str) -> Vec<String> {
    let ids = text.split("url(").skip(1).filter_map(|rest| {
        let rest = rest.trim_start().trim_start_matches(['"', '\'']).trim_start();
        let id = rest.strip_prefix('#')?;
        Some(id.split(['"', '\'', ')']).next().unwrap_or_default().trim_end().to_owned())
    });
    ids.collect()
}

/// A text of CSS as it is meant: without escapes, and with functions and schemes in small letters.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        let mut code = 0_u32;
        let mut digits = 0;
        while digits < 6
            && let Some(digit) = chars.peek().and_then(|c| c.to_digit(16))
        {
            code = code * 16 + digit;
            digits += 1;
            chars.next();
        }
        if digits == 0 {
            plain.extend(chars.next());
        } else {
            plain.push(char::from_u32(code).unwrap_or('\u{fffd}'));
            chars.next_if(char::is_ascii_whitespace);
        }
    }
    // Ids keep their capitals.
    for small in ["url(", "data:image/svg", "@import", "data:"] {
        let lower = plain.to_ascii_lowercase();
        for (at, _) in lower.match_indices(small) {
            plain.replace_range(at..at + small.len(), small);
        }
    }
    plain
}

#[cfg(test)]
mod tests;
