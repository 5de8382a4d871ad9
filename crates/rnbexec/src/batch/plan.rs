//! From an item to a run: its parameters, its place, and whether it may be run at all.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use rnbexec_notebook::Parameters;
use rnbexec_notebook::parameters::OUTPUT_PATH;
use rnbexec_notebook::template::Builtins;
use sha2::{Digest as _, Sha256};

use super::{Batch, Item, Origin, PlaceError, RowError};
use crate::request::Input;
use crate::store::Location;

/// One run of a batch: which, with what, and where to.
#[derive(Debug)]
pub struct Planned {
    /// Its place among all, from 1: `{row}` in the template.
    pub number: u64,
    /// Where its parameters were read.
    pub origin: Option<Origin>,
    /// All its parameters, those that every run gets included. Empty when they could not be read.
    pub parameters: Parameters,
    /// Where its notebook goes, where that is known.
    pub output: Option<Location>,
}

/// The output if it is known, else where the parameters stand.
impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.output, self.origin) {
            (Some(output), _) => output.fmt(f),
            (None, Some(origin)) => origin.fmt(f),
            (None, None) => write!(f, "run {}", self.number),
        }
    }
}

/// Why an item is not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Its parameters cannot be read.
    #[error("the row cannot be read")]
    Row(#[source] RowError),
    /// It has no place to go.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Another run goes there.
    #[error("{output} is where run {other} goes already")]
    SamePlace {
        /// The place, without secrets.
        output: String,
        /// The number of the other run.
        other: u64,
    },
    /// It would overwrite the notebook that all runs come from.
    #[error("{output} is the notebook itself")]
    Input {
        /// The place, without secrets.
        output: String,
    },
    /// It gives a secret as a parameter, which would be saved.
    #[error("'{name}' is given as a secret, too")]
    Secret {
        /// The name.
        name: String,
    },
}

/// Makes runs of items, one after the other, and remembers where they go.
pub struct Planner<'a> {
    batch: &'a Batch,
    /// The notebook that all runs come from, in its [one spelling](Location::canonical).
    input: Option<Location>,
    taken: HashMap<[u8; 16], u64>,
}

impl fmt::Debug for Planner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planner").field("taken", &self.taken.len()).finish_non_exhaustive()
    }
}

impl<'a> Planner<'a> {
    /// A planner that knows of no run yet.
    pub fn new(batch: &'a Batch) -> Self {
        let input = match &batch.request.input {
            Input::At(input) => Some(input.canonical()),
            Input::Bytes { .. } => None,
        };
        Self { batch, input, taken: HashMap::new() }
    }

    /// What is to be run for an item, and why it is not, if it is not.
    pub fn plan(&mut self, item: Item) -> (Planned, Option<Refusal>) {
        let Item { number, origin, parameters } = item;
        let mut planned = Planned { number, origin, parameters: Parameters::new(), output: None };
        let refusal = match parameters {
            Ok(own) => self.complete(&mut planned, &own).err(),
            Err(error) => Some(Refusal::Row(error)),
        };
        (planned, refusal)
    }

    fn complete(&mut self, planned: &mut Planned, own: &Parameters) -> Result<(), Refusal> {
        let Batch { request, output, builtins, inject_output_path, .. } = self.batch;
        let mut parameters = request.parameters.clone();
        parameters.update(own);
        let mut fields = Parameters::from_iter([("row", planned.number)]);
        fields.update(&parameters);
        planned.parameters = parameters;
        if let Some(name) = request.secrets.names().find(|name| own.contains(name)) {
            return Err(Refusal::Secret { name: name.to_owned() });
        }
        let builtins = Builtins { run_uuid: uuid::Uuid::new_v4().to_string(), ..builtins.clone() };
        let output = output.fill(&fields, &builtins)?;
        planned.output = Some(output.clone());
        if *inject_output_path {
            let mut all = Parameters::from_iter([(OUTPUT_PATH, output.metadata_text())]);
            all.update(&planned.parameters);
            planned.parameters = all;
        }
        let place = output.canonical();
        if self.input.as_ref() == Some(&place) {
            return Err(Refusal::Input { output: output.to_string() });
        }
        match self.taken.entry(key(&place)) {
            Entry::Occupied(taken) => {
                Err(Refusal::SamePlace { output: output.to_string(), other: *taken.get() })
            }
            Entry::Vacant(free) => {
                free.insert(planned.number);
                Ok(())
            }
        }
    }
}

