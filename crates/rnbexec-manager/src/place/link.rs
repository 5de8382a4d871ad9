//! The code share of an Azure Machine Learning workspace, and links into its studio.

use std::convert::Infallible;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rnbexec::store::Segment;
use url::Url;

use super::{PlaceError, segments};
use crate::template::Pieces;

/// The link that the studio uses today.
pub const LONG_LINK: &str = "{studio}/fileexplorerAzNB?wsid=/subscriptions/{subscription}/resourceGroups/{resource_group}\
                             /providers/Microsoft.MachineLearningServices/workspaces/{workspace}&tid={tenant}\
                             &activeFilePath={path}";

/// The link of older studios, and of Microsoft's automated notebooks.
pub const SHORT_LINK: &str = "{studio}/fileexplorerAzNB?wsid=/subscriptions/{subscription}/resourcegroups/{resource_group}\
                              /workspaces/{workspace}&tid={tenant}&activeFilePath={path}";

/// What is left as it is in the value of a query: what RFC 3986 never encodes.
const VALUE: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The same with the slashes between the parts of a path.
const PATH: AsciiSet = VALUE.remove(b'/');

/// A path as it stands in a URL.
pub(super) fn encoded_path(path: &str) -> String {
    utf8_percent_encode(path, &PATH).to_string()
}

/// The template of a link into the studio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTemplate(Pieces<Value>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Studio,
    Subscription,
    ResourceGroup,
    Workspace,
    Tenant,
    Path,
}

const VALUES: [(&str, Value); 6] = [
    ("studio", Value::Studio),
    ("subscription", Value::Subscription),
    ("resource_group", Value::ResourceGroup),
    ("workspace", Value::Workspace),
    ("tenant", Value::Tenant),
    ("path", Value::Path),
];

impl Default for LinkTemplate {
    fn default() -> Self {
        Self::parse(LONG_LINK).expect("a test makes a link of it")
    }
}

impl LinkTemplate {
    /// Reads a template: `long`, `short`, or a URL with `{studio}`, `{subscription}`, `{resource_group}`, `{workspace}`,
    /// `{tenant}` and `{path}`, each of which is percent-encoded when it is filled in.
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        let text = match text {
            "long" => LONG_LINK,
            "short" => SHORT_LINK,
            text => text,
        };
        let pieces = Pieces::parse(text, &VALUES);
        pieces.map(Self).map_err(|source| PlaceError::Link { text: text.to_owned(), source })
    }
}

/// The file share that the studio of a workspace shows as its notebooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeShare {
    folder: Vec<Segment>,
    template: LinkTemplate,
    workspace: Workspace,
}

/// Which workspace, and where its studio is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// The studio: `https://ml.azure.com`.
    pub studio: Url,
    /// The subscription's id.
    pub subscription: String,
    /// The resource group.
    pub resource_group: String,
    /// The workspace's name.
    pub name: String,
    /// The tenant's id. The links need it unless their template does without.
    pub tenant: Option<String>,
}

impl CodeShare {
    /// A folder of the share (`Users/TriageNbs`), and the links to what lies in it.
    pub fn new(workspace: Workspace, folder: &str, template: LinkTemplate) -> Result<Self, PlaceError> {
        if workspace.tenant.is_none() && template.0.values().any(|value| value == Value::Tenant) {
            return Err(PlaceError::NoTenant);
        }
        Ok(Self { folder: segments(folder)?, template, workspace })
    }

    pub(super) fn folder(&self) -> &[Segment] {
        &self.folder
    }

    /// The link to a path of the share.
    pub(super) fn link(&self, path: &str) -> String {
        let Workspace { studio, subscription, resource_group, name, tenant } = &self.workspace;
        let encoded = |text: &str| utf8_percent_encode(text, &VALUE).to_string();
        let filled = self.template.0.fill(|value| {
            Ok::<_, Infallible>(match value {
                Value::Studio => studio.as_str().trim_end_matches('/').to_owned(),
                Value::Subscription => encoded(subscription),
                Value::ResourceGroup => encoded(resource_group),
                Value::Workspace => encoded(name),
                Value::Tenant => encoded(tenant.as_deref().unwrap_or_default()),
                Value::Path => encoded_path(path),
            })
        });
        let Ok(link) = filled;
        link
    }
}
