//! The `-b` form: base64 of YAML, read as Python's `base64.b64decode` reads it.

use ::base64::Engine as _;
use ::base64::alphabet::STANDARD;
use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Parameters;
use super::yaml::{self, YamlError};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Why a `-b` value could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Base64Error {
    /// The text ends within a group of four characters.
    #[error("base64 is cut short: {found} characters of base64, not a multiple of four")]
    Truncated {
        /// How many characters of the alphabet there are before the padding.
        found: usize,
    },
    /// What was encoded is no mapping in YAML or JSON.
    #[error("cannot read what the base64 text holds")]
    Yaml(#[from] YamlError),
}

/// Reads a `-b` value: base64 (characters outside its alphabet are dropped, so `!!!` is the empty text) of YAML
/// or JSON.
///
/// # Errors
/// The base64 is cut short, or its content is not a YAML mapping.
pub fn parse_base64(text: &str) -> Result<Parameters, Base64Error> {
    Ok(yaml::parse_bytes(&decode(text)?)?)
}

/// `base64.b64decode(text)`: like CPython's `binascii.a2b_base64` in its lenient mode, what is not in the alphabet is
/// skipped, and padding that completes a group ends the text.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, Base64Error> {
    let mut digits = Vec::with_capacity(text.len());
    let mut pads = 0;
    let mut complete = false;
    for byte in text.bytes() {
        match byte {
            b'=' => {
                pads += 1;
                let in_group = digits.len() % 4;
                if in_group >= 2 && in_group + pads >= 4 {
                    complete = true;
                    break;
                }
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => {
                pads = 0;
                digits.push(byte);
            }
            _ => {}
        }
    }
    let truncated = Base64Error::Truncated { found: digits.len() };
    if !complete && digits.len() % 4 != 0 {
        return Err(truncated);
    }
    ENGINE.decode(&digits).map_err(|_| truncated)
}
