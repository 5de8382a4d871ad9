//! Texts with `{placeholders}`, as the settings have them for comments, links and file names.
//!
//! A template is checked when it is read: a placeholder that nobody fills is an error then and there, not a strange file name
//! at three in the morning. `{{` and `}}` are braces.

/// A text with placeholders that stand for a `T`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pieces<T>(Vec<Piece<T>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<T> {
    Text(String),
    Value(T),
}

/// A text that is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nobody fills this placeholder.
    #[error("unknown placeholder {{{name}}}; there are {known}")]
    Unknown {
        /// What stands between the braces.
        name: String,
        /// What may stand there.
        known: String,
    },
    /// A brace stands alone.
    #[error("a lone {brace} in {text:?}; write {brace}{brace} for the brace itself")]
    LoneBrace {
        /// Which.
        brace: char,
        /// The template.
        text: String,
    },
    /// There is nothing in it.
    #[error("an empty template")]
    Empty,
}

impl<T: Copy> Pieces<T> {
    /// Reads a template whose placeholders are those of the table.
    pub(crate) fn parse(text: &str, known: &[(&str, T)]) -> Result<Self, TemplateError> {
        let lone = |brace| TemplateError::LoneBrace { brace, text: text.to_owned() };
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.extend(from.chars().next());
                rest = after;
                continue;
            }
            let inner = from.strip_prefix('{').ok_or_else(|| lone('}'))?;
            let (name, after) = inner.split_once('}').ok_or_else(|| lone('{'))?;
            let Some((_, value)) = known.iter().find(|(known, _)| *known == name) else {
                let known: Vec<String> = known.iter().map(|(name, _)| format!("{{{name}}}")).collect();
                return Err(TemplateError::Unknown { name: name.to_owned(), known: known.join(", ") });
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Value(*value));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        if pieces.is_empty() { Err(TemplateError::Empty) } else { Ok(Self(pieces)) }
    }

    /// The values that the template asks for.
    pub(crate) fn values(&self) -> impl Iterator<Item = T> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(value) => Some(*value),
        })
    }

    /// The text with every placeholder filled.
    pub(crate) fn fill<E>(&self, mut value: impl FnMut(T) -> Result<String, E>) -> Result<String, E> {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => Ok(text.clone()),
            Piece::Value(of) => value(*of),
        });
        pieces.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [(&str, u8); 2] = [("one", 1), ("two", 2)];

    fn filled(text: &str) -> Result<String, TemplateError> {
        Pieces::parse(text, &KNOWN)?.fill(|value| Ok(value.to_string()))
    }

    #[test]
    fn placeholders_are_filled_and_doubled_braces_are_braces() {
        assert_eq!(filled("{one}-{{{two}}}-x").unwrap(), "1-{2}-x");
        assert_eq!(filled("plain").unwrap(), "plain");
    }

    #[test]
    fn what_a_value_says_is_not_a_placeholder_again() {
        let pieces = Pieces::parse("{one}", &KNOWN).unwrap();
        assert_eq!(pieces.fill(|_| Ok::<_, ()>("{two}".to_owned())), Ok("{two}".to_owned()));
    }

    #[test]
    fn a_placeholder_that_nobody_fills_is_an_error_that_names_those_there_are() {
        let error = filled("{three}").unwrap_err().to_string();
        assert_eq!(error, "unknown placeholder {three}; there are {one}, {two}");
    }

    #[test]
    fn lone_braces_and_emptiness_are_errors() {
        for text in ["{", "a}", "{one", "}{", ""] {
            assert!(filled(text).is_err(), "{text}");
        }
    }
}
