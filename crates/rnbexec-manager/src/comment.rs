//! The comment that a triage leaves on its incident: HTML, as Sentinel shows it.
//!
//! Sentinel renders comments as HTML and as Markdown, and what is told in them was written by attackers as much as by
//! anybody. So every value is escaped for both at once (by character references, which are neither tags nor marks), a verdict's
//! Markdown becomes a handful of tags and never a link, and the only links are our own, to places on the web.
//!
//! The same triage makes the same comment, to the byte: writing it again changes nothing.

mod html;
#[cfg(test)]
mod tests;

use rnbexec_azure::sentinel::Incident;

use crate::RunKey;
use crate::severity::Severity;
use crate::template::{Pieces, TemplateError};
use crate::text::one_line;
use crate::verdict::{Evidence, Verdict};

pub(crate) use html::safe_html;
use html::{escape, href, rich};

/// The most characters of a comment that the API takes today; older versions took 3,000.
pub const DEFAULT_LIMIT: usize = 30_000;

/// The comment of Microsoft's automated notebooks, word for word.
pub const BLOG: &str = "<a href='{link}'>View incident triage notebook in AML</a>";

/// The comment that is left unless the settings have another.
pub const DEFAULT: &str = "{verdict}{summary}{evidence}{links}{origin}";

/// The template of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pieces: Pieces<Part>,
    limit: usize,
}

/// What a comment is made of.
#[derive(Clone, Debug)]
pub struct CommentContext<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// What the notebook found.
    pub verdict: Option<&'a Verdict>,
    /// Where the notebook is published: a URL, or the path of a file.
    pub link: &'a str,
    /// Where the report is published.
    pub report: Option<&'a str>,
    /// The notebook that was run.
    pub notebook: &'a str,
    /// Which run it was.
    pub run: &'a RunKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    // Whole pieces of HTML.
    Verdict,
    Summary,
    Evidence,
    Links,
    Origin,
    // Single values, escaped.
    Link,
    Report,
    Notebook,
    RunKey,
    Severity,
    Title,
    Confidence,
    IncidentTitle,
    IncidentNumber,
    IncidentId,
}

const PARTS: [(&str, Part); 15] = [
    ("verdict", Part::Verdict),
    ("summary", Part::Summary),
    ("evidence", Part::Evidence),
    ("links", Part::Links),
    ("origin", Part::Origin),
    ("link", Part::Link),
    ("report", Part::Report),
    ("notebook", Part::Notebook),
    ("run_key", Part::RunKey),
    ("severity", Part::Severity),
    ("title", Part::Title),
    ("confidence", Part::Confidence),
    ("incident_title", Part::IncidentTitle),
    ("incident_number", Part::IncidentNumber),
    ("incident_id", Part::IncidentId),
];

/// How much of the parts that can be long is told.
#[derive(Clone, Copy)]
struct Room {
    rows: usize,
    summary: usize,
    line: usize,
}

/// From plenty to nearly nothing; the first that fits is taken.
const ROOMS: [Room; 7] = [
    Room { rows: 10, summary: 8_000, line: 500 },
    Room { rows: 10, summary: 4_000, line: 300 },
    Room { rows: 10, summary: 1_500, line: 200 },
    Room { rows: 5, summary: 800, line: 120 },
    Room { rows: 3, summary: 400, line: 80 },
    Room { rows: 1, summary: 150, line: 60 },
    Room { rows: 0, summary: 0, line: 40 },
];

impl Default for Template {
    fn default() -> Self {
        Self::parse(DEFAULT).expect("a test renders the default template")
    }
}

impl Template {
    /// Reads a template: `default`, `blog`, or HTML with placeholders. The HTML is the settings' own and stays as it is.
    ///
    /// Whole pieces, which are empty when there is nothing to tell: `{verdict}` (severity and title), `{summary}`,
    /// `{evidence}`, `{links}`, `{origin}` (notebook and run). Single values, escaped: `{link}`, `{report}`, `{notebook}`,
    /// `{run_key}`, `{severity}`, `{title}`, `{confidence}`, `{incident_title}`, `{incident_number}`, `{incident_id}`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let text = match text {
            "default" => DEFAULT,
            "blog" => BLOG,
            text => text,
        };
        Ok(Self { pieces: Pieces::parse(text, &PARTS)?, limit: DEFAULT_LIMIT })
    }

    /// With another limit on the comment's length, in characters as the service counts them (UTF-16).
    #[must_use]
    pub fn with_limit(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// The comment. It is never longer than the limit, and no tag, link or character reference is ever cut in two.
    pub fn render(&self, context: &CommentContext<'_>) -> String {
        let fits = |comment: &String| comment.encode_utf16().count() <= self.limit;
        let full = ROOMS.iter().map(|room| self.fill(context, *room)).find(fits);
        // A template that is too long by itself: the link matters most.
        full.or_else(|| Some(links(context)).filter(fits))
            .or_else(|| Some(escape("The triage notebook is published.")).filter(fits))
            .unwrap_or_default()
    }

    fn fill(&self, context: &CommentContext<'_>, room: Room) -> String {
        let filled = self.pieces.fill(|part| Ok::<_, std::convert::Infallible>(part.html(context, room)));
        let Ok(comment) = filled;
        comment
    }
}

