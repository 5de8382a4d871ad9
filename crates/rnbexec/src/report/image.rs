//! Images that a notebook holds, as data URIs.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::svg;

/// The kinds of image that every browser shows and that run nothing (SVG in an `<img>` runs no scripts and fetches nothing).
const KINDS: &[&str] = &["image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"];
const SVG: &str = "image/svg+xml";

/// The most pixels that an image may have: a small file can say that it is larger than the reader's memory.
const MOST_PIXELS: usize = 100_000_000;

/// Base64 as browsers read it.
pub(super) const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A data URI of an image; `None` when it is none that can be shown.
pub(super) fn data_uri(kind: &str, data: &str) -> Option<String> {
    if kind == SVG {
        let uri = drawing(data)?;
        return (svg::look_at_uri(&uri) == svg::Verdict::Fine).then_some(uri);
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
    (uri.len() > length && !is_too_large(&uri[length..])).then_some(uri)
}

/// Whether an image in base64 says that it has too many pixels. What has no size that can be read takes no memory either.
fn is_too_large(encoded: &str) -> bool {
    has_too_many_pixels(&LENIENT_BASE64.decode(encoded).unwrap_or_default())
}

fn has_too_many_pixels(image: &[u8]) -> bool {
    imagesize::blob_size(image).is_ok_and(|size| size.width.saturating_mul(size.height) > MOST_PIXELS)
}

/// Whether a data URI that somebody wrote holds such an image, or a drawing that cannot be shown.
pub(super) fn is_too_large_in(uri: &str) -> bool {
    let Some((kind, data)) = uri.split_once(',') else { return false };
    if kind.to_ascii_lowercase().contains("svg") {
        return svg::look_at_uri(uri) != svg::Verdict::Fine;
    }
    let data: Vec<u8> = percent_encoding::percent_decode_str(data).collect();
    if !kind.to_ascii_lowercase().ends_with(";base64") {
        return has_too_many_pixels(&data);
    }
    let data: String = String::from_utf8_lossy(&data).split_ascii_whitespace().collect();
    is_too_large(&data)
}

/// Whether an image is left out because it would hold the reader's browser up.
pub(super) fn is_bomb(kind: &str, data: &str) -> bool {
    kind == SVG && drawing(data).is_some_and(|uri| svg::look_at_uri(&uri) == svg::Verdict::TooCostly)
}

/// SVG is text in a notebook; some kernels encode it all the same.
fn drawing(data: &str) -> Option<String> {
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
    fn a_drawing_that_is_made_of_itself_is_refused_in_every_form() {
        let bomb = "<svg xmlns='http://www.w3.org/2000/svg'><g id='a'><use href='#a'/></g></svg>";
        let encoded = base64::engine::general_purpose::STANDARD.encode(bomb);
        for data in [bomb, &encoded] {
            assert_eq!(data_uri(SVG, data), None);
            assert!(is_bomb(SVG, data));
        }
        assert!(is_too_large_in(&format!("data:{SVG};base64,{encoded}")));
        assert!(is_too_large_in(&format!("data:{SVG},{}", bomb.replace('#', "%23"))));
        assert!(!is_bomb(SVG, "<svg/>") && !is_bomb(SVG, "<svg>") && !is_bomb("image/png", &encoded));
    }

    #[test]
    fn an_image_that_would_fill_the_memory_of_its_reader_is_refused() {
        // A GIF's size is its seventh to tenth byte.
        let gif = |size: [u8; 4]| [b"GIF89a", &size[..], b"\0\0\0;"].concat();
        let encoded =
            |image: Vec<u8>| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, image);
        assert!(data_uri("image/gif", &encoded(gif([255, 255, 255, 255]))).is_none());
        assert!(data_uri("image/png", encoded(gif([255, 255, 255, 255])).trim_end_matches('=')).is_none());
        assert!(data_uri("image/gif", &encoded(gif([0, 16, 0, 16]))).is_some());
        assert!(is_too_large_in(&format!(
            "data:image/gif;base64,{}",
            encoded(gif([255; 4])).replace('/', "%2F")
        )));
        assert!(is_too_large_in("data:image/gif,GIF89a%FF%FF%FF%FF%00%00%00;"));
        assert!(!is_too_large_in("data:image/gif,GIF89a%FF%00%FF%00%00%00%00;"));
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
