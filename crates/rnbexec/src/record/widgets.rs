//! Comms as a front end without a screen sees them: widget state for `metadata.widgets`, and the Output widget, which
//! takes outputs away from their cell and reports them back to the kernel. The rules are nbclient's.

use std::collections::HashMap;

use base64::Engine as _;
use bytes::Bytes;
use indexmap::IndexMap;
use rnbexec_notebook::{Json, Object};

const WIDGET_STATE_MIME: &str = "application/vnd.jupyter.widget-state+json";

/// All comms of a run.
#[derive(Debug, Default)]
pub(super) struct Widgets {
    /// The state of each comm that ever told one.
    states: IndexMap<String, Object>,
    /// Binary parts of that state, by comm and path.
    buffers: HashMap<String, IndexMap<String, Json>>,
    captors: HashMap<String, OutputWidget>,
    /// Per parent message id, the Output widgets that capture its outputs; the last one wins.
    hooks: HashMap<String, Vec<String>>,
}

#[derive(Debug, Default)]
struct OutputWidget {
    outputs: Vec<Json>,
    clear_pending: bool,
    /// The message id whose outputs it captures now.
    captures: Option<String>,
}

impl Widgets {
    /// A comm was opened. Returns a warning when nobody handles its target.
    pub(super) fn comm_open(&mut self, content: &mut Object, buffers: &[Bytes]) -> Option<String> {
        let comm = comm_id(content)?;
        let state = self.take_state(&comm, content, buffers);
        let target = content.get("target_name").and_then(Json::as_str);
        if target != Some("jupyter.widget") {
            return Some(format!("no handler for comm target '{}'", target.unwrap_or_default()));
        }
        let state = state?;
        let text = |key: &str| state.get(key).and_then(Json::as_str);
        if text("_model_module") == Some("@jupyter-widgets/output")
            && text("_model_name") == Some("OutputModel")
        {
            let outputs = match state.get("outputs") {
                Some(Json::Array(outputs)) => outputs.clone(),
                _ => Vec::new(),
            };
            self.captors.insert(comm, OutputWidget { outputs, ..OutputWidget::default() });
        }
        None
    }

    /// A comm sent something: new state, perhaps an Output widget that starts or stops capturing.
    pub(super) fn comm_msg(&mut self, content: &mut Object, buffers: &[Bytes]) {
        let Some(comm) = comm_id(content) else { return };
        let Some(state) = self.take_state(&comm, content, buffers) else { return };
        let Some(widget) = self.captors.get_mut(&comm) else { return };
        let Some(msg_id) = state.get("msg_id") else { return };
        if let Some(previous) = widget.captures.take()
            && let Some(stack) = self.hooks.get_mut(&previous)
            && let Some(position) = stack.iter().rposition(|hook| *hook == comm)
        {
            stack.remove(position);
        }
        if let Some(msg_id) = msg_id.as_str().filter(|id| !id.is_empty()) {
            widget.captures = Some(msg_id.to_owned());
            self.hooks.entry(msg_id.to_owned()).or_default().push(comm);
        }
    }

    /// Offers an output to the Output widget that captures `parent`. `Ok` is the `comm_msg` content that tells the
    /// kernel; `Err` gives the output back, as nobody captures it.
    pub(super) fn output(&mut self, parent: &str, output: Object) -> Result<Json, Object> {
        let Some((comm, widget)) = self.capturing(parent) else { return Err(output) };
        if std::mem::take(&mut widget.clear_pending) {
            widget.outputs.clear();
        }
        super::join(&mut widget.outputs, output);
        Ok(self.sync(&comm))
    }

    /// Offers a `clear_output` to the Output widget that captures `parent`. `None` when nobody does; else the
    /// `comm_msg` contents that tell the kernel.
    pub(super) fn clear_output(&mut self, parent: &str, wait: bool) -> Option<Vec<Json>> {
        let (comm, widget) = self.capturing(parent)?;
        if wait {
            widget.clear_pending = true;
            return Some(Vec::new());
        }
        widget.outputs.clear();
        Some(vec![self.sync(&comm)])
    }

    /// The `metadata.widgets` object; `None` when no comm ever told a state.
    pub(super) fn metadata(&self) -> Option<Json> {
        if self.states.is_empty() {
            return None;
        }
        let mut models = Object::new();
        for (comm, state) in self.states.iter().filter(|(_, state)| state.contains_key("_model_name")) {
            let part = |key: &str| state.get(key).cloned().unwrap_or(Json::Null);
            let mut model = Object::new();
            model.insert("model_name".to_owned(), part("_model_name"));
            model.insert("model_module".to_owned(), part("_model_module"));
            model.insert("model_module_version".to_owned(), part("_model_module_version"));
            model.insert("state".to_owned(), Json::Object(state.clone()));
            if let Some(buffers) = self.buffers.get(comm).filter(|buffers| !buffers.is_empty()) {
                model.insert("buffers".to_owned(), Json::Array(buffers.values().cloned().collect()));
            }
            models.insert(comm.clone(), Json::Object(model));
        }
        let mut state = Object::new();
        state.insert("state".to_owned(), Json::Object(models));
        state.insert("version_major".to_owned(), Json::from(2_i64));
        state.insert("version_minor".to_owned(), Json::from(0_i64));
        let mut widgets = Object::new();
        widgets.insert(WIDGET_STATE_MIME.to_owned(), Json::Object(state));
        Some(Json::Object(widgets))
    }

    fn capturing(&mut self, parent: &str) -> Option<(String, &mut OutputWidget)> {
        let comm = self.hooks.get(parent)?.last()?.clone();
        let widget = self.captors.get_mut(&comm)?;
        Some((comm, widget))
    }

    /// Writes an Output widget's outputs into its state and says so to the kernel.
    fn sync(&mut self, comm: &str) -> Json {
        let outputs = self.captors.get(comm).map(|widget| widget.outputs.clone()).unwrap_or_default();
        let outputs = Json::Array(outputs);
        self.states.entry(comm.to_owned()).or_default().insert("outputs".to_owned(), outputs.clone());
        let object = |pairs: Vec<(&str, Json)>| {
            Json::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
        };
        object(vec![
            (
                "data",
                object(vec![
                    ("method", Json::from("update")),
                    ("state", object(vec![("outputs", outputs)])),
                    ("buffer_paths", Json::Array(Vec::new())),
                ]),
            ),
            ("comm_id", Json::from(comm)),
        ])
    }

    /// Merges the state a comm message carries into what is known of the comm, and returns that message's part.
    fn take_state(&mut self, comm: &str, content: &mut Object, buffers: &[Bytes]) -> Option<Object> {
        let Some(Json::Object(data)) = content.get_mut("data") else { return None };
        let Some(Json::Object(state)) = data.swap_remove("state") else { return None };
        self.states.entry(comm.to_owned()).or_default().extend(state.clone());
        if let Some(Json::Array(paths)) = data.get("buffer_paths")
            && !paths.is_empty()
        {
            let known = self.buffers.entry(comm.to_owned()).or_default();
            for (path, buffer) in paths.iter().zip(buffers) {
                let mut part = Object::new();
                let data = base64::engine::general_purpose::STANDARD.encode(buffer);
                part.insert("data".to_owned(), Json::from(data));
                part.insert("encoding".to_owned(), Json::from("base64"));
                part.insert("path".to_owned(), path.clone());
                known.insert(path.to_compact(), Json::Object(part));
            }
        }
        Some(state)
    }
}

fn comm_id(content: &Object) -> Option<String> {
    content.get("comm_id").and_then(Json::as_str).map(str::to_owned)
}
