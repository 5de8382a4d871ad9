//! Which workspace and which incident: ids, parsed once, that cannot lead elsewhere.
//!
//! Resource Manager's ids do not tell case apart, so ours do not either; they keep how they were written.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use azure_core::http::Url;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// No id that is worth reading is longer.
const LONGEST_TEXT: usize = 2048;

/// A text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It names no incident.
    #[error(
        "not an incident: {text:?}; give its id (a GUID), its number, its Azure resource id \
         (/subscriptions/…/incidents/…) or its address in the portal"
    )]
    Incident {
        /// How it begins.
        text: String,
    },
    /// It is not the name of an incident.
    #[error(
        "not an incident's name: {text:?}; it has 1 to 128 letters, digits, dots, dashes and underscores"
    )]
    Name {
        /// How it begins.
        text: String,
    },
    /// It is not a workspace.
    #[error(
        "not a workspace: {text:?}; give /subscriptions/<id>/resourceGroups/<group>/providers/<provider>/workspaces/<name>"
    )]
    Workspace {
        /// How it begins.
        text: String,
    },
}

/// The first part of a text, for messages.
fn begin(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A Log Analytics workspace. Shows as its id in Resource Manager.
#[derive(Debug, Clone)]
pub struct WorkspaceId {
    /// The subscription's id.
    pub subscription: String,
    /// The resource group.
    pub resource_group: String,
    /// The workspace's name.
    pub name: String,
}

impl WorkspaceId {
    /// Checks the parts.
    pub fn new(subscription: &str, resource_group: &str, name: &str) -> Result<Self, ParseError> {
        let parts = [subscription, resource_group, name];
        if let Some(bad) = parts.iter().find(|part| !is_resource_name(part)) {
            return Err(ParseError::Workspace { text: begin(bad) });
        }
        let [subscription, resource_group, name] = parts.map(str::to_owned);
        Ok(Self { subscription, resource_group, name })
    }

    /// Reads an id of Resource Manager.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::Workspace { text: begin(text) };
        let (workspace, rest) = Self::leading(text.trim()).ok_or_else(wrong)?;
        if rest.is_empty() { Ok(workspace) } else { Err(wrong()) }
    }

    /// The segments of the id.
    pub(crate) fn segments(&self) -> [&str; 8] {
        [
            "subscriptions",
            &self.subscription,
            "resourceGroups",
            &self.resource_group,
            "providers",
            "Microsoft.OperationalInsights",
            "workspaces",
            &self.name,
        ]
    }

    /// The workspace that an id begins with, and the segments after it.
    fn leading(text: &str) -> Option<(Self, Vec<&str>)> {
        let mut segments = text.trim_matches('/').split('/');
        let mut literal = |expected: &str| segments.next()?.eq_ignore_ascii_case(expected).then_some(());
        literal("subscriptions")?;
        let subscription = segments.next()?;
        let mut literal = |expected: &str| segments.next()?.eq_ignore_ascii_case(expected).then_some(());
        literal("resourceGroups")?;
        let resource_group = segments.next()?;
        let mut literal = |expected: &str| segments.next()?.eq_ignore_ascii_case(expected).then_some(());
        literal("providers")?;
        literal("Microsoft.OperationalInsights")?;
        literal("workspaces")?;
        let name = segments.next()?;
        let workspace = Self::new(subscription, resource_group, name).ok()?;
        Some((workspace, segments.collect()))
    }

    fn folded(&self) -> [String; 3] {
        [&self.subscription, &self.resource_group, &self.name].map(|part| part.to_lowercase())
    }
}

impl fmt::Display for WorkspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments().iter().try_for_each(|segment| write!(f, "/{segment}"))
    }
}

impl PartialEq for WorkspaceId {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for WorkspaceId {}

impl Hash for WorkspaceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

impl FromStr for WorkspaceId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl Serialize for WorkspaceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WorkspaceId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The names that Azure gives to subscriptions, groups and resources: letters of any script, digits, `-_.()`.
pub(crate) fn is_resource_name(text: &str) -> bool {
    let usual = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')');
    (1..=260).contains(&text.chars().count()) && text.chars().all(usual) && !matches!(text, "." | "..")
}

/// The name of an incident, the last segment of its id: mostly a GUID. Safe as a file's name and as part of a URL.
#[derive(Debug, Clone)]
pub struct IncidentName(String);

impl IncidentName {
    /// Checks a name: 1 to 128 of `A-Z a-z 0-9 _ . -`, neither `.` nor `..`.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        if (1..=128).contains(&text.len()) && text.bytes().all(usual) && !matches!(text, "." | "..") {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::Name { text: begin(text) })
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In lower case: the same for all spellings of one name.
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl fmt::Display for IncidentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq for IncidentName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for IncidentName {}

impl Hash for IncidentName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().hash(state);
    }
}

impl PartialOrd for IncidentName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for IncidentName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.folded().cmp(&other.folded())
    }
}