/// What a look at all items showed before anything runs.
#[derive(Debug, Default)]
pub struct Survey {
    /// How many items there are.
    pub items: u64,
    /// Items that cannot be read or whose output is another's: nothing should be run before that is put right. The first
    /// of them, where they stand.
    pub wrong: Vec<(Planned, Refusal)>,
    /// How many of them there are.
    pub wrong_count: u64,
}

/// After how many items others get their turn.
pub(super) const AT_A_TIME: u64 = 256;

/// How many wrong items a survey names.
const NAMED: usize = 10;

/// Looks at all items. Cancel-safe, and others get their turn while it goes on.
pub async fn survey(batch: &Batch, items: impl Iterator<Item = Item>) -> Survey {
    let mut planner = Planner::new(batch);
    let mut survey = Survey::default();
    for item in items {
        survey.items += 1;
        if survey.items.is_multiple_of(AT_A_TIME) {
            tokio::task::yield_now().await;
        }
        if let (planned, Some(refusal @ (Refusal::Row(_) | Refusal::SamePlace { .. }))) = planner.plan(item) {
            survey.wrong_count += 1;
            if survey.wrong.len() < NAMED {
                survey.wrong.push((planned, refusal));
            }
        }
    }
    survey
}

/// A place in few bytes: of ten thousand runs no more is kept.
fn key(place: &Location) -> [u8; 16] {
    let digest = Sha256::digest(place.reveal());
    let mut key = [0; 16];
    key.iter_mut().zip(digest).for_each(|(byte, digit)| *byte = digit);
    key
}

#[cfg(test)]
mod tests {
    use rnbexec_notebook::Json;
    use rnbexec_notebook::parameters::Secret;
    use rnbexec_notebook::template::DateTime;

    use super::*;
    use crate::RunRequest;
    use crate::batch::{OutputTemplate, Scope};

    fn batch(output: &str) -> Batch {
        let noon = DateTime {
            year: 2026,
            month: 11,
            day: 26,
            hour: 12,
            minute: 0,
            second: 0,
            microsecond: 0,
            utc_offset: None,
        };
        let input = Location::parse("in.ipynb").unwrap();
        Batch {
            request: RunRequest::new(input, None).parameter("common", "c").parameter("x", "default"),
            output: OutputTemplate::new(output),
            builtins: Builtins { run_uuid: String::new(), now_local: noon, now_utc: noon },
            inject_output_path: false,
            jobs: 1,
            max_failures: None,
            scope: Scope::All,
            dry_run: false,
        }
    }

    fn item(number: u64, values: &[(&str, &str)]) -> Item {
        let parameters = values.iter().map(|(name, value)| (*name, *value)).collect();
        Item { number, origin: Some(Origin::Line(number + 1)), parameters: Ok(parameters) }
    }

    fn planned(batch: &Batch, items: impl IntoIterator<Item = Item>) -> Vec<String> {
        let mut plans = Planner::new(batch);
        items
            .into_iter()
            .map(|item| match plans.plan(item) {
                (planned, None) => planned.to_string(),
                (planned, Some(refusal)) => format!("{planned}: {refusal}"),
            })
            .collect()
    }

