//! Markdown cells: GitHub's dialect as Jupyter knows it, with attachments; formulas stay as they were written.

use std::collections::{HashMap, HashSet};

use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use rnbexec_notebook::Cell;

use super::{html, image, text};

/// What is put before the ids of all Markdown cells together: they may refer to each other.
const ID_PREFIX: &str = "h-";

/// How large a Markdown cell may be.
const SIZE: usize = 4 << 20;

/// A heading of a Markdown cell.
#[derive(Debug)]
pub(super) struct Heading {
    pub(super) level: u8,
    pub(super) text: String,
    /// Its id in the page.
    pub(super) id: String,
}

/// The headings so far.
#[derive(Debug, Default)]
pub(super) struct Headings {
    pub(super) found: Vec<Heading>,
    pub(super) taken: HashSet<String>,
    /// The first heading is the page's title and stands there.
    pub(super) first_is_title: bool,
}

/// The images attached to a cell, by name, as data URIs.
#[derive(Debug, Default)]
pub(super) struct Images(HashMap<String, String>);

impl Images {
    /// Those of a cell.
    pub(super) fn of(cell: &Cell) -> Self {
        let Some(attachments) = cell.attachments() else { return Self::default() };
        let data_uri = |bundle: &rnbexec_notebook::Json| {
            bundle.as_object()?.iter().find_map(|(kind, data)| image::data_uri(kind, &text::of_json(data)))
        };
        Self(
            attachments.iter().filter_map(|(name, bundle)| Some((name.clone(), data_uri(bundle)?))).collect(),
        )
    }

    fn find(&self, name: &str) -> Option<String> {
        let decoded = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        self.0.get(name).or_else(|| self.0.get(&*decoded)).cloned()
    }
}

/// The first heading of a text, without its markup.
pub(super) fn first_heading(source: &str) -> Option<String> {
    let mut events = Parser::new_ext(source, options())
        .skip_while(|event| !matches!(event, Event::Start(Tag::Heading { .. })))
        .skip(1);
    let inside = events.by_ref().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
    Some(plain(inside)).filter(|text| !text.is_empty())
}

/// The HTML of a text. Headings are added to `headings`, if they belong there.
pub(super) fn render(source: &str, images: Images, headings: Option<&mut Headings>) -> String {
    if source.len() > SIZE {
        return format!("<pre>{}</pre>", text::escaped(text::ends(source, text::LIMIT).0));
    }
    let events: Vec<Event<'_>> = Parser::new_ext(source, options()).collect();
    let mut html = String::with_capacity(source.len() * 3 / 2);
    pulldown_cmark::html::push_html(&mut html, Adjusted::new(events, headings));
    if html::facts(&html).too_costly {
        return format!("<pre>{}</pre>", text::escaped(text::ends(source, text::LIMIT).0));
    }
    html::clean(&html, Box::new(anchor), Box::new(move |name| images.find(name)))
}

fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_MATH
}

/// The id in the page for an id, or a reference to one, in Markdown cells. Jupyter makes `#My-heading` of "My heading".
fn anchor(id: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(id).decode_utf8_lossy();
    format!("{ID_PREFIX}{}", slug(&decoded))
}

fn slug(text: &str) -> String {
    text.trim().to_lowercase().split_whitespace().collect::<Vec<_>>().join("-")
}

/// The text of events without their markup.
fn plain<'a>(events: impl Iterator<Item = Event<'a>>) -> String {
    let mut out = String::new();
    for event in events {
        match event {
            Event::Text(text) | Event::Code(text) => out.push_str(&text),
            Event::InlineMath(text) | Event::DisplayMath(text) => {
                out.push('$');
                out.push_str(&text);
                out.push('$');
            }
            Event::SoftBreak | Event::HardBreak => out.push(' '),
            _ => {}
        }
    }
    text::line(&out, 300)
}

/// The events, with ids for the headings, formulas as text, and no image that would be fetched.
struct Adjusted<'a> {
    events: std::vec::IntoIter<Event<'a>>,
    next: Option<Event<'a>>,
}

impl<'a> Adjusted<'a> {
    fn new(events: Vec<Event<'a>>, headings: Option<&mut Headings>) -> Self {
        let events = match headings {
            Some(headings) => headings.note(events),
            None => events,
        };
        Self { events: events.into_iter(), next: None }
    }
}

impl<'a> Iterator for Adjusted<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        if let Some(event) = self.next.take() {
            return Some(event);
        }
        Some(match self.events.next()? {
            // Boxes to tick would be form elements.
            Event::TaskListMarker(done) => Event::Text(if done { "☑ " } else { "☐ " }.into()),
            Event::InlineMath(formula) => Event::Text(format!("${formula}$").into()),
            Event::DisplayMath(formula) => Event::Text(format!("$${formula}$$").into()),
            Event::Start(Tag::Image { dest_url, .. }) if !comes_with_the_cell(&dest_url) => {
                // Its alternative text follows.
                Event::Text(format!("[image not loaded: {}] ", text::line(&dest_url, 200)).into())
            }
            other => other,
        })
    }
}

fn comes_with_the_cell(url: &str) -> bool {
    url.starts_with("attachment:") || html::is_image(url)
}

