//! The XML that the storage services answer with, as a small tree. What a service or a message's author sends is read with
//! tolerance: a byte that is no UTF-8 or an entity nobody knows must not hide the messages beside it.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// No answer of the services is deeper.
const MAX_DEPTH: usize = 32;

/// An element: its name, the text directly in it, and its children in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    children: Vec<Element>,
    /// Its text is percent-encoded (`Encoded="true"`, for names that XML cannot carry).
    pub(crate) encoded: bool,
}

/// Why bytes are not the XML of a storage service.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not XML: {0}")]
pub(crate) struct NotXml(String);

impl Element {
    /// The outermost element.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, NotXml> {
        let text = String::from_utf8_lossy(bytes);
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        reader.config_mut().allow_dangling_amp = true;
        let mut open: Vec<Self> = Vec::new();
        loop {
            let event = reader.read_event().map_err(|error| NotXml(error.to_string()))?;
            let closed = match event {
                Event::Start(start) if open.len() < MAX_DEPTH => {
                    open.push(Self::named(&start));
                    None
                }
                Event::Start(_) => return Err(NotXml("it is nested too deep".to_owned())),
                Event::Empty(start) => Some(Self::named(&start)),
                Event::End(_) => open.pop(),
                Event::Text(piece) => {
                    push_text(&mut open, &piece.xml10_content());
                    None
                }
                Event::CData(piece) => {
                    push_text(&mut open, &piece.xml10_content());
                    None
                }
                Event::GeneralRef(reference) => {
                    match (reference.resolve_char_ref(), resolve_predefined_entity(&reference)) {
                        (Ok(Some(character)), _) => {
                            push_text(&mut open, character.encode_utf8(&mut [0; 4]));
                        }
                        (_, Some(known)) => push_text(&mut open, known),
                        (..) => push_text(&mut open, &format!("&{};", &*reference)),
                    }
                    None
                }
                Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => None,
                Event::Eof => return Err(NotXml("it ends in the middle".to_owned())),
            };
            if let Some(element) = closed {
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => return Ok(element),
                }
            }
        }
    }

    fn named(start: &quick_xml::events::BytesStart<'_>) -> Self {
        let encoded = start
            .attributes()
            .flatten()
            .any(|attribute| attribute.key.as_ref() == "Encoded" && attribute.value.as_ref() == "true");
        Self { name: start.name().as_ref().to_owned(), encoded, ..Self::default() }
    }

    /// The children of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first child of this name.
    pub(crate) fn first<'a>(&'a self, name: &'a str) -> Option<&'a Self> {
        self.all(name).next()
    }

    /// The text of the first child of this name, if it has any.
    pub(crate) fn text_of<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.first(name).map(|child| child.text.as_str()).filter(|text| !text.is_empty())
    }

    /// The first child of this name, taken out.
    pub(crate) fn take(&mut self, name: &str) -> Option<Self> {
        let index = self.children.iter().position(|child| child.name == name)?;
        Some(self.children.swap_remove(index))
    }

    /// All children, in order.
    pub(crate) fn children(&self) -> &[Self] {
        &self.children
    }
}

fn push_text(open: &mut [Element], piece: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(piece);
    }
}

/// `text` as the content of an element that every reader gives back as it was, or `None` if XML has no way to say it.
pub(crate) fn escaped(text: &str) -> Option<String> {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // A bare one would be read as the end of a line.
            '\r' => escaped.push_str("&#13;"),
            '\t' | '\n' => escaped.push(character),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => return None,
            _ => escaped.push(character),
        }
    }
    Some(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(xml: &str) -> String {
        Element::parse(xml.as_bytes()).unwrap().text_of("T").unwrap_or_default().to_owned()
    }

    #[test]
    fn text_is_read_exactly() {
        for (xml, expected) in [
            ("<R><T> a  b </T></R>", " a  b "),
            ("<R><T>&lt;&amp;&gt;&quot;&apos;&#65;&#x42;</T></R>", "<&>\"'AB"),
            ("<R><T>a<![CDATA[<b>]]>c</T></R>", "a<b>c"),
            ("<R><T>&#x1;&#13;\n</T></R>", "\u{1}\r\n"),
            ("<R><T>a&nbsp;b &unknown; & c</T></R>", "a&nbsp;b &unknown; & c"),
            ("<R><T/></R>", ""),
        ] {
            assert_eq!(text(xml), expected, "{xml}");
        }
    }

    #[test]
    fn a_byte_that_is_no_text_hides_nothing_else() {
        let element = Element::parse(b"\xef\xbb\xbf<R><T>a\xffb</T><U>c</U></R>").unwrap();
        assert_eq!(element.text_of("T"), Some("a\u{fffd}b"));
        assert_eq!(element.text_of("U"), Some("c"));
    }

    #[test]
    fn what_is_no_xml_is_an_error() {
        for xml in ["", "hello", "<R><T></R>", "<R>", "{\"a\": 1}"] {
            assert!(Element::parse(xml.as_bytes()).is_err(), "{xml}");
        }
        assert!(Element::parse("<a>".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn what_xml_cannot_say_is_not_said() {
        assert_eq!(escaped("a\u{1}b"), None);
        assert_eq!(escaped("a\u{0}b"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            Element::parse(&bytes).ok();
        }

        #[test]
        fn what_is_escaped_is_read_back(text: String) {
            if let Some(escaped) = escaped(&text) {
                let element = Element::parse(format!("<R>{escaped}</R>").as_bytes()).unwrap();
                prop_assert_eq!(element.text, text);
            }
        }
    }
}
