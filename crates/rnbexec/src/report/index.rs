//! A page that links many reports: what came in, what became of it, where to read on.

use std::time::Duration;

use super::{head, run, text, theme, verdict};

/// What the page says above its table.
#[derive(Clone, Debug, Default)]
pub struct IndexOptions {
    /// The title.
    pub title: String,
    /// A line or two below the title, as text.
    pub introduction: String,
}

/// One report.
#[derive(Clone, Debug, Default)]
pub struct IndexEntry {
    /// What it is about.
    pub title: String,
    /// The incident, as people name it: its number.
    pub incident: String,
    /// Its severity as it came in.
    pub severity_before: Option<String>,
    /// Its severity now, or as it would be set.
    pub severity_after: Option<String>,
    /// The verdict in a line; what went wrong, if there is none.
    pub verdict: Option<String>,
    /// What kind of finding it is, in Sentinel's words.
    pub classification: Option<String>,
    /// How sure the verdict is, 0 to 1.
    pub confidence: Option<f64>,
    /// The summary, as text.
    pub summary: Option<String>,
    /// Where the report is: an `http` or `https` URL, else a path relative to the page, with `/` between its parts.
    pub link: Option<String>,
    /// How long the run took.
    pub duration: Option<Duration>,
    /// The triage did not come to a verdict.
    pub failed: bool,
}

/// A page that links the reports: those that failed first, then the most severe, as given among equals.
pub fn index(entries: &[IndexEntry], options: &IndexOptions) -> String {
    let mut sorted: Vec<&IndexEntry> = entries.iter().collect();
    sorted.sort_by_key(|entry| (!entry.failed, verdict::severity_rank(entry.severity()), !entry.raised()));
    let mut out = String::new();
    let title = text::line(&options.title, 300);
    head(&mut out, &title, "");
    out.push_str("<body class=\"index\"><div class=\"page\"><main id=\"content\"><header><div class=\"head-line\"><h1>");
    text::escape(&mut out, &title);
    out.push_str("</h1>");
    theme(&mut out);
    out.push_str("</div>");
    if !options.introduction.is_empty() {
        out.push_str("<p class=\"introduction\">");
        text::escape(&mut out, &options.introduction);
        out.push_str("</p>");
    }
    tallies(&mut out, &sorted);
    out.push_str("</header><table class=\"incidents\"><thead><tr>");
    for heading in ["Incident", "Severity", "Verdict", "Took"] {
        out.push_str("<th scope=\"col\">");
        out.push_str(heading);
        out.push_str("</th>");
    }
    out.push_str("</tr></thead><tbody>");
    for entry in sorted {
        row(&mut out, entry);
    }
    out.push_str("</tbody></table>");
    super::footer(&mut out);
    out.push_str("</main></div></body></html>\n");
    out
}

impl IndexEntry {
    fn severity(&self) -> &str {
        self.severity_after.as_deref().or(self.severity_before.as_deref()).unwrap_or_default()
    }

    fn raised(&self) -> bool {
        match (&self.severity_before, &self.severity_after) {
            (Some(before), Some(after)) => verdict::severity_rank(after) < verdict::severity_rank(before),
            _ => false,
        }
    }
}

/// How many there are of each severity.
fn tallies(out: &mut String, entries: &[&IndexEntry]) {
    out.push_str("<dl class=\"facts\">");
    let mut tally = |name: &str, class: &str, count: usize| {
        if count > 0 {
            text::push(
                out,
                format_args!("<div class=\"tally {class}\"><dt>{name}</dt><dd>{count}</dd></div>"),
            );
        }
    };
    tally("Reports", "", entries.len());
    for severity in ["High", "Medium", "Low", "Informational"] {
        let such = |entry: &&&IndexEntry| !entry.failed && entry.severity().eq_ignore_ascii_case(severity);
        tally(severity, verdict::severity_class(severity), entries.iter().filter(such).count());
    }
    tally("Raised", "", entries.iter().filter(|entry| entry.raised()).count());
    tally("Failed", "bad", entries.iter().filter(|entry| entry.failed).count());
    out.push_str("</dl>");
}

