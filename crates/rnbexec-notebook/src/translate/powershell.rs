//! PowerShell. Grammar: `about_Quoting_Rules`, `about_Special_Characters`, `about_Variables`,
//! `about_Numeric_Literals`, `about_Arrays`, `about_Hash_Tables` of PowerShell 7.
//!
//! As papermill, but: the escape character is the backtick, not the backslash; `$` is escaped (`"$(cmd)"` is
//! code); the curly quotes `“ ” „`, which end a string in PowerShell as well, are escaped; other characters
//! beyond ASCII stand as they are; integers beyond 64 bits as `[bigint]::Parse("…")`; an array of a single
//! array with the comma that keeps it nested; keys that differ in case only are refused (a hash table has one
//! of them), as are constants and read-only variables for names, and lone surrogates.

use super::name::{NameRule, letter_or_underscore, word};
use super::number::{Numeric, fits_i64};
use super::text;
use super::{TranslateError, Translator, Unsupported, line_comment, not_too_deep, of_parameter};
use crate::json::Json;

const LANGUAGE: &str = "PowerShell";

const NAMES: NameRule =
    NameRule { language: LANGUAGE, first: letter_or_underscore, rest: word, reserved: "" };

/// What cannot be assigned to, or not with effect. PowerShell's names have no case.
const AUTOMATIC: &str = "_ args consolefilename enabledexperimentalfeatures error event eventargs eventsubscriber \
    executioncontext false foreach home host input iscoreclr islinux ismacos iswindows \
    lastexitcode matches myinvocation nestedpromptlevel null pid profile psboundparameters \
    pscmdlet pscommandpath psculture psdebugcontext psedition pshome psitem psscriptroot \
    pssenderinfo psuiculture psversiontable pwd sender shellid stacktrace switch this true";

#[derive(Debug)]
pub(super) struct PowerShell;

impl Translator for PowerShell {
    fn language(&self) -> &'static str {
        LANGUAGE
    }

    fn comment(&self, text: &str) -> String {
        line_comment("#", text)
    }

    fn literal(&self, value: &Json) -> Result<String, Unsupported> {
        literal(not_too_deep(value, LANGUAGE)?)
    }

    fn assign(&self, name: &str, value: &Json) -> Result<String, TranslateError> {
        NAMES.check(name)?;
        if AUTOMATIC.split(' ').any(|word| word == name.to_lowercase()) {
            return Err(NAMES.refuse(name, "it is a variable of PowerShell itself"));
        }
        Ok(format!("${name} = {}", self.literal(value).map_err(of_parameter(name))?))
    }
}

fn literal(value: &Json) -> Result<String, Unsupported> {
    Ok(match value {
        Json::Null => "$Null".to_owned(),
        Json::Bool(true) => "$True".to_owned(),
        Json::Bool(false) => "$False".to_owned(),
        Json::Number(number) => match Numeric::of(number) {
            Numeric::Integer(text) if !fits_i64(&text) => format!("[bigint]::Parse(\"{text}\")"),
            Numeric::Integer(text) | Numeric::Finite(text) => text,
            Numeric::NaN => "[double]::NaN".to_owned(),
            Numeric::Infinity => "[double]::PositiveInfinity".to_owned(),
            Numeric::NegativeInfinity => "[double]::NegativeInfinity".to_owned(),
        },
        Json::String(text) => string(text.as_bytes())?,
        Json::IllFormed(text) => string(text.as_wtf8())?,
        Json::Array(items) => {
            let nested = if matches!(items[..], [Json::Array(_)]) { "," } else { "" };
            let items = items.iter().map(literal).collect::<Result<Vec<_>, _>>()?;
            format!("@({nested}{})", items.join(", "))
        }
        Json::Object(members) => {
            let mut folded: Vec<_> = members.keys().map(|key| key.to_lowercase()).collect();
            folded.sort_unstable();
            if folded.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(Unsupported {
                    language: LANGUAGE,
                    what: "a hash table with keys that differ in case only",
                });
            }
            let member = |(key, value): (&String, &Json)| {
                Ok(format!("{} = {}", string(&text::of_key(key))?, literal(value)?))
            };
            let members = members.iter().map(member).collect::<Result<Vec<_>, Unsupported>>()?;
            format!("@{{{}}}", members.join("\n "))
        }
    })
}

fn string(wtf8: &[u8]) -> Result<String, Unsupported> {
    let mut out = String::from('"');
    for c in text::well_formed(wtf8, LANGUAGE)?.chars() {
        match c {
            '`' | '"' | '$' | '\u{201C}' | '\u{201D}' | '\u{201E}' => out.extend(['`', c]),
            '\n' => out.push_str("`n"),
            '\r' => out.push_str("`r"),
            '\t' => out.push_str("`t"),
            '\0' => out.push_str("`0"),
            '\u{7}' => out.push_str("`a"),
            '\u{8}' => out.push_str("`b"),
            '\u{b}' => out.push_str("`v"),
            '\u{c}' => out.push_str("`f"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let escape = format!("`u{{{:x}}}", u32::from(c));
                out.push_str(&escape);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(out)
}