impl Headings {
    /// Gives the headings among the events their ids, and takes out the one that is the page's title.
    fn note<'a>(&mut self, events: Vec<Event<'a>>) -> Vec<Event<'a>> {
        let mut noted = Vec::with_capacity(events.len());
        let mut events = events.into_iter();
        while let Some(event) = events.next() {
            let Event::Start(Tag::Heading { level, .. }) = event else {
                noted.push(event);
                continue;
            };
            let inside: Vec<Event<'a>> = events
                .by_ref()
                .take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))))
                .collect();
            let text = plain(inside.iter().cloned());
            if std::mem::take(&mut self.first_is_title) {
                continue;
            }
            let id = self.free(slug(&text));
            self.found.push(Heading { level: number(level), text, id: anchor(&id) });
            noted.push(Event::Start(Tag::Heading {
                level,
                id: Some(CowStr::from(id)),
                classes: Vec::new(),
                attrs: Vec::new(),
            }));
            noted.extend(inside);
            noted.push(Event::End(TagEnd::Heading(level)));
        }
        noted
    }

    fn free(&mut self, slug: String) -> String {
        let slug = if slug.is_empty() { "section".to_owned() } else { slug };
        if self.taken.insert(slug.clone()) {
            return slug;
        }
        // Counting from how many there are keeps many equal headings from being tried one by one.
        let mut number = self.taken.len();
        loop {
            let candidate = format!("{slug}-{number}");
            if self.taken.insert(candidate.clone()) {
                return candidate;
            }
            number += 1;
        }
    }
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(source: &str) -> String {
        render(source, Images::default(), None)
    }

    #[test]
    fn tables_task_lists_and_code_are_rendered() {
        let table = html("| a | b |\n|---|--:|\n| 1 | **2** |");
        assert!(
            table.contains("<th") && table.contains("<strong>2</strong>") && table.contains("right"),
            "{table}"
        );
        assert!(html("- [x] a\n- [ ] b").contains("<li>☑ a</li>\n<li>☐ b</li>"));
        assert!(html("~~x~~ `y<z`").contains("<del>x</del> <code>y&lt;z</code>"));
    }

    #[test]
    fn formulas_stay_as_they_were_written() {
        assert!(
            html("so $x_1 * y_2 * z$ and $$\\frac{a}{b}$$").contains("$x_1 * y_2 * z$ and $$\\frac{a}{b}$$")
        );
        assert!(html("costs $5 or $6").contains("costs $5 or $6"));
    }

    #[test]
    fn headings_get_ids_that_jupyters_links_find() {
        let mut headings = Headings::default();
        let html = render(
            "# My *own* Heading\n\n[there](#My-own-Heading)\n\n# My own heading",
            Images::default(),
            Some(&mut headings),
        );
        assert!(
            html.contains("<h1 id=\"h-my-own-heading\">") && html.contains("href=\"#h-my-own-heading\""),
            "{html}"
        );
        assert!(html.contains("<h1 id=\"h-my-own-heading-1\">"), "{html}");
        let found: Vec<_> =
            headings.found.iter().map(|h| (h.level, h.text.as_str(), h.id.as_str())).collect();
        assert_eq!(
            found,
            [(1, "My own Heading", "h-my-own-heading"), (1, "My own heading", "h-my-own-heading-1")]
        );
    }

    #[test]
    fn the_heading_that_is_the_title_stands_there_alone() {
        let mut headings = Headings { first_is_title: true, ..Headings::default() };
        let html = render("# Title\n\ntext\n\n## More", Images::default(), Some(&mut headings));
        assert!(!html.contains("Title") && html.contains("More") && headings.found.len() == 1, "{html}");
        assert_eq!(first_heading("text\n\n## A `b` *c*\n"), Some("A b c".to_owned()));
        assert_eq!(first_heading("text"), None);
    }

    #[test]
    fn attached_images_are_put_in_and_others_are_not_fetched() {
        let cell = rnbexec_notebook::Notebook::parse(
            br#"{"nbformat":4,"nbformat_minor":5,"metadata":{},"cells":[{"id":"a","cell_type":"markdown","metadata":{},
            "attachments":{"my image.png":{"image/png":"AAAA"},"x.html":{"text/html":"<b>"}},"source":""}]}"#,
            &mut || "x".to_owned(),
        )
        .unwrap()
        .notebook;
        let images = || Images::of(&cell.cells()[0]);
        let attached = render("![alt](attachment:my%20image.png)", images(), None);
        assert!(
            attached.contains("src=\"data:image/png;base64,AAAA\"") && attached.contains("alt=\"alt\""),
            "{attached}"
        );
        let raw = render("<img src=\"attachment:my image.png\">", images(), None);
        assert!(raw.contains("data:image/png"), "{raw}");
        assert!(!render("![a](attachment:x.html)", images(), None).contains("src"));
        let fetched = render("![alt](http://x/y.png)", images(), None);
        assert!(!fetched.contains("<img") && fetched.contains("alt"), "{fetched}");
    }

    #[test]
    fn hostile_markdown_is_harmless() {
        for source in [
            "<script>x()</script>",
            "[a](javascript:x())",
            "[a](data:text/html;base64,AAAA)",
            "<javascript:x()>",
            "[a]: javascript:x()\n[a]",
            "<a href=\"&#106;avascript:x()\">a</a>",
            "![a](x\"onerror=\"x())",
            "<img src=x onerror=x()>",
            "```<img src=x onerror=x()>\n```",
            "# a {#b onclick=x()}",
        ] {
            let html = html(source);
            assert!(
                !html.contains("<script") && !html.contains("href=\"java") && !html.contains("href=\"data"),
                "{html}"
            );
            assert!(!html.contains("<img src"), "{html}");
        }
    }
}
