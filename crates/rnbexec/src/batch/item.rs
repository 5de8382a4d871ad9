//! What a batch is made of: parameters, one set a run.

use std::fmt;
use std::sync::Arc;

use rnbexec_notebook::Parameters;
use tokio::sync::mpsc;

use super::{Grid, RowError};

/// The parameters of one run, or why there are none.
#[derive(Debug)]
pub struct Item {
    /// Its place among all items, from 1.
    pub number: u64,
    /// Where it was read.
    pub origin: Option<Origin>,
    /// Its parameters. Those that all runs have come first, and these win.
    pub parameters: Result<Parameters, RowError>,
}

/// One row of data.
#[derive(Debug)]
pub struct Row {
    /// Where it was read.
    pub origin: Option<Origin>,
    /// Its parameters.
    pub parameters: Result<Parameters, RowError>,
}

/// Where a row stands in what it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The line, from 1.
    Line(u64),
    /// The element of an array, from 1.
    Element(u64),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Element(number) => write!(f, "element {number}"),
        }
    }
}

/// Where the items of a batch come from.
pub enum Items {
    /// They are all there. When the batch is stopped, the rest is told as not started.
    Known(Box<dyn Iterator<Item = Item> + Send>),
    /// They come as they come, each taken when there is room for its run. When the batch is stopped, the rest is not
    /// waited for.
    Stream(mpsc::Receiver<Item>),
}

impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Known(_) => "Known",
            Self::Stream(_) => "Stream",
        })
    }
}

/// Every row with every combination of the grid, numbered. Without rows (`None`) the combinations alone.
///
/// A row that gives a parameter of the grid itself is refused: one of both would not count.
pub fn combine<R>(rows: Option<R>, grid: Grid) -> Box<dyn Iterator<Item = Item> + Send>
where
    R: Iterator<Item = Row> + Send + 'static,
{
    let grid = Arc::new(grid);
    let spread = move |row: Row| spread(row, &grid);
    let spread: Box<dyn Iterator<Item = Row> + Send> = match rows {
        Some(rows) => Box::new(rows.flat_map(spread)),
        None => spread(Row { origin: None, parameters: Ok(Parameters::new()) }),
    };
    Box::new((1..).zip(spread).map(|(number, Row { origin, parameters })| Item {
        number,
        origin,
        parameters,
    }))
}

fn spread(row: Row, grid: &Arc<Grid>) -> Box<dyn Iterator<Item = Row> + Send> {
    let Row { origin, parameters } = row;
    let parameters = match parameters {
        Ok(parameters) => parameters,
        Err(error) => return Box::new(std::iter::once(Row { origin, parameters: Err(error) })),
    };
    if let Some(name) = grid.names().find(|name| parameters.contains(name)) {
        let error = RowError::InGrid { name: name.to_owned() };
        return Box::new(std::iter::once(Row { origin, parameters: Err(error) }));
    }
    let grid = Arc::clone(grid);
    Box::new((0..grid.len()).map(move |index| {
        let mut all = parameters.clone();
        all.update(&grid.combination(index));
        Row { origin, parameters: Ok(all) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(axes: &[&str]) -> Grid {
        let mut grid = Grid::default();
        for axis in axes {
            grid.add(axis).unwrap();
        }
        grid
    }

    fn row(line: u64, name: &str, value: i64) -> Row {
        let parameters = Parameters::from_iter([(name, value)]);
        Row { origin: Some(Origin::Line(line)), parameters: Ok(parameters) }
    }

    fn shown(items: impl Iterator<Item = Item>) -> Vec<String> {
        let parameters = |item: &Item| match &item.parameters {
            Ok(parameters) => rnbexec_notebook::Json::Object(parameters.as_object().clone()).to_compact(),
            Err(error) => error.to_string(),
        };
        items.map(|item| format!("{} {}", item.number, parameters(&item))).collect()
    }

    #[test]
    fn a_grid_alone_is_its_combinations() {
        let items = combine(None::<std::iter::Empty<Row>>, grid(&["a=1,2", "b=x,y"]));
        let expected =
            [r#"1 {"a":1,"b":"x"}"#, r#"2 {"a":1,"b":"y"}"#, r#"3 {"a":2,"b":"x"}"#, r#"4 {"a":2,"b":"y"}"#];
        assert_eq!(shown(items), expected);
    }

    #[test]
    fn rows_and_a_grid_are_their_product() {
        let items = combine(Some([row(2, "r", 7), row(3, "r", 8)].into_iter()), grid(&["a=1,2"]));
        let expected =
            [r#"1 {"r":7,"a":1}"#, r#"2 {"r":7,"a":2}"#, r#"3 {"r":8,"a":1}"#, r#"4 {"r":8,"a":2}"#];
        assert_eq!(shown(items), expected);
    }

    #[test]
    fn a_row_that_gives_a_parameter_of_the_grid_is_refused_once() {
        let items: Vec<Item> = combine(Some([row(2, "a", 7)].into_iter()), grid(&["a=1,2"])).collect();
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].origin, Some(Origin::Line(2)));
        assert!(matches!(&items[0].parameters, Err(RowError::InGrid { name }) if name == "a"));
    }

    #[test]
    fn rows_without_a_grid_are_themselves() {
        let items = combine(Some([row(2, "a", 7)].into_iter()), Grid::default());
        assert_eq!(shown(items), [r#"1 {"a":7}"#]);
    }
}