impl Part {
    fn html(self, context: &CommentContext<'_>, room: Room) -> String {
        let CommentContext { incident, verdict, link, report, notebook, run } = *context;
        let line = |text: &str| escape(&one_line(text, room.line));
        match self {
            Self::Verdict => verdict.map(|verdict| headline(verdict, room)).unwrap_or_default(),
            Self::Summary => {
                let summary = verdict.and_then(|verdict| verdict.summary.as_deref()).unwrap_or_default();
                rich(summary, room.summary)
            }
            Self::Evidence => verdict.map(|verdict| evidence(verdict, room)).unwrap_or_default(),
            Self::Links => links(context),
            Self::Origin => {
                let notebook = line(notebook);
                format!("<p><i>{notebook}, run {}</i></p>", escape(run.as_str()))
            }
            Self::Link => href(link),
            Self::Report => report.map(href).unwrap_or_default(),
            Self::Notebook => line(notebook),
            Self::RunKey => escape(run.as_str()),
            Self::Severity => verdict.map(|verdict| escape(verdict.severity.as_str())).unwrap_or_default(),
            Self::Title => verdict.and_then(|verdict| verdict.title.as_deref()).map(line).unwrap_or_default(),
            Self::Confidence => {
                verdict.and_then(|verdict| verdict.confidence).map(percent).unwrap_or_default()
            }
            Self::IncidentTitle => line(incident.title()),
            Self::IncidentNumber => incident.number().map(|number| number.to_string()).unwrap_or_default(),
            Self::IncidentId => incident.name().map(|name| escape(name.as_str())).unwrap_or_default(),
        }
    }
}

/// The finding in one line: how bad, how sure, what.
fn headline(verdict: &Verdict, room: Room) -> String {
    let mut line = format!("<b>{} {}</b>", sign(verdict.severity), verdict.severity);
    if let Some(title) = &verdict.title {
        line.extend([" <b>", &escape(&one_line(title, room.line)), "</b>"]);
    }
    let class = verdict.classification.as_ref().map(|classification| spaced(classification.class.as_str()));
    let confidence = verdict.confidence.map(|confidence| format!("confidence {}", percent(confidence)));
    let more: Vec<String> = class.into_iter().chain(confidence).collect();
    if !more.is_empty() {
        line.extend([" (", &more.join(", "), ")"]);
    }
    format!("<p>{line}</p>")
}

/// Colours survive in no comment, so a sign says it at a glance.
fn sign(severity: Severity) -> &'static str {
    match severity {
        Severity::High => "🔴",
        Severity::Medium => "🟠",
        Severity::Low => "🟡",
        Severity::Informational => "🔵",
    }
}

/// `TruePositive` as people say it.
fn spaced(word: &str) -> String {
    let mut spaced = String::new();
    for c in word.chars() {
        if c.is_ascii_uppercase() && !spaced.is_empty() {
            spaced.push(' ');
        }
        spaced.push(c.to_ascii_lowercase());
    }
    spaced
}

fn percent(confidence: f64) -> String {
    format!("{:.0}&#37;", confidence * 100.0)
}

/// The worst rows of the evidence, as a table.
fn evidence(verdict: &Verdict, room: Room) -> String {
    let mut rows: Vec<&Evidence> = verdict.evidence.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.severity));
    let total = rows.len().saturating_add(verdict.omitted.evidence);
    rows.truncate(room.rows);
    if total == 0 {
        return String::new();
    }
    let rest = total - rows.len();
    let mut html = String::new();
    if !rows.is_empty() {
        html += "<table><tr><th>Severity</th><th>Kind</th><th>Entity</th><th>Why</th></tr>";
        for row in &rows {
            let cell = |text: Option<&str>| escape(&one_line(text.unwrap_or_default(), room.line));
            let details = [row.source.as_deref(), row.technique.as_deref()];
            let details: Vec<String> = details.into_iter().flatten().map(|text| cell(Some(text))).collect();
            let mut why = cell(row.reason.as_deref());
            if !details.is_empty() {
                let gap = if why.is_empty() { "" } else { " " };
                why.extend([gap, "<i>(", &details.join(", "), ")</i>"]);
            }
            let severity = row.severity.map_or("", Severity::as_str);
            let (kind, entity) = (cell(row.kind.as_deref()), cell(Some(&row.entity)));
            html.extend(["<tr><td>", &[severity, &kind, &entity, &why].join("</td><td>"), "</td></tr>"]);
        }
        html += "</table>";
    }
    if rest > 0 {
        let more = if rows.is_empty() { "" } else { "more " };
        let noun = if rest == 1 { "row" } else { "rows" };
        html.extend(["<p>", &rest.to_string(), " ", more, noun, " of evidence in the notebook</p>"]);
    }
    html
}

/// The ways to the notebook and its report: links where they lead to the web, else the paths of the files.
fn links(context: &CommentContext<'_>) -> String {
    let way = |target: &str, text: &str| {
        if html::is_web(target) {
            format!("<a href=\"{}\">{text}</a>", href(target))
        } else {
            format!("{text}: <code>{}</code>", escape(&one_line(target, 2_000)))
        }
    };
    let notebook = way(context.link, "Triage notebook");
    match context.report {
        Some(report) => format!("<p>{notebook}<br>{}</p>", way(report, "Report")),
        None => format!("<p>{notebook}</p>"),
    }
}
