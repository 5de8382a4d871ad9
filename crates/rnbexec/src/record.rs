//! The recorder: a fold of the kernel's iopub messages into the outputs of the notebook's cells.
//!
//! It does what a front end does with outputs, by the rules of nbclient: display ids that span cells, `clear_output`
//! with and without wait, execution timing, comm messages and the Output widget. Two differences: consecutive
//! messages of one stream become one output, and an output that arrives after its cell has ended still reaches that
//! cell instead of being dropped.
//!
//! It does no I/O and knows no clock: what must be sent back to the kernel is returned, not sent.

mod widgets;

use std::collections::{BTreeSet, HashMap};

use rnbexec_kernel::Message;
use rnbexec_notebook::{Cell, Json, Notebook, Object};

use widgets::Widgets;

/// What one message did.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The cells whose outputs or metadata changed.
    pub(crate) touched: BTreeSet<usize>,
    /// Comm messages to send to the kernel: the content of a `comm_msg` each.
    pub(crate) to_kernel: Vec<Json>,
    /// Something a person should know, e.g. a message that could not be read.
    pub(crate) warning: Option<String>,
}

/// An output just before it joins its cell, for whoever follows the run live.
#[derive(Debug)]
pub(crate) enum Shown<'a> {
    Stream { name: &'a str, text: &'a str },
    Display { text: &'a str },
    Error { ename: &'a str, evalue: &'a str },
}

/// Folds iopub messages into a notebook. One per run of a kernel.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    /// Which cell each execute_request belongs to.
    owners: HashMap<String, usize>,
    /// Requests that no cell made, and the cell that ran before: what its threads print meanwhile is its own.
    silent: HashMap<String, usize>,
    /// The cell that began last.
    last: Option<usize>,
    /// Where outputs with a display id stand: cell and position in its outputs.
    display_ids: HashMap<String, Vec<(usize, usize)>>,
    /// Cells that are to be cleared by their next output (`clear_output(wait=True)`).
    clear_pending: BTreeSet<usize>,
    widgets: Widgets,
}

impl Recorder {
    /// Begins a cell: its timing metadata starts anew and messages of `msg_id` are its own from now on.
    pub(crate) fn begin_cell(&mut self, msg_id: &str, index: usize, cell: &mut Cell) {
        self.owners.insert(msg_id.to_owned(), index);
        self.last = Some(index);
        cell.metadata_mut().insert("execution".to_owned(), Json::Object(Object::new()));
    }

    /// Begins a request that no cell made.
    pub(crate) fn begin_silent(&mut self, msg_id: &str) {
        self.silent.extend(self.last.map(|cell| (msg_id.to_owned(), cell)));
    }

    /// Notes when the kernel replied, as nbclient does.
    pub(crate) fn replied(cell: &mut Cell, date: &str) {
        set_timing(cell, "shell.execute_reply", date);
    }

