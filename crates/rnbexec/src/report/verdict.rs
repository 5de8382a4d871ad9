//! The verdict of a triage, as the notebook displays it, made into the banner of the page.
//!
//! Read leniently: what is missing or odd is left out. (Whether a verdict is valid is decided by whoever acts on it.)

use rnbexec_notebook::{Json, Notebook};

use super::markdown::{self, Images};
use super::text;

/// The MIME type of the display.
pub(super) const MIME_TYPE: &str = "application/vnd.rnbexec.verdict+json";

/// How many items of a list are shown.
const ITEMS: usize = 500;

/// Severities, the worst first, as Sentinel spells them, with the class of their look.
const SEVERITIES: &[(&str, &str)] =
    &[("High", "s-high"), ("Medium", "s-medium"), ("Low", "s-low"), ("Informational", "s-info")];

/// The class of a severity's look.
pub(super) fn severity_class(severity: &str) -> &'static str {
    SEVERITIES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(severity))
        .map_or("s-none", |(_, class)| class)
}

/// The place of a severity, the worst first.
pub(super) fn severity_rank(severity: &str) -> usize {
    SEVERITIES.iter().position(|(name, _)| name.eq_ignore_ascii_case(severity)).unwrap_or(SEVERITIES.len())
}

/// A severity as a mark.
pub(super) fn severity_mark(out: &mut String, severity: &str) {
    out.push_str("<span class=\"mark ");
    out.push_str(severity_class(severity));
    out.push_str("\">");
    text::escape(out, &text::line(severity, 40));
    out.push_str("</span>");
}

/// The last verdict that the notebook displays: the one that counts.
pub(super) fn of(notebook: &Notebook) -> Option<Json> {
    let mut outputs = notebook.cells().iter().rev().flat_map(|cell| cell.outputs().iter().rev());
    let found = outputs.find_map(|output| output.get("data")?.get(MIME_TYPE))?;
    match found.as_str() {
        Some(json) => Json::parse(json.as_bytes()).ok(),
        None => Some(found.clone()),
    }
}

/// Appends the banner.
pub(super) fn banner(out: &mut String, verdict: &Json) {
    let line = |key: &str| line_of(verdict, key);
    let severity = line("severity").unwrap_or_default();
    out.push_str("<section class=\"verdict ");
    out.push_str(severity_class(&severity));
    out.push_str("\" id=\"verdict\" aria-label=\"Verdict\"><div class=\"verdict-head\"><p class=\"eyebrow\">Verdict</p>");
    out.push_str("<p class=\"severity\">");
    text::escape(out, if severity.is_empty() { "No severity" } else { &severity });
    out.push_str("</p>");
    confidence(out, verdict);
    out.push_str("</div><div class=\"verdict-body\">");
    if let Some(title) = line("title") {
        out.push_str("<h2>");
        text::escape(out, &title);
        out.push_str("</h2>");
    }
    classification(out, verdict);
    if let Some(summary) = verdict.get("summary").filter(|summary| summary.is_string()) {
        out.push_str("<div class=\"md\">");
        out.push_str(&markdown::render(&text::of_json(summary), Images::default(), None));
        out.push_str("</div>");
    }
    let labels = list(verdict, "labels");
    if !labels.is_empty() {
        out.push_str("<ul class=\"labels\" aria-label=\"Labels\">");
        for label in labels {
            out.push_str("<li>");
            text::escape(out, &text::line(&text::of_json(label), 200));
            out.push_str("</li>");
        }
        out.push_str("</ul>");
    }
    tasks(out, list(verdict, "tasks"));
    out.push_str("</div>");
    evidence(out, list(verdict, "evidence"));
    out.push_str("</section>");
}

fn confidence(out: &mut String, verdict: &Json) {
    let confidence =
        verdict.get("confidence").and_then(Json::as_f64).filter(|value| (0.0..=1.0).contains(value));
    let Some(confidence) = confidence else { return };
    let percent = format!("{:.0}", confidence * 100.0);
    text::push(
        out,
        format_args!(
            "<p class=\"confidence\"><span class=\"bar\"><span style=\"width:{percent}%\"></span></span>{percent} % confident</p>"
        ),
    );
}

fn classification(out: &mut String, verdict: &Json) {
    let Some(class) = line_of(verdict, "classification") else { return };
    out.push_str("<p class=\"classification\"><strong>");
    text::escape(out, &spaced(&class));
    out.push_str("</strong>");
    if let Some(reason) = line_of(verdict, "classification_reason") {
        out.push_str(" · ");
        text::escape(out, &spaced(&reason));
    }
    if let Some(comment) = line_of(verdict, "classification_comment") {
        out.push_str(" — ");
        text::escape(out, &comment);
    }
    out.push_str("</p>");
}

fn tasks(out: &mut String, tasks: &[Json]) {
    if tasks.is_empty() {
        return;
    }
    out.push_str("<h3>Next steps</h3><ol class=\"tasks\">");
    for task in tasks {
        out.push_str("<li>");
        match line_of(task, "title") {
            Some(title) => text::escape(out, &title),
            None => text::escape(out, &text::line(&text::of_json(task), 300)),
        }
        if let Some(description) = line_of(task, "description") {
            out.push_str("<br><small>");
            text::escape(out, &description);
            out.push_str("</small>");
        }
        out.push_str("</li>");
    }
    out.push_str("</ol>");
}

