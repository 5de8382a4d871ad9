//! Styles of strangers, reduced to how their own box looks.
//!
//! What stays: colours, fonts, borders, spacing, alignment, sizes, gradients (pandas draws bars with them). What goes: whatever
//! fetches (`url()`, `@import`, fonts, image sets), leaves its place (`position`, transforms, negative margins), reads the page
//! (attribute selectors, `attr()`, `var()`), runs over time, or is not understood. Rules of a style sheet are bound to the box
//! that they came with.

use cssparser::{
    BasicParseErrorKind, Delimiter, ParseError, Parser, ToCss as _, Token, serialize_identifier,
};

/// What is put before every class of strangers, so that none is one of the page's.
pub(in crate::report) const CLASS_PREFIX: &str = "u-";

const PROPERTIES: &[&str] = &[
    "align-content",
    "align-items",
    "align-self",
    "background",
    "background-color",
    "background-image",
    "background-position",
    "background-repeat",
    "background-size",
    "border",
    "border-bottom",
    "border-bottom-color",
    "border-bottom-left-radius",
    "border-bottom-right-radius",
    "border-bottom-style",
    "border-bottom-width",
    "border-collapse",
    "border-color",
    "border-left",
    "border-left-color",
    "border-left-style",
    "border-left-width",
    "border-radius",
    "border-right",
    "border-right-color",
    "border-right-style",
    "border-right-width",
    "border-spacing",
    "border-style",
    "border-top",
    "border-top-color",
    "border-top-left-radius",
    "border-top-right-radius",
    "border-top-style",
    "border-top-width",
    "border-width",
    "box-shadow",
    "box-sizing",
    "caption-side",
    "clear",
    "color",
    "column-gap",
    "direction",
    "display",
    "fill",
    "fill-opacity",
    "flex",
    "flex-basis",
    "flex-direction",
    "flex-flow",
    "flex-grow",
    "flex-shrink",
    "flex-wrap",
    "float",
    "font",
    "font-family",
    "font-size",
    "font-stretch",
    "font-style",
    "font-variant",
    "font-variant-numeric",
    "font-weight",
    "gap",
    "grid-column",
    "grid-row",
    "grid-template-columns",
    "grid-template-rows",
    "height",
    "justify-content",
    "justify-items",
    "letter-spacing",
    "line-height",
    "list-style",
    "list-style-type",
    "margin",
    "margin-bottom",
    "margin-left",
    "margin-right",
    "margin-top",
    "max-height",
    "max-width",
    "min-height",
    "min-width",
    "opacity",
    "overflow",
    "overflow-wrap",
    "overflow-x",
    "overflow-y",
    "padding",
    "padding-bottom",
    "padding-left",
    "padding-right",
    "padding-top",
    "row-gap",
    "stroke",
    "stroke-dasharray",
    "stroke-linecap",
    "stroke-linejoin",
    "stroke-opacity",
    "stroke-width",
    "tab-size",
    "table-layout",
    "text-align",
    "text-anchor",
    "text-decoration",
    "text-decoration-color",
    "text-decoration-line",
    "text-indent",
    "text-overflow",
    "text-transform",
    "vertical-align",
    "visibility",
    "white-space",
    "width",
    "word-break",
    "word-spacing",
    "word-wrap",
];

const FUNCTIONS: &[&str] = &[
    "rgb",
    "rgba",
    "hsl",
    "hsla",
    "hwb",
    "lab",
    "lch",
    "oklab",
    "oklch",
    "color-mix",
    "calc",
    "min",
    "max",
    "clamp",
    "minmax",
    "fit-content",
    "repeat",
    "linear-gradient",
    "repeating-linear-gradient",
    "radial-gradient",
    "repeating-radial-gradient",
    "conic-gradient",
];

const PSEUDO_CLASSES: &[&str] =
    &["hover", "first-child", "last-child", "only-child", "first-of-type", "last-of-type", "empty"];
