//! HTML of strangers, reduced to what shows something: text, tables, lists, images that come with it, simple drawings, looks.
//!
//! An allow-list ([`ammonia`]) over a real parse, so that what the browser reads is what was looked at. Ids get a prefix of their
//! own for each piece and classes one in general: nothing can take the place of an anchor or the look of a part of the page.
//! Links stay when they lead to the web or within the piece; nothing is fetched.

mod css;
mod facts;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use ammonia::{Builder, UrlRelative};

use super::text;

pub(super) use css::CLASS_PREFIX;
pub(super) use facts::{Facts, of as facts};

const TAGS: &[&str] = &[
    "a",
    "abbr",
    "article",
    "b",
    "bdi",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "details",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "font",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "mark",
    "meter",
    "ol",
    "p",
    "pre",
    "progress",
    "q",
    "s",
    "samp",
    "section",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "time",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
    // Drawings. Not among them: whatever holds HTML again, refers to something, or moves.
    "svg",
    "g",
    "path",
    "rect",
    "circle",
    "ellipse",
    "line",
    "polyline",
    "polygon",
    "text",
    "tspan",
];

/// Elements that go with all that is in them; of others that are not allowed, the text stays.
const WITH_CONTENT: &[&str] = &[
    "applet",
    "audio",
    "canvas",
    "embed",
    "frame",
    "frameset",
    "iframe",
    "math",
    "noembed",
    "noframes",
    "noscript",
    "object",
    "plaintext",
    "script",
    "select",
    "style",
    "template",
    "textarea",
    "title",
    "video",
    "xmp",
];

const ATTRIBUTES: &[&str] = &[
    "align", "bgcolor", "border", "class", "color", "dir", "height", "id", "lang", "style", "title",
    "valign", "width",
];

const DRAWING_ATTRIBUTES: &[&str] = &[
    "cx",
    "cy",
    "d",
    "dominant-baseline",
    "dx",
    "dy",
    "fill",
    "fill-opacity",
    "fill-rule",
    "font-family",
    "font-size",
    "font-weight",
    "opacity",
    "points",
    "preserveAspectRatio",
    "r",
    "rx",
    "ry",
    "stroke",
    "stroke-dasharray",
    "stroke-linecap",
    "stroke-linejoin",
    "stroke-opacity",
    "stroke-width",
    "text-anchor",
    "transform",
    "viewBox",
    "x",
    "x1",
    "x2",
    "y",
    "y1",
    "y2",
];

const TAG_ATTRIBUTES: &[(&str, &[&str])] = &[
    ("a", &["href"]),
    ("img", &["src", "alt"]),
    ("td", &["colspan", "rowspan"]),
    ("th", &["colspan", "rowspan", "scope"]),
    ("table", &["cellpadding", "cellspacing"]),
    ("col", &["span"]),
    ("colgroup", &["span"]),
    ("ol", &["start", "type"]),
    ("font", &["size", "face"]),
    ("details", &["open"]),
    ("progress", &["value", "max"]),
    ("meter", &["value", "min", "max", "low", "high", "optimum"]),
    ("time", &["datetime"]),
];

