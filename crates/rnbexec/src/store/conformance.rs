//! What every store promises, as one suite that every store runs.
//!
//! Whoever writes a [`Store`] of their own runs it in a test:
//!
//! ```
//! # use rnbexec::store::{Location, MemoryStore, conformance};
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let folder = Location::memory("an-empty-folder");
//! conformance::run(&MemoryStore::new(), &folder, conformance::Abilities::ALL).await.unwrap();
//! # }
//! ```

use bytes::Bytes;

use super::{Durability, Location, Segment, Store, StoreError, StoreErrorKind};

/// What a store can do beyond reading and writing; the suite leaves out what it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Folders can be listed.
    pub list: bool,
}

impl Abilities {
    /// Everything.
    pub const ALL: Self = Self { list: true };
    /// Reading and writing only.
    pub const READ_WRITE: Self = Self { list: false };
}

/// A promise that was not kept, in words.
#[derive(Debug, thiserror::Error)]
#[error("{promise}: {found}")]
pub struct Violation {
    promise: &'static str,
    found: String,
}

/// Runs the suite in `folder`, which must be empty or not exist. Leaves its documents there.
pub async fn run(store: &dyn Store, folder: &Location, abilities: Abilities) -> Result<(), Violation> {
    absent_documents_are_not_found(store, folder).await?;
    what_is_written_is_read(store, folder).await?;
    writing_replaces_the_whole(store, folder).await?;
    every_name_is_its_own(store, folder).await?;
    nobody_sees_half_a_document(store, folder).await?;
    if abilities.list {
        listing_shows_the_documents_of_a_folder(store, folder).await?;
    } else {
        match store.list(folder).await {
            Err(error) if *error.kind() == StoreErrorKind::NotListable => {}
            other => return broken("a store that cannot list says so", format!("{other:?}")),
        }
    }
    Ok(())
}

async fn absent_documents_are_not_found(store: &dyn Store, folder: &Location) -> Result<(), Violation> {
    let promise = "reading what does not exist is the error NotFound";
    for location in [folder.join(&name("absent.ipynb")), folder.join(&name("absent")).join(&name("nb.ipynb"))]
    {
        match store.read(&location).await {
            Err(error) if *error.kind() == StoreErrorKind::NotFound => {}
            other => return broken(promise, format!("{other:?}")),
        }
    }
    Ok(())
}

async fn what_is_written_is_read(store: &dyn Store, folder: &Location) -> Result<(), Violation> {
    let promise = "what is written is read, byte for byte";
    let binary: Vec<u8> = (0..=255).cycle().take(1_500_000).collect();
    let cases: [(&str, Vec<Bytes>); 5] = [
        ("empty.bin", vec![]),
        ("text.ipynb", vec![Bytes::from("{\n \"cells\": []\n}")]),
        ("ends.txt", vec![Bytes::from("\r\n x \u{feff}é\n\n")]),
        ("binary.bin", vec![Bytes::from(binary)]),
        ("parts.bin", vec![Bytes::from("a"), Bytes::new(), Bytes::from("bc"), Bytes::from(vec![7; 300_000])]),
    ];
    for (file, parts) in cases {
        let location = folder.join(&name(file));
        kept(promise, store.write(&location, &parts, Durability::Durable).await)?;
        let read = kept(promise, store.read(&location).await)?;
        if read != parts.concat() {
            return broken(promise, format!("{location} differs, {} bytes read", read.len()));
        }
    }
    Ok(())
}

async fn writing_replaces_the_whole(store: &dyn Store, folder: &Location) -> Result<(), Violation> {
    let promise = "writing replaces the whole document, also by a shorter one";
    let location = folder.join(&name("replaced.txt"));
    for content in ["a long first version", "short", "", "again"] {
        kept(promise, store.write(&location, &[Bytes::from(content)], Durability::Visible).await)?;
        let read = kept(promise, store.read(&location).await)?;
        if read != content {
            return broken(promise, format!("{content:?} was written, {read:?} was read"));
        }
    }
    Ok(())
}

