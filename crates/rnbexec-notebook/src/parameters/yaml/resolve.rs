//! PyYAML's implicit resolvers: which tag a plain scalar has by its looks. The patterns are those of its
//! `resolver.py`.

use std::sync::LazyLock;

use regex_lite::Regex;

/// The tags of YAML 1.1 that a value can have.
pub(super) struct Kind;

impl Kind {
    pub(super) const NULL: &str = "tag:yaml.org,2002:null";
    pub(super) const BOOL: &str = "tag:yaml.org,2002:bool";
    pub(super) const INT: &str = "tag:yaml.org,2002:int";
    pub(super) const FLOAT: &str = "tag:yaml.org,2002:float";
    pub(super) const STR: &str = "tag:yaml.org,2002:str";
    pub(super) const BINARY: &str = "tag:yaml.org,2002:binary";
    pub(super) const SEQ: &str = "tag:yaml.org,2002:seq";
    pub(super) const MAP: &str = "tag:yaml.org,2002:map";
    pub(super) const OMAP: &str = "tag:yaml.org,2002:omap";
    pub(super) const PAIRS: &str = "tag:yaml.org,2002:pairs";
    pub(super) const SET: &str = "tag:yaml.org,2002:set";
    pub(super) const TIMESTAMP: &str = "tag:yaml.org,2002:timestamp";
    pub(super) const MERGE: &str = "tag:yaml.org,2002:merge";
    pub(super) const VALUE: &str = "tag:yaml.org,2002:value";
}

static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
    compile(concat!(
        r"^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?",
        r"|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?",
        r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*",
        r"|[-+]?\.(?:inf|Inf|INF)",
        r"|\.(?:nan|NaN|NAN))$",
    ))
});

static INT: LazyLock<Regex> = LazyLock::new(|| {
    compile(concat!(
        r"^(?:[-+]?0b[0-1_]+",
        r"|[-+]?0[0-7_]+",
        r"|[-+]?(?:0|[1-9][0-9_]*)",
        r"|[-+]?0x[0-9a-fA-F_]+",
        r"|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$",
    ))
});

fn compile(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant, and the tests compile it")
}

/// The tag of a plain scalar. Dates are no exception: they are text.
pub(super) fn plain(text: &str) -> &'static str {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::NULL,
        "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "true" | "True" | "TRUE" | "false" | "False"
        | "FALSE" | "on" | "On" | "ON" | "off" | "Off" | "OFF" => Kind::BOOL,
        "<<" => Kind::MERGE,
        "=" => Kind::VALUE,
        _ if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')) => Kind::STR,
        _ if FLOAT.is_match(text) => Kind::FLOAT,
        _ if INT.is_match(text) => Kind::INT,
        _ => Kind::STR,
    }
}
