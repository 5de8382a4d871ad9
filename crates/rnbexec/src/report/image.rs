//! Images that a notebook holds, as data URIs.

/// The kinds of image that every browser shows and that run nothing (SVG in an `<img>` runs no scripts and fetches nothing).
const KINDS: &[&str] = &["image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"];
const SVG: &str = "image/svg+xml";

/// A data URI of an image; `None` when it is none that can be shown.
pub(super) fn data_uri(kind: &str, data: &str) -> Option<String> {
    if kind == SVG {
        return svg(data);
    }
    if !KINDS.contains(&kind) {
        return None;
    }
    let mut uri = format!("data:{kind};base64,");
    let length = uri.len();
    uri.reserve(data.len());
    for line in data.split_ascii_whitespace() {
        if !line.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=')) {
            return None;
        }
        uri.push_str(line);
    }
    (uri.len() > length).then_some(uri)
}

/// SVG is text in a notebook; some kernels encode it all the same.
fn svg(data: &str) -> Option<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let trimmed = data.trim_start_matches('\u{feff}').trim();
    if trimmed.is_empty() {
        return None;
    }
    if trimmed.starts_with('<') {
        return Some(format!("data:{SVG};base64,{}", STANDARD.encode(trimmed)));
    }
    let encoded: String = trimmed.split_ascii_whitespace().collect();
    STANDARD.decode(&encoded).ok().map(|_| format!("data:{SVG};base64,{encoded}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_become_data_uris_whatever_their_line_breaks() {
        assert_eq!(data_uri("image/png", "AA\nAA\n").unwrap(), "data:image/png;base64,AAAA");
        assert_eq!(data_uri("image/svg+xml", "<svg/>").unwrap(), "data:image/svg+xml;base64,PHN2Zy8+");
        assert_eq!(data_uri("image/svg+xml", "PHN2Zy8+").unwrap(), "data:image/svg+xml;base64,PHN2Zy8+");
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for (kind, data) in [
            ("image/png", "A\"onerror=x"),
            ("image/png", ""),
            ("text/html", "AAAA"),
            ("image/svg+xml;x", "<svg/>"),
            ("image/svg+xml", "not base64!"),
        ] {
            assert_eq!(data_uri(kind, data), None, "{kind} {data}");
        }
    }
}