    /// Folds one iopub message in. Of requests that no cell made only what is printed counts.
    ///
    /// `date` is the message's own date, formatted as notebooks have it. The message is given away: its bytes go as soon as
    /// they are read, and its values are moved, so that a large output is there but twice for a moment.
    pub(crate) fn apply(
        &mut self,
        mut message: Message,
        date: &str,
        notebook: &mut Notebook,
        shown: &mut dyn FnMut(usize, Shown<'_>),
    ) -> Applied {
        let mut applied = Applied::default();
        let Some(parent) = message.parent_msg_id.as_deref() else { return applied };
        let msg_type = message.header.msg_type.as_str();
        let of_thread = || self.silent.get(parent).filter(|_| msg_type == "stream");
        let Some(&index) = self.owners.get(parent).or_else(of_thread) else { return applied };
        let size = message.content.len();
        let content = Json::parse(&message.content);
        drop(std::mem::take(&mut message.content));

        let mut content = match content {
            Ok(Json::Object(content)) => content,
            Ok(_) => {
                applied.warning = Some(format!("ignored a {msg_type} message whose content is no object"));
                return applied;
            }
            Err(error) => {
                applied.warning = Some(format!("ignored a {msg_type} message that is not JSON: {error}"));
                return applied;
            }
        };

        let display_id = display_id(&content);
        if let Some(id) = &display_id
            && matches!(msg_type, "execute_result" | "display_data" | "update_display_data")
        {
            self.update_display(id, &content, size, notebook, &mut applied);
        }

        let Some(cell) = notebook.cells_mut().get_mut(index) else { return applied };
        if let Some(count) = content.get("execution_count") {
            cell.set_execution_count(count.as_i64());
            applied.touched.insert(index);
        }

        match msg_type {
            "status" => {
                match content.get("execution_state").and_then(Json::as_str) {
                    Some("idle") => set_timing(cell, "iopub.status.idle", date),
                    Some("busy") => set_timing(cell, "iopub.status.busy", date),
                    _ => {}
                }
                applied.touched.insert(index);
            }
            "execute_input" => {
                set_timing(cell, "iopub.execute_input", date);
                applied.touched.insert(index);
            }
            // An update has done its work above; a closed comm keeps its state, as in nbclient.
            "update_display_data" | "comm_close" => {}
            "clear_output" => {
                let wait = content.get("wait").and_then(Json::as_bool).unwrap_or(false);
                if let Some(reply) = self.widgets.clear_output(parent, wait) {
                    applied.to_kernel.extend(reply);
                } else if wait {
                    self.clear_pending.insert(index);
                } else {
                    self.clear(index, cell);
                    applied.touched.insert(index);
                }
            }
            "comm_open" => applied.warning = self.widgets.comm_open(&mut content, &message.buffers),
            "comm_msg" => self.widgets.comm_msg(&mut content, &message.buffers),
            _ => {
                let Some(output) = output_of(msg_type, content) else { return applied };
                let output = match self.widgets.output(parent, output) {
                    Err(output) => output,
                    Ok(reply) => {
                        applied.to_kernel.push(reply);
                        return applied;
                    }
                };
                tell(index, &output, shown);
                if self.clear_pending.remove(&index) {
                    self.clear(index, cell);
                }
                if let Some(id) = display_id {
                    self.display_ids.entry(id).or_default().push((index, cell.record().len()));
                }
                cell.record().push(output, size);
                applied.touched.insert(index);
            }
        }
        applied
    }

    /// The `metadata.widgets` object of the notebook, if the run made any widget state.
    pub(crate) fn widget_metadata(&self) -> Option<Json> {
        self.widgets.metadata()
    }

    fn clear(&mut self, index: usize, cell: &mut Cell) {
        cell.record().clear();
        for places in self.display_ids.values_mut() {
            places.retain(|(cell, _)| *cell != index);
        }
    }

    /// Gives every earlier output with this display id the new data and metadata.
    fn update_display(
        &self,
        id: &str,
        content: &Object,
        size: usize,
        notebook: &mut Notebook,
        applied: &mut Applied,
    ) {
        for &(cell, position) in self.display_ids.get(id).into_iter().flatten() {
            let Some(Json::Object(output)) =
                notebook.cells_mut().get_mut(cell).and_then(|cell| cell.record().get_mut(position, size))
            else {
                continue;
            };
            for key in ["data", "metadata"] {
                let value = content.get(key).cloned().unwrap_or_else(|| Json::Object(Object::new()));
                output.insert(key.to_owned(), value);
            }
            applied.touched.insert(cell);
        }
    }
}

/// The `transient.display_id` of a display; `transient` may be null.
fn display_id(content: &Object) -> Option<String> {
    let id = content.get("transient")?.get("display_id")?.as_str()?;
    (!id.is_empty()).then(|| id.to_owned())
}

/// The output a message stands for, as nbformat's `output_from_msg`; `None` for messages that are no output.
fn output_of(msg_type: &str, mut content: Object) -> Option<Object> {
    let keys: &[&str] = match msg_type {
        "stream" => &["name", "text"],
        "display_data" => &["data", "metadata"],
        "execute_result" => &["data", "execution_count", "metadata"],
        "error" => &["ename", "evalue", "traceback"],
        _ => return None,
    };
    let mut output = Object::new();
    output.insert("output_type".to_owned(), Json::from(msg_type));
    for &key in keys {
        let value = content.swap_remove(key).unwrap_or_else(|| match key {
            "data" | "metadata" => Json::Object(Object::new()),
            "traceback" => Json::Array(Vec::new()),
            "execution_count" => Json::Null,
            "name" => Json::from("stdout"),
            _ => Json::from(""),
        });
        output.insert(key.to_owned(), value);
    }
    Some(output)
}

/// Appends an output; a stream's message joins the stream before it.
fn join(outputs: &mut Vec<Json>, output: Object) {
    if let Some(Json::Object(last)) = outputs.last_mut()
        && is_stream(last)
        && is_stream(&output)
        && last.get("name") == output.get("name")
        && let (Some(Json::String(text)), Some(Json::String(more))) =
            (last.get_mut("text"), output.get("text"))
    {
        text.push_str(more);
        return;
    }
    outputs.push(Json::Object(output));
}

fn is_stream(output: &Object) -> bool {
    output.get("output_type").and_then(Json::as_str) == Some("stream")
}

fn tell(index: usize, output: &Object, shown: &mut dyn FnMut(usize, Shown<'_>)) {
    let text = |key: &str| output.get(key).and_then(Json::text).unwrap_or_default();
    match output.get("output_type").and_then(Json::as_str) {
        Some("stream") => shown(index, Shown::Stream { name: &text("name"), text: &text("text") }),
        Some("error") => shown(index, Shown::Error { ename: &text("ename"), evalue: &text("evalue") }),
        _ => {
            if let Some(text) =
                output.get("data").and_then(|data| data.get("text/plain")).and_then(Json::text)
            {
                shown(index, Shown::Display { text: &text });
            }
        }
    }
}

fn set_timing(cell: &mut Cell, key: &str, date: &str) {
    let execution =
        cell.metadata_mut().entry("execution".to_owned()).or_insert_with(|| Json::Object(Object::new()));
    if let Json::Object(execution) = execution {
        execution.insert(key.to_owned(), Json::from(date));
    }
}

#[cfg(test)]
mod tests;