const DRAWINGS: &[&str] =
    &["svg", "g", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text", "tspan"];

/// What the ids of a piece, and the fragments that refer to them, become in the page.
pub(super) type Anchors = dyn Fn(&str) -> String + Send + Sync;

/// Finds an image by the name after `attachment:`, as a data URI.
pub(super) type Attachments = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A piece of HTML as the page may hold it, in a box with the id `scope` that the caller makes; `styles` are the texts of its
/// style elements.
pub(super) fn sanitized(html: &str, scope: &str, styles: &[String]) -> String {
    let prefix = format!("{scope}-");
    let mut out = String::new();
    for sheet in styles {
        out.push_str(&css::rules(sheet, scope, &prefix));
    }
    if !out.is_empty() {
        out = format!("<style>{out}</style>");
    }
    out.push_str(&clean(html, Box::new(move |id| format!("{prefix}{id}")), Box::new(|_| None)));
    out
}

/// As [`sanitized`], without styles, with ids and images as the caller has them.
pub(super) fn clean(html: &str, anchors: Box<Anchors>, attachments: Box<Attachments>) -> String {
    let tags: HashSet<&str> = TAGS.iter().copied().collect();
    let mut tag_attributes: HashMap<&str, HashSet<&str>> =
        TAG_ATTRIBUTES.iter().map(|(tag, names)| (*tag, names.iter().copied().collect())).collect();
    for tag in DRAWINGS {
        tag_attributes.insert(tag, DRAWING_ATTRIBUTES.iter().copied().collect());
    }
    let mut builder = Builder::new();
    builder
        .tags(tags)
        .clean_content_tags(WITH_CONTENT.iter().copied().collect())
        .generic_attributes(ATTRIBUTES.iter().copied().collect())
        .tag_attributes(tag_attributes)
        .url_schemes(["http", "https", "mailto", "data", "attachment"].into())
        .url_relative(UrlRelative::Custom(Box::new(fragment)))
        .link_rel(Some("noopener noreferrer nofollow"))
        .strip_comments(true)
        .attribute_filter(move |tag, name, value| attribute(tag, name, value, &anchors, &attachments));
    text::revealed(&builder.clean(html).to_string()).into_owned()
}

/// Whether sanitized HTML was made for a white page: it colours text but not what is behind it, or the other way round. What sets both
/// or none can be read on any page.
pub(super) fn wants_paper(clean: &str) -> bool {
    if ["<svg", " bgcolor=", " color="].iter().any(|mark| clean.contains(mark)) {
        return true;
    }
    let attributes = clean.split(" style=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let sheet =
        clean.strip_prefix("<style>").and_then(|rest| rest.split("</style>").next()).unwrap_or_default();
    let rules = sheet.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    attributes.chain(rules).any(|declarations| {
        let sets = |names: &[&str]| {
            declarations.split(';').filter_map(|declaration| declaration.split_once(':')).any(
                |(name, value)| {
                    names.contains(&name)
                        && !matches!(value, "transparent" | "none" | "inherit" | "initial" | "currentcolor")
                },
            )
        };
        sets(&["color"]) != sets(&["background", "background-color", "background-image"])
    })
}

/// Of links without a scheme, those within the document stay.
fn fragment(url: &str) -> Option<Cow<'_, str>> {
    url.starts_with('#').then_some(Cow::Borrowed(url))
}

/// What becomes of an attribute that is allowed in general.
fn attribute<'u>(
    tag: &str,
    name: &str,
    value: &'u str,
    anchors: &Anchors,
    attachments: &Attachments,
) -> Option<Cow<'u, str>> {
    match (tag, name) {
        (_, "style") => {
            let style = css::declarations(value);
            (!style.is_empty()).then_some(Cow::Owned(style))
        }
        (_, "class") => {
            let classes: Vec<String> =
                value.split_ascii_whitespace().map(|class| format!("{CLASS_PREFIX}{class}")).collect();
            (!classes.is_empty()).then(|| Cow::Owned(classes.join(" ")))
        }
        (_, "id") => Some(Cow::Owned(anchors(value))),
        ("img", "src") => match value.strip_prefix("attachment:") {
            Some(name) => attachments(name).map(Cow::Owned),
            None => is_image(value).then_some(Cow::Borrowed(value)),
        },
        ("a", "href") => match value.trim().strip_prefix('#') {
            Some(fragment) => Some(Cow::Owned(format!("#{}", anchors(fragment)))),
            None => leads_out(value).then_some(Cow::Borrowed(value)),
        },
        // The page draws its own lines; pandas asks for heavy ones.
        ("table", "border") => None,
        // A reference to something else in the page or out of it.
        _ if DRAWINGS.contains(&tag) && value.to_ascii_lowercase().contains("url") => None,
        _ => Some(Cow::Borrowed(value)),
    }
}

/// An image that comes with the document, of a size that can be shown.
pub(super) fn is_image(url: &str) -> bool {
    let url = url.trim_start();
    ["png", "jpeg", "jpg", "gif", "webp", "svg+xml"].iter().any(|kind| {
        url.strip_prefix("data:image/")
            .and_then(|rest| rest.strip_prefix(kind))
            .is_some_and(|rest| rest.starts_with([';', ',']))
    }) && !super::image::is_too_large_in(url)
}

/// A link to the web or to a mailbox.
pub(super) fn leads_out(url: &str) -> bool {
    url::Url::parse(url.trim()).is_ok_and(|url| matches!(url.scheme(), "http" | "https" | "mailto"))
}

#[cfg(test)]
mod tests;
