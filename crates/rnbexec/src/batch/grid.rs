//! `name=1,2,3`, several of them: all combinations.

use rnbexec_notebook::parameters::infer_scalar;
use rnbexec_notebook::{Json, Parameters};

/// Names with the values that each takes. The combinations are all of them, the last name changing fastest. Without
/// names there is one combination, of nothing.
#[derive(Clone, Debug, Default)]
pub struct Grid(Vec<(String, Vec<Json>)>);

/// Text that is no part of a grid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GridError {
    /// It is not `name=values`.
    #[error("{text:?} is not NAME=VALUE,VALUE,…")]
    Form {
        /// The text.
        text: String,
    },
    /// A value is missing between two commas, or there is none at all.
    #[error("'{name}' has an empty value; an empty text is written {name}=[\"\"]")]
    Empty {
        /// The name.
        name: String,
    },
    /// A name was there before.
    #[error("'{name}' is given twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// There are more combinations than can be counted.
    #[error("there are too many combinations")]
    TooMany,
}

impl Grid {
    /// Adds `name=1,2,3`. Values are typed as `-p` types them; a list in JSON (`name=["a,b", null]`) is taken as it is.
    ///
    /// # Errors
    /// See [`GridError`].
    pub fn add(&mut self, text: &str) -> Result<(), GridError> {
        let (name, values) = text
            .split_once('=')
            .map(|(name, values)| (name.trim(), values.trim()))
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| GridError::Form { text: text.to_owned() })?;
        let name = name.to_owned();
        if self.names().any(|known| known == name) {
            return Err(GridError::Twice { name });
        }
        let listed = values.starts_with('[').then(|| Json::parse(values.as_bytes()).ok()).flatten();
        let values = match listed {
            Some(Json::Array(values)) => values,
            _ if values.split(',').any(|text| text.trim().is_empty()) => {
                return Err(GridError::Empty { name });
            }
            _ => values.split(',').map(|text| infer_scalar(text.trim())).collect(),
        };
        if values.is_empty() {
            return Err(GridError::Empty { name });
        }
        self.0.push((name, values));
        self.checked_len().map(drop).ok_or(GridError::TooMany)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many combinations there are.
    pub fn len(&self) -> u64 {
        self.checked_len().unwrap_or(u64::MAX)
    }

    fn checked_len(&self) -> Option<u64> {
        self.0.iter().try_fold(1_u64, |product, (_, values)| product.checked_mul(values.len() as u64))
    }

    /// One combination, counted from 0.
    pub(super) fn combination(&self, index: u64) -> Parameters {
        let mut left = index;
        let mut chosen: Vec<(&str, Json)> = Vec::with_capacity(self.0.len());
        for (name, values) in self.0.iter().rev() {
            let count = values.len() as u64;
            let at = usize::try_from(left % count).unwrap_or_default();
            left /= count;
            chosen.extend(values.get(at).map(|value| (name.as_str(), value.clone())));
        }
        chosen.into_iter().rev().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Result<String, GridError> {
        let mut grid = Grid::default();
        grid.add(text)?;
        let values = grid.0.into_iter().flat_map(|(_, values)| values).collect::<Vec<_>>();
        Ok(Json::Array(values).to_compact())
    }

    #[test]
    fn values_are_typed_as_p_types_them() {
        assert_eq!(values("a=1, 2.5,True,None,x y").unwrap(), r#"[1,2.5,true,null,"x y"]"#);
        assert_eq!(values("a=-1").unwrap(), "[-1]");
        assert_eq!(values("a=b=c").unwrap(), r#"["b=c"]"#);
    }

    #[test]
    fn a_list_in_json_may_hold_commas_and_anything_else() {
        assert_eq!(values(r#"a=["x,y", "", null, {"k": [1]}]"#).unwrap(), r#"["x,y","",null,{"k":[1]}]"#);
        assert_eq!(values("a=[x]").unwrap(), r#"["[x]"]"#);
    }

    #[test]
    fn what_is_no_axis_is_refused() {
        for text in ["a", "=1", " =1"] {
            assert!(matches!(values(text), Err(GridError::Form { .. })), "{text}");
        }
        for text in ["a=", "a=1,,2", "a=1,", "a=[]"] {
            assert!(matches!(values(text), Err(GridError::Empty { .. })), "{text}");
        }
    }

    #[test]
    fn a_name_is_given_once_and_the_combinations_can_be_counted() {
        let mut grid = Grid::default();
        grid.add("a=1").unwrap();
        assert_eq!(grid.add("a=2"), Err(GridError::Twice { name: "a".to_owned() }));
        let many = "0,".repeat(65_535) + "0";
        let grown = ["b", "c", "d", "e"].map(|name| grid.add(&format!("{name}={many}")));
        assert_eq!(grown[2], Ok(()));
        assert_eq!(grown[3], Err(GridError::TooMany));
    }
}