    #[test]
    fn an_items_own_parameters_win_over_the_common_ones() {
        let batch = batch("{common}/{x}.ipynb");
        let (planned, refusal) = Planner::new(&batch).plan(item(1, &[("x", "own"), ("y", "1")]));
        assert!(refusal.is_none());
        let all = Json::Object(planned.parameters.into_object()).to_compact();
        assert_eq!(all, r#"{"common":"c","x":"own","y":"1"}"#);
        assert_eq!(planned.output.unwrap().to_string(), "c/own.ipynb");
    }

    #[test]
    fn row_is_the_number_unless_a_parameter_has_that_name() {
        let batch = batch("{row:03d}.ipynb");
        assert_eq!(planned(&batch, [item(7, &[])]), ["007.ipynb"]);
        let batch = self::batch("{row}.ipynb");
        assert_eq!(planned(&batch, [item(7, &[("row", "mine")])]), ["mine.ipynb"]);
    }

    #[test]
    fn the_place_is_injected_when_asked_for_unless_the_row_says_otherwise() {
        let batch = Batch { inject_output_path: true, ..batch("{x}.ipynb") };
        let place = |item| Planner::new(&batch).plan(item).0.parameters.get(OUTPUT_PATH).cloned();
        assert_eq!(place(item(1, &[])), Some(Json::from("default.ipynb")));
        assert_eq!(place(item(1, &[(OUTPUT_PATH, "mine")])), Some(Json::from("mine")));
    }

    #[test]
    fn two_runs_do_not_go_to_the_same_place_however_it_is_spelled() {
        let batch = batch("out/{x}.ipynb");
        let items = [
            item(1, &[("x", "a")]),
            item(2, &[("x", "b")]),
            item(3, &[("x", "./a")]),
            item(4, &[("x", "/a")]),
        ];
        assert_eq!(
            planned(&batch, items),
            [
                "out/a.ipynb",
                "out/b.ipynb",
                "out/./a.ipynb: out/./a.ipynb is where run 1 goes already",
                "out//a.ipynb: out//a.ipynb is where run 1 goes already",
            ]
        );
    }

    #[test]
    fn a_run_does_not_overwrite_the_notebook_it_comes_from() {
        let batch = batch("./{x}.ipynb");
        assert_eq!(
            planned(&batch, [item(1, &[("x", "in")])]),
            ["./in.ipynb: ./in.ipynb is the notebook itself"]
        );
    }

    #[test]
    #[cfg(unix)]
    fn no_other_spelling_and_no_link_hides_where_a_run_goes() {
        use std::os::unix::fs::symlink;

        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(path("real")).unwrap();
        symlink(path("real"), path("folder")).unwrap();
        std::fs::write(path("real/in.ipynb"), "").unwrap();
        symlink("real/in.ipynb", path("link.ipynb")).unwrap();

        let with_input = |input: &str, output: &str| {
            let mut batch = batch(output);
            batch.request.input = Input::At(Location::parse(input).unwrap());
            batch
        };
        // However the notebook is named, and however the place.
        for input in ["real/in.ipynb", "folder/in.ipynb", "link.ipynb"] {
            for output in ["real/{x}.ipynb", "folder/{x}.ipynb", "link.{kind}", "new/../real/{x}.ipynb"] {
                let batch = with_input(&path(input), &path(output));
                let refusal = Planner::new(&batch).plan(item(1, &[("x", "in"), ("kind", "ipynb")])).1;
                assert!(matches!(refusal, Some(Refusal::Input { .. })), "{input} {output}: {refusal:?}");
            }
        }
        // A relative path names what the absolute one does.
        let here = std::path::absolute("{x}.ipynb").unwrap().display().to_string();
        let refusal = Planner::new(&batch(&here)).plan(item(1, &[("x", "in")])).1;
        assert!(matches!(refusal, Some(Refusal::Input { .. })), "{refusal:?}");
        let folders = batch(&path("{x}"));
        let mut planner = Planner::new(&folders);
        assert!(planner.plan(item(1, &[("x", "real/a")])).1.is_none());
        let refusal = planner.plan(item(2, &[("x", "folder/a")])).1;
        assert!(matches!(refusal, Some(Refusal::SamePlace { other: 1, .. })), "{refusal:?}");
    }

    #[test]
    fn two_spellings_of_one_url_are_one_place() {
        let batch = batch("https://Host:443/{x}.ipynb");
        for (one, other) in [("a", "./a"), ("b/a", "b/./a")] {
            let planned = planned(&batch, [item(1, &[("x", one)]), item(2, &[("x", other)])]);
            assert!(planned[1].ends_with("is where run 1 goes already"), "{planned:?}");
        }
    }

    #[tokio::test]
    async fn others_get_their_turn_while_many_items_are_looked_at() {
        let batch = batch("{row}.ipynb");
        let items = (1..=10 * AT_A_TIME).map(|number| Item { number, ..item(1, &[]) });
        let mut looked = std::pin::pin!(survey(&batch, items));
        tokio::select! {
            biased;
            _ = &mut looked => panic!("nobody else had a turn"),
            () = std::future::ready(()) => {}
        }
        assert_eq!(looked.await.items, 10 * AT_A_TIME);
    }

    #[test]
    fn a_secret_is_not_given_by_a_row() {
        let mut batch = batch("{row}.ipynb");
        batch.request.secrets.insert("s", Secret::new("v"));
        assert_eq!(planned(&batch, [item(1, &[("s", "x")])]), ["line 2: 's' is given as a secret, too"]);
    }

    #[tokio::test]
    async fn a_survey_counts_what_must_be_put_right_before_anything_runs() {
        let batch = batch("out/{x}.ipynb");
        let broken = Item { number: 4, origin: None, parameters: Err(RowError::NotUtf8) };
        let items = [item(1, &[("x", "a")]), item(2, &[("x", "../b")]), item(3, &[("x", "a")]), broken];
        let survey = survey(&batch, items.into_iter()).await;
        assert_eq!((survey.items, survey.wrong_count), (4, 2));
        let numbers: Vec<u64> = survey.wrong.iter().map(|(planned, _)| planned.number).collect();
        // What leads out of the folder is refused when its turn comes: it hurts no other.
        assert_eq!(numbers, [3, 4]);
    }
}