async fn every_name_is_its_own(store: &dyn Store, folder: &Location) -> Result<(), Violation> {
    let promise = "names with blanks, signs and letters of any script are names";
    let names = [
        "with blank.txt",
        "100%25.txt",
        "a+b&c=d.txt",
        "q#x.txt",
        "Ünïcödé-日本.txt",
        "(1) [x].txt",
        "~'!,;$.txt",
    ];
    for file in names {
        kept(
            promise,
            store.write(&folder.join(&name(file)), &[Bytes::from(file)], Durability::Visible).await,
        )?;
    }
    for file in names {
        let read = kept(promise, store.read(&folder.join(&name(file))).await)?;
        if read != file {
            return broken(promise, format!("{file:?} holds {read:?}"));
        }
    }
    Ok(())
}

async fn nobody_sees_half_a_document(store: &dyn Store, folder: &Location) -> Result<(), Violation> {
    let promise = "a reader sees a whole version while another writes";
    let location = folder.join(&name("contested.bin"));
    let versions = [Bytes::from(vec![b'a'; 400_000]), Bytes::from(vec![b'b'; 300_000])];
    kept(promise, store.write(&location, &versions[..1], Durability::Visible).await)?;
    let writer = async {
        for turn in 0..10 {
            let version = turn % 2;
            let parts = [versions[version].slice(..100_000), versions[version].slice(100_000..)];
            store.write(&location, &parts, Durability::Visible).await?;
        }
        Ok(())
    };
    let reader = async {
        let mut torn = None;
        for _ in 0..20 {
            let read = store.read(&location).await?;
            if !versions.contains(&read) {
                torn = Some(read.len());
            }
        }
        Ok::<_, StoreError>(torn)
    };
    let (written, torn) = tokio::join!(writer, reader);
    kept(promise, written)?;
    match kept(promise, torn)? {
        None => Ok(()),
        Some(length) => broken(promise, format!("{length} bytes of a torn version were read")),
    }
}

async fn listing_shows_the_documents_of_a_folder(
    store: &dyn Store,
    folder: &Location,
) -> Result<(), Violation> {
    let promise = "listing shows the documents directly in a folder, in order, and nothing else";
    // A folder beside it whose name begins alike must not leak in.
    let beside = folder.join(&name("listed-not")).join(&name("d.txt"));
    let folder = folder.join(&name("listed"));
    let (a, b) = (folder.join(&name("a.txt")), folder.join(&name("b b.txt")));
    let deeper = folder.join(&name("sub")).join(&name("c.txt"));
    for location in [&b, &deeper, &a, &beside] {
        kept(promise, store.write(location, &[Bytes::from("x")], Durability::Visible).await)?;
    }
    let listed = kept(promise, store.list(&folder).await)?;
    if listed != [a, b] {
        return broken(promise, format!("{listed:?}"));
    }
    let promise = "an absent folder is not found, or empty where folders do not exist of themselves";
    match store.list(&folder.join(&name("absent"))).await {
        Ok(listed) if listed.is_empty() => Ok(()),
        Err(error) if *error.kind() == StoreErrorKind::NotFound => Ok(()),
        other => broken(promise, format!("{other:?}")),
    }
}

fn name(text: &str) -> Segment {
    Segment::parse(text).expect("the suite's names are plain names")
}

fn kept<T>(promise: &'static str, result: Result<T, StoreError>) -> Result<T, Violation> {
    result.map_err(|error| {
        let mut found = error.to_string();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(&error);
        while let Some(error) = cause {
            found.push_str(": ");
            found.push_str(&error.to_string());
            cause = error.source();
        }
        Violation { promise, found }
    })
}

fn broken<T>(promise: &'static str, found: String) -> Result<T, Violation> {
    Err(Violation { promise, found })
}