const PSEUDO_FUNCTIONS: &[&str] = &["nth-child", "nth-last-child", "nth-of-type", "nth-last-of-type"];

/// How deep blocks may be nested in a value.
const DEPTH: u8 = 16;

type Parsed<T> = Result<T, ParseError<()>>;

/// The declarations of a `style` attribute that may stay.
pub(super) fn declarations(style: &str) -> String {
    let mut parser = Parser::new(style);
    parser.set_nested_block_limit(DEPTH);
    all_declarations(&mut parser)
}

/// The rules of a style sheet that may stay, each for what lies in the element with the id `scope` alone; ids get `id_prefix`.
pub(super) fn rules(sheet: &str, scope: &str, id_prefix: &str) -> String {
    let mut out = String::new();
    let mut parser = Parser::new(sheet);
    parser.set_nested_block_limit(DEPTH);
    while !parser.is_exhausted() {
        let start = parser.state();
        if matches!(parser.next(), Ok(Token::AtKeyword(_))) {
            // Up to the semicolon or the block that ends it, that included.
            let skipped: Parsed<()> =
                parser.parse_until_after(Delimiter::CurlyBracketBlock | Delimiter::Semicolon, |parser| {
                    skip(parser);
                    Ok(())
                });
            if skipped.is_err() {
                break;
            }
            continue;
        }
        parser.reset(&start);
        let selectors = parser.parse_until_before(Delimiter::CurlyBracketBlock, |parser| {
            let selectors = selectors(parser, scope, id_prefix);
            skip(parser);
            Ok::<_, ParseError<()>>(selectors)
        });
        if parser.expect_curly_bracket_block().is_err() {
            break;
        }
        let body = parser.parse_nested_block(|parser| Ok::<_, ParseError<()>>(all_declarations(parser)));
        if let (Ok(Ok(selectors)), Ok(body)) = (selectors, body)
            && !body.is_empty()
        {
            out.push_str(&selectors);
            out.push('{');
            out.push_str(&body);
            out.push('}');
        }
    }
    out
}

fn skip(parser: &mut Parser<'_>) {
    while parser.next().is_ok() {}
}

fn unexpected<T>() -> Parsed<T> {
    Err(ParseError::from_basic_kind(BasicParseErrorKind::UnexpectedToken))
}

/// A list of selectors, each bound to the scope.
fn selectors(parser: &mut Parser<'_>, scope: &str, id_prefix: &str) -> Parsed<String> {
    let mut out = String::new();
    // Where a new selector begins, only what names an element may stand: a combinator would reach out of the scope.
    let mut begins = true;
    while let Ok(token) = parser.next_including_whitespace() {
        let token = token.clone();
        if begins && !matches!(token, Token::WhiteSpace(_)) {
            let names = matches!(token, Token::Ident(_) | Token::IDHash(_) | Token::Delim('.' | '*'));
            if !names {
                return unexpected();
            }
            out.push('#');
            out.push_str(scope);
            out.push(' ');
            begins = false;
        }
        match token {
            Token::WhiteSpace(_) => {
                if !begins {
                    out.push(' ');
                }
            }
            Token::Ident(name) => identifier(&mut out, "", &name),
            Token::IDHash(name) => {
                out.push('#');
                identifier(&mut out, id_prefix, &name);
            }
            Token::Delim('.') => {
                let name = parser.expect_ident_cloned()?;
                out.push('.');
                identifier(&mut out, CLASS_PREFIX, &name);
            }
            Token::Delim(c @ ('*' | '>' | '+' | '~')) => out.push(c),
            Token::Colon => pseudo_class(parser, &mut out)?,
            Token::Comma => {
                out.push(',');
                begins = true;
            }
            _ => return unexpected(),
        }
    }
    if begins || ends_elements(&out) { unexpected() } else { Ok(out.trim_end().to_owned()) }
}