fn row(out: &mut String, entry: &IndexEntry) {
    out.push_str(if entry.failed { "<tr class=\"failed\"><td>" } else { "<tr><td>" });
    let link = entry.link.as_deref().and_then(href);
    if let Some(link) = &link {
        out.push_str("<a rel=\"noopener noreferrer\" href=\"");
        text::escape(out, link);
        out.push_str("\">");
    }
    if !entry.incident.is_empty() {
        out.push_str("<span class=\"number\">");
        text::escape(out, &text::line(&entry.incident, 60));
        out.push_str("</span> ");
    }
    text::escape(out, &text::line(&entry.title, 300));
    out.push_str(if link.is_some() {
        "</a></td><td class=\"change\">"
    } else {
        "</td><td class=\"change\">"
    });
    severities(out, entry);
    out.push_str("</td><td>");
    if entry.failed {
        out.push_str("<span class=\"status bad\">no verdict</span> ");
    }
    if let Some(verdict) = &entry.verdict {
        out.push_str("<strong>");
        text::escape(out, &text::line(verdict, 300));
        out.push_str("</strong>");
    }
    let mut about = Vec::new();
    about.extend(entry.classification.as_deref().map(|class| verdict::spaced(&text::line(class, 60))));
    if let Some(confidence) = entry.confidence.filter(|confidence| (0.0..=1.0).contains(confidence)) {
        about.push(format!("{:.0} % confident", confidence * 100.0));
    }
    if !about.is_empty() {
        out.push_str(" <span class=\"about\">");
        text::escape(out, &about.join(" · "));
        out.push_str("</span>");
    }
    if let Some(summary) = &entry.summary {
        out.push_str("<p>");
        text::escape(out, &text::line(summary, 600));
        out.push_str("</p>");
    }
    out.push_str("</td><td class=\"took\">");
    if let Some(duration) = entry.duration {
        out.push_str(&run::seconds(duration.as_secs_f64()));
    }
    out.push_str("</td></tr>");
}

fn severities(out: &mut String, entry: &IndexEntry) {
    match (&entry.severity_before, &entry.severity_after) {
        (Some(before), Some(after)) if before != after => {
            verdict::severity_mark(out, before);
            out.push_str(" <span class=\"arrow\" aria-label=\"became\">→</span> ");
            verdict::severity_mark(out, after);
        }
        (before, after) => {
            if let Some(severity) = after.as_ref().or(before.as_ref()) {
                verdict::severity_mark(out, severity);
            }
        }
    }
}

/// What may stand in a path as it is.
const PATH: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A link to a page of the web, or to a file below this one; `None` for what is neither.
fn href(link: &str) -> Option<String> {
    if let Ok(url) = url::Url::parse(link)
        && matches!(url.scheme(), "http" | "https")
    {
        return Some(url.into());
    }
    let below = !link.starts_with('/') && !link.is_empty();
    below.then(|| percent_encoding::utf8_percent_encode(link, PATH).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(incident: &str, before: &str, after: &str) -> IndexEntry {
        IndexEntry {
            title: format!("title of {incident}"),
            incident: incident.to_owned(),
            severity_before: Some(before.to_owned()),
            severity_after: Some(after.to_owned()),
            ..IndexEntry::default()
        }
    }

    #[test]
    fn failures_come_first_then_the_most_severe_and_those_that_were_raised() {
        let entries = [
            entry("11", "Low", "Low"),
            entry("22", "High", "High"),
            entry("33", "Low", "High"),
            IndexEntry { failed: true, ..entry("44", "Low", "Low") },
        ];
        let html = index(&entries, &IndexOptions::default());
        let at = |incident: &str| html.find(&format!("title of {incident}")).unwrap();
        assert!(at("44") < at("33") && at("33") < at("22") && at("22") < at("11"));
    }

    #[test]
    fn a_row_shows_what_changed_and_links_the_report() {
        let row = IndexEntry {
            verdict: Some("Mimikatz ran".to_owned()),
            classification: Some("TruePositive".to_owned()),
            confidence: Some(0.9),
            link: Some("incidents/1 2/report #1.html".to_owned()),
            duration: Some(Duration::from_millis(1_500)),
            ..entry("1", "Low", "High")
        };
        let html = index(&[row], &IndexOptions { title: "Backlog".to_owned(), introduction: "x".to_owned() });
        for part in [
            "<title>Backlog</title>",
            "href=\"incidents/1%202/report%20%231.html\"",
            "→",
            "True positive · 90 % confident",
            "1.5 s",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
    }

    #[test]
    fn hostile_entries_are_text_and_links_lead_to_the_web_or_below() {
        let hostile = "<script>x()</script>\"'";
        let row = IndexEntry {
            title: hostile.to_owned(),
            verdict: Some(hostile.to_owned()),
            summary: Some(hostile.to_owned()),
            classification: Some(hostile.to_owned()),
            ..entry(hostile, hostile, hostile)
        };
        assert!(
            !index(&[row], &IndexOptions { title: hostile.into(), introduction: hostile.into() })
                .contains("<script")
        );
        assert_eq!(href("javascript:x()").unwrap(), "javascript%3Ax%28%29");
        assert_eq!(href("data:text/html,x").unwrap(), "data%3Atext/html%2Cx");
        assert_eq!(href("//evil/x"), None);
        assert_eq!(href("https://host/a?b=\"c").unwrap(), "https://host/a?b=%22c");
    }
}
