//! What comes in from others: what `deny.toml` says, checked of what cargo would build, and a reason for each crate that we
//! chose. What needs a database from the network, the advisories, is for `cargo deny check advisories` alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use rnbexec_tests::oracle;
use serde_json::Value;

use crate::{code, rust_files};

/// Every package that any feature and any platform brings, the own ones among them.
static PACKAGES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let asked = ["metadata", "--locked", "--all-features", "--format-version", "1"];
    let done = Command::new(env!("CARGO"))
        .args(asked)
        .current_dir(oracle::workspace())
        .output()
        .expect("cargo, which builds this, is there");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut answer: Value = serde_json::from_slice(&done.stdout).expect("cargo tells JSON");
    serde_json::from_value(answer["packages"].take()).expect("a list of packages")
});

static DENY: LazyLock<toml::Table> = LazyLock::new(|| {
    let text = fs::read_to_string(oracle::workspace().join("deny.toml")).expect("deny.toml");
    text.parse().expect("deny.toml is TOML")
});

fn text<'a>(package: &'a Value, key: &str) -> &'a str {
    package[key].as_str().unwrap_or_default()
}

fn is_ours(package: &Value) -> bool {
    package["source"].is_null()
}

/// Whether it is published: what only the tests need reaches no user.
fn is_product(package: &Value) -> bool {
    is_ours(package)
        && Path::new(text(package, "manifest_path")).starts_with(oracle::workspace().join("crates"))
}

/// The words of a list in `deny.toml`.
fn said(section: &str, key: &str) -> BTreeSet<&'static str> {
    let list = DENY[section][key].as_array().expect("a list");
    list.iter().map(|word| word.get("crate").unwrap_or(word).as_str().expect("a text")).collect()
}

#[test]
fn every_licence_is_allowed_and_no_other_is_listed() {
    let allowed = said("licenses", "allow");
    let mut needed = BTreeSet::new();
    for package in PACKAGES.iter() {
        let licence = text(package, "license");
        let expression = spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX)
            .unwrap_or_else(|error| panic!("{}: {error}", text(package, "name")));
        let ok = expression.evaluate(|licence| allowed.contains(licence.to_string().as_str()));
        assert!(ok, "{} {} has the licence {licence}", text(package, "name"), text(package, "version"));
        needed.extend(expression.requirements().map(|needed| needed.req.to_string()));
    }
    let idle: Vec<_> = allowed.iter().filter(|licence| !needed.contains(**licence)).collect();
    assert!(idle.is_empty(), "nothing has the licences {idle:?}");
}

#[test]
fn no_banned_crate_is_in_the_lock_file() {
    let text = fs::read_to_string(oracle::workspace().join("Cargo.lock")).expect("the lock file");
    let lock: toml::Table = text.parse().expect("the lock file is TOML");
    let banned = said("bans", "deny");
    for package in lock["package"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        assert!(!banned.contains(name), "{name} is banned");
    }
}

#[test]
fn everything_comes_from_the_registry_and_with_a_version() {
    let registries = said("sources", "allow-registry");
    for package in PACKAGES.iter() {
        let name = text(package, "name");
        if is_ours(package) {
            let path = PathBuf::from(text(package, "manifest_path"));
            assert!(path.starts_with(oracle::workspace()), "{name} lies in {}", path.display());
            for dependency in package["dependencies"].as_array().expect("a list") {
                let any = dependency["path"].is_null() && text(dependency, "req") == "*";
                assert!(!any, "{name} takes any {}", text(dependency, "name"));
            }
        } else {
            let source = text(package, "source").strip_prefix("registry+");
            assert!(
                source.is_some_and(|source| registries.contains(source)),
                "{name} comes from {}",
                package["source"]
            );
        }
    }
}

/// The crates of others that the product's manifests name, each with who does.
fn chosen() -> BTreeMap<&'static str, Vec<&'static Value>> {
    let mut chosen: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for package in PACKAGES.iter().filter(|package| is_product(package)) {
        for dependency in package["dependencies"].as_array().expect("a list") {
            if dependency["path"].is_null() {
                chosen.entry(text(dependency, "name")).or_default().push(package);
            }
        }
    }
    chosen
}

/// The names in bold that begin the points of a section.
fn points(document: &str, heading: &str) -> Vec<String> {
    let section = document.lines().skip_while(|line| *line != heading).skip(1);
    section
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("- **"))
        .flat_map(|line| {
            line.rsplit_once("**").map_or(line, |(names, _)| names).split('`').skip(1).step_by(2)
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_crate_that_the_product_names_has_a_reason_and_every_reason_a_crate() {
    let document =
        fs::read_to_string(oracle::workspace().join("crates/README.md")).expect("the map of the code");
    let mut reasons = points(&document, "## Packages that are used, and for what");
    let chosen = chosen();
    reasons.sort();
    let twice: Vec<_> = reasons.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
    let without: Vec<_> =
        chosen.keys().filter(|name| !reasons.iter().any(|reason| reason == *name)).collect();
    let idle: Vec<_> = reasons.iter().filter(|reason| !chosen.contains_key(reason.as_str())).collect();
    assert!(without.is_empty(), "crates/README.md does not say what these are for: {without:?}");
    assert!(idle.is_empty(), "crates/README.md gives reasons for what no crate names: {idle:?}");
    assert!(twice.is_empty(), "crates/README.md gives two reasons for {twice:?}");
}

#[test]
fn every_crate_that_a_manifest_names_is_used_by_its_code() {
    let mut idle = Vec::new();
    for (name, users) in chosen() {
        let word = name.replace('-', "_");
        for package in users {
            let folder = PathBuf::from(text(package, "manifest_path")).with_file_name("");
            if !rust_files(&folder).iter().any(|path| code_mentions(path, &word)) {
                idle.push(format!("{} names {name}", text(package, "name")));
            }
        }
    }
    assert!(idle.is_empty(), "named and not used: {idle:?}");
}

/// Whether a file says this word in its code or its tests.
fn code_mentions(path: &Path, word: &str) -> bool {
    let text = fs::read_to_string(path).expect("a source file");
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let tests = text.split_once("#[cfg(test)]\nmod tests {").map_or("", |(_, tests)| tests);
    [code(&text).as_str(), tests].iter().any(|part| part.split(|c| !is_part(c)).any(|found| found == word))
}