/// Escapes of CSS may hide it, but what comes out stands in a style element, which `</style` ends wherever it stands.
fn ends_elements(css: &str) -> bool {
    css.contains('<')
}

fn pseudo_class(parser: &mut Parser<'_>, out: &mut String) -> Parsed<()> {
    match parser.next_including_whitespace()?.clone() {
        Token::Ident(name) if PSEUDO_CLASSES.contains(&&*name) => {
            out.push(':');
            out.push_str(&name);
        }
        Token::Function(name) if PSEUDO_FUNCTIONS.contains(&&*name) => {
            out.push(':');
            out.push_str(&name);
            out.push('(');
            parser.parse_nested_block(|parser| {
                while let Ok(token) = parser.next() {
                    match token {
                        Token::Ident(_)
                        | Token::Number { .. }
                        | Token::Dimension { .. }
                        | Token::Delim('+' | '-') => {
                            write(out, token)?;
                        }
                        _ => return unexpected(),
                    }
                }
                Ok(())
            })?;
            out.push(')');
        }
        _ => return unexpected(),
    }
    Ok(())
}

fn identifier(out: &mut String, prefix: &str, name: &str) {
    serialize_identifier(&format!("{prefix}{name}"), out).expect("writing to a String does not fail");
}

fn all_declarations(parser: &mut Parser<'_>) -> String {
    let mut out = String::new();
    while !parser.is_exhausted() {
        let one = parser.parse_until_after(Delimiter::Semicolon, |parser| {
            let one = declaration(parser);
            skip(parser);
            Ok::<_, ParseError<()>>(one)
        });
        if let Ok(Ok(declaration)) = one {
            out.push_str(&declaration);
            out.push(';');
        }
    }
    out
}

fn declaration(parser: &mut Parser<'_>) -> Parsed<String> {
    let name = parser.expect_ident_cloned()?.to_ascii_lowercase();
    if PROPERTIES.binary_search(&name.as_str()).is_err() {
        return unexpected();
    }
    parser.expect_colon()?;
    let may_be_negative = !(name.starts_with("margin") || name == "text-indent" || name == "letter-spacing");
    let mut out = format!("{name}:");
    let value_at = out.len();
    value(parser, &mut out, may_be_negative)?;
    if out[value_at..].trim().is_empty() || ends_elements(&out) {
        return unexpected();
    }
    Ok(out.trim_end().to_owned())
}

fn value(parser: &mut Parser<'_>, out: &mut String, may_be_negative: bool) -> Parsed<()> {
    parser.skip_whitespace();
    while let Ok(token) = parser.next_including_whitespace() {
        match token.clone() {
            Token::WhiteSpace(_) => out.push(' '),
            Token::Number { value, .. } | Token::Dimension { value, .. }
                if !may_be_negative && value < 0.0 =>
            {
                return unexpected();
            }
            Token::Percentage { unit_value, .. } if !may_be_negative && unit_value < 0.0 => {
                return unexpected();
            }
            token @ (Token::Ident(_)
            | Token::Hash(_)
            | Token::IDHash(_)
            | Token::QuotedString(_)
            | Token::Number { .. }
            | Token::Percentage { .. }
            | Token::Dimension { .. }
            | Token::Comma
            | Token::Delim('/' | '+' | '-' | '*')) => write(out, &token)?,
            // What is important to a stranger is not to the page.
            Token::Delim('!') => {
                skip(parser);
                break;
            }
            Token::Function(name) => {
                let name = name.to_ascii_lowercase();
                let calculates = matches!(&*name, "calc" | "min" | "max" | "clamp");
                if !FUNCTIONS.contains(&&*name) || calculates && !may_be_negative {
                    return unexpected();
                }
                out.push_str(&name);
                out.push('(');
                parser.parse_nested_block(|parser| value_in(parser, out))?;
                out.push(')');
            }
            _ => return unexpected(),
        }
    }
    Ok(())
}

