//! What ipywidgets showed when the run ended, read from the state that the notebook holds: their texts and values, as a list.

use rnbexec_notebook::{Json, Object};

use super::text;

/// The MIME type of a display that stands for a widget.
pub(super) const VIEW: &str = "application/vnd.jupyter.widget-view+json";
const STATE: &str = "application/vnd.jupyter.widget-state+json";

/// How many widgets of one display are shown, and how deep in each other.
const COUNT: usize = 500;
const DEPTH: usize = 20;

/// The state of all widgets of a notebook.
#[derive(Clone, Copy, Debug)]
pub(super) struct Widgets<'a>(Option<&'a Object>);

/// Something that a widget shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown<'a> {
    /// A line of text, which may have a label.
    Line(String),
    /// HTML.
    Html(String),
    /// The outputs of a cell within the widget.
    Outputs(&'a [Json]),
}

impl<'a> Widgets<'a> {
    /// Those of a notebook's metadata.
    pub(super) fn of(metadata: &'a Object) -> Self {
        Self(metadata.get("widgets").and_then(|all| all.get(STATE)?.get("state")?.as_object()))
    }

    /// What the widget of a view shows; nothing when its state is not known.
    pub(super) fn show(self, view: &Json) -> Vec<Shown<'a>> {
        let mut shown = Vec::new();
        let mut left = COUNT;
        if let Some(id) = view.get("model_id").and_then(Json::as_str) {
            self.collect(id, DEPTH, &mut left, &mut shown);
        }
        shown
    }

    fn collect(self, id: &str, depth: usize, left: &mut usize, shown: &mut Vec<Shown<'a>>) {
        let Some(model) = self.0.and_then(|models| models.get(id)) else { return };
        if depth == 0 || *left == 0 {
            return;
        }
        *left -= 1;
        let Some(state) = model.get("state") else { return };
        let name = model.get("model_name").and_then(Json::as_str).unwrap_or_default();
        let line = |key: &str| state.get(key).map(|value| text::line(&text::of_json(value), 500));
        let label = line("description").filter(|label| !label.is_empty());
        let labelled = |value: String| match &label {
            Some(label) => Shown::Line(format!("{} {value}", label.trim_end_matches(':').to_owned() + ":")),
            None => Shown::Line(value),
        };
        match name {
            "HTMLModel" | "HTMLMathModel" => {
                if let Some(html) = state.get("value").map(text::of_json)
                    && !html.trim().is_empty()
                {
                    shown.push(Shown::Html(html.into_owned()));
                }
            }
            "OutputModel" => {
                if let Some(outputs) = state.get("outputs").and_then(Json::as_array) {
                    shown.push(Shown::Outputs(outputs));
                }
            }
            "FloatProgressModel" | "IntProgressModel" => {
                if let (Some(value), Some(max)) = (line("value"), line("max")) {
                    shown.push(labelled(format!("{value} of {max}")));
                }
            }
            "ButtonModel" => shown.extend(label.map(|label| Shown::Line(format!("[{label}]")))),
            _ => {
                if let Some(children) = state.get("children").and_then(Json::as_array) {
                    for child in children {
                        if let Some(child) = child.as_str().and_then(|child| child.strip_prefix("IPY_MODEL_"))
                        {
                            self.collect(child, depth - 1, left, shown);
                        }
                    }
                } else if let Some(value) = chosen(state).or_else(|| line("value")) {
                    shown.push(labelled(value));
                }
            }
        }
    }
}

/// The options that are chosen in a list.
fn chosen(state: &Json) -> Option<String> {
    let labels = state.get("_options_labels")?.as_array()?;
    let label = |index: &Json| {
        let index = usize::try_from(index.as_i64()?).ok()?;
        Some(text::line(&text::of_json(labels.get(index)?), 200))
    };
    match state.get("index")? {
        Json::Array(indices) => Some(indices.iter().filter_map(label).collect::<Vec<_>>().join(", ")),
        index => label(index),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(state: &str) -> Vec<String> {
        let metadata =
            Json::parse(format!("{{\"widgets\":{{\"{STATE}\":{{\"state\":{state}}}}}}}").as_bytes()).unwrap();
        let view = Json::parse(br#"{"model_id":"a"}"#).unwrap();
        let metadata = metadata.as_object().unwrap();
        Widgets::of(metadata).show(&view).iter().map(|shown| format!("{shown:?}")).collect()
    }

    #[test]
    fn boxes_show_what_is_in_them_and_lists_what_is_chosen() {
        let shown = show(
            r#"{"a":{"model_name":"VBoxModel","state":{"children":["IPY_MODEL_b","IPY_MODEL_c","IPY_MODEL_d"]}},
            "b":{"model_name":"HTMLModel","state":{"value":"<b>x</b>"}},
            "c":{"model_name":"FloatProgressModel","state":{"value":3.0,"max":10.0,"description":"Looking:"}},
            "d":{"model_name":"SelectModel","state":{"_options_labels":["p","q"],"index":1,"description":"pick"}}}"#,
        );
        assert_eq!(shown, ["Html(\"<b>x</b>\")", "Line(\"Looking: 3.0 of 10.0\")", "Line(\"pick: q\")"]);
    }

    #[test]
    fn boxes_that_hold_themselves_end() {
        let ring = r#"{"a":{"model_name":"HBoxModel","state":{"children":["IPY_MODEL_a","IPY_MODEL_a","IPY_MODEL_b"]}},
            "b":{"model_name":"LabelModel","state":{"value":"x"}}}"#;
        assert!(show(ring).len() <= COUNT);
    }

    #[test]
    fn a_state_that_is_not_there_or_odd_shows_nothing() {
        for state in [
            "{}",
            r#"{"a":3}"#,
            r#"{"a":{"state":[]}}"#,
            r#"{"a":{"model_name":"X","state":{"index":5,"_options_labels":[]}}}"#,
        ] {
            assert!(show(state).is_empty(), "{state}");
        }
    }
}