impl FromStr for IncidentName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl Serialize for IncidentName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for IncidentName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// An incident as somebody names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum IncidentRef {
    /// By the last segment of its id.
    Name(IncidentName),
    /// By the number that people see in Sentinel.
    Number(u64),
    /// By the number that people see in Defender, `providerIncidentId` to Sentinel; it comes from an address in that portal.
    Defender(u64),
    /// By its whole id.
    Arm {
        /// The workspace.
        workspace: WorkspaceId,
        /// The incident in it.
        name: IncidentName,
    },
}

impl IncidentRef {
    /// Reads a GUID, a number (`#` may lead), an Azure resource id, or an address in the Azure or Defender portal. The error
    /// says what is accepted.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let wrong = || ParseError::Incident { text: begin(text) };
        let trimmed = text.trim();
        if trimmed.len() > LONGEST_TEXT {
            return Err(wrong());
        }
        let digits = trimmed.strip_prefix('#').unwrap_or(trimmed);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return digits.parse().map(Self::Number).map_err(|_| wrong());
        }
        if is_web_address(trimmed) {
            return from_address(trimmed).ok_or_else(wrong);
        }
        let decoded = decoded(trimmed).ok_or_else(wrong)?;
        if decoded.contains('/') {
            return match arm(&decoded) {
                Some((reference, 0)) => Ok(reference),
                _ => Err(wrong()),
            };
        }
        IncidentName::parse(trimmed).map(Self::Name).map_err(|_| wrong())
    }
}

impl FromStr for IncidentRef {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for IncidentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Defender(number) => write!(f, "https://security.microsoft.com/incidents/{number}"),
            Self::Arm { workspace, name } => {
                write!(f, "{workspace}/providers/Microsoft.SecurityInsights/incidents/{name}")
            }
        }
    }
}

