//! Where the cell with injected parameters goes, as papermill decides it.

use crate::json::Json;
use crate::notebook::{Cell, Notebook};

/// The tag of the cell that holds the default values of parameters.
pub const PARAMETERS_TAG: &str = "parameters";

/// The tag of the cell that holds injected parameters.
pub const INJECTED_TAG: &str = "injected-parameters";

/// Where injected parameters went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In place of the first cell with injected parameters, at this index.
    Replaced(usize),
    /// Right after the first cell tagged `parameters`, at this index.
    AfterParameters(usize),
    /// At the top: no cell is tagged. papermill warns of it.
    Top,
}

impl Placement {
    /// The index of the cell with the injected parameters.
    pub fn index(self) -> usize {
        match self {
            Self::Replaced(index) | Self::AfterParameters(index) => index,
            Self::Top => 0,
        }
    }
}

/// Puts the source that assigns the parameters into a cell of its own.
///
/// The first cell tagged `injected-parameters`, of whatever type and wherever it stands, is replaced: a notebook that is run
/// again on its own output has one such cell, not two. Else the cell goes right after the first cell tagged `parameters`,
/// else to the top. The new cell has that one tag, and nothing of the one it replaces.
pub fn inject(notebook: &mut Notebook, source: impl Into<String>, id: impl Into<String>) -> Placement {
    let placement = placement(notebook);
    let mut cell = Cell::code(id, source);
    cell.metadata_mut().insert("tags".to_owned(), Json::from(vec![Json::from(INJECTED_TAG)]));
    let cells = notebook.cells_mut();
    match placement {
        Placement::Replaced(index) => cells[index] = cell,
        Placement::AfterParameters(index) => cells.insert(index, cell),
        Placement::Top => cells.insert(0, cell),
    }
    placement
}

/// Where injected parameters would go.
pub fn placement(notebook: &Notebook) -> Placement {
    let first = |tag| notebook.cells().iter().position(|cell| cell.has_tag(tag));
    if let Some(injected) = first(INJECTED_TAG) {
        Placement::Replaced(injected)
    } else if let Some(parameters) = first(PARAMETERS_TAG) {
        Placement::AfterParameters(parameters + 1)
    } else {
        Placement::Top
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notebook(tags: &[&str]) -> Notebook {
        let mut notebook = Notebook::new();
        for (index, tag) in tags.iter().enumerate() {
            let mut cell = Cell::markdown(format!("old{index}"), "text");
            let tags = tag.split_whitespace().map(Json::from).collect::<Vec<_>>();
            cell.metadata_mut().insert("tags".to_owned(), Json::from(tags));
            notebook.cells_mut().push(cell);
        }
        notebook
    }

    fn ids(notebook: &Notebook) -> Vec<&str> {
        notebook.cells().iter().map(Cell::id).collect()
    }

    #[test]
    fn without_tags_the_cell_goes_to_the_top() {
        let mut notebook = notebook(&["", "other"]);
        assert_eq!(inject(&mut notebook, "x = 1\n", "new"), Placement::Top);
        assert_eq!(ids(&notebook), ["new", "old0", "old1"]);
        assert_eq!(notebook.cells()[0], {
            let mut cell = Cell::code("new", "x = 1\n");
            cell.metadata_mut()
                .insert("tags".to_owned(), Json::from(vec![Json::from("injected-parameters")]));
            cell
        });
    }

    #[test]
    fn the_cell_goes_after_the_first_parameters() {
        let mut notebook = notebook(&["", "a parameters", "parameters"]);
        assert_eq!(inject(&mut notebook, "", "new"), Placement::AfterParameters(2));
        assert_eq!(ids(&notebook), ["old0", "old1", "new", "old2"]);
    }

    #[test]
    fn the_first_injected_cell_is_replaced_even_before_the_parameters() {
        let mut notebook = notebook(&["", "keep injected-parameters", "parameters", "injected-parameters"]);
        assert_eq!(inject(&mut notebook, "", "new"), Placement::Replaced(1));
        assert_eq!(ids(&notebook), ["old0", "new", "old2", "old3"]);
        assert_eq!(notebook.cells()[1].tags().collect::<Vec<_>>(), ["injected-parameters"]);
    }

    #[test]
    fn injecting_again_changes_nothing_but_the_cell() {
        let mut notebook = notebook(&["parameters", ""]);
        inject(&mut notebook, "x = 1\n", "one");
        inject(&mut notebook, "x = 2\n", "two");
        assert_eq!(ids(&notebook), ["old0", "two", "old1"]);
        assert_eq!(notebook.cells()[1].source(), "x = 2\n");
    }

    #[test]
    fn tags_given_as_one_string_are_searched_as_python_searches_them() {
        let mut notebook = notebook(&["", ""]);
        notebook.cells_mut()[1].metadata_mut().insert("tags".to_owned(), Json::from("my-parameters"));
        assert_eq!(placement(&notebook), Placement::AfterParameters(2));
        notebook.cells_mut()[0].metadata_mut().insert("tags".to_owned(), Json::from("injected-parameters"));
        assert_eq!(placement(&notebook), Placement::Replaced(0));
    }
}