fn value_in(parser: &mut Parser<'_>, out: &mut String) -> Parsed<()> {
    value(parser, out, true)
}

fn write(out: &mut String, token: &Token<'_>) -> Parsed<()> {
    token.to_css(out).or_else(|_| unexpected())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_properties_are_sorted_for_searching() {
        assert!(PROPERTIES.is_sorted());
    }

    #[test]
    fn looks_stay() {
        for style in [
            "color:red;",
            "background-color:#fee2e2;padding:4px 8px;",
            "width:10em;background:linear-gradient(90deg, #d65f5f 50.0%, transparent 50.0%);",
            "font-family:\"Segoe UI\", sans-serif;border:1px solid rgba(0, 0, 0, 0.2);",
        ] {
            assert_eq!(declarations(style), style);
        }
        assert_eq!(declarations("COLOR : Red !important; ;; x"), "color:Red;");
    }

    #[test]
    fn what_fetches_or_leaves_its_place_goes() {
        for style in [
            "background:url(http://x/)",
            "background-image:u\\72l('//x')",
            "background:image-set('a.png' 1x)",
            "background:\\75\\72\\6c(http://x)",
            "background: linear-gradient(url(x), red)",
            "position:fixed",
            "position:absolute;inset:0",
            "margin-top:-900px",
            "margin:0 0 0 calc(0px - 100vw)",
            "transform:translate(-100vw)",
            "z-index:9999",
            "width:expression(alert(1))",
            "-moz-binding:url(x)",
            "behavior:url(x)",
            "content:attr(x)",
            "color:var(--page)",
            "animation:spin 1s",
            "cursor:url(x),auto",
            "color:red{}",
            "color:</style>",
            "@import 'x'",
        ] {
            assert_eq!(declarations(style), "", "{style}");
        }
        assert_eq!(declarations("position:fixed;color:red;top:0"), "color:red;");
        assert_eq!(declarations("background:url(';color:red"), "");
    }

    #[test]
    fn rules_are_bound_to_their_box() {
        let sheet = "#T_a th, #T_a .row0:hover { color: red; } .x>td:nth-child(2n+1){width:3px}";
        assert_eq!(
            rules(sheet, "o1", "p-"),
            "#o1 #p-T_a th,#o1 #p-T_a .u-row0:hover{color:red;}#o1 .u-x>td:nth-child(2n+1){width:3px;}"
        );
        assert_eq!(rules("body{color:red}", "o1", "p-"), "#o1 body{color:red;}");
    }

    #[test]
    fn rules_that_reach_out_read_the_page_or_fetch_go() {
        for sheet in [
            "@import url(http://x); ",
            "@font-face{font-family:x;src:url(http://x)}",
            "@media screen{body{color:red}}",
            "input[value^=a]{color:red}",
            "+ div{color:red}",
            "a, ~ b{color:red}",
            ":root{color:red}",
            "a:has(b){color:red}",
            "a::before{color:red}",
            "a{background:url(http://x)}",
            "</style><script>",
            "a{",
            "a{}b",
        ] {
            assert_eq!(rules(sheet, "o1", "p-"), "", "{sheet}");
        }
        assert_eq!(rules("@import 'x'; a{color:red}", "o", "p-"), "#o a{color:red;}");
        assert_eq!(rules("@media print{a{color:red}} b{color:red}", "o", "p-"), "#o b{color:red;}");
        assert_eq!(rules("<!-- a{color:red} -->", "o", "p-"), "");
    }

    #[test]
    fn no_sheet_ends_the_style_element_it_stands_in() {
        for name in ["\\3c/style", "\\3c /style\\3e", "\"</style>\""] {
            assert!(!declarations(&format!("font-family:{name}")).contains('<'), "{name}");
            let sheet = rules(&format!("{name}{{color:red}} .{name}{{color:red}}"), "o", "p-");
            assert!(!sheet.contains('<'), "{sheet}");
        }
    }
}
