//! What is needed from the profile in the AWS configuration files beyond what `reqsign` reads: the region and an assumed role.

use reqsign_core::Context;

use crate::store::Environment;

/// The settings of the profile in use.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) region: Option<String>,
    /// `role_arn`: the role to assume, with the keys of `source`.
    pub(super) role: Option<String>,
    /// `source_profile`.
    pub(super) source: Option<String>,
}

/// The profile of `AWS_PROFILE` in `AWS_CONFIG_FILE` or `~/.aws/config`. An absent file says nothing.
pub(super) async fn load(environment: &Environment, context: &Context) -> Profile {
    let path = environment.get("AWS_CONFIG_FILE").unwrap_or("~/.aws/config");
    let Some(path) = context.expand_home_dir(path) else { return Profile::default() };
    match context.file_read(&path).await {
        Ok(text) => {
            let name = environment.get("AWS_PROFILE").or_else(|| environment.get("AWS_DEFAULT_PROFILE"));
            parse(&String::from_utf8_lossy(&text), name.unwrap_or("default"))
        }
        Err(error) => {
            tracing::debug!(%error, path, "no AWS configuration");
            Profile::default()
        }
    }
}

fn parse(text: &str, name: &str) -> Profile {
    let mut profile = Profile::default();
    let mut ours = false;
    for line in text.lines() {
        // Indented lines are nested settings (`s3 =`), not ours.
        if line.starts_with(char::is_whitespace) || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.split(']').next()) {
            let section = section.trim();
            ours = section.strip_prefix("profile ").unwrap_or(section).trim() == name;
            continue;
        }
        let (true, Some((key, value))) = (ours, line.split_once('=')) else { continue };
        let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        match key.trim() {
            "region" => profile.region = value,
            "role_arn" => profile.role = value,
            "source_profile" => profile.source = value,
            _ => {}
        }
    }
    profile
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[default]\nregion = us-west-2\ns3 =\n  region = nonsense\n\n# other\n[profile work]\n\
                          region=eu-central-1\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = default\n";

    #[test]
    fn the_default_profile_is_the_default_section() {
        let region = Some("us-west-2".to_owned());
        assert_eq!(parse(CONFIG, "default"), Profile { region, ..Profile::default() });
    }

    #[test]
    fn a_named_profile_may_assume_a_role() {
        let profile = parse(CONFIG, "work");
        assert_eq!(profile.region.as_deref(), Some("eu-central-1"));
        assert_eq!(profile.role.as_deref(), Some("arn:aws:iam::1:role/r"));
        assert_eq!(profile.source.as_deref(), Some("default"));
    }

    #[test]
    fn an_unknown_profile_says_nothing() {
        assert_eq!(parse(CONFIG, "other"), Profile::default());
    }
}