fn evidence(out: &mut String, evidence: &[Json]) {
    if evidence.is_empty() {
        return;
    }
    let mut items: Vec<&Json> = evidence.iter().collect();
    items.sort_by_key(|item| severity_rank(&line_of(item, "severity").unwrap_or_default()));
    out.push_str("<div class=\"evidence\"><h3>Evidence</h3><table><thead><tr>");
    for heading in ["Severity", "What", "Entity", "Why", "Source"] {
        out.push_str("<th scope=\"col\">");
        out.push_str(heading);
        out.push_str("</th>");
    }
    out.push_str("</tr></thead><tbody>");
    for item in items {
        let cell = |out: &mut String, key: &str, class: &str| {
            out.push_str("<td");
            out.push_str(class);
            out.push('>');
            text::escape(out, &line_of(item, key).unwrap_or_default());
        };
        out.push_str("<tr><td>");
        if let Some(severity) = line_of(item, "severity") {
            severity_mark(out, &severity);
        }
        out.push_str("</td>");
        cell(out, "kind", "");
        out.push_str("</td>");
        cell(out, "entity", " class=\"entity\"");
        out.push_str("</td>");
        cell(out, "reason", "");
        if item.get("mitigating").and_then(Json::as_bool) == Some(true) {
            out.push_str(" <em>(speaks against it)</em>");
        }
        if let Some(technique) = line_of(item, "technique") {
            out.push(' ');
            technique_mark(out, &technique);
        }
        out.push_str("</td>");
        cell(out, "source", "");
        out.push_str("</td></tr>");
    }
    out.push_str("</tbody></table></div>");
}

/// A technique of ATT&CK, with a link to its page there.
fn technique_mark(out: &mut String, technique: &str) {
    let (number, sub) =
        technique.split_once('.').map_or((technique, None), |(number, sub)| (number, Some(sub)));
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let known = number.strip_prefix('T').is_some_and(|number| digits(number, 4))
        && sub.is_none_or(|sub| digits(sub, 3));
    if known {
        out.push_str(
            "<a class=\"label\" rel=\"noopener noreferrer\" href=\"https://attack.mitre.org/techniques/",
        );
        out.push_str(&technique.replace('.', "/"));
        out.push_str("/\">");
    } else {
        out.push_str("<span class=\"label\">");
    }
    text::escape(out, technique);
    out.push_str(if known { "</a>" } else { "</span>" });
}

fn line_of(value: &Json, key: &str) -> Option<String> {
    let line = text::line(&text::of_json(value.get(key)?), 2_000);
    (!line.is_empty()).then_some(line)
}

fn list<'a>(verdict: &'a Json, key: &str) -> &'a [Json] {
    let items = verdict.get(key).and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
    &items[..items.len().min(ITEMS)]
}

/// `TruePositive` as people write it.
pub(super) fn spaced(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 2);
    for (at, c) in word.char_indices() {
        if at > 0
            && c.is_ascii_uppercase()
            && word[..at].ends_with(|before: char| before.is_ascii_lowercase())
        {
            out.push(' ');
            out.push(c.to_ascii_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(verdict: &str) -> String {
        let mut out = String::new();
        banner(&mut out, &Json::parse(verdict.as_bytes()).unwrap());
        out
    }

    #[test]
    fn the_banner_shows_all_of_a_verdict_the_worst_evidence_first() {
        let html = html(
            r#"{"severity":"High","confidence":0.85,"title":"Mimikatz","summary":"**Ran**","classification":"TruePositive",
            "classification_reason":"SuspiciousActivity","labels":["T1003.001"],"tasks":[{"title":"Isolate","description":"now"}],
            "evidence":[{"kind":"ip","entity":"10.0.0.1","severity":"Low","reason":"seen"},
            {"kind":"process","entity":"m.exe","severity":"High","reason":"known","technique":"T1003.001","source":"alerts"}]}"#,
        );
        for part in [
            "verdict s-high",
            "85 % confident",
            "<h2>Mimikatz</h2>",
            "<strong>Ran</strong>",
            "True positive",
            "Suspicious activity",
            "Isolate",
            "<td class=\"entity\">m.exe</td>",
            "href=\"https://attack.mitre.org/techniques/T1003/001/\"",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
        assert!(html.find("m.exe") < html.find("10.0.0.1"));
    }

    #[test]
    fn odd_and_hostile_verdicts_are_text() {
        for verdict in [
            "{}",
            "[]",
            r#"{"severity":3,"confidence":"x","labels":"no","tasks":[3],"evidence":[null],"summary":{}}"#,
        ] {
            assert!(html(verdict).starts_with("<section"), "{verdict}");
        }
        let html = html(
            r#"{"severity":"High\"><script>","title":"<img src=x onerror=x()>","summary":"<script>x()</script>\n\n[a](javascript:x())",
            "evidence":[{"technique":"T1003\"onclick=\"x"}]}"#,
        );
        assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("href=\"j"), "{html}");
        assert!(html.contains("s-none") && !html.contains("\"onclick"), "{html}");
    }

    #[test]
    fn the_last_verdict_counts() {
        let notebook = Notebook::parse(
            format!(
                r#"{{"nbformat":4,"nbformat_minor":5,"metadata":{{}},"cells":[{{"id":"a","cell_type":"code","metadata":{{}},
                "source":"","execution_count":1,"outputs":[
                {{"output_type":"display_data","metadata":{{}},"data":{{"{MIME_TYPE}":{{"severity":"Low"}}}}}},
                {{"output_type":"display_data","metadata":{{}},"data":{{"{MIME_TYPE}":{{"severity":"High"}}}}}}]}}]}}"#
            )
            .as_bytes(),
            &mut || "x".to_owned(),
        )
        .unwrap()
        .notebook;
        assert_eq!(line_of(&of(&notebook).unwrap(), "severity").unwrap(), "High");
    }

    #[test]
    fn words_are_spaced() {
        assert_eq!(spaced("TruePositive"), "True positive");
        assert_eq!(spaced("IncorrectAlertLogic"), "Incorrect alert logic");
        assert_eq!(spaced("ABC x"), "ABC x");
    }
}
