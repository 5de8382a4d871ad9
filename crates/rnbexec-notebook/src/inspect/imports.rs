//! Which modules a Python notebook imports before it does anything else.

use crate::notebook::{CellType, Notebook};

/// Tags of cells that only assign values.
const PARAMETER_TAGS: [&str; 2] = ["parameters", "injected-parameters"];

/// The modules that the notebook's cells import while nothing precedes that could change what an import does: import statements,
/// comments, `%matplotlib inline` and the cells of the parameters may stand before, nothing else. A name that is imported from a
/// package may be a module of it, so it is among them.
///
/// Reads Python by lines: what is found may be imported ahead of time, what is not found is imported by its cell as ever.
pub fn leading_imports(notebook: &Notebook) -> Vec<String> {
    let mut modules = Vec::new();
    let code = notebook.cells().iter().filter(|cell| cell.cell_type() == CellType::Code);
    for cell in code.filter(|cell| !PARAMETER_TAGS.iter().any(|tag| cell.has_tag(tag))) {
        if !read_cell(&cell.source(), &mut modules) {
            break;
        }
    }
    modules
}

/// Reads a cell's leading imports; whether there was nothing else in it.
fn read_cell(source: &str, modules: &mut Vec<String>) -> bool {
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        let mut statement = without_comment(line).trim_end().to_owned();
        if statement.is_empty() || statement.trim() == "%matplotlib inline" {
            continue;
        }
        // An open bracket, or a backslash, goes on in the next line.
        while statement.ends_with('\\') || (statement.contains('(') && !statement.contains(')')) {
            let Some(next) = lines.next() else { return false };
            let longer = statement.trim_end_matches('\\').len();
            statement.truncate(longer);
            statement.push(' ');
            statement.push_str(without_comment(next).trim_end());
        }
        for statement in statement.split(';').filter(|statement| !statement.trim().is_empty()) {
            let Some(found) = imported(statement) else { return false };
            for module in found {
                if !modules.contains(&module) {
                    modules.push(module);
                }
            }
        }
    }
    true
}

fn without_comment(line: &str) -> &str {
    line.split_once('#').map_or(line, |(code, _)| code)
}

/// What an import statement imports; `None` if it is another statement, or one that is not read here.
fn imported(statement: &str) -> Option<Vec<String>> {
    if let Some(names) = statement.trim_start_matches(' ').strip_prefix("import ") {
        return names.split(',').map(|name| module(without_alias(name))).collect();
    }
    let (package, names) = statement.trim_start_matches(' ').strip_prefix("from ")?.split_once(" import ")?;
    let package = module(package.trim())?;
    if package == "__future__" {
        return Some(Vec::new());
    }
    let names = names.trim().trim_start_matches('(').trim_end_matches(')');
    let mut found = vec![package.clone()];
    for name in names.split(',').map(without_alias).filter(|name| !name.is_empty() && *name != "*") {
        found.push(format!("{package}.{}", module(name)?));
    }
    Some(found)
}

fn without_alias(name: &str) -> &str {
    name.split_once(" as ").map_or(name, |(name, _)| name).trim()
}

/// A dotted name; relative ones are none.
fn module(name: &str) -> Option<String> {
    let is_name = |part: &str| {
        !part.is_empty()
            && part.chars().all(|letter| letter == '_' || letter.is_alphanumeric())
            && !part.starts_with(|first: char| first.is_numeric())
    };
    name.split('.').all(is_name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Json;
    use crate::notebook::Cell;

    fn imports(cells: &[&str]) -> Vec<String> {
        let mut notebook = Notebook::new();
        for source in cells {
            notebook.cells_mut().push(Cell::code("0a1b2c3d", *source));
        }
        leading_imports(&notebook)
    }

    #[test]
    fn imports_of_every_form_are_found() {
        let cell = "# what we need\nimport os, json as j\nimport matplotlib.pyplot as plt  # for plots\n\
                    from pandas import DataFrame as D, (\n";
        assert_eq!(imports(&[cell]), ["os", "json", "matplotlib.pyplot"]);
        let cell = "from __future__ import annotations\nfrom a.b import (\n    c,  # see\n    d as e,\n)\nfrom x import *\n\
                    import one; import two\nfrom y \\\n    import z\n";
        assert_eq!(imports(&[cell]), ["a.b", "a.b.c", "a.b.d", "x", "one", "two", "y", "y.z"]);
    }

    #[test]
    fn what_stands_after_other_code_is_not_found() {
        assert_eq!(
            imports(&["import os\nos.environ['A'] = '1'\nimport tensorflow", "import pandas"]),
            ["os"]
        );
        assert_eq!(imports(&["if True:\n    import os"]), [""; 0]);
        assert_eq!(imports(&["%pip install x\nimport x"]), [""; 0]);
        assert_eq!(imports(&["from . import sibling", "import os"]), [""; 0]);
        assert_eq!(imports(&["import os, 1x"]), [""; 0]);
    }

    #[test]
    fn the_parameters_may_stand_before() {
        let mut notebook = Notebook::new();
        let mut parameters = Cell::code("0a1b2c3d", "alpha = 1");
        parameters.metadata_mut().insert("tags".to_owned(), Json::Array(vec!["parameters".into()]));
        let cells = [
            Cell::markdown("1a1b2c3d", "text"),
            parameters,
            Cell::code("2a1b2c3d", "%matplotlib inline\nimport os"),
        ];
        notebook.cells_mut().extend(cells);
        assert_eq!(leading_imports(&notebook), ["os"]);
    }
}
