//! `rnbexec report`: the HTML page of an executed notebook.

use rnbexec::Services;
use rnbexec::report::{Code, ReportOptions, Scripts, report as page};
use rnbexec::store::{Durability, Location};
use rnbexec_notebook::Notebook;

use crate::args::{Level, ReportArgs, WhenScripts};
use crate::console::Console;
use crate::failure::Failure;
use crate::paths::Source;
use crate::supervise::{Abandoned, Supervisor};
use crate::{exit, extension, log, runtime, verdict};

/// The extensions of pages.
const PAGE: &[&str] = &[".html", ".htm"];

/// `rnbexec report`.
pub(crate) fn report(args: &ReportArgs) -> u8 {
    let console = Console::stderr();
    // A page on standard output comes without remarks.
    let level = if args.log_level == Level::Info && args.output.as_deref() == Some("-") {
        Level::Warning
    } else {
        args.log_level
    };
    log::init(&console, level);
    runtime::block_on(&console, async {
        match make(args).await {
            Ok(code) => code,
            Err(failure) => {
                failure.show(&console);
                failure.code
            }
        }
    })
}

async fn make(args: &ReportArgs) -> Result<u8, Failure> {
    let (mut supervisor, _cancel) =
        Supervisor::listen().map_err(|error| Failure::because("cannot listen to signals", &error))?;
    match supervisor.abandonable(read_and_write(args)).await {
        Ok(written) => written.map(|()| exit::SUCCESS),
        Err(Abandoned(signal)) => Err(Failure::new("stopped").code(signal.exit_code())),
    }
}

async fn read_and_write(args: &ReportArgs) -> Result<(), Failure> {
    let services = Services::from_process();
    let source = Source::parse(&args.notebook)?;
    let output_text = args.output.clone().unwrap_or_else(|| beside(&source));
    let output =
        Location::parse(&output_text).map_err(|error| Failure::because("cannot write the report", &error))?;
    if matches!(&source, Source::Place { location, .. } if *location == output && !output.is_stdio()) {
        return Err(Failure::new("the report would overwrite the notebook").help("name another output"));
    }
    let warnings = [source.extension_warning(), extension::warning(&output_text, &output, PAGE)];
    for warning in warnings.iter().flatten() {
        tracing::warn!("{warning}");
    }
    let shown = source.to_string();
    let (bytes, name) = match source {
        Source::Text(text) => (text.into_bytes().into(), None),
        Source::Place { location, .. } => {
            let read = services.stores.read(&location).await;
            let bytes = read.map_err(|error| verdict::of_read("cannot read the notebook", &error))?;
            (bytes, location.file_name().map(str::to_owned))
        }
    };
    let notebook = parse(&bytes, &shown)?;
    let html = page(&notebook, &options(args, name));
    let size = html.len();
    let written = services.stores.write(&output, &[html.into()], Durability::Durable).await;
    written.map_err(|error| verdict::of_read("cannot write the report", &error))?;
    tracing::info!("The report of {shown} is at {output} ({} kB)", size.div_ceil(1_000));
    Ok(())
}

fn options(args: &ReportArgs, name: Option<String>) -> ReportOptions {
    ReportOptions {
        title: args.title.clone(),
        name,
        code: if args.no_code { Code::Omitted } else { Code::Folded },
        scripts: match args.scripts {
            WhenScripts::OnDemand => Scripts::OnDemand,
            WhenScripts::Always => Scripts::Run,
            WhenScripts::Never => Scripts::Omitted,
        },
    }
}

fn parse(bytes: &[u8], shown: &str) -> Result<Notebook, Failure> {
    let mut ids = 0_u32;
    let mut fresh_id = || {
        ids += 1;
        format!("{ids:08x}")
    };
    let parsed = Notebook::parse(bytes, &mut fresh_id).map_err(|error| {
        Failure::because(format!("{shown} is not a notebook that can be read"), &error)
            .help("a notebook is a .ipynb file as Jupyter saves it")
    })?;
    for quirk in &parsed.quirks {
        tracing::warn!("{quirk}");
    }
    Ok(parsed.notebook)
}

/// The place beside the notebook: its name with another extension, its query (which may be a key) as it is.
fn beside(source: &Source) -> String {
    let Source::Place { location, text } = source else { return "-".to_owned() };
    if location.is_stdio() {
        return "-".to_owned();
    }
    // A local name may hold a question mark, a URL's path may not.
    let query = if location.as_local().is_some() { None } else { text.find('?') };
    let (path, query) = text.split_at(query.unwrap_or(text.len()));
    let stem = path.strip_suffix(".ipynb").unwrap_or(path);
    format!("{stem}.html{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lies_beside_the_notebook() {
        for (notebook, page) in [
            ("a/b.ipynb", "a/b.html"),
            ("what?.ipynb", "what?.html"),
            ("noext", "noext.html"),
            ("s3://bucket/x.ipynb", "s3://bucket/x.html"),
            ("abs://a.blob.core.windows.net/c/x.ipynb?sig=s", "abs://a.blob.core.windows.net/c/x.html?sig=s"),
            ("-", "-"),
            ("{\"cells\":[]}", "-"),
        ] {
            assert_eq!(beside(&Source::parse(notebook).unwrap()), page);
        }
    }
}