/// The last segment of an id.
pub(crate) fn last_segment(id: &str) -> &str {
    id.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

fn is_web_address(text: &str) -> bool {
    ["https://", "http://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)))
}

/// Percent-decoded, twice where the portal encoded twice; `None` when it is not text.
fn decoded(text: &str) -> Option<String> {
    let once = percent_decode_str(text).decode_utf8().ok()?;
    Some(percent_decode_str(&once).decode_utf8().ok()?.into_owned())
}

/// The incident of an id that has been decoded, and how many segments follow.
fn arm(id: &str) -> Option<(IncidentRef, usize)> {
    let (workspace, rest) = WorkspaceId::leading(id)?;
    let [providers, insights, incidents, name, rest @ ..] = rest.as_slice() else { return None };
    let literal = providers.eq_ignore_ascii_case("providers")
        && insights.eq_ignore_ascii_case("Microsoft.SecurityInsights")
        && incidents.eq_ignore_ascii_case("incidents");
    let name = IncidentName::parse(name).ok().filter(|_| literal)?;
    Some((IncidentRef::Arm { workspace, name }, rest.len()))
}

/// What an address in a portal shows: the id is in it as it is, or percent-encoded as a part of it.
fn from_address(text: &str) -> Option<IncidentRef> {
    let decoded = decoded(text)?;
    let lower = decoded.to_ascii_lowercase();
    if let Some(at) = lower.find("/subscriptions/") {
        let id = decoded.get(at..)?;
        let id = id.split(['?', '&', '#', '"', '\'']).next()?;
        return arm(id).map(|(reference, _)| reference);
    }
    let url = Url::parse(text).ok()?;
    let mut segments = url.path_segments()?;
    let first = segments.next()?;
    let number = segments.next()?.parse().ok()?;
    // `incident2` since the portal was remade.
    matches!(first, "incidents" | "incident2").then_some(IncidentRef::Defender(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "73e01a99-5cd7-4139-a149-9f2736ff2ab5";
    const ID: &str = "/subscriptions/d0cfe6b2-9ac0-4464-9919-dccaee2e48c0/resourceGroups/myRg/providers/\
                      Microsoft.OperationalInsights/workspaces/myWorkspace/providers/Microsoft.SecurityInsights/\
                      incidents/73e01a99-5cd7-4139-a149-9f2736ff2ab5";

    fn arm() -> IncidentRef {
        IncidentRef::Arm {
            workspace: WorkspaceId::new("d0cfe6b2-9ac0-4464-9919-dccaee2e48c0", "myRg", "myWorkspace")
                .unwrap(),
            name: IncidentName::parse(GUID).unwrap(),
        }
    }

    #[test]
    fn each_way_to_name_an_incident_is_understood() {
        let encoded = ID.replace('/', "%2F");
        let twice = encoded.replace('%', "%25");
        let portal = "https://portal.azure.com/#";
        let table = [
            (GUID.to_owned(), IncidentRef::Name(IncidentName::parse(GUID).unwrap())),
            (format!(" {GUID}\n"), IncidentRef::Name(IncidentName::parse(GUID).unwrap())),
            ("incident_7.b".to_owned(), IncidentRef::Name(IncidentName::parse("incident_7.b").unwrap())),
            ("3177".to_owned(), IncidentRef::Number(3177)),
            ("#3177".to_owned(), IncidentRef::Number(3177)),
            (ID.to_owned(), arm()),
            (ID.trim_start_matches('/').to_owned(), arm()),
            (format!("{ID}/"), arm()),
            (ID.to_uppercase(), arm()),
            (ID.replace("resourceGroups", "resourcegroups").replace("incidents", "Incidents"), arm()),
            (encoded.clone(), arm()),
            (format!("{portal}asset/Microsoft_Azure_Security_Insights/Incident{ID}"), arm()),
            (format!("{portal}asset/Microsoft_Azure_Security_Insights/Incident/{encoded}"), arm()),
            (
                format!(
                    "{portal}view/Microsoft_Azure_Security_Insights/IncidentPage.ReactView/incidentArmId/{encoded}/tab~/x"
                ),
                arm(),
            ),
            (format!("https://portal.azure.us/?feature.x=1#blade/X/incidentArmId/{twice}?x=y"), arm()),
            ("https://security.microsoft.com/incidents/4321?tid=t".to_owned(), IncidentRef::Defender(4321)),
            (
                "https://security.microsoft.com/incident2/4321/overview".to_owned(),
                IncidentRef::Defender(4321),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(IncidentRef::parse(&text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_names_no_incident() {
        let table = [
            String::new(),
            "   ".to_owned(),
            ".".to_owned(),
            "..".to_owned(),
            "../../etc/passwd".to_owned(),
            "%2e%2e%2f%2e%2e".to_owned(),
            "%2e%2e".to_owned(),
            "%252e%252e".to_owned(),
            "a\0b".to_owned(),
            "a%00b".to_owned(),
            "a b".to_owned(),
            "a'b".to_owned(),
            "a\u{202e}b".to_owned(),
            "únïcode".to_owned(),
            "１２３".to_owned(),
            "123456789012345678901234567890".to_owned(),
            "#".to_owned(),
            "-1#".to_owned(),
            "a".repeat(129),
            "a".repeat(4096),
            format!("{ID}/comments/1"),
            ID.replace(GUID, ".."),
            ID.replace(GUID, "%2e%2e"),
            ID.replace(GUID, "%252e%252e%252fx"),
            ID.replace("myRg", ".."),
            ID.replace("myRg", "a%3fb"),
            ID.replace("myRg", ""),
            ID.replace("Microsoft.SecurityInsights", "Microsoft.Compute"),
            ID.replace("incidents", "alertRules"),
            "/subscriptions/a".to_owned(),
            "https://security.microsoft.com/incidents".to_owned(),
            "https://security.microsoft.com/incidents/../1".to_owned(),
            "https://evil.test/".to_owned(),
            "https://".to_owned(),
            "file:///etc/passwd".to_owned(),
            "https://portal.azure.com/#asset/%ff%fe/subscriptions/".to_owned(),
        ];
        for text in table {
            let parsed = IncidentRef::parse(&text);
            assert!(parsed.is_err(), "{text:?} was read as {parsed:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics_and_every_name_is_safe(text in ".{0,60}|[-%./0-9a-zA-Z]{0,80}|https://.{0,60}|/subscriptions/.{0,60}") {
            if let Ok(IncidentRef::Name(name) | IncidentRef::Arm { name, .. }) = IncidentRef::parse(&text) {
                let safe = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
                proptest::prop_assert!(name.as_str().chars().all(safe) && !matches!(name.as_str(), "." | ".."));
            }
        }
    }

    #[test]
    fn the_error_says_what_is_accepted_and_shows_a_hostile_text_escaped_and_short() {
        let error = IncidentRef::parse(&format!("\u{1b}[2J{}", "x/".repeat(1000))).unwrap_err().to_string();
        assert!(error.contains("GUID") && error.contains("number") && error.contains("portal"), "{error}");
        assert!(error.len() < 400 && !error.contains('\u{1b}'), "{error}");
    }

    #[test]
    fn ids_do_not_tell_case_apart() {
        use std::collections::HashSet;
        let names = ["ABC-def", "abc-DEF"].map(|text| IncidentName::parse(text).unwrap());
        assert_eq!(names[0].as_str(), "ABC-def");
        assert_eq!(HashSet::from(names.clone()).len(), 1);
        assert_eq!(names[0].cmp(&names[1]), Ordering::Equal);
        let workspaces = [ID, &ID.to_lowercase()]
            .map(|id| WorkspaceId::parse(id.split("/providers/Microsoft.Sec").next().unwrap_or_default()));
        let [Ok(one), workspace] = workspaces else { panic!("{workspaces:?}") };
        assert!(workspace.is_err(), "cut at another place: {workspace:?}");
        let other = WorkspaceId::parse(&one.to_string().to_uppercase()).unwrap();
        assert_eq!(HashSet::from([one, other]).len(), 1);
    }

    #[test]
    fn a_workspace_shows_as_its_id_and_is_read_back() {
        let text =
            "/subscriptions/s/resourceGroups/größe(1)/providers/Microsoft.OperationalInsights/workspaces/w";
        let workspace = WorkspaceId::parse(text).unwrap();
        assert_eq!(workspace.to_string(), text);
        assert_eq!(serde_json::to_string(&workspace).unwrap(), format!("{text:?}"));
        assert!(WorkspaceId::parse(&format!("{text}/x")).is_err());
        assert!(serde_json::from_str::<IncidentName>("\"../x\"").is_err());
    }
}
